// bfloat16 weights in three quarters of their bytes, to the bit.
//
// The high byte of a bfloat16 is its sign and all but the last bit of its exponent. Of the 2048 weights of a chunk
// almost all have one of 16 high bytes, for 8 of them span a factor of 65536; so a weight is its low byte and a code of
// 4 bits. Up to kMaxExceptions weights whose high byte has no code are listed, and a chunk with more lies elsewhere as
// it is. What the dot instructions see, and so every sum, is the same as of plain panels.
//
// An Isa that has coded panels (kMaxCodedBlocks > 0) has
//   decode(chunk, out)             out[kCodedK / 2][kPanel][2] bfloat16, but for the exceptions
//   encode(words, book, steps)     two steps of words [2][kPanel][2]; how many words have no code
//   tile<kBF16, kRows, true>       that reads CodedChunk[k / kCodedK]
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "kernels/portable/matmul_float_pack.h"

namespace tenon::kernels {

inline constexpr std::int64_t kCodedK = 64;
static_assert(kKBlock % kCodedK == 0);

/// kCodedK K of a panel. A step is two K of all columns: kStepWords weights, which plain panels hold one after another.
struct CodedChunk {
  static constexpr int kMaxExceptions = 12, kStepWords = 2 * kPanel;
  static constexpr std::uint8_t kSpilled = 0xff;

  std::uint8_t high[16];                       ///< the high bytes that codes stand for
  const std::byte* spilled;                    ///< the plain weights, if exceptions is kSpilled
  std::uint16_t exception_at[kMaxExceptions];  ///< index of a weight in the plain chunk
  std::uint8_t exception_high[kMaxExceptions];
  std::uint8_t exceptions;  ///< how many, or kSpilled
  std::uint8_t unused[3];
  /// Bytes are in the order of position(): so a lane's low and high bytes interleave to two vectors' weights.
  struct Steps {
    std::uint8_t low[2][kStepWords];
    std::uint8_t codes[kStepWords];  ///< of the first step in bits 0 to 3, of the second in bits 4 to 7
  } steps[kCodedK / 4];

  static constexpr int position(int word) { return word % 32 / 8 * 16 + word / 32 * 8 + word % 8; }
};
static_assert(sizeof(CodedChunk) % 64 == 0);
inline constexpr std::int64_t kPlainChunkBytes = kCodedK * kPanel * 2;
static_assert(kPlainChunkBytes == kSpillBytes);

/// Which high bytes have a code.
struct Codebook {
  static constexpr std::uint8_t kNone = 0xff;
  std::array<std::uint8_t, 16> high{};
  alignas(64) std::array<std::uint8_t, 256> code{};  ///< or kNone

  /// For the most frequent high bytes of a chunk.
  static Codebook of(const std::byte* words) {
    std::array<std::uint16_t, 256> count{};
    for (std::int64_t i = 0; i < kPlainChunkBytes; i += 2) ++count[static_cast<std::size_t>(words[i + 1])];
    Codebook book;
    book.code.fill(kNone);
    for (std::uint8_t c = 0; c < 16; ++c) {
      const auto most = static_cast<std::size_t>(std::ranges::max_element(count) - count.begin());
      if (count[most] == 0) break;
      book.high[c] = static_cast<std::uint8_t>(most);
      book.code[most] = c;
      count[most] = 0;
    }
    return book;
  }
};

/// Isa::encode for any CPU.
inline int encode_steps(const std::byte* words, const Codebook& book, CodedChunk::Steps& steps) {
  int missing = 0;
  for (int step = 0; step < 2; ++step) {
    for (int i = 0; i < CodedChunk::kStepWords; ++i) {
      const std::byte* word = words + (step * CodedChunk::kStepWords + i) * 2;
      const int at = CodedChunk::position(i);
      const std::uint8_t code = book.code[static_cast<std::size_t>(word[1])];
      missing += code == Codebook::kNone ? 1 : 0;
      steps.low[step][at] = static_cast<std::uint8_t>(word[0]);
      steps.codes[at] = static_cast<std::uint8_t>(step == 0 ? code & 15 : steps.codes[at] | code << 4);
    }
  }
  return missing;
}

/// The plain weights of `chunks` chunks.
template <class Isa>
void decode_chunks(const CodedChunk* chunk, std::int64_t chunks, std::byte* out) {
  for (; chunks > 0; --chunks, ++chunk, out += kPlainChunkBytes) {
    if (chunk->exceptions == CodedChunk::kSpilled) {
      std::memcpy(out, chunk->spilled, kPlainChunkBytes);
      continue;
    }
    Isa::decode(*chunk, out);
    for (int e = 0; e < chunk->exceptions; ++e) {
      out[chunk->exception_at[e] * 2 + 1] = static_cast<std::byte>(chunk->exception_high[e]);
    }
  }
}

template <class Isa>
class CodedPack {
 public:
  static std::int64_t panel_bytes(std::int64_t k) {
    if (Isa::kMaxCodedBlocks == 0 || k == 0 || k % kCodedK != 0) return 0;
    return k / kCodedK * static_cast<std::int64_t>(sizeof(CodedChunk));
  }

