// For tests: a "model" whose logits are a hash of everything a row has seen, read back from the KV pages. Whatever
// chunking, batching or preemption does wrong (a page lost or shared, a token at the wrong position) changes its
// output.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "base/check.h"
#include "runtime/executable.h"
#include "sampler/sampling.h"

namespace tenon::engine {

inline std::uint64_t fake_mix(std::uint64_t h, std::uint64_t x) {
  h = (h ^ x) * 0x9E3779B97F4A7C15u;
  return h ^ (h >> 29);
}

/// The logits after `history`, of which the token at each position counts.
inline void fake_logits(std::span<const std::int32_t> history, std::span<float> out) {
  std::uint64_t h = 1;
  for (const auto token : history) h = fake_mix(h, static_cast<std::uint64_t>(token));
  for (std::size_t v = 0; v < out.size(); ++v) {
    out[v] = static_cast<float>(fake_mix(h, v) >> 40) * (8.0f / (1 << 24)) - 4.0f;
  }
}

class FakeExecutable final : public runtime::Executable {
 public:
  explicit FakeExecutable(runtime::Limits limits = {}, std::int64_t vocab_size = 97)
      : limits_(limits), vocab_size_(vocab_size) {
    layout_ = {.dtype = tensor::DType::kF32, .layers = {{.num_kv_heads = 1, .key_dim = 2, .value_dim = 2}}};
    logits_.resize(static_cast<std::size_t>(limits.max_sampled_rows * vocab_size));
  }

  std::function<void()> before_run;                 ///< called on the engine thread
  std::function<void(std::span<float>)> after_run;  ///< may change one row's logits; called for each
  std::atomic<int> runs{0}, most_tokens{0}, most_rows{0};

  const runtime::Limits& limits() const override { return limits_; }
  const tensor::KvLayout& kv_layout() const override { return layout_; }
  std::int64_t vocab_size() const override { return vocab_size_; }
  std::int64_t weight_bytes() const override { return 0; }
  std::int64_t arena_bytes() const override { return 0; }
  std::int64_t streamed_bytes() const override { return 0; }
  double matmul_flops(std::int64_t, std::int64_t) const override { return 0; }
  std::vector<runtime::Tap> taps() const override { return {}; }

  /// Bytes that are still to be packed, ten a call.
  std::atomic<std::int64_t> unpacked{0};
  std::function<void()> before_pack;  ///< called on the engine thread
  std::int64_t unpacked_bytes() const override { return unpacked; }
  void pack_more(ThreadPool&) override {
    if (before_pack) before_pack();
    unpacked -= 10;
  }

  std::span<float> run(const tensor::Batch& batch, std::byte* kv_pages, ThreadPool&) override {
    if (before_run) before_run();
    ++runs;
    most_tokens = std::max(most_tokens.load(), batch.total_tokens());
    most_rows = std::max(most_rows.load(), batch.rows());
    TENON_CHECK(batch.total_tokens() <= limits_.max_total_tokens && batch.rows() <= limits_.max_rows);
    for (int r = 0; r < batch.rows(); ++r) {
      for (int t = batch.row_offsets[at(r)]; t < batch.row_offsets[at(r + 1)]; ++t) {
        *slot(batch, kv_pages, r, batch.positions[at(t)]) = batch.token_ids[at(t)];
      }
    }
    int r = 0;
    for (int i = 0; i < batch.sampled_rows(); ++i) {
      const int t = batch.logit_rows[at(i)];
      while (t >= batch.row_offsets[at(r + 1)]) ++r;
      std::vector<std::int32_t> history;
      for (int p = 0; p <= batch.positions[at(t)]; ++p) history.push_back(*slot(batch, kv_pages, r, p));
      const auto row = std::span(logits_).subspan(at(i * vocab_size_), at(vocab_size_));
      fake_logits(history, row);
      if (after_run) after_run(row);
    }
    return std::span(logits_).first(at(batch.sampled_rows() * vocab_size_));
  }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  std::int32_t* slot(const tensor::Batch& batch, std::byte* kv_pages, int row, int position) const {
    const int column = position / tensor::kPageTokens;
    TENON_CHECK(column < batch.max_pages);
    const std::int32_t page = batch.page_table[at(row * batch.max_pages + column)];
    TENON_CHECK(page >= 0);
    return reinterpret_cast<std::int32_t*>(kv_pages + page * layout_.page_bytes()) + position % tensor::kPageTokens;
  }

  runtime::Limits limits_;
  std::int64_t vocab_size_;
  tensor::KvLayout layout_;
  std::vector<float> logits_;
};

/// What an engine must answer, computed without one.
inline std::vector<std::int32_t> fake_reply(std::vector<std::int32_t> tokens, const sampler::SamplingParams& sampling,
                                            std::int64_t count, std::int64_t vocab_size = 97) {
  std::vector<std::int32_t> reply;
  std::vector<float> logits(static_cast<std::size_t>(vocab_size));
  sampler::Scratch scratch;
  for (std::int64_t i = 0; i < count; ++i) {
    fake_logits(tokens, logits);
    const auto position = static_cast<std::int64_t>(tokens.size());
    const auto token = sampler::sample(logits, sampling, position, scratch, {.reply = reply}).token;
    tokens.push_back(token);
    reply.push_back(token);
  }
  return reply;
}

}  // namespace tenon::engine
