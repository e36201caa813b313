#include "engine/encoder.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace tenon::engine {
namespace {

int pages_for(std::size_t tokens) { return static_cast<int>((tokens + tensor::kPageTokens - 1) / tensor::kPageTokens); }

// The most pages that the texts of one run can need: each has at most one that is not full.
std::int64_t most_pages(const runtime::Limits& limits) {
  return limits.max_total_tokens / tensor::kPageTokens + limits.max_rows;
}

}  // namespace

Result<std::unique_ptr<Encoder>> Encoder::create(std::shared_ptr<runtime::Executable> executable, Options options,
                                                 int threads) {
  const runtime::Limits& limits = executable->limits();
  options.max_length = std::min({options.max_length, limits.max_total_tokens, limits.max_sampled_rows});
  const std::int64_t bytes = most_pages(limits) * executable->kv_layout().page_bytes();
  TENON_ASSIGN(HugeBuffer pages, HugeBuffer::allocate(static_cast<std::size_t>(bytes), "keys and values of one run"));
  return std::unique_ptr<Encoder>(new Encoder(std::move(executable), options, std::move(pages), threads));
}

Encoder::Encoder(std::shared_ptr<runtime::Executable> executable, Options options, HugeBuffer pages, int threads)
    : executable_(std::move(executable)), options_(options), pages_(std::move(pages)), threads_(threads) {}

Status Encoder::check(std::span<const std::vector<std::int32_t>> texts) const {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string which = "text " + std::to_string(i);
    if (texts[i].empty()) return invalid(which + " has no tokens", "input");
    if (texts[i].size() > static_cast<std::size_t>(options_.max_length)) {
      return invalid(which + " has " + std::to_string(texts[i].size()) + " tokens, but this model takes at most " +
                         std::to_string(options_.max_length) + ": shorten or split it",
                     "input");
    }
    for (const std::int32_t id : texts[i]) {
      if (id >= 0 && id < options_.vocab_size) continue;
      return invalid(which + " has the token id " + std::to_string(id) + ", outside the vocabulary of " +
                         std::to_string(options_.vocab_size),
                     "input");
    }
  }
  return {};
}

Result<std::vector<std::vector<float>>> Encoder::encode(std::span<const std::vector<std::int32_t>> texts) {
  TENON_TRY(check(texts));
  std::vector<std::vector<float>> out;
  while (out.size() < texts.size()) run(texts.subspan(out.size()), out);
  return out;
}

// As many of the texts as fit in one run; appends their vectors.
std::size_t Encoder::run(std::span<const std::vector<std::int32_t>> texts, std::vector<std::vector<float>>& out) {
  const runtime::Limits& limits = executable_->limits();
  const auto room = static_cast<std::size_t>(std::min(limits.max_total_tokens, limits.max_sampled_rows));
  std::vector<std::int32_t> ids, positions, offsets = {0}, table, rows;
  std::size_t count = 0;
  int max_pages = 1;
  for (; count < texts.size() && count < static_cast<std::size_t>(limits.max_rows); ++count) {
    const std::vector<std::int32_t>& text = texts[count];
    if (ids.size() + text.size() > room) break;
    for (std::size_t t = 0; t < text.size(); ++t) {
      rows.push_back(static_cast<std::int32_t>(ids.size()));
      ids.push_back(text[t]);
      positions.push_back(static_cast<std::int32_t>(t));
    }
    offsets.push_back(static_cast<std::int32_t>(ids.size()));
    max_pages = std::max(max_pages, pages_for(text.size()));
  }
  std::int32_t next_page = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const int pages = pages_for(texts[i].size());
    for (int p = 0; p < max_pages; ++p) table.push_back(p < pages ? next_page++ : -1);
  }
  const tensor::Batch batch{.token_ids = ids,
                            .positions = positions,
                            .row_offsets = offsets,
                            .page_table = table,
                            .max_pages = max_pages,
                            .logit_rows = rows};
  const std::span<const float> states = executable_->run(batch, pages_.data(), threads_);
  const auto n = static_cast<std::size_t>(dimensions());
  for (std::size_t i = 0; i < count; ++i) {
    const auto begin = static_cast<std::size_t>(offsets[i]), end = static_cast<std::size_t>(offsets[i + 1]);
    out.push_back(pool(states.subspan(begin * n, (end - begin) * n)));
  }
  return count;
}

// states: [tokens, dimensions] of one text. Sums in float64: the order of tokens is the text's own.
std::vector<float> Encoder::pool(std::span<const float> states) const {
  const auto n = static_cast<std::size_t>(dimensions());
  std::vector<double> sums(n);
  if (options_.pooling.mode == runtime::PoolingMode::kMean) {
    for (std::size_t i = 0; i < states.size(); ++i) sums[i % n] += static_cast<double>(states[i]);
    for (double& sum : sums) sum /= static_cast<double>(states.size() / n);
  } else {
    const auto row = options_.pooling.mode == runtime::PoolingMode::kCls ? states.first(n) : states.last(n);
    std::ranges::copy(row, sums.begin());
  }
  double length = 1.0;
  if (options_.pooling.normalize) {
    double squares = 0.0;
    for (const double x : sums) squares += x * x;
    length = std::max(std::sqrt(squares), 1e-12);  // as torch.nn.functional.normalize
  }
  std::vector<float> out;
  for (const double x : sums) out.push_back(static_cast<float>(x / length));
  return out;
}

}  // namespace tenon::engine
