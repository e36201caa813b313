// Quantized matmul in plain loops: every panel is unpacked, so there is one tile for all formats.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/parts.h"
#include "kernels/portable/matmul_quant_driver.h"

namespace tenon::kernels::portable_isa {
namespace {

using quant::ActivationBlock;
using quant::kBlock;
using quant::kQuads;
using quant::Scales;

constexpr int kQuadBytes = 4 * kPanel;

template <class T>
T read(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
float read_half(const std::byte* p) { return tensor::from_f16(read<std::uint16_t>(p)); }

/// Byte i of quad `quad`'s codes.
template <class F>
int code(const std::byte* block, int quad, int i) {
  const auto at = [&](int row) { return std::to_integer<int>(block[row * kQuadBytes + i]); };
  if (F::kStoredBits == 8) return at(quad);
  const int low = at(quad % 4) >> (quad / 4 * 4) & 15;
  if (F::kLookedUp) return quant::kMxfp4Codes[low];
  if (F::kStoredBits == 5) return low | (at(4) >> quad & 1) << 4;
  if (F::kStoredBits == 6) return low | (at(4 + quad / 4) >> (quad % 4 * 2) & 3) << 4;
  return low;
}

template <class F>
float scale(const std::byte* header, const std::byte* block, int group, int column) {
  const std::byte* scales = block + F::kScaleOffset;
  if (F::kScales == Scales::kSuperMin)
    return read_half(header + 2 * column) * static_cast<float>(read<std::uint8_t>(scales + column));
  if (F::kScales == Scales::kSuperHalves)
    return read_half(header + 2 * column) * static_cast<float>(read<std::int8_t>(scales + kPanel * group + column));
  if (F::kScales == Scales::kPowerOfTwo) {
    const int exponent = read<std::uint8_t>(scales + column);
    return exponent == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, exponent - 128);
  }
  return read_half(scales + 2 * column);
}

template <class F>
float minimum(const std::byte* header, const std::byte* block, int column) {
  const std::byte* scales = block + F::kScaleOffset;
  if (F::kScales == Scales::kHalfMin) return read_half(scales + 2 * kPanel + 2 * column);
  return read_half(header + 2 * kPanel + 2 * column) *
         -static_cast<float>(read<std::uint8_t>(scales + kPanel + column));
}

struct Isa {
  static constexpr int kTileRows = 4;
  static constexpr int kUnpackBlocks = 1;
  static constexpr bool kNextBlock = false;

  template <class F>
  static void unpack(const std::byte* weights, std::int64_t blocks, std::byte* out) {
    using To = typename F::Unpacked;
    for (std::int64_t b = 0; b < blocks; b += F::kSuper) {
      const std::byte* header = weights;
      weights += F::kHeaderBytes;
      for (int s = 0; s < F::kSuper; ++s, weights += F::kBlockBytes, out += To::kBlockBytes) {
        for (int quad = 0; quad < kQuads; ++quad)
          for (int i = 0; i < kQuadBytes; ++i)
            out[quad * kQuadBytes + i] = static_cast<std::byte>(code<F>(weights, quad, i));
        float* scales = reinterpret_cast<float*>(out + To::kScaleOffset);
        for (int c = 0; c < kPanel; ++c) {
          for (int group = 0; group < F::kGroups; ++group)
            scales[group * kPanel + c] = scale<F>(header, weights, group, c);
          if (F::kHasMin) scales[kPanel + c] = minimum<F>(header, weights, c);
        }
      }
    }
  }

  template <class F, int kRows>
  static void tile(const quant::Tile& t) {
    if (!t.carry) std::fill_n(t.sums, kRows * kPanel, 0.0f);
    for (std::int64_t b = 0; b < t.blocks; ++b)
      for (int i = 0; i < kRows; ++i)
        add_block<F>(t.weights + b * F::kBlockBytes, t.a[b * t.stride + i], t.sums + i * kPanel);
  }

  template <class F>
  static void add_block(const std::byte* weights, const ActivationBlock& a, float* sums) {
    const auto* scales = reinterpret_cast<const float*>(weights + F::kScaleOffset);
    float products[kPanel];
    for (int c = 0; c < kPanel; ++c) products[c] = F::kHasMin ? a.sum * scales[kPanel + c] : 0.0f;
    constexpr int kGroupQuads = kQuads / F::kGroups;
    for (int group = 0; group < F::kGroups; ++group) {
      int dots[kPanel];
      for (int& dot : dots) dot = F::kZeroPoint * quant::negated_sum<F>(a, group);
      for (int quad = group * kGroupQuads; quad < (group + 1) * kGroupQuads; ++quad) {
        const auto* codes = reinterpret_cast<const std::uint8_t*>(weights + quad * kQuadBytes);
        const std::int8_t* x = a.values + 4 * quad;
        for (int c = 0; c < kPanel; ++c)
          dots[c] += codes[4 * c] * x[0] + codes[4 * c + 1] * x[1] + codes[4 * c + 2] * x[2] + codes[4 * c + 3] * x[3];
      }
      for (int c = 0; c < kPanel; ++c) products[c] += static_cast<float>(dots[c]) * scales[group * kPanel + c];
    }
    for (int c = 0; c < kPanel; ++c) sums[c] += products[c] * a.scale;
  }

  static void quantize(const float* x, ActivationBlock* out) {
    float largest = 0.0f;
    bool finite = true;
    for (int i = 0; i < kBlock; ++i) {
      largest = std::max(largest, std::abs(x[i]));
      finite = finite && std::isfinite(x[i]);
    }
    if (!finite) {
      *out = {.scale = std::numeric_limits<float>::quiet_NaN()};
      return;
    }
    const float inverse = quant::inverse_scale(largest);
    int halves[2] = {};
    for (int i = 0; i < kBlock; ++i) {
      const auto value = static_cast<int>(std::nearbyint(x[i] * inverse));
      out->values[i] = static_cast<std::int8_t>(value);
      halves[i / 16] += value;
    }
    quant::set_sums(largest, halves[0], halves[1], out);
  }

  using Vector = float;
  static constexpr int kLanes = 1;
  static Vector load(const float* p, int) { return *p; }
  static void store(float* p, Vector x, int) { *p = x; }
  static Vector add(Vector a, Vector b) { return a + b; }
  static Vector mul(Vector a, Vector b) { return a * b; }
  static Vector silu(Vector x) { return x / (1.0f + std::exp(-x)); }
  /// 0.5 x (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x³), as x sigmoid(2u), which loses no digits for negative x.
  static Vector gelu_tanh(Vector x) { return x / (1.0f + std::exp(-1.595769122f * x * (1.0f + 0.044715f * x * x))); }
};

}  // namespace

const MatmulPart kQuantMatmul = quant::kPart<Isa>;

}  // namespace tenon::kernels::portable_isa
