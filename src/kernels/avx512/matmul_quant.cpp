// Quantized matmul for AVX-512 with VNNI: tiles of 6 rows x 32 columns, vpdpbusd on unsigned weight codes and signed
// activations.
#include <immintrin.h>

#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/avx512/vector_math.h"
#include "kernels/parts.h"
#include "kernels/portable/matmul_quant_driver.h"

namespace tenon::kernels::avx512_isa {
namespace {

using quant::ActivationBlock;
using quant::kQuads;
using quant::Scales;

constexpr int kVectors = kPanel / 16;

/// f(0), …, f(n - 1), unrolled; the argument is a constant.
template <int n, class F>
[[gnu::always_inline]] inline void repeat(F&& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, i>{}), ...);
  }(std::make_integer_sequence<int, n>{});
}

// An integer sum starts as the bits of 1.5 * 2^23: while it stays below 2^22 its float value is one subtraction, on the
// ports that the dot products leave free.
constexpr int kMagicBits = 0x4b400000;
constexpr float kMagic = 12582912.0f;

__m512i load(const std::byte* p) { return _mm512_loadu_si512(p); }
__m512 load_half(const std::byte* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
__m128i load_bytes(const std::byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

/// 2^(e - 128), NaN for 255: see the AVX2 kernel.
__m512 load_powers(const std::byte* p) {
  const __m512i bits = _mm512_slli_epi32(_mm512_cvtepu8_epi32(load_bytes(p)), 23);
  const __m512 x = _mm512_castsi512_ps(_mm512_max_epi32(bits, _mm512_set1_epi32(0x00400000)));
  return _mm512_fmsub_ps(x, _mm512_set1_ps(1.5f), x);
}

/// The codes of quad kQuad of 16 columns.
template <class F, int kQuad>
[[gnu::always_inline]] inline __m512i codes(const std::byte* block, int v) {
  if constexpr (F::kStoredBits == 8) {
    return load(block + kQuad * 4 * kPanel + 64 * v);
  } else {
    __m512i low = load(block + kQuad % 4 * 4 * kPanel + 64 * v);
    if constexpr (kQuad >= 4) low = _mm512_srli_epi16(low, 4);
    low = _mm512_and_si512(low, _mm512_set1_epi8(0x0f));
    if constexpr (F::kLookedUp) {
      const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(quant::kMxfp4Codes));
      return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), low);
    }
    if constexpr (F::kStoredBits == 4) return low;
    // The upper bits, moved to where they belong.
    constexpr int kPlane = F::kStoredBits == 5 ? 4 : 4 + kQuad / 4;
    constexpr int kLeft = F::kStoredBits == 5 ? 4 - kQuad : 4 - kQuad % 4 * 2;
    __m512i high = load(block + kPlane * 4 * kPanel + 64 * v);
    if constexpr (kLeft > 0) high = _mm512_slli_epi16(high, kLeft);
    if constexpr (kLeft < 0) high = _mm512_srli_epi16(high, -kLeft);
    constexpr int kAndOr = 0xea;  // (a & b) | c
    return _mm512_ternarylogic_epi64(high, _mm512_set1_epi8(F::kStoredBits == 5 ? 0x10 : 0x30), low, kAndOr);
  }
}

template <class F>
[[gnu::always_inline]] inline __m512 scale(const std::byte* header, const std::byte* block, int group, int v) {
  const std::byte* scales = block + F::kScaleOffset;
  if constexpr (F::kScales == Scales::kHalf || F::kScales == Scales::kHalfMin) {
    return load_half(scales + 32 * v);
  } else if constexpr (F::kScales == Scales::kSuperMin) {
    return _mm512_mul_ps(load_half(header + 32 * v),
                         _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load_bytes(scales + 16 * v))));
  } else if constexpr (F::kScales == Scales::kSuperHalves) {
    return _mm512_mul_ps(load_half(header + 32 * v),
                         _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_bytes(scales + kPanel * group + 16 * v))));
  } else if constexpr (F::kScales == Scales::kPowerOfTwo) {
    return load_powers(scales + 16 * v);
  } else {
    return _mm512_loadu_ps(scales + 4 * kPanel * group + 64 * v);
  }
}

