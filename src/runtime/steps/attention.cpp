#include "runtime/steps/attention.h"

#include <algorithm>

namespace tenon::runtime {

std::string KvAppendStep::describe() const {
  return std::string("layer ")
      .append(std::to_string(data_.layer))
      .append(" ")
      .append(to_string(data_.rope ? data_.rope->x : data_.k))
      .append(", ")
      .append(to_string(data_.v));
}

void KvAppendStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int) const {
  if (data_.rope) data_.rope->execute(run, begin, end);
  const kernels::KvAppendTask task{.k = run.floats(data_.k),
                                   .ldk = data_.k.stride,
                                   .v = run.floats(data_.v),
                                   .ldv = data_.v.stride,
                                   .kv = run.kv_layout,
                                   .layer = data_.layer,
                                   .pages = run.kv_pages,
                                   .batch = run.batch};
  run.kernels->kv_append(task, begin, end);
}

std::string AttentionStep::describe() const {
  return std::string("layer ")
      .append(std::to_string(data_.layer))
      .append(data_.causal ? "" : " in both directions")
      .append(data_.bias ? " biased" : "")
      .append(data_.window > 0 ? " window " + std::to_string(data_.window) : "")
      .append(data_.chunk > 0 ? " chunk " + std::to_string(data_.chunk) : "")
      .append(" ")
      .append(arrow({data_.heads}, data_.q, data_.out));
}

kernels::AttentionTask AttentionStep::task(const Run& run) const {
  const RelativeBiasPlace bias = data_.bias.value_or(RelativeBiasPlace());
  return {.q = run.floats(data_.q),
          .ldq = data_.q.stride,
          .out = run.floats(data_.out),
          .ldo = data_.out.stride,
          .heads = data_.heads,
          .kv = run.kv_layout,
          .layer = data_.layer,
          .pages = run.kv_pages,
          .batch = run.batch,
          .scale = data_.scale,
          .softcap = data_.softcap,
          .window = data_.window,
          .chunk = data_.chunk,
          .causal = data_.causal,
          .sinks = data_.sinks ? run.vector(*data_.sinks) : nullptr,
          .bias = data_.bias ? run.vector(bias.offset) + bias.center : nullptr,
          .bias_stride = bias.stride};
}

std::int64_t AttentionStep::items(const Run& run) const { return run.kernels->attention_items(task(run)); }

void AttentionStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const {
  run.kernels->attention(task(run), begin, end, run.scratch(thread));
}

std::int64_t AttentionStep::scratch_bytes(const kernels::Kernels& k, const Limits& limits,
                                          const tensor::KvLayout& layout) const {
  // The largest batch: one row with all tokens, at the end of the longest sequence.
  const auto tokens = static_cast<std::size_t>(limits.max_total_tokens);
  std::vector<std::int32_t> ids(tokens), positions(tokens), offsets = {0, limits.max_total_tokens};
  const int length = std::max(limits.max_pages_per_row * tensor::kPageTokens, limits.max_total_tokens);
  for (std::size_t i = 0; i < tokens; ++i) positions[i] = length - limits.max_total_tokens + static_cast<int>(i);
  const std::vector<std::int32_t> pages(static_cast<std::size_t>(limits.max_pages_per_row));
  const tensor::Batch batch{.token_ids = ids,
                            .positions = positions,
                            .row_offsets = offsets,
                            .page_table = pages,
                            .max_pages = limits.max_pages_per_row};
  const Run run{.kernels = &k, .batch = &batch, .kv_layout = &layout};
  return k.attention_scratch_bytes(task(run));
}

}  // namespace tenon::runtime
