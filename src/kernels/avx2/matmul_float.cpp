// Float matmul for AVX2 and FMA: tiles of up to 6 rows x 2 vectors, all sums in registers; one or two rows take all
// four vectors of a panel at once. bfloat16 and FP8 weights are widened in registers; bfloat16's activations are floats
// that were rounded to bfloat16.
#include "kernels/portable/matmul_float.h"

#include <immintrin.h>

#include "kernels/avx2/rows_simd.h"
#include "kernels/avx2/transpose.h"

namespace tenon::kernels {
namespace avx2_isa {
namespace {

struct FloatIsa {
  using Simd = avx2_isa::Simd;
  static constexpr int kMaxRows = 6, kMaxCodedBlocks = 2;
  static constexpr std::int64_t kCachedBytes = 256 * 1024;  ///< of 512 KiB, or less
  template <DType T>
  static constexpr int kActivationBytes = 4;

  using Word = __m256i;
  static constexpr int kWords = 8;

  static Word load_words(const std::byte* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Word load_rounded(const std::byte* p) { return round_bf16(load_words(p)); }
  static Word load_pairs(const std::byte* p) {
    // vpackusdw works in 128-bit lanes: the middle two quarters change places.
    const __m256i low = _mm256_srli_epi32(round_bf16(load_words(p)), 16);
    const __m256i high = _mm256_srli_epi32(round_bf16(load_words(p + 32)), 16);
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
  }
  static void transpose(Word (&v)[kWords]) { transpose8(v); }
  static void store_words(std::byte* p, Word v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static void stream_words(std::byte* p, Word v) { _mm256_stream_si256(reinterpret_cast<__m256i*>(p), v); }
  static void store_first(std::uint32_t* p, Word v, int n) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_epi32(reinterpret_cast<int*>(p), _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lanes), v);
  }
  static void fence() { _mm_sfence(); }

  static void widen_fp8(const Fp8Group& group, float* out) {
    for (int i = 0; i < tensor::kFp8Elements; ++i) {
      for (int column = 0; column < kPanel; column += 16) {
        __m256 w[2];
        widen_fp8(&group, i, column, w);
        _mm256_store_ps(out + i * kPanel + column, w[0]);
        _mm256_store_ps(out + i * kPanel + column + 8, w[1]);
      }
    }
  }

  static void decode(const CodedChunk& chunk, std::byte* out) {
    const __m256i high = codes_of(chunk);
    for (const CodedChunk::Steps& steps : chunk.steps) {
      for (int step = 0; step < 2; ++step, out += 128) {
        __m256i words[4];
        for (int half = 0; half < 2; ++half) decode(steps, step, half, high, words[half], words[half + 2]);
        for (int i = 0; i < 4; ++i) store_words(out + i * 32, words[i]);
      }
    }
  }
  static int encode(const std::byte* words, const Codebook& book, CodedChunk::Steps& steps) {
    return encode_steps(words, book, steps);
  }

  template <DType T, int kRows, bool kCoded>
  [[gnu::noinline]] static void tile(const FloatTile& t) {
    if constexpr (kRows <= 2) {
      columns<T, kRows, 4, 1, kCoded>(t, 0);
    } else if constexpr (T == DType::kBF16) {
      for (int first = 0; first < 2; ++first) columns<T, kRows, 2, 2, kCoded>(t, first);
    } else {
      for (int first = 0; first < 4; first += 2) columns<T, kRows, 2, 1, kCoded>(t, first);
    }
  }

 private:
  static __m256i codes_of(const CodedChunk& chunk) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(chunk.high)));
  }
  /// Vectors `half` and half + 2 of a step's four.
  static void decode(const CodedChunk::Steps& steps, int step, int half, __m256i high, __m256i& v0, __m256i& v2) {
    __m256i codes = load_words(reinterpret_cast<const std::byte*>(steps.codes) + half * 32);
    if (step == 1) codes = _mm256_srli_epi16(codes, 4);
    const __m256i top = _mm256_shuffle_epi8(high, _mm256_and_si256(codes, _mm256_set1_epi8(15)));
    const __m256i low = load_words(reinterpret_cast<const std::byte*>(steps.low[step]) + half * 32);
    v0 = _mm256_unpacklo_epi8(low, top);
    v2 = _mm256_unpackhi_epi8(low, top);
  }

  /// Vectors first + c * kStride, c < kVectors, of the panel's four.
  template <DType T, int kRows, int kVectors, int kStride, bool kCoded>
  static void columns(const FloatTile& t, int first) {
    constexpr bool kPairs = T == DType::kBF16;
    const std::byte* __restrict weights = t.weights + first * 32;
    const float* __restrict activations = reinterpret_cast<const float*>(t.activations);
    __m256 sums[kRows][kVectors];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int c = 0; c < kVectors; ++c) {
        sums[i][c] = T == DType::kF32 && t.resume ? _mm256_load_ps(t.sums + i * kPanel + (first + c * kStride) * 8)
                                                  : _mm256_setzero_ps();
      }

