// weights/safetensors_header.h: what is accepted must cover the data exactly.
#include <cstdint>
#include <span>

#include "base/check.h"
#include "weights/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon;
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto tensors = weights::parse_safetensors(bytes, "input");
  if (!tensors) {
    TENON_CHECK(!tensors.error().message.empty());
    return 0;
  }
  std::uint64_t at = tensors->empty() ? size : tensors->front().begin;
  for (const auto& t : *tensors) {
    const tensor::TensorView view{t.dtype, t.shape, bytes.data() + t.begin};
    TENON_CHECK(t.begin == at && t.end <= size && static_cast<std::uint64_t>(view.bytes()) == t.end - t.begin);
    at = t.end;
  }
  TENON_CHECK(at == size);
  return 0;
}
