// Text <-> token ids by the Hugging Face tokenizers crate, and the incremental detokenizer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace tenon::tokenizer {

class Tokenizer {
 public:
  /// From the text of a tokenizer.json. Truncation and padding that it may ask for are switched off.
  static Result<std::shared_ptr<const Tokenizer>> from_json(std::string_view tokenizer_json);
  /// From GGUF metadata ("tokenizer.ggml.model", ".tokens", ".scores", ".merges", ".token_type", ".pre", …): "llama"
  /// (SentencePiece BPE) and "gpt2" (byte-level BPE with the pre-tokenizer that .pre names; an unknown one is refused).
  static Result<std::shared_ptr<const Tokenizer>> from_gguf(const Json& metadata);

  virtual ~Tokenizer() = default;
  virtual Result<std::vector<std::int32_t>> encode(std::string_view text, bool add_special_tokens) const = 0;
  virtual Result<std::string> decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const = 0;
  virtual std::optional<std::int32_t> token_to_id(std::string_view token) const = 0;
  virtual std::optional<std::string> id_to_token(std::int32_t id) const = 0;
  virtual bool is_special(std::int32_t id) const = 0;
  /// Whether it is a byte-fallback token (<0x0A>) of a decoder that joins runs of them into characters.
  virtual bool is_byte(std::int32_t) const { return false; }
  virtual std::int32_t vocab_size() const = 0;  ///< added tokens included
};

/// The bytes that a token adds to a text: with its leading space, and a piece of a character as it is. Special tokens
/// are their names; empty for an id that is no token.
std::string token_bytes(const Tokenizer& tokenizer, std::int32_t id);

/// Ids in, text out, never half a character: what push() returned so far, concatenated, plus flush(), is decode() of
/// all ids pushed. (Where a decoder strips a leading space it strips the stream's first one only.)
class IncrementalDetokenizer {
 public:
  IncrementalDetokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special_tokens);
  /// Ids before the stream, whose text is not returned: a reply that goes on with a text keeps its first space.
  void begin_after(std::span<const std::int32_t> context);
  std::string push(std::int32_t id);
  std::string flush();  ///< what is left at the end of a stream, U+FFFD for half a character; then a new stream begins

 private:
  std::string decode_window() const;
  void shrink(std::size_t pending);

  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_tokens_;
  std::vector<std::int32_t> window_;  ///< the ids whose text is not yet settled, and some before them as context
  std::size_t returned_ = 0;          ///< bytes of the window's text that were already returned
};

}  // namespace tenon::tokenizer
