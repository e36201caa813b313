#include "engine/encoder.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <string>

#include "base/memory.h"

namespace tenon::engine {
namespace {

using runtime::PoolingMode;

batch::Limits batch_limits(const runtime::Limits& limits) {
  return {.max_total_tokens = limits.max_total_tokens,
          .max_rows = limits.max_rows,
          .max_sampled_rows = limits.max_sampled_rows,
          .max_pages_per_row = limits.max_pages_per_row};
}

// What the texts of one run can need, each of which has at most one page that is not full, beside one text that was
// begun and holds the pages of all of its tokens.
std::int64_t most_pages(const runtime::Limits& limits, const Encoder::Options& options) {
  const std::int64_t begun = options.whole_texts ? 0 : kvcache::pages_for(options.max_length);
  return begun + limits.max_total_tokens / tensor::kPageTokens + limits.max_rows;
}

int longest_text(const runtime::Limits& limits, const Encoder::Options& options) {
  const std::int64_t pages = std::int64_t{limits.max_pages_per_row} * tensor::kPageTokens;
  std::int64_t longest = std::min<std::int64_t>(options.max_length, pages);
  if (options.whole_texts) longest = std::min<std::int64_t>({longest, limits.max_total_tokens});
  // All states of a text that is pooled whole come back from one run.
  if (options.whole_texts && options.pooling.mode != PoolingMode::kLastToken) {
    longest = std::min<std::int64_t>(longest, limits.max_sampled_rows);
  }
  return static_cast<int>(longest);
}

}  // namespace

Result<std::unique_ptr<Encoder>> Encoder::create(std::shared_ptr<runtime::Executable> executable, Options options,
                                                 int threads) {
  options.max_length = longest_text(executable->limits(), options);
  const std::int64_t num_pages = most_pages(executable->limits(), options);
  const auto bytes = static_cast<std::size_t>(num_pages * executable->kv_layout().page_bytes());
  if (const std::size_t available = available_memory(); bytes > available) {
    return fail(ErrorCode::kResourceExhausted,
                "the keys and values of texts of up to " + std::to_string(options.max_length) + " tokens need " +
                    std::to_string(bytes >> 20) + " MiB, but only " + std::to_string(available >> 20) +
                    " MiB of memory are free: give a smaller --max-length");
  }
  TENON_ASSIGN(HugeBuffer pages, HugeBuffer::allocate(bytes, "keys and values of one run"));
  return std::unique_ptr<Encoder>(new Encoder(std::move(executable), options, std::move(pages), num_pages, threads));
}

Encoder::Encoder(std::shared_ptr<runtime::Executable> executable, Options options, HugeBuffer pages,
                 std::int64_t num_pages, int threads)
    : executable_(std::move(executable)),
      options_(options),
      limits_(batch_limits(executable_->limits())),
      pages_(std::move(pages)),
      pool_(num_pages),
      builder_(limits_),
      threads_(threads) {}

Status Encoder::check(std::span<const std::int32_t> ids) const {
  if (ids.empty()) return invalid("has no tokens", "input");
  if (ids.size() > static_cast<std::size_t>(options_.max_length)) {
    return fail(ErrorCode::kTooLong,
                "has " + std::to_string(ids.size()) + " tokens, but this model takes at most " +
                    std::to_string(options_.max_length) + ": shorten or split it",
                "input");
  }
  for (const std::int32_t id : ids) {
    if (id >= 0 && id < options_.vocab_size) continue;
    return invalid(
        "has the token id " + std::to_string(id) + ", outside the vocabulary of " + std::to_string(options_.vocab_size),
        "input");
  }
  return {};
}

bool Encoder::add(Text& text, std::int64_t most_tokens, bool whole) {
  const bool last_only = options_.pooling.mode == PoolingMode::kLastToken;
  const auto left = static_cast<std::int64_t>(text.ids.size() - text.done);
  const auto tokens = static_cast<std::int64_t>(tokens_), states = static_cast<std::int64_t>(states_);
  std::int64_t count = std::min(left, limits_.max_total_tokens - tokens);
  if (!options_.whole_texts && !whole) count = std::min(count, most_tokens);
  if (!last_only) count = std::min(count, limits_.max_sampled_rows - states);
  if (count < 1 || added_.size() == static_cast<std::size_t>(limits_.max_rows)) return false;
  if (last_only && states == limits_.max_sampled_rows) return false;
  if (count < left && (options_.whole_texts || whole)) return false;
  // All of its pages from the start, so that a text that was begun can always go on.
  if (!text.pages.grow(pool_, static_cast<std::int64_t>(text.ids.size()))) return false;
  const std::int64_t wanted = last_only ? count == left : count;
  builder_.add({.tokens = std::span(text.ids).subspan(text.done, static_cast<std::size_t>(count)),
                .start = static_cast<std::int64_t>(text.done),
                .pages = &text.pages,
                .logits = static_cast<int>(wanted)});
  added_.push_back({&text, static_cast<std::size_t>(count), static_cast<std::size_t>(wanted)});
  tokens_ += static_cast<std::size_t>(count);
  states_ += static_cast<std::size_t>(wanted);
  return true;
}

void Encoder::run() {
  if (added_.empty()) return;
  const std::span<const float> states = executable_->run(builder_.finish(), pages_.data(), threads_);
  const auto n = static_cast<std::size_t>(dimensions());
  std::size_t begin = 0;
  for (const Added& added : added_) {
    Text& text = *added.text;
    try {
      pool(added, states.subspan(begin * n, added.states * n));
      text.done += added.count;
      if (text.done == text.ids.size()) text.vector = finish(text);
    } catch (const std::exception& exception) {
      text.vector = fail(ErrorCode::kInternal, std::string("pooling failed: ") + exception.what());
    }
    if (text.vector) text.pages.clear();
    begin += added.states;
  }
  builder_.clear();
  added_.clear();
  tokens_ = states_ = 0;
}

// states: [added.states, dimensions]. Sums in float64: the order of tokens is the text's own.
void Encoder::pool(const Added& added, std::span<const float> states) const {
  const auto n = static_cast<std::size_t>(dimensions());
  std::vector<double>& sums = added.text->sums;
  sums.resize(n);
  switch (options_.pooling.mode) {
    case PoolingMode::kMean:
      for (std::size_t i = 0; i < states.size(); ++i) sums[i % n] += static_cast<double>(states[i]);
      break;
    case PoolingMode::kCls:
      if (added.text->done == 0) std::ranges::copy(states.first(n), sums.begin());
      break;
    case PoolingMode::kLastToken:
      if (!states.empty()) std::ranges::copy(states, sums.begin());
      break;
  }
}

Result<std::vector<float>> Encoder::finish(const Text& text) const {
  const double count = options_.pooling.mode == PoolingMode::kMean ? static_cast<double>(text.ids.size()) : 1.0;
  double length = 1.0;
  if (options_.pooling.normalize) {
    double squares = 0.0;
    for (const double sum : text.sums) squares += (sum / count) * (sum / count);
    length = std::max(std::sqrt(squares), 1e-12);  // as torch.nn.functional.normalize
  }
  std::vector<float> out;
  for (const double sum : text.sums) {
    out.push_back(static_cast<float>(sum / count / length));
    if (!std::isfinite(out.back())) {
      return fail(ErrorCode::kInternal, "the model returned values that are no finite numbers");
    }
  }
  return out;
}

Result<std::vector<std::vector<float>>> Encoder::encode(std::span<const std::vector<std::int32_t>> texts) {
  std::vector<Text> all;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (auto fits = check(texts[i]); !fits) {
      Error error = std::move(fits).error();
      error.message = "text " + std::to_string(i) + " " + error.message;
      return std::unexpected(std::move(error));
    }
    all.push_back({.ids = texts[i]});
  }
  std::vector<std::vector<float>> out;
  for (std::size_t first = 0; first < all.size();) {
    for (std::size_t i = first; i < all.size() && add(all[i], run_tokens(), false); ++i) {
    }
    run();
    for (; first < all.size() && all[first].vector; ++first) {
      TENON_ASSIGN(std::vector<float> vector, std::move(*all[first].vector));
      out.push_back(std::move(vector));
    }
  }
  return out;
}

}  // namespace tenon::engine
