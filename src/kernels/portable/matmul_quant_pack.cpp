// Weights from GGUF blocks to panels (matmul_quant_format.h). Codes are moved a quad (four bytes) at a time.
#include "kernels/portable/matmul_quant_pack.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "kernels/portable/matmul_quant_format.h"
#include "tensor/blocks.h"

namespace tenon::kernels::quant {
namespace {

static_assert(std::endian::native == std::endian::little);

using Quad = std::uint32_t;

Quad load_quad(const void* p) {
  Quad q = 0;
  std::memcpy(&q, p, sizeof q);
  return q;
}

/// One block of 32 of one column: codes in quads, and whatever scales the format has.
struct Column {
  Quad codes[kQuads];
  std::uint16_t scale = 0;
  std::uint16_t min = 0;
  std::uint8_t small_scale[2] = {};  ///< K formats: of the block (or its two halves)
  std::uint8_t small_min = 0;
};

constexpr Quad kNibbles = 0x0f0f0f0f;

void nibbles(const std::uint8_t* qs, Column& out) {
  for (int q = 0; q < 4; ++q) {
    const Quad both = load_quad(qs + 4 * q);
    out.codes[q] = both & kNibbles;
    out.codes[q + 4] = both >> 4 & kNibbles;
  }
}

// Bit i of `high` is the fifth bit of element i: four bits to the four bytes of a quad by a multiplication.
void fifth_bits(const std::uint8_t* high, Column& out) {
  const Quad bits = load_quad(high);
  for (int q = 0; q < kQuads; ++q) out.codes[q] |= ((bits >> (4 * q) & 15) * 0x00204081u & 0x01010101u) << 4;
}

// `block` counts 32 values from the start of the row's super-block.
void decode(const tensor::BlockQ8_0& b, int, Column& out) {
  for (int q = 0; q < kQuads; ++q) out.codes[q] = load_quad(b.qs + 4 * q) ^ 0x80808080u;
  out.scale = b.d;
}
void decode(const tensor::BlockQ4_0& b, int, Column& out) {
  nibbles(b.qs, out);
  out.scale = b.d;
}
void decode(const tensor::BlockQ4_1& b, int, Column& out) {
  nibbles(b.qs, out);
  out.scale = b.d;
  out.min = b.m;
}
void decode(const tensor::BlockQ5_0& b, int, Column& out) {
  nibbles(b.qs, out);
  fifth_bits(b.qh, out);
  out.scale = b.d;
}
void decode(const tensor::BlockQ5_1& b, int, Column& out) {
  nibbles(b.qs, out);
  fifth_bits(b.qh, out);
  out.scale = b.d;
  out.min = b.m;
}

void decode(const tensor::BlockMXFP4& b, int, Column& out) {
  nibbles(b.qs, out);
  out.scale = b.e;
}

template <class Block>
void super_scales(const Block& b, int block, Column& out) {
  const tensor::ScaleMin small = tensor::k_scale_min(b.scales, block);
  out.scale = b.d;
  out.min = b.dmin;
  out.small_scale[0] = small.scale;
  out.small_min = small.min;
}
void decode(const tensor::BlockQ4_K& b, int block, Column& out) {
  for (int q = 0; q < kQuads; ++q)
    out.codes[q] = load_quad(b.qs + block / 2 * 32 + 4 * q) >> (block % 2 * 4) & kNibbles;
  super_scales(b, block, out);
}
void decode(const tensor::BlockQ5_K& b, int block, Column& out) {
  for (int q = 0; q < kQuads; ++q) {
    const Quad low = load_quad(b.qs + block / 2 * 32 + 4 * q) >> (block % 2 * 4) & kNibbles;
    out.codes[q] = low | (load_quad(b.qh + 4 * q) >> block & 0x01010101u) << 4;
  }
  super_scales(b, block, out);
}
void decode(const tensor::BlockQ6_K& b, int block, Column& out) {
  const int half = block / 4;
  const int group = block % 4;
  for (int q = 0; q < kQuads; ++q) {
    const Quad low = load_quad(b.ql + 64 * half + 32 * (group & 1) + 4 * q) >> (group / 2 * 4) & kNibbles;
    out.codes[q] = low | (load_quad(b.qh + 32 * half + 4 * q) >> (2 * group) & 0x03030303u) << 4;
  }
  out.scale = b.d;
  out.small_scale[0] = static_cast<std::uint8_t>(b.scales[2 * block]);
  out.small_scale[1] = static_cast<std::uint8_t>(b.scales[2 * block + 1]);
}

template <class T>
void put(std::byte* out, T value) {
  std::memcpy(out, &value, sizeof value);
}

template <class F>
void encode_codes(const Column& in, int column, std::byte* block) {
  std::byte* out = block + 4 * column;
  constexpr int kQuadBytes = 4 * kPanel;
  if constexpr (F::kStoredBits == 8) {
    for (int q = 0; q < kQuads; ++q) put(out + q * kQuadBytes, in.codes[q]);
  } else {
    for (int q = 0; q < 4; ++q) put(out + q * kQuadBytes, (in.codes[q] & kNibbles) | (in.codes[q + 4] & kNibbles) << 4);
  }
  if constexpr (F::kStoredBits == 5) {
    Quad plane = 0;
    for (int q = 0; q < kQuads; ++q) plane |= (in.codes[q] >> 4 & 0x01010101u) << q;
    put(out + 4 * kQuadBytes, plane);
  } else if constexpr (F::kStoredBits == 6) {
    for (int half = 0; half < 2; ++half) {
      Quad plane = 0;
      for (int t = 0; t < 4; ++t) plane |= (in.codes[4 * half + t] >> 4 & 0x03030303u) << (2 * t);
      put(out + (4 + half) * kQuadBytes, plane);
    }
  }
}

template <class F>
void encode_scales(const Column& in, int column, std::byte* header, std::byte* block) {
  std::byte* scales = block + F::kScaleOffset;
  if constexpr (F::kScales == Scales::kHalf || F::kScales == Scales::kHalfMin) {
    put(scales + 2 * column, in.scale);
    if constexpr (F::kHasMin) put(scales + 2 * kPanel + 2 * column, in.min);
  } else if constexpr (F::kScales == Scales::kPowerOfTwo) {
    put(scales + column, static_cast<std::uint8_t>(in.scale));
  } else {
    put(header + 2 * column, in.scale);
    if constexpr (F::kHasMin) put(header + 2 * kPanel + 2 * column, in.min);
    put(scales + column, in.small_scale[0]);
    put(scales + kPanel + column, F::kHasMin ? in.small_min : in.small_scale[1]);
  }
}

template <class F, class Source>
void pack(std::int64_t k, const std::byte* const* rows, std::byte* out) {
  const std::int64_t supers = k / (kBlock * F::kSuper);
  for (std::int64_t s = 0; s < supers; ++s, out += F::kSuperBytes) {
    for (int c = 0; c < kPanel; ++c) {
      Source source;  // copied: rows have no alignment
      if (rows[c] != nullptr)
        std::memcpy(&source, rows[c] + s * static_cast<std::int64_t>(sizeof source), sizeof source);
      for (int b = 0; b < F::kSuper; ++b) {
        std::byte* block = out + F::kHeaderBytes + b * F::kBlockBytes;
        Column column = {};
        if (rows[c] != nullptr) decode(source, b, column);
        encode_codes<F>(column, c, block);
        encode_scales<F>(column, c, out, block);
      }
    }
  }
}

}  // namespace

std::int64_t panel_bytes(DType weight_dtype, std::int64_t k) {
  TENON_CHECK(k >= 0 && k % tensor::info(weight_dtype).block_elements == 0, "k is a multiple of the block");
  const auto bytes = [k]<class F>() { return k / (kBlock * F::kSuper) * F::kSuperBytes; };
  switch (weight_dtype) {
    case DType::kQ8_0:
      return bytes.operator()<FormatQ8_0>();
    case DType::kQ4_0:
      return bytes.operator()<FormatQ4_0>();
    case DType::kQ4_1:
      return bytes.operator()<FormatQ4_1>();
    case DType::kQ5_0:
      return bytes.operator()<FormatQ5_0>();
    case DType::kQ5_1:
      return bytes.operator()<FormatQ5_1>();
    case DType::kQ4_K:
      return bytes.operator()<FormatQ4_K>();
    case DType::kQ5_K:
      return bytes.operator()<FormatQ5_K>();
    case DType::kQ6_K:
      return bytes.operator()<FormatQ6_K>();
    case DType::kMXFP4:
      return bytes.operator()<FormatMXFP4>();
    default:
      check_failed("a quantized dtype", tensor::name(weight_dtype), std::source_location::current());
  }
}

void pack_panel(DType weight_dtype, std::int64_t k, DType src_dtype, const std::byte* const* rows, std::byte* out) {
  TENON_CHECK(src_dtype == weight_dtype, "quantized weights are packed from their own format");
  TENON_CHECK(k % tensor::info(weight_dtype).block_elements == 0, "k is a multiple of the block");
  switch (weight_dtype) {
    case DType::kQ8_0:
      return pack<FormatQ8_0, tensor::BlockQ8_0>(k, rows, out);
    case DType::kQ4_0:
      return pack<FormatQ4_0, tensor::BlockQ4_0>(k, rows, out);
    case DType::kQ4_1:
      return pack<FormatQ4_1, tensor::BlockQ4_1>(k, rows, out);
    case DType::kQ5_0:
      return pack<FormatQ5_0, tensor::BlockQ5_0>(k, rows, out);
    case DType::kQ5_1:
      return pack<FormatQ5_1, tensor::BlockQ5_1>(k, rows, out);
    case DType::kQ4_K:
      return pack<FormatQ4_K, tensor::BlockQ4_K>(k, rows, out);
    case DType::kQ5_K:
      return pack<FormatQ5_K, tensor::BlockQ5_K>(k, rows, out);
    case DType::kQ6_K:
      return pack<FormatQ6_K, tensor::BlockQ6_K>(k, rows, out);
    case DType::kMXFP4:
      return pack<FormatMXFP4, tensor::BlockMXFP4>(k, rows, out);
    default:
      check_failed("a quantized dtype", tensor::name(weight_dtype), std::source_location::current());
  }
}

ActivationLayout activation_layout(DType weight_dtype, std::int64_t m, std::int64_t k, int tile_rows) {
  TENON_CHECK(k % kBlock == 0, "k is a multiple of the block");
  const std::int64_t blocks = std::max<std::int64_t>(1, (m + tile_rows - 1) / tile_rows);
  const std::int64_t rows = std::max<std::int64_t>(1, (m + blocks - 1) / blocks);
  return {.weight_dtype = weight_dtype,
          .m = m,
          .k = k,
          .row_block = static_cast<int>(rows),
          .block_bytes = rows * (k / kBlock) * static_cast<std::int64_t>(sizeof(ActivationBlock))};
}

}  // namespace tenon::kernels::quant
