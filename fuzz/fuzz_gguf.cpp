// weights/gguf_file.h: tensors that are accepted lie in the file, one after the other, and metadata can be printed.
#include <cstdint>
#include <span>

#include "base/check.h"
#include "weights/gguf_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon;
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto file = weights::parse_gguf(bytes, "input");
  if (!file) {
    TENON_CHECK(!file.error().message.empty());
    return 0;
  }
  std::uint64_t at = 0;
  for (const auto& t : file->tensors) {
    const tensor::TensorView view{t.dtype, t.shape, bytes.data() + t.begin};
    TENON_CHECK(t.begin >= at && t.end <= size && static_cast<std::uint64_t>(view.bytes()) == t.end - t.begin);
    at = t.end;
  }
  TENON_CHECK(!file->metadata.dump().empty());
  return 0;
}
