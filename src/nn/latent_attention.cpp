#include "nn/latent_attention.h"

#include <cmath>

namespace tenon::nn {
namespace {

// The reference gives the norms of the latents no eps of the config.
constexpr double kLatentNormEps = 1e-6;

}  // namespace

double latent_attention_scale(const LatentAttentionConfig& config, const RopeConfig& rope) {
  const double scale = 1.0 / std::sqrt(config.qk_nope_head_dim + config.qk_rope_head_dim);
  if (rope.rope_type != RopeType::kYarn || rope.mscale_all_dim == 0.0 || rope.factor <= 1.0) return scale;
  const double mscale = 0.1 * rope.mscale_all_dim * std::log(rope.factor) + 1.0;
  return scale * mscale * mscale;
}

LatentAttention::LatentAttention(const Scope& w, int hidden_size, const LatentAttentionConfig& c, int layer)
    : scope_(w),
      config_(c),
      layer_(layer),
      kv_a_proj_with_mqa_(w / "kv_a_proj_with_mqa", hidden_size, c.kv_lora_rank + c.qk_rope_head_dim, c.attention_bias),
      o_proj_(w / "o_proj", c.num_attention_heads * c.v_head_dim, hidden_size, c.attention_bias),
      kv_a_layernorm_(w / "kv_a_layernorm", c.kv_lora_rank, kLatentNormEps),
      k_b_proj_((w / "k_b_proj")
                    .weight("weight", {c.num_attention_heads, c.kv_lora_rank, c.qk_nope_head_dim}, WeightUse::kMatmul)),
      v_b_proj_((w / "v_b_proj")
                    .weight("weight", {c.num_attention_heads, c.v_head_dim, c.kv_lora_rank}, WeightUse::kMatmul)) {
  const int size = c.num_attention_heads * (c.qk_nope_head_dim + c.qk_rope_head_dim);
  if (c.q_lora_rank == 0) {
    q_proj_.emplace(w / "q_proj", hidden_size, size);
    return;
  }
  q_a_proj_.emplace(w / "q_a_proj", hidden_size, c.q_lora_rank, c.attention_bias);
  q_a_layernorm_.emplace(w / "q_a_layernorm", c.q_lora_rank, kLatentNormEps);
  q_b_proj_.emplace(w / "q_b_proj", c.q_lora_rank, size);
}

// [T, heads, qk_nope_head_dim + qk_rope_head_dim]
Value LatentAttention::queries(Value x) const {
  const Value q = q_proj_ ? (*q_proj_)(x) : (*q_b_proj_)((*q_a_layernorm_)((*q_a_proj_)(x)));
  return split_heads(q, config_.num_attention_heads, config_.qk_nope_head_dim + config_.qk_rope_head_dim);
}

Value LatentAttention::operator()(Value x, Value rope, const RaggedBatch& b) const {
  const auto entered = scope_.enter();
  const int latent_size = config_.kv_lora_rank, nope = config_.qk_nope_head_dim, rotated = config_.qk_rope_head_dim;
  const auto rotate = [&](Value part) { return graph::rope(part, rope, config_.rope_interleave); };
  const Value q = queries(x);
  const Value q_latent = graph::head_linear(graph::slice(q, 0, nope), k_b_proj_);
  const Value q_rotated = rotate(graph::slice(q, nope, nope + rotated));
  const Value kv = kv_a_proj_with_mqa_(x);
  const Value latent = split_heads(kv_a_layernorm_(graph::slice(kv, 0, latent_size)), 1, latent_size);
  const Value k_rotated = rotate(split_heads(graph::slice(kv, latent_size, latent_size + rotated), 1, rotated));
  const Value cache =
      graph::kv_append(graph::concat({latent, k_rotated}), latent, layer_, b.positions, b.row_offsets, b.page_table);
  const Value y = graph::attention(graph::concat({q_latent, q_rotated}), cache, {.scale = config_.attention_scale});
  return scope_.tap(o_proj_(merge_heads(graph::head_linear(y, v_b_proj_))));
}

}  // namespace tenon::nn
