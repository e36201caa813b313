// Packing for the float matmul: 32-bit words (a float, or two bfloat16 that follow each other in K) of some rows are
// transposed, so that the rows' words of one K lie together. An Isa has
//   Word                         a vector of kWords 32-bit words
//   load_words(p)                kWords words of memory at any address
//   load_rounded(p)              from floats: the words of the activations for bfloat16 weights, which are
//   kActivationBytes<kBF16>      4: kWords floats, each rounded to bfloat16; 2: 2 * kWords floats as bfloat16 pairs
//   load_pairs(p)                2 * kWords floats as kWords bfloat16 pairs, rounded to nearest even
//   transpose(v)                 v[kWords], in place
//   store_words(p, v), stream_words(p, v)   the latter past the caches, to an address that its size divides
//   fence()                      after which streamed words are visible as others are
//   store_first(p, v, n)         the first n words, 0 < n <= kWords; memory beyond is not touched
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "kernels/kernels.h"
#include "tensor/blocks.h"

namespace tenon::kernels {

/// 128 K of a panel of FP8. An E4M3 code c, sign-extended to 16 bits, shifted left by 7 and cut to kFp8Mask, is the
/// half float of 1/256 of c's value, subnormals included; the scales make up for it.
struct Fp8Group {
  float scales[kPanel];  ///< 256 d; NaN if there is one among the column's codes, of which the mask would make 480
  std::uint8_t codes[tensor::kFp8Elements][kPanel];
};
static_assert(sizeof(Fp8Group) % 64 == 0);
inline constexpr std::int16_t kFp8Mask = static_cast<std::int16_t>(0xbf80);

template <class Isa>
class FloatPack {
 public:
  static void pack_panel(DType weight_dtype, std::int64_t k, DType src_dtype, const std::byte* const* rows,
                         std::byte* out) {
    if (weight_dtype == DType::kFP8) return pack_fp8(k, src_dtype, rows, out);
    TENON_CHECK(weight_dtype == DType::kF32 || weight_dtype == DType::kBF16);
    pack_words<true>(weight_dtype, k, src_dtype, rows, out);
    Isa::fence();
  }

  /// The same for memory that is read again at once: none of it goes past the caches. Not of FP8.
  static void pack_cached(DType weight_dtype, std::int64_t k, DType src_dtype, const std::byte* const* rows,
                          std::byte* out) {
    pack_words<false>(weight_dtype, k, src_dtype, rows, out);
  }

 private:
  using Word = typename Isa::Word;
  static constexpr int kWords = Isa::kWords;

  static void pack_fp8(std::int64_t k, DType src_dtype, const std::byte* const* rows, std::byte* out) {
    using Block = tensor::BlockFP8;
    TENON_CHECK(src_dtype == DType::kFP8, "FP8 is packed from its blocks only");
    for (std::int64_t g = 0; g < k / tensor::kFp8Elements; ++g) {
      Fp8Group group{};
      for (int c = 0; c < kPanel; ++c) {
        if (rows[c] == nullptr) continue;
        Block block;
        std::memcpy(&block, rows[c] + g * static_cast<std::int64_t>(sizeof block), sizeof block);
        bool nan = false;
        for (int i = 0; i < tensor::kFp8Elements; ++i) {
          group.codes[i][c] = block.qs[i];
          nan |= (block.qs[i] & 0x7f) == 0x7f;
        }
        group.scales[c] = nan ? std::numeric_limits<float>::quiet_NaN() : block.d * 256.0f;
      }
      std::memcpy(out + g * static_cast<std::int64_t>(sizeof group), &group, sizeof group);
    }
  }

  template <bool kStream>
  static void pack_words(DType weight_dtype, std::int64_t k, DType src_dtype, const std::byte* const* rows,
                         std::byte* out) {
    if (src_dtype == DType::kF32) {
      pack_floats<kStream>(weight_dtype, k, rows, out);
    } else if (src_dtype == weight_dtype) {
      pack<4, kStream>(k * 2, rows, out, [](const std::byte* p) { return Isa::load_words(p); });
    } else {
      pack_converted<kStream>(weight_dtype, k, src_dtype, rows, out);
    }
  }

  template <bool kStream>
  static void pack_floats(DType weight_dtype, std::int64_t k, const std::byte* const* rows, std::byte* out) {
    if (weight_dtype == DType::kF32) {
      pack<4, kStream>(k * 4, rows, out, [](const std::byte* p) { return Isa::load_words(p); });
    } else {
      pack<8, kStream>(k * 4, rows, out, [](const std::byte* p) { return Isa::load_pairs(p); });
    }
  }

