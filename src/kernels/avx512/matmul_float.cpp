// Float matmul for AVX-512: tiles of up to 13 rows x 2 vectors, all sums in registers. bfloat16 weights are multiplied
// by vdpbf16ps, which adds the two products of a pair to the sum and takes denormals for zero; FP8 is widened to
// floats.
#include "kernels/portable/matmul_float.h"

#include <immintrin.h>

#include <bit>
#include <limits>

#include "kernels/avx512/rows_simd.h"
#include "kernels/avx512/transpose.h"

namespace tenon::kernels {
namespace avx512_isa {
namespace {

struct FloatIsa {
  using Simd = avx512_isa::Simd;
  static constexpr int kMaxRows = 13;
  /// Always: two shuffles more a vector take less time than to write the weights and to read them again.
  static constexpr std::int64_t kMaxCodedBlocks = std::numeric_limits<std::int64_t>::max();
  static constexpr std::int64_t kCachedBytes = 184 * 4096;  ///< of 1 MiB and more
  template <DType T>
  static constexpr int kActivationBytes = T == DType::kBF16 ? 2 : 4;

  using Word = __m512i;
  static constexpr int kWords = 16;

  static Word load_words(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Word load_pairs(const std::byte* p) {
    const auto* floats = reinterpret_cast<const float*>(p);
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(_mm512_loadu_ps(floats + 16), _mm512_loadu_ps(floats)));
  }
  static Word load_rounded(const std::byte* p) { return load_pairs(p); }
  static void transpose(Word (&v)[kWords]) { transpose16(v); }
  static void store_words(std::byte* p, Word v) { _mm512_storeu_si512(p, v); }
  static void stream_words(std::byte* p, Word v) { _mm512_stream_si512(reinterpret_cast<__m512i*>(p), v); }
  static void store_first(std::uint32_t* p, Word v, int n) {
    _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1u), v);
  }
  static void fence() { _mm_sfence(); }

  static void widen_fp8(const Fp8Group& group, float* out) {
    for (int i = 0; i < tensor::kFp8Elements; ++i) {
      _mm512_store_ps(out + i * kPanel, widen_fp8(&group, i, 0));
      _mm512_store_ps(out + i * kPanel + 16, widen_fp8(&group, i, 16));
    }
  }

