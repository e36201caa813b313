// Quantized matmul for AVX2: tiles of 4 rows x 8 columns, vpmaddubsw on unsigned codes and signed activations. Its
// 16-bit sums never saturate: codes of 4, 5 and 6 bits are widened to 32 bits after as many quads as are safe, and
// 8-bit codes are multiplied as |w| and x * sign(w).
#include <immintrin.h>

#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/avx2/vector_math.h"
#include "kernels/parts.h"
#include "kernels/portable/matmul_quant_driver.h"

namespace tenon::kernels::avx2_isa {
namespace {

using quant::ActivationBlock;
using quant::kBlock;
using quant::kQuads;
using quant::Scales;

constexpr int kLaneColumns = 8;
constexpr int kVectors = kPanel / kLaneColumns;

/// f(0), …, f(n - 1), unrolled; the argument is a constant.
template <int n, class F>
[[gnu::always_inline]] inline void repeat(F&& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, i>{}), ...);
  }(std::make_integer_sequence<int, n>{});
}

__m256i load_codes(const std::byte* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
__m256 load_half(const std::byte* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
__m128i load_bytes(const std::byte* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }

/// 2^(e - 128), NaN for 255. The bits of 2^(e - 127) are e << 23, but for e = 0: a subnormal. Halved as 1.5 x - x,
/// which makes a NaN of infinity.
__m256 load_powers(const std::byte* p) {
  const __m256i bits = _mm256_slli_epi32(_mm256_cvtepu8_epi32(load_bytes(p)), 23);
  const __m256 x = _mm256_castsi256_ps(_mm256_max_epi32(bits, _mm256_set1_epi32(0x00400000)));
  return _mm256_fmsub_ps(x, _mm256_set1_ps(1.5f), x);
}

/// The codes of quad kQuad of the 8 columns of vector v.
template <class F, int kQuad>
[[gnu::always_inline]] inline __m256i codes(const std::byte* block, int v) {
  if constexpr (F::kStoredBits == 8) {
    return load_codes(block + kQuad * 4 * kPanel + 32 * v);
  } else {
    __m256i low = load_codes(block + kQuad % 4 * 4 * kPanel + 32 * v);
    if constexpr (kQuad >= 4) low = _mm256_srli_epi16(low, 4);
    low = _mm256_and_si256(low, _mm256_set1_epi8(0x0f));
    if constexpr (F::kLookedUp) {
      const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(quant::kMxfp4Codes));
      return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), low);
    }
    if constexpr (F::kStoredBits == 4) return low;
    // The upper bits, moved to where they belong.
    constexpr int kPlane = F::kStoredBits == 5 ? 4 : 4 + kQuad / 4;
    constexpr int kLeft = F::kStoredBits == 5 ? 4 - kQuad : 4 - kQuad % 4 * 2;
    __m256i high = load_codes(block + kPlane * 4 * kPanel + 32 * v);
    if constexpr (kLeft > 0) high = _mm256_slli_epi16(high, kLeft);
    if constexpr (kLeft < 0) high = _mm256_srli_epi16(high, -kLeft);
    return _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi8(F::kStoredBits == 5 ? 0x10 : 0x30)));
  }
}

template <class F>
[[gnu::always_inline]] inline __m256 scale(const std::byte* header, const std::byte* block, int group, int v) {
  const std::byte* scales = block + F::kScaleOffset;
  if constexpr (F::kScales == Scales::kHalf || F::kScales == Scales::kHalfMin) {
    return load_half(scales + 16 * v);
  } else if constexpr (F::kScales == Scales::kSuperMin) {
    return _mm256_mul_ps(load_half(header + 16 * v),
                         _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load_bytes(scales + 8 * v))));
  } else if constexpr (F::kScales == Scales::kSuperHalves) {
    return _mm256_mul_ps(load_half(header + 16 * v),
                         _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load_bytes(scales + kPanel * group + 8 * v))));
  } else if constexpr (F::kScales == Scales::kPowerOfTwo) {
    return load_powers(scales + 8 * v);
  } else {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(scales) + kPanel * group + 8 * v);
  }
}

template <class F>
[[gnu::always_inline]] inline __m256 minimum(const std::byte* header, const std::byte* block, int v) {
  const std::byte* scales = block + F::kScaleOffset;
  if constexpr (F::kScales == Scales::kHalfMin) {
    return load_half(scales + 2 * kPanel + 16 * v);
  } else if constexpr (F::kScales == Scales::kSuperMin) {
    const __m256i small = _mm256_cvtepu8_epi32(load_bytes(scales + kPanel + 8 * v));
    return _mm256_mul_ps(load_half(header + 2 * kPanel + 16 * v),
                         _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_setzero_si256(), small)));
  } else {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(scales) + kPanel + 8 * v);
  }
}

