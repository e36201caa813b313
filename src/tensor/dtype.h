// Element types and quantized block formats, and the weight encodings that a user can choose.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tenon::tensor {

enum class DType : std::uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  // GGUF block formats; layouts in blocks.h.
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kMXFP4,
  kFP8,  ///< E4M3 with a float32 scale for 128: BlockFP8
};

struct DTypeInfo {
  const char* name;    ///< "F32", "BF16", "Q4_K", … as SafeTensors and GGUF spell it
  int block_elements;  ///< 1, or the elements of one quantized block (32, 128 or 256)
  int block_bytes;     ///< bytes of one element or block
  bool quantized;
};

const DTypeInfo& info(DType dtype);
inline const char* name(DType dtype) { return info(dtype).name; }
std::optional<DType> dtype_from_name(std::string_view name);

/// Bytes of `elements` consecutive elements (a multiple of block_elements).
std::int64_t bytes_of(DType dtype, std::int64_t elements);

/// Converts one row of any float or quantized dtype to float32. `n` is a multiple of block_elements. Exactly the
/// published dequantization formula of each format (ggml), in scalar float32.
void to_float(DType dtype, const void* row, std::int64_t n, float* out);

/// Round to nearest even.
std::uint16_t to_bf16(float x);
float from_bf16(std::uint16_t x);
std::uint16_t to_f16(float x);
float from_f16(std::uint16_t x);

}  // namespace tenon::tensor