template <class F>
[[gnu::always_inline]] inline __m512 minimum(const std::byte* header, const std::byte* block, int v) {
  const std::byte* scales = block + F::kScaleOffset;
  if constexpr (F::kScales == Scales::kHalfMin) {
    return load_half(scales + 2 * kPanel + 32 * v);
  } else if constexpr (F::kScales == Scales::kSuperMin) {
    const __m512i small = _mm512_cvtepu8_epi32(load_bytes(scales + kPanel + 16 * v));
    return _mm512_mul_ps(load_half(header + 2 * kPanel + 32 * v),
                         _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_setzero_si512(), small)));
  } else {
    return _mm512_loadu_ps(scales + 4 * kPanel + 64 * v);
  }
}

/// What the integer sums of one row and group start from: -kZeroPoint * (sum of the activations), and the magic bits.
template <class F>
[[gnu::always_inline]] inline __m512i start(const ActivationBlock& a, int group) {
  const __m512i magic = _mm512_set1_epi32(kMagicBits);
  if constexpr (F::kZeroPoint == 0) {
    return magic;
  } else {
    constexpr int kShift = std::countr_zero(static_cast<unsigned>(F::kZeroPoint));
    const auto shifted = [](int x) { return _mm512_slli_epi32(_mm512_set1_epi32(x), kShift); };
    if (F::kGroups == 2 && group == 0) return _mm512_add_epi32(magic, shifted(a.negated_first));
    const __m512i all = _mm512_add_epi32(magic, shifted(a.negated_sum));
    return F::kGroups == 1 ? all : _mm512_sub_epi32(all, shifted(a.negated_first));
  }
}

template <class F, int kRows>
[[gnu::always_inline]] inline void block(const std::byte* header, const std::byte* weights, const ActivationBlock* a,
                                         __m512 (&sums)[kRows][kVectors]) {
  __m512 products[kRows][kVectors];
  repeat<F::kGroups>([&](auto group) __attribute__((always_inline)) {
    __m512i dots[kRows][kVectors];
    repeat<kRows>([&](auto i) __attribute__((always_inline)) {
      const __m512i first = start<F>(a[i], group);
      repeat<kVectors>([&](auto v) __attribute__((always_inline)) { dots[i][v] = first; });
    });
    constexpr int kGroupQuads = kQuads / F::kGroups;
    repeat<kGroupQuads>([&](auto quad) __attribute__((always_inline)) {
      constexpr int kQuad = group * kGroupQuads + quad;
      __m512i w[kVectors];
      repeat<kVectors>([&](auto v) __attribute__((always_inline)) { w[v] = codes<F, kQuad>(weights, v); });
      repeat<kRows>([&](auto i) __attribute__((always_inline)) {
        int four = 0;
        std::memcpy(&four, a[i].values + 4 * kQuad, sizeof four);
        const __m512i x = _mm512_set1_epi32(four);
        repeat<kVectors>([&](auto v)
                             __attribute__((always_inline)) { dots[i][v] = _mm512_dpbusd_epi32(dots[i][v], w[v], x); });
      });
    });
    __m512 scales[kVectors];
    __m512 minima[kVectors];
    repeat<kVectors>([&](auto v) __attribute__((always_inline)) {
      scales[v] = scale<F>(header, weights, group, v);
      if constexpr (F::kHasMin) minima[v] = minimum<F>(header, weights, v);
    });
    repeat<kRows>([&](auto i) __attribute__((always_inline)) {
      repeat<kVectors>([&](auto v) __attribute__((always_inline)) {
        const __m512 dot = _mm512_sub_ps(_mm512_castsi512_ps(dots[i][v]), _mm512_set1_ps(kMagic));
        if constexpr (F::kHasMin) {
          products[i][v] = _mm512_fmadd_ps(dot, scales[v], _mm512_mul_ps(_mm512_set1_ps(a[i].sum), minima[v]));
        } else if constexpr (group == 0) {
          products[i][v] = _mm512_mul_ps(dot, scales[v]);
        } else {
          products[i][v] = _mm512_fmadd_ps(dot, scales[v], products[i][v]);
        }
        if constexpr (group == F::kGroups - 1)
          sums[i][v] = _mm512_fmadd_ps(products[i][v], _mm512_set1_ps(a[i].scale), sums[i][v]);
      });
    });
  });
}

