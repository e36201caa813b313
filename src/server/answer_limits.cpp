#include "server/answer_limits.h"

#include <algorithm>
#include <string>

#include "server/fields.h"

namespace tenon::server {
namespace {

/// With its text, its place among what may be guessed, and what a word of one token takes beside it: some 60 bytes.
constexpr std::int64_t kMaxTokens = std::int64_t{1} << 22;
/// A matcher takes some 15 times the bytes of its grammar.
constexpr std::int64_t kMaxForms = std::int64_t{32} << 20;
/// An entry of "prompt_logprobs" takes some 400 bytes while the answer is made, one of an echo's some 200.
constexpr std::int64_t kMaxPromptLogprobs = std::int64_t{1} << 18;
constexpr std::int64_t kMaxEchoedLogprobs = std::int64_t{1} << 20;
/// Those of replies take some 500 bytes each while the answer is written. They are more, for most replies are shorter
/// than they might be: one of 128 Ki tokens may have all of its best tokens.
constexpr std::int64_t kMaxReplyLogprobs = std::int64_t{3} << 20;

Status at_most(const char* name, std::int64_t entries, std::int64_t most) {
  if (entries <= most) return {};
  return wrong(name, "would make " + std::to_string(entries) +
                         " entries of the prompt's tokens, but an answer may have " + std::to_string(most) +
                         ": ask for fewer, or of less text");
}

// A text or chat that is streamed has them token by token; the last event of a response repeats all.
Status check_reply_logprobs(const ParsedRequest& request, std::span<const generate::EncodedPrompt> prompts,
                            std::int64_t context) {
  if (!request.logprobs || (request.stream && request.response.is_null())) return {};
  const int best = request.generate.sampling.top_logprobs;
  std::int64_t tokens = 0;
  for (const auto& prompt : prompts) {
    tokens +=
        std::clamp<std::int64_t>(context - std::ssize(prompt.ids), 0, request.generate.max_tokens.value_or(context));
  }
  const std::int64_t entries = tokens * request.n * (best + 1);
  if (entries <= kMaxReplyLogprobs) return {};
  const bool text = std::ranges::none_of(prompts, &generate::EncodedPrompt::chat);
  return wrong(best > 0 && !text ? "top_logprobs" : "logprobs",
               "may make " + std::to_string(entries) + " entries of the replies' tokens, but an answer may have " +
                   std::to_string(kMaxReplyLogprobs) + ": give a smaller 'max_tokens', or ask for fewer" +
                   (request.n > 1 ? " choices or" : "") + " best tokens");
}

}  // namespace

Status check_memory(const ParsedRequest& request, std::span<const generate::EncodedPrompt> prompts, std::size_t form,
                    std::int64_t context) {
  std::int64_t of_prompts = 0;
  for (const auto& prompt : prompts) of_prompts += std::ssize(prompt.ids);
  std::int64_t of_words =
      std::ssize(request.generate.stop_token_ids) + std::ssize(request.generate.sampling.allowed_tokens);
  for (const auto& word : request.generate.sampling.bad_words) of_words += std::ssize(word);
  const std::int64_t choices = std::ssize(prompts) * request.n;
  const std::int64_t tokens = of_prompts * request.n + of_words * choices;
  const char* const param = request.n > 1 ? "n" : "prompt";
  if (tokens > kMaxTokens) {
    return wrong(param, "asks for " + std::to_string(choices) +
                            " choices, whose prompts, bad words, stop tokens and allowed tokens have " +
                            std::to_string(tokens) + " tokens, but in one request they may have " +
                            std::to_string(kMaxTokens) + ": ask for fewer choices");
  }
  if (const auto forms = static_cast<std::int64_t>(form) * choices; forms > kMaxForms) {
    return wrong(param, "asks for " + std::to_string(choices) + " choices, whose forms have " + std::to_string(forms) +
                            " bytes, but in one request they may have " + std::to_string(kMaxForms) +
                            ": ask for fewer choices");
  }
  // A chat's answer has them once, beside its choices.
  const bool once = std::ranges::all_of(prompts, &generate::EncodedPrompt::chat);
  TENON_TRY(at_most("prompt_logprobs", of_prompts * (once ? 1 : request.n) * (request.prompt_logprobs + 1),
                    kMaxPromptLogprobs));
  TENON_TRY(check_reply_logprobs(request, prompts, context));
  if (!request.echo || !request.logprobs) return {};
  return at_most("logprobs", of_prompts * request.n * (request.generate.sampling.top_logprobs + 1), kMaxEchoedLogprobs);
}

}  // namespace tenon::server