  static std::int64_t pack_panel(std::int64_t k, DType src_dtype, const std::byte* const* rows, std::byte* out,
                                 std::byte* spilled, std::int64_t room) {
    if constexpr (Isa::kMaxCodedBlocks > 0) {
      constexpr std::int64_t kPart = 4 * kCodedK;  // a multiple of every dtype's block
      alignas(64) std::byte words[kPart * kPanel * 2];
      const std::byte* at[kPanel];
      Codebook book;
      book.code.fill(Codebook::kNone);
      std::int64_t spills = 0;
      for (std::int64_t begin = 0; begin < k; begin += kPart) {
        const std::int64_t part = std::min(kPart, k - begin);
        for (int i = 0; i < kPanel; ++i) {
          at[i] = rows[i] == nullptr ? nullptr : rows[i] + tensor::bytes_of(src_dtype, begin);
        }
        FloatPack<Isa>::pack_cached(DType::kBF16, part, src_dtype, at, words);
        for (std::int64_t chunk = 0; chunk < part / kCodedK; ++chunk, out += sizeof(CodedChunk)) {
          const std::byte* plain = words + chunk * kPlainChunkBytes;
          auto& coded = *reinterpret_cast<CodedChunk*>(out);
          if (encode(plain, book, coded)) continue;
          if (spills++ < room) std::memcpy(spilled, plain, kPlainChunkBytes);
          coded.spilled = spilled;
          spilled += spilled == nullptr ? 0 : kPlainChunkBytes;
        }
      }
      return spills;
    } else {
      TENON_CHECK(false, "this ISA has no coded panels");
      return 0;
    }
  }

 private:
  /// By the codebook of the chunk before where that has codes for all but a few. False: it must be spilled.
  static bool encode(const std::byte* plain, Codebook& book, CodedChunk& out) {
    constexpr int kFew = 2;
    if (encode_with(plain, book, out) > kFew) {
      book = Codebook::of(plain);
      if (encode_with(plain, book, out) > CodedChunk::kMaxExceptions) {
        out.exceptions = CodedChunk::kSpilled;
        return false;
      }
    }
    for (std::int64_t i = 0, e = 0; e < out.exceptions; ++i) {
      const auto high = static_cast<std::uint8_t>(plain[i * 2 + 1]);
      if (book.code[high] != Codebook::kNone) continue;
      out.exception_at[e] = static_cast<std::uint16_t>(i);
      out.exception_high[e++] = high;
    }
    return true;
  }

  /// All but the list of exceptions; returns their number.
  static int encode_with(const std::byte* plain, const Codebook& book, CodedChunk& out) {
    std::memset(&out, 0, offsetof(CodedChunk, steps));
    std::ranges::copy(book.high, out.high);
    int missing = 0;
    for (CodedChunk::Steps& steps : out.steps) {
      missing += Isa::encode(plain, book, steps);
      plain += 2 * CodedChunk::kStepWords * 2;
    }
    out.exceptions = static_cast<std::uint8_t>(std::min(missing, CodedChunk::kMaxExceptions));
    return missing;
  }
};

}  // namespace tenon::kernels