struct Isa {
  static constexpr int kTileRows = 6;
  static constexpr int kUnpackBlocks = 6;
  static constexpr bool kNextBlock = true;  // by 4 to 14 % on Zen 4

  template <class F, int kRows>
  [[gnu::noinline]] static void tile(const quant::Tile& t) {
    __m512 sums[kRows][kVectors];
    repeat<kRows>([&](auto i) __attribute__((always_inline)) {
      repeat<kVectors>([&](auto v) __attribute__((always_inline)) {
        sums[i][v] = t.carry ? _mm512_load_ps(t.sums + i * kPanel + 16 * v) : _mm512_setzero_ps();
      });
    });
    const std::byte* weights = t.weights;
    const ActivationBlock* a = t.a;
    quant::Prefetch next = t.next;
    for (std::int64_t b = 0; b < t.blocks; b += F::kSuper) {
      const std::byte* header = weights;
      weights += F::kHeaderBytes;
      for (int s = 0; s < F::kSuper; ++s, weights += F::kBlockBytes, a += t.stride, next.at += next.bytes) {
        for (int line = 0; line < next.bytes; line += 64)
          _mm_prefetch(reinterpret_cast<const char*>(next.at + line), _MM_HINT_T1);
        block<F, kRows>(header, weights, a, sums);
      }
    }
    repeat<kRows>([&](auto i) __attribute__((always_inline)) {
      repeat<kVectors>(
          [&](auto v) __attribute__((always_inline)) { _mm512_store_ps(t.sums + i * kPanel + 16 * v, sums[i][v]); });
    });
  }

  template <class F>
  static void unpack(const std::byte* weights, std::int64_t blocks, std::byte* out) {
    using To = typename F::Unpacked;
    for (std::int64_t b = 0; b < blocks; b += F::kSuper) {
      const std::byte* header = weights;
      weights += F::kHeaderBytes;
      for (int s = 0; s < F::kSuper; ++s, weights += F::kBlockBytes, out += To::kBlockBytes) {
        repeat<kVectors>([&](auto v) __attribute__((always_inline)) {
          repeat<kQuads>([&](auto quad) __attribute__((always_inline)) {
            _mm512_store_si512(out + 4 * kPanel * quad + 64 * v, codes<F, quad>(weights, v));
          });
          float* scales = reinterpret_cast<float*>(out + To::kScaleOffset) + 16 * v;
          repeat<F::kGroups>([&](auto group) __attribute__((always_inline)) {
            _mm512_store_ps(scales + kPanel * group, scale<F>(header, weights, group, v));
          });
          if constexpr (F::kHasMin) _mm512_store_ps(scales + kPanel, minimum<F>(header, weights, v));
        });
      }
    }
  }

  static void quantize(const float* x, ActivationBlock* out) {
    const __m512 a = _mm512_loadu_ps(x);
    const __m512 b = _mm512_loadu_ps(x + 16);
    constexpr int kNotFinite = 0x01 | 0x08 | 0x10 | 0x80;
    if ((_mm512_fpclass_ps_mask(a, kNotFinite) | _mm512_fpclass_ps_mask(b, kNotFinite)) != 0) {
      *out = {.scale = std::numeric_limits<float>::quiet_NaN()};
      return;
    }
    const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
    const __m512 inverse = _mm512_set1_ps(quant::inverse_scale(largest));
    const __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));
    const __m512i qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out->values), _mm512_cvtsepi32_epi8(qa));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out->values + 16), _mm512_cvtsepi32_epi8(qb));
    quant::set_sums(largest, _mm512_reduce_add_epi32(qa), _mm512_reduce_add_epi32(qb), out);
  }

  using Vector = __m512;
  static constexpr int kLanes = 16;
  static __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1); }
  static Vector load(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store(float* p, Vector x, int n) { _mm512_mask_storeu_ps(p, first(n), x); }
  static Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
  static Vector mul(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
  static Vector silu(Vector x) { return avx512_isa::silu(x); }
  static Vector gelu_tanh(Vector x) { return avx512_isa::gelu_tanh(x); }
};

}  // namespace

const MatmulPart kQuantMatmul = quant::kPart<Isa>;

}  // namespace tenon::kernels::avx512_isa
