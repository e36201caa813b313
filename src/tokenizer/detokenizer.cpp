// The incremental detokenizer: decodes a short window of ids again for every token and returns what is new.
#include <algorithm>
#include <utility>

#include "tokenizer/tokenizer.h"

namespace tenon::tokenizer {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
// A character is at most four tokens of one byte each; that many make a context that decodes like the whole text.
constexpr std::size_t kContext = 4;
constexpr std::size_t kMaxWindow = 12;

}  // namespace

IncrementalDetokenizer::IncrementalDetokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special_tokens)
    : tokenizer_(std::move(tokenizer)), skip_special_tokens_(skip_special_tokens) {}

void IncrementalDetokenizer::begin_after(std::span<const std::int32_t> context) {
  for (const std::int32_t id : context.last(std::min(context.size(), kMaxWindow))) push(id);
  const std::string text = decode_window();
  returned_ = text.size() - (text.ends_with(kReplacement) ? kReplacement.size() : 0);
}

std::string IncrementalDetokenizer::push(std::int32_t id) {
  // What has no text parts no run of bytes either: decode() takes it out first.
  if (skip_special_tokens_ && tokenizer_->is_special(id)) return {};
  if (!window_.empty() && tokenizer_->is_byte(window_.back()) && !tokenizer_->id_to_token(id)) return {};
  window_.push_back(id);
  // A run of byte tokens is text or a row of U+FFFD according to all of it, so that none of it is settled before its
  // end. (Decoding it again for every byte would be quadratic.)
  if (tokenizer_->is_byte(id)) return {};

  const std::string text = decode_window();
  std::size_t settled = text.size();
  // It may be half a character, which shows as exactly one U+FFFD, at the end.
  if (text.ends_with(kReplacement)) settled -= kReplacement.size();
  std::string fresh;
  if (settled > returned_) {
    fresh = text.substr(returned_, settled - returned_);
    returned_ = settled;
  } else if (!tokenizer_->id_to_token(id)) {
    window_.pop_back();  // no token, no text: a stream of such ids must not grow the window
  }
  if (window_.size() >= kMaxWindow) shrink(text.size() - std::min(returned_, text.size()));
  return fresh;
}

std::string IncrementalDetokenizer::flush() {
  const std::string text = decode_window();
  std::string rest = text.size() > returned_ ? text.substr(returned_) : std::string();
  window_.clear();
  returned_ = 0;
  return rest;
}

std::string IncrementalDetokenizer::decode_window() const {
  return tokenizer_->decode(window_, skip_special_tokens_).value_or(std::string());
}

/// Forgets ids whose text was returned. `pending` bytes at the end of the window's text were not.
void IncrementalDetokenizer::shrink(std::size_t pending) {
  const std::span all(window_);
  for (std::size_t keep = kContext; keep < all.size(); keep *= 2) {
    const auto kept = all.last(keep);
    const std::string text = tokenizer_->decode(kept, skip_special_tokens_).value_or(std::string());
    // A decoder that strips the first space of a text must find it in the context and not in what comes next; and a
    // run of bytes must not be cut, for the rest of it may be a text where all of it is none.
    if (text.size() <= pending || tokenizer_->is_byte(kept.front())) continue;
    returned_ = text.size() - pending;
    window_.erase(window_.begin(), window_.end() - static_cast<std::ptrdiff_t>(keep));
    return;
  }
}

}  // namespace tenon::tokenizer