  /// Codes of 4 bits of 64 high bytes, whatever the upper bits are; `high` 16 bytes, four times.
  static void decode(const CodedChunk::Steps& steps, int step, __m512i high, __m512i& w0, __m512i& w1) {
    __m512i codes = _mm512_loadu_si512(steps.codes);
    if (step == 1) codes = _mm512_srli_epi16(codes, 4);
    const __m512i low = _mm512_loadu_si512(steps.low[step]);
    const __m512i top = _mm512_permutexvar_epi8(codes, high);
    w0 = _mm512_unpacklo_epi8(low, top);
    w1 = _mm512_unpackhi_epi8(low, top);
  }
  static __m512i codes_of(const CodedChunk& chunk) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(chunk.high)));
  }

  static void decode(const CodedChunk& chunk, std::byte* out) {
    const __m512i high = codes_of(chunk);
    for (const CodedChunk::Steps& steps : chunk.steps) {
#pragma GCC unroll 2
      for (int step = 0; step < 2; ++step, out += 128) {
        __m512i w0, w1;
        decode(steps, step, high, w0, w1);
        _mm512_storeu_si512(out, w0);
        _mm512_storeu_si512(out + 64, w1);
      }
    }
  }

  static int encode(const std::byte* words, const Codebook& book, CodedChunk::Steps& steps) {
    const __m512i c0 = _mm512_load_si512(book.code.data()), c1 = _mm512_load_si512(book.code.data() + 64);
    const __m512i c2 = _mm512_load_si512(book.code.data() + 128), c3 = _mm512_load_si512(book.code.data() + 192);
    const __m512i byte = _mm512_set1_epi16(0xff), nibble = _mm512_set1_epi8(15);
    __m512i codes[2];
    int missing = 0;
    for (int step = 0; step < 2; ++step, words += 128) {
      const __m512i w0 = _mm512_loadu_si512(words), w1 = _mm512_loadu_si512(words + 64);
      _mm512_storeu_si512(steps.low[step], _mm512_packus_epi16(_mm512_and_si512(w0, byte), _mm512_and_si512(w1, byte)));
      const __m512i high = _mm512_packus_epi16(_mm512_srli_epi16(w0, 8), _mm512_srli_epi16(w1, 8));
      const __m512i code = _mm512_mask_blend_epi8(_mm512_movepi8_mask(high), _mm512_permutex2var_epi8(c0, high, c1),
                                                  _mm512_permutex2var_epi8(c2, high, c3));
      missing += std::popcount(static_cast<std::uint64_t>(_mm512_movepi8_mask(code)));
      codes[step] = _mm512_and_si512(code, nibble);
    }
    _mm512_storeu_si512(steps.codes, _mm512_or_si512(codes[0], _mm512_slli_epi16(codes[1], 4)));
    return missing;
  }

  template <DType T, int kRows, bool kCoded>
  [[gnu::noinline]] static void tile(const FloatTile& t) {
    constexpr std::int64_t kStepK = T == DType::kBF16 ? 2 : 1;
    const std::byte* __restrict weights = t.weights;
    const std::byte* __restrict activations = t.activations;
    const std::int64_t row_block_bytes = t.row_block * 4;
    __m512 sums[kRows][2];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const bool resume = T == DType::kF32 && t.resume;
      sums[i][0] = resume ? _mm512_load_ps(t.sums + i * kPanel) : _mm512_setzero_ps();
      sums[i][1] = resume ? _mm512_load_ps(t.sums + i * kPanel + 16) : _mm512_setzero_ps();
    }

    const auto multiply = [&](__m512i w0, __m512i w1) __attribute__((always_inline)) {
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        std::int32_t word;
        __builtin_memcpy(&word, activations + i * 4, 4);
        const __m512i a = _mm512_set1_epi32(word);
        sums[i][0] = multiply_add<T>(sums[i][0], a, w0);
        sums[i][1] = multiply_add<T>(sums[i][1], a, w1);
      }
      activations += row_block_bytes;
    };
    const auto step = [&](int offset) __attribute__((always_inline)) {
      multiply(_mm512_loadu_si512(weights + offset * 128), _mm512_loadu_si512(weights + offset * 128 + 64));
    };
    const char* next = t.next;
    std::int64_t steps = t.k / kStepK;
    if constexpr (T == DType::kFP8) {
      const auto* group = reinterpret_cast<const Fp8Group*>(t.weights);
      for (; steps > 0; steps -= tensor::kFp8Elements, ++group) {
        for (int kk = 0; kk < tensor::kFp8Elements; ++kk) {
          // 16 K are 8 lines.
          if (kk % 16 == 0) {
            for (int line = 0; line < t.prefetch_lines; ++line, next += 64) _mm_prefetch(next, _MM_HINT_T1);
          }
          multiply(_mm512_castps_si512(widen_fp8(group, kk, 0)), _mm512_castps_si512(widen_fp8(group, kk, 16)));
        }
      }
    }
    if constexpr (kCoded) {
      const auto* chunk = reinterpret_cast<const CodedChunk*>(t.weights);
      for (; steps > 0; steps -= kCodedK / 2, ++chunk) {
        if (chunk->exceptions != 0) [[unlikely]] {
          alignas(64) std::byte plain[kPlainChunkBytes];
          decode_chunks<FloatIsa>(chunk, 1, plain);
          weights = plain;
          for (int i = 0; i < kCodedK / 2; ++i, weights += 128) step(0);
          continue;
        }
        const __m512i high = codes_of(*chunk);
        for (const CodedChunk::Steps& two : chunk->steps) {
          for (int line = 0; line < t.prefetch_lines; ++line, next += 64) _mm_prefetch(next, _MM_HINT_T1);
          __m512i w0, w1;
          decode(two, 0, high, w0, w1);
          multiply(w0, w1);
          decode(two, 1, high, w0, w1);
          multiply(w0, w1);
        }
      }
    }
    for (; steps >= 4; steps -= 4, weights += 4 * 128) {
      for (int line = 0; line < t.prefetch_lines; ++line, next += 64) _mm_prefetch(next, _MM_HINT_T1);
      step(0);
      step(1);
      step(2);
      step(3);
    }
    for (; steps > 0; --steps, weights += 128) step(0);

#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      _mm512_store_ps(t.sums + i * kPanel, sums[i][0]);
      _mm512_store_ps(t.sums + i * kPanel + 16, sums[i][1]);
    }
  }

 private:
  /// Columns [column, column + 16) of K i.
  static __m512 widen_fp8(const Fp8Group* group, int i, int column) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(group->codes[i] + column));
    const __m256i shifted = _mm256_slli_epi16(_mm256_cvtepi8_epi16(codes), 7);
    const __m256i halves = _mm256_and_si256(shifted, _mm256_set1_epi16(kFp8Mask));
    return _mm512_mul_ps(_mm512_cvtph_ps(halves), _mm512_loadu_ps(group->scales + column));
  }

  template <DType T>
  static __m512 multiply_add(__m512 sum, __m512i a, __m512i w) {
    if constexpr (T == DType::kBF16) {
      return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(w));
    } else {
      return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(w), sum);
    }
  }
};

}  // namespace
}  // namespace avx512_isa

constinit const MatmulPart avx512_isa::kFloatMatmul = FloatMatmul<avx512_isa::FloatIsa>::part();

}  // namespace tenon::kernels
