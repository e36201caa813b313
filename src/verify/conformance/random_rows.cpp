#include "verify/conformance/random_rows.h"

#include <cstring>

#include "base/check.h"

namespace tenon::verify {
namespace {

using enum tensor::DType;

void put_half(char* at, float x) {
  const std::uint16_t h = tensor::to_f16(x);
  std::memcpy(at, &h, 2);
}

// The scales of a quantized block, small enough for numbers of about ±0.1; u is from 0.5 to 1.5.
void put_scales(tensor::DType dtype, char* block, int block_bytes, float u) {
  switch (dtype) {
    case kQ8_0:
      return put_half(block, u * 8e-4f);
    case kQ4_0:
      return put_half(block, u * 1e-2f);
    case kQ5_0:
      return put_half(block, u * 5e-3f);
    case kQ4_1:
      return put_half(block, u * 1e-2f), put_half(block + 2, u * -8e-2f);
    case kQ5_1:
      return put_half(block, u * 5e-3f), put_half(block + 2, u * -8e-2f);
    case kQ4_K:
      return put_half(block, u * 3e-4f), put_half(block + 2, u * 2e-3f);
    case kQ5_K:
      return put_half(block, u * 1.5e-4f), put_half(block + 2, u * 2e-3f);
    case kQ6_K:
      return put_half(block + block_bytes - 2, u * 4e-5f);
    case kMXFP4:
      *block = u < 1 ? 120 : 121;  // 2^-7, 2^-6
      return;
    case kFP8:
      u *= 5e-2f;
      std::memcpy(block, &u, sizeof u);
      for (int i = 4; i < block_bytes; ++i) block[i] = static_cast<char>(block[i] & 0xbf);  // below 2, and no NaN
      return;
    default:
      TENON_CHECK(false, std::string("no random rows of ") + tensor::name(dtype));
  }
}

}  // namespace

std::string random_rows(tensor::DType dtype, std::int64_t elements, std::mt19937& random) {
  std::string out(static_cast<std::size_t>(tensor::bytes_of(dtype, elements)), '\0');
  const int block = tensor::info(dtype).block_bytes;
  // Any bytes are valid codes; the scales among them are set.
  if (tensor::info(dtype).quantized) {
    for (auto& byte : out) byte = static_cast<char>(random());
  }
  for (std::size_t at = 0; at < out.size(); at += static_cast<std::size_t>(block)) {
    const float x = (static_cast<float>(random() % 2001) - 1000) * 1e-4f;
    if (dtype == kF32) {
      std::memcpy(out.data() + at, &x, 4);
    } else if (dtype == kBF16) {
      const std::uint16_t rounded = tensor::to_bf16(x);
      std::memcpy(out.data() + at, &rounded, 2);
    } else {
      put_scales(dtype, out.data() + at, block, 1 + 5 * x);
    }
  }
  return out;
}

}  // namespace tenon::verify