    const auto multiply_add = [&](const __m256(&w)[kVectors]) __attribute__((always_inline)) {
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        const __m256 a = _mm256_broadcast_ss(activations + i);
#pragma GCC unroll 4
        for (int c = 0; c < kVectors; ++c) sums[i][c] = _mm256_fmadd_ps(a, w[c], sums[i][c]);
      }
      activations += t.row_block;
    };
    // One line pair of weights: one K of floats, two of bfloat16. words(c) are those of a vector.
    const auto multiply = [&](auto words) __attribute__((always_inline)) {
      __m256 w[kVectors];
      const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
#pragma GCC unroll 4
      for (int c = 0; c < kVectors; ++c)
        w[c] = _mm256_castsi256_ps(kPairs ? _mm256_slli_epi32(words(c), 16) : words(c));
      multiply_add(w);
      if constexpr (kPairs) {
#pragma GCC unroll 4
        for (int c = 0; c < kVectors; ++c) w[c] = _mm256_castsi256_ps(_mm256_and_si256(words(c), high));
        multiply_add(w);
      }
    };
    const auto step = [&]() __attribute__((always_inline)) {
      multiply([&](int c) __attribute__((always_inline)) { return load_words(weights + c * kStride * 32); });
      weights += 128;
    };
    const char* next = t.next;
    const int lines = first == 0 ? t.prefetch_lines : 0;
    if constexpr (T == DType::kFP8) {
      const auto* group = reinterpret_cast<const Fp8Group*>(t.weights);
      for (std::int64_t k = 0; k < t.k; k += tensor::kFp8Elements, ++group) {
        for (int i = 0; i < tensor::kFp8Elements; ++i) {
          // 16 K are 8 lines.
          if (i % 16 == 0) {
            for (int line = 0; line < lines; ++line, next += 64) _mm_prefetch(next, _MM_HINT_T1);
          }
          __m256 w[kVectors];
#pragma GCC unroll 2
          for (int c = 0; c < kVectors; c += 2) widen_fp8(group, i, (first + c) * 8, w + c);
          multiply_add(w);
        }
      }
    }
    std::int64_t steps = T == DType::kFP8 || kCoded ? 0 : kPairs ? t.k / 2 : t.k;
    if constexpr (kCoded) {
      const auto* chunk = reinterpret_cast<const CodedChunk*>(t.weights);
      for (std::int64_t k = 0; k < t.k; k += kCodedK, ++chunk) {
        if (chunk->exceptions != 0) [[unlikely]] {
          alignas(64) std::byte plain[kPlainChunkBytes];
          decode_chunks<FloatIsa>(chunk, 1, plain);
          weights = plain + first * 32;
          for (int i = 0; i < kCodedK / 2; ++i) step();
          continue;
        }
        const __m256i high = codes_of(*chunk);
        for (const CodedChunk::Steps& two : chunk->steps) {
#pragma GCC unroll 2
          for (int i = 0; i < 2; ++i) {
            __m256i words[kVectors];
#pragma GCC unroll 2
            for (int h = 0; h < kVectors / 2; ++h) decode(two, i, first + h, high, words[h], words[h + kVectors / 2]);
            multiply([&](int c) __attribute__((always_inline)) { return words[c]; });
          }
        }
      }
    }
    for (; steps >= 4; steps -= 4) {
      for (int line = 0; line < lines; ++line, next += 64) _mm_prefetch(next, _MM_HINT_T1);
      step();
      step();
      step();
      step();
    }
    for (; steps > 0; --steps) step();

#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int c = 0; c < kVectors; ++c) _mm256_store_ps(t.sums + i * kPanel + (first + c * kStride) * 8, sums[i][c]);
  }

  /// Columns [column, column + 16) of K i.
  static void widen_fp8(const Fp8Group* group, int i, int column, __m256* w) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(group->codes[i] + column));
    const __m256i shifted = _mm256_slli_epi16(_mm256_cvtepi8_epi16(codes), 7);
    const __m256i halves = _mm256_and_si256(shifted, _mm256_set1_epi16(kFp8Mask));
    w[0] = _mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(halves)), _mm256_loadu_ps(group->scales + column));
    w[1] = _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1)),
                         _mm256_loadu_ps(group->scales + column + 8));
  }

  /// Floats as floats of bfloat16 precision, to nearest even; NaN stays NaN.
  static __m256i round_bf16(__m256i bits) {
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x00400000));
    const __m256 x = _mm256_castsi256_ps(bits);
    const __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    const __m256 kept = _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet), nan);
    return _mm256_and_si256(_mm256_castps_si256(kept), _mm256_set1_epi32(static_cast<int>(0xffff0000u)));
  }
};

}  // namespace
}  // namespace avx2_isa

constinit const MatmulPart avx2_isa::kFloatMatmul = FloatMatmul<avx2_isa::FloatIsa>::part();

}  // namespace tenon::kernels