/// Quads whose products a 16-bit lane can add up: two products of a code and 127 each.
template <class F>
constexpr int kSafeQuads = F::kCodeBits == 8 ? 1 : 32767 / (2 * 127 * ((1 << F::kCodeBits) - 1));
static_assert(kSafeQuads<quant::FormatQ4_0> == 8 && kSafeQuads<quant::FormatQ5_0> == 4 &&
              kSafeQuads<quant::FormatMXFP4> == 4 && kSafeQuads<quant::FormatQ6_K> == 2);

/// Integer sums of one row and group start from -kZeroPoint * (sum of the activations); 8-bit codes lose their zero
/// point when they are made signed.
template <class F>
[[gnu::always_inline]] inline __m256i start(const ActivationBlock& a, int group) {
  if constexpr (F::kZeroPoint == 0 || F::kCodeBits == 8) {
    return _mm256_setzero_si256();
  } else {
    return _mm256_set1_epi32(F::kZeroPoint * quant::negated_sum<F>(a, group));
  }
}

template <class F, int kRows>
[[gnu::always_inline]] inline void block(const std::byte* header, const std::byte* weights, const ActivationBlock* a,
                                         int v, __m256 (&sums)[kRows]) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256 products[kRows];
  repeat<F::kGroups>([&](auto group) __attribute__((always_inline)) {
    constexpr int kGroupQuads = kQuads / F::kGroups;
    constexpr int kSafe = kSafeQuads<F> < kGroupQuads ? kSafeQuads<F> : kGroupQuads;
    __m256i dots[kRows];
    repeat<kRows>([&](auto i) __attribute__((always_inline)) { dots[i] = start<F>(a[i], group); });
    repeat<kGroupQuads / kSafe>([&](auto part) __attribute__((always_inline)) {
      __m256i narrow[kRows];
      repeat<kSafe>([&](auto quad) __attribute__((always_inline)) {
        constexpr int kQuad = group * kGroupQuads + part * kSafe + quad;
        __m256i w = codes<F, kQuad>(weights, v);
        __m256i sign = w;
        if constexpr (F::kCodeBits == 8) {
          sign = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
          w = _mm256_abs_epi8(sign);
        }
        repeat<kRows>([&](auto i) __attribute__((always_inline)) {
          int four = 0;
          std::memcpy(&four, a[i].values + 4 * kQuad, sizeof four);
          __m256i x = _mm256_set1_epi32(four);
          if constexpr (F::kCodeBits == 8) x = _mm256_sign_epi8(x, sign);
          const __m256i pairs = _mm256_maddubs_epi16(w, x);
          narrow[i] = quad == 0 ? pairs : _mm256_add_epi16(narrow[i], pairs);
        });
      });
      repeat<kRows>([&](auto i) __attribute__((always_inline)) {
        dots[i] = _mm256_add_epi32(dots[i], _mm256_madd_epi16(narrow[i], ones));
      });
    });
    const __m256 scales = scale<F>(header, weights, group, v);
    repeat<kRows>([&](auto i) __attribute__((always_inline)) {
      const __m256 dot = _mm256_cvtepi32_ps(dots[i]);
      if constexpr (F::kHasMin) {
        const __m256 offset = _mm256_mul_ps(_mm256_set1_ps(a[i].sum), minimum<F>(header, weights, v));
        products[i] = _mm256_fmadd_ps(dot, scales, offset);
      } else if constexpr (group == 0) {
        products[i] = _mm256_mul_ps(dot, scales);
      } else {
        products[i] = _mm256_fmadd_ps(dot, scales, products[i]);
      }
    });
  });
  repeat<kRows>([&](auto i) __attribute__((always_inline)) {
    sums[i] = _mm256_fmadd_ps(products[i], _mm256_set1_ps(a[i].scale), sums[i]);
  });
}

struct Isa {
  static constexpr int kTileRows = 4;
  static constexpr int kUnpackBlocks = 3;
  static constexpr bool kNextBlock = false;

