#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "tenon_rust.hpp"
#include "tokenizer/gguf_tokenizer.h"

namespace tenon::tokenizer {
namespace {

struct HandleDeleter {
  void operator()(TenonTokenizer* handle) const { tenon_tokenizer_free(handle); }
};
using Handle = std::unique_ptr<TenonTokenizer, HandleDeleter>;

class RustTokenizer final : public Tokenizer {
 public:
  explicit RustTokenizer(Handle handle) : handle_(std::move(handle)) { find_byte_tokens(); }

  Result<std::vector<std::int32_t>> encode(std::string_view text, bool add_special_tokens) const override {
    rust::Ids ids;
    rust::Bytes error;
    TENON_TRY(rust::check(
        tenon_tokenizer_encode(handle_.get(), text.data(), text.size(), add_special_tokens, ids.out(), error.out()),
        error, "cannot tokenize"));
    return std::vector<std::int32_t>(ids.begin(), ids.end());
  }

  Result<std::string> decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const override {
    rust::Bytes text;
    rust::Bytes error;
    TENON_TRY(rust::check(
        tenon_tokenizer_decode(handle_.get(), ids.data(), ids.size(), skip_special_tokens, text.out(), error.out()),
        error, "cannot decode"));
    return text.str();
  }

  std::optional<std::int32_t> token_to_id(std::string_view token) const override {
    const std::int32_t id = tenon_tokenizer_token_to_id(handle_.get(), token.data(), token.size());
    return id < 0 ? std::nullopt : std::optional(id);
  }

  std::optional<std::string> id_to_token(std::int32_t id) const override {
    rust::Bytes token;
    if (!tenon_tokenizer_id_to_token(handle_.get(), id, token.out())) return std::nullopt;
    return token.str();
  }

  bool is_special(std::int32_t id) const override { return tenon_tokenizer_is_special(handle_.get(), id); }
  bool is_byte(std::int32_t id) const override {
    return std::binary_search(byte_tokens_.begin(), byte_tokens_.end(), id);
  }
  std::int32_t vocab_size() const override { return tenon_tokenizer_vocab_size(handle_.get()); }

 private:
  void find_byte_tokens() {
    for (int byte = 0; byte < 256; ++byte) {
      std::array<char, 8> name = {};
      std::snprintf(name.data(), name.size(), "<0x%02X>", byte);
      const auto id = token_to_id(name.data());
      // The tokens may be there and the decoder print their names all the same.
      if (id && decode(std::span(&*id, 1), false).value_or(name.data()) != name.data()) byte_tokens_.push_back(*id);
    }
    std::sort(byte_tokens_.begin(), byte_tokens_.end());
  }

  Handle handle_;
  std::vector<std::int32_t> byte_tokens_;
};

Result<std::shared_ptr<const Tokenizer>> create(std::string_view json, const char* what) {
  TenonTokenizer* handle = nullptr;
  rust::Bytes error;
  TENON_TRY(rust::check(tenon_tokenizer_create(json.data(), json.size(), &handle, error.out()), error, what));
  return std::make_shared<RustTokenizer>(Handle(handle));
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_json(std::string_view tokenizer_json) {
  return create(tokenizer_json, "tokenizer.json is not a tokenizer that can be read");
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_gguf(const Json& metadata) {
  TENON_ASSIGN(const std::string json, gguf_tokenizer_json(metadata));
  return create(json, "the GGUF file's metadata make no tokenizer");
}

}  // namespace tenon::tokenizer
