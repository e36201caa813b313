// How a step's logits become tokens and scores.
#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <string>

#include "engine/engine_loop.h"

namespace tenon::engine {

// Rows are independent but for those of one draft, so any thread may take any row that begins one.
void EngineLoop::sample(std::span<const float> logits) {
  std::atomic<std::size_t> next{0};
  const auto rows_of = [&](int thread) {
    for (std::size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < draw_count_;) {
      if (draws_[i].ahead == 0) sample_from(i, logits, scratches_[static_cast<std::size_t>(thread)]);
    }
  };
  if (draw_count_ == 1) {
    rows_of(0);
  } else if (draw_count_ > 1) {
    pool_.run([&rows_of](int thread) { rows_of(thread); });
  }
}

// A row, and those of its draft as far as what is drawn agrees with it.
void EngineLoop::sample_from(std::size_t first, std::span<const float> logits, sampler::Scratch& scratch) {
  const auto vocab_size = static_cast<std::size_t>(executable_->vocab_size());
  bool used = true;
  for (std::size_t i = first; i < draw_count_ && (i == first || draws_[i].ahead > 0); ++i) {
    Draw& draw = draws_[i];
    draw.used = used;
    if (!used) continue;
    sample_row(draw, logits.subspan(i * vocab_size, vocab_size), scratch);
    draw.completes = draw.scored < 0 && draw.request->matcher && draw.request->matcher->complete();
    used = draft_holds(draw);
  }
}

// Whether what was drawn is the next token of the draft, and the reply goes on after it.
bool EngineLoop::draft_holds(const Draw& draw) {
  const Active& request = *draw.request;
  if (!draw.error.empty() || draw.ahead == request.drafted) return false;
  if (draw.sampled.token != request.draft[static_cast<std::size_t>(draw.ahead)]) return false;
  return !stops(request, draw.sampled.token) && !draw.completes;
}

void EngineLoop::sample_row(Draw& draw, std::span<const float> logits, sampler::Scratch& scratch) const {
  draw.error.clear();
  draw.fault = FinishReason::kError;
  try {
    const Active& request = *draw.request;
    if (draw.scored >= 0) {
      draw.sampled.logprobs = sampler::score(logits, draw.scored, request.prompt_logprobs, scratch);
      draw.sampled.logprobs.rank = sampler::rank(logits, draw.scored);
      return;
    }
    if (!request.reads_only) sample_token(draw, logits, scratch);
  } catch (const std::exception& exception) {
    draw.error = std::string("sampling failed: ") + exception.what();
  }
}

void EngineLoop::sample_token(Draw& draw, std::span<const float> logits, sampler::Scratch& scratch) const {
  const Active& request = *draw.request;
  grammar::Matcher* const matcher = request.matcher.get();
  sampler::Constraints constraints{
      .history = &request.history,
      .reply = std::span<const std::int32_t>(request.tokens).subspan(static_cast<std::size_t>(request.prompt_length))};
  const std::int64_t position = request.length() + draw.ahead;
  const bool may_stop = position - request.prompt_length >= request.min_tokens;
  if (!may_stop) constraints.banned = request.stop_token_ids;
  if (matcher != nullptr) {
    constraints.allowed = matcher->mask();
    if (constraints.allowed.empty()) return fail_by_grammar(draw);
  }
  draw.sampled = sample_(logits, request.sampling, position, scratch, constraints);
  if (draw.sampled.token < 0 && matcher != nullptr && !may_stop) {
    constraints.banned = {};  // the grammar allows nothing but the end, which min_tokens cannot put off
    draw.sampled = sample_(logits, request.sampling, position, scratch, constraints);
  }
  const auto usable = [](float x) { return x > -std::numeric_limits<float>::infinity(); };
  const bool forbids = !request.sampling.bad_words.empty() || !request.sampling.allowed_tokens.empty();
  if (draw.sampled.token < 0 && forbids && std::ranges::any_of(logits, usable)) {
    draw.fault = FinishReason::kGrammar;
    draw.error =
        std::string(request.sampling.allowed_tokens.empty() ? "'bad_words' leave" : "'allowed_token_ids' leave") +
        " no token with which the reply could go on";
  } else if (draw.sampled.token < 0) {
    draw.error = matcher != nullptr ? "the model returned no usable logits for the tokens that the grammar allows"
                                    : "the model returned no usable logits (all of them NaN or -inf)";
  } else if (matcher != nullptr && !stops(request, draw.sampled.token) && !matcher->accept(draw.sampled.token)) {
    fail_by_grammar(draw);
  }
}

void EngineLoop::fail_by_grammar(Draw& draw) {
  draw.fault = FinishReason::kGrammar;
  draw.error = "the reply cannot follow its grammar any further: " + draw.request->matcher->error();
}

}  // namespace tenon::engine