  template <class F, int kRows>
  [[gnu::noinline]] static void tile(const quant::Tile& t) {
    if (!t.carry) std::memset(t.sums, 0, kRows * kPanel * sizeof *t.sums);
    const std::byte* weights = t.weights;
    const ActivationBlock* a = t.a;
    quant::Prefetch next = t.next;
    for (std::int64_t b = 0; b < t.blocks; b += F::kSuper) {
      const std::byte* header = weights;
      weights += F::kHeaderBytes;
      for (int s = 0; s < F::kSuper; ++s, weights += F::kBlockBytes, a += t.stride, next.at += next.bytes) {
        for (int line = 0; line < next.bytes; line += 64)
          _mm_prefetch(reinterpret_cast<const char*>(next.at + line), _MM_HINT_T1);
        for (int v = 0; v < kVectors; ++v) {
          __m256 sums[kRows];
          float* at = t.sums + kLaneColumns * v;
          repeat<kRows>([&](auto i) __attribute__((always_inline)) { sums[i] = _mm256_load_ps(at + i * kPanel); });
          block<F, kRows>(header, weights, a, v, sums);
          repeat<kRows>([&](auto i) __attribute__((always_inline)) { _mm256_store_ps(at + i * kPanel, sums[i]); });
        }
      }
    }
  }

  template <class F>
  static void unpack(const std::byte* weights, std::int64_t blocks, std::byte* out) {
    using To = typename F::Unpacked;
    for (std::int64_t b = 0; b < blocks; b += F::kSuper) {
      const std::byte* header = weights;
      weights += F::kHeaderBytes;
      for (int s = 0; s < F::kSuper; ++s, weights += F::kBlockBytes, out += To::kBlockBytes) {
        for (int v = 0; v < kVectors; ++v) {
          repeat<kQuads>([&](auto quad) __attribute__((always_inline)) {
            _mm256_store_si256(reinterpret_cast<__m256i*>(out + 4 * kPanel * quad + 32 * v),
                               codes<F, quad>(weights, v));
          });
          float* scales = reinterpret_cast<float*>(out + To::kScaleOffset) + kLaneColumns * v;
          for (int group = 0; group < F::kGroups; ++group)
            _mm256_store_ps(scales + kPanel * group, scale<F>(header, weights, group, v));
          if constexpr (F::kHasMin) _mm256_store_ps(scales + kPanel, minimum<F>(header, weights, v));
        }
      }
    }
  }

  static void quantize(const float* x, ActivationBlock* out) {
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    const __m256 infinity = _mm256_set1_ps(std::numeric_limits<float>::infinity());
    __m256 most = _mm256_setzero_ps();
    __m256 finite = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    for (int i = 0; i < kBlock; i += 8) {
      const __m256 size = _mm256_and_ps(_mm256_loadu_ps(x + i), magnitude);
      finite = _mm256_and_ps(finite, _mm256_cmp_ps(size, infinity, _CMP_LT_OQ));
      most = _mm256_max_ps(most, size);
    }
    if (_mm256_movemask_ps(finite) != 0xff) {
      *out = {.scale = std::numeric_limits<float>::quiet_NaN()};
      return;
    }
    alignas(32) float lanes[8];
    _mm256_store_ps(lanes, most);
    float largest = lanes[0];
    for (const float lane : lanes) largest = lane > largest ? lane : largest;
    const __m256 inverse = _mm256_set1_ps(quant::inverse_scale(largest));
    const auto rounded = [&](int i) { return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), inverse)); };
    // Packing works within 128-bit lanes; the permutation puts the dwords back in order.
    const __m256i ab = _mm256_packs_epi32(rounded(0), rounded(8));
    const __m256i cd = _mm256_packs_epi32(rounded(16), rounded(24));
    const __m256i bytes =
        _mm256_permutevar8x32_epi32(_mm256_packs_epi16(ab, cd), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out->values), bytes);
    quant::set_sums(largest, total(ab), total(cd), out);
  }

  /// The sum of 16 16-bit integers.
  static int total(__m256i x) {
    const __m256i pairs = _mm256_madd_epi16(x, _mm256_set1_epi16(1));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return _mm_cvtsi128_si32(four);
  }

  using Vector = __m256;
  static constexpr int kLanes = kLaneColumns;
  static __m256i first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Vector load(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  static void store(float* p, Vector x, int n) { _mm256_maskstore_ps(p, first(n), x); }
  static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static Vector mul(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
  static Vector silu(Vector x) { return avx2_isa::silu(x); }
  static Vector gelu_tanh(Vector x) { return avx2_isa::gelu_tanh(x); }
};

}  // namespace

const MatmulPart kQuantMatmul = quant::kPart<Isa>;

}  // namespace tenon::kernels::avx2_isa