  /// Any other dtype by way of floats, some K at a time. A multiple of all block sizes and even.
  template <bool kStream>
  static void pack_converted(DType weight_dtype, std::int64_t k, DType src_dtype, const std::byte* const* rows,
                             std::byte* out) {
    constexpr std::int64_t kChunk = 256;
    const std::int64_t out_bytes = (weight_dtype == DType::kF32 ? 4 : 2) * kPanel;
    alignas(64) float floats[kPanel][kChunk];
    const std::byte* converted[kPanel];
    for (std::int64_t begin = 0; begin < k; begin += kChunk) {
      const std::int64_t n = std::min(kChunk, k - begin);
      const std::int64_t offset = tensor::bytes_of(src_dtype, begin);
      for (int i = 0; i < kPanel; ++i) {
        converted[i] = rows[i] == nullptr ? nullptr : reinterpret_cast<const std::byte*>(floats[i]);
        if (rows[i] != nullptr) tensor::to_float(src_dtype, rows[i] + offset, n, floats[i]);
      }
      pack_floats<kStream>(weight_dtype, n, converted, out + begin * out_bytes);
    }
  }

  /// `bytes` of each row, in words that load() makes of kSourceBytes each; the last word is filled up with zeros.
  template <int kSourceBytes, bool kStream, class Load>
  static void pack(std::int64_t bytes, const std::byte* const* rows, std::byte* out, Load load) {
    constexpr int kStep = kWords * kSourceBytes;
    constexpr int kAhead = 512;  ///< bytes to prefetch ahead: 32 rows are too many for the hardware
    const bool stream = kStream && reinterpret_cast<std::uintptr_t>(out) % sizeof(Word) == 0;
    std::int64_t at = 0;
    for (; at + kStep <= bytes; at += kStep, out += kWords * kPanel * 4) {
      for (int first = 0; first < kPanel; first += kWords) {
        Word v[kWords];
        for (int i = 0; i < kWords; ++i) {
          const std::byte* row = rows[first + i];
          if (row == nullptr) {
            v[i] = Word{};
            continue;
          }
          __builtin_prefetch(row + at + kAhead);
          v[i] = load(row + at);
        }
        Isa::transpose(v);
        for (int i = 0; i < kWords; ++i) {
          std::byte* to = out + (i * kPanel + first) * 4;
          stream ? Isa::stream_words(to, v[i]) : Isa::store_words(to, v[i]);
        }
      }
    }
    if (at == bytes) return;
    alignas(64) std::byte tail[kPanel][kStep] = {};
    alignas(64) std::byte words[kWords * kPanel * 4];
    const std::byte* tails[kPanel];
    for (int i = 0; i < kPanel; ++i) {
      if (rows[i] != nullptr) std::memcpy(tail[i], rows[i] + at, static_cast<std::size_t>(bytes - at));
      tails[i] = tail[i];
    }
    pack<kSourceBytes, false>(kStep, tails, words, load);
    const std::int64_t left = (bytes - at + kSourceBytes - 1) / kSourceBytes;
    std::memcpy(out, words, static_cast<std::size_t>(left) * kPanel * 4);
  }
};

/// Packs `rows` rows of activations for weights of dtype T: words [K or K / 2][row_block].
template <class Isa, DType T>
void pack_rows(const ActivationLayout& layout, int rows, const float* x, std::int64_t ldx, std::byte* out) {
  constexpr int kWords = Isa::kWords;
  constexpr int kFloats = 4 / Isa::template kActivationBytes<T>;  // in a word
  constexpr int kStep = kWords * kFloats;
  const auto load = [](const float* p) {
    const auto* bytes = reinterpret_cast<const std::byte*>(p);
    if constexpr (T == DType::kF32)
      return Isa::load_words(bytes);
    else
      return Isa::load_rounded(bytes);
  };
  // With float words a K padded to an even number is a word more, which must be zero too.
  const std::int64_t padded = T == DType::kBF16 ? (layout.k + 1) / 2 * 2 : layout.k;
  for (std::int64_t k = 0; k < padded; k += kStep) {
    const std::int64_t left = std::min<std::int64_t>(kStep, layout.k - k);
    const std::int64_t words = std::min<std::int64_t>(kWords, (padded - k) / kFloats);
    auto* to = reinterpret_cast<std::uint32_t*>(out) + k / kFloats * layout.row_block;
    for (int first = 0; first < rows; first += kWords) {
      const int count = std::min(kWords, rows - first);
      typename Isa::Word v[kWords] = {};
      for (int i = 0; i < count; ++i) {
        const float* row = x + (first + i) * ldx + k;
        alignas(64) float tail[kStep] = {};
        if (left < kStep) row = static_cast<const float*>(std::memcpy(tail, row, static_cast<std::size_t>(left) * 4));
        v[i] = load(row);
      }
      if (layout.row_block == 1 && words == kWords) {
        Isa::store_words(reinterpret_cast<std::byte*>(to), v[0]);
        continue;
      }
      Isa::transpose(v);
      for (std::int64_t w = 0; w < words; ++w) Isa::store_first(to + w * layout.row_block + first, v[w], count);
    }
  }
}

}  // namespace tenon::kernels
