// Multi-head latent attention (DeepSeek-AI 2024, arXiv:2405.04434): keys and values of all heads come from one small
// latent a token, and only that is cached.
#pragma once

#include <optional>

#include "nn/attention.h"
#include "nn/layers.h"
#include "nn/rope.h"
#include "tensor/kv_layout.h"

namespace tenon::nn {

struct LatentAttentionConfig {
  int num_attention_heads = 0;
  int q_lora_rank = 0;  ///< 0: queries are projected in one step
  int kv_lora_rank = 0;
  int qk_nope_head_dim = 0;
  int qk_rope_head_dim = 0;
  int v_head_dim = 0;
  bool attention_bias = false;
  bool rope_interleave = true;  ///< rope pairs (2i, 2i + 1), not (i, i + half)
  double attention_scale = 1;   ///< of the scores, with what YaRN adds
};

/// attention_scale of transformers: 1/sqrt(head dim); YaRN with mscale_all_dim scales it twice, once for the queries
/// and once for the keys.
double latent_attention_scale(const LatentAttentionConfig& config, const RopeConfig& rope);

/// With c the normed latent of a token, head h has the keys W_k c and the values W_v c, and all heads share a rotated
/// key. q · W_k c = (W_kᵀ q) · c and Σ p W_v c = W_v Σ p c: so only c and the shared key are cached, queries are taken
/// to the latent space (k_b_proj) and results out of it (v_b_proj). x [T, hidden_size] → the same.
///
/// Tensors: q_proj, or q_a_proj, q_a_layernorm and q_b_proj; kv_a_proj_with_mqa, kv_a_layernorm, o_proj as in the
/// checkpoint; k_b_proj.weight [heads, kv_lora_rank, qk_nope_head_dim] and v_b_proj.weight [heads, v_head_dim,
/// kv_lora_rank], which an adapter takes from its kv_b_proj (Transform::head_rows…).
class LatentAttention {
 public:
  LatentAttention(const Scope& w, int hidden_size, const LatentAttentionConfig& config, int layer);
  Value operator()(Value x, Value rope, const RaggedBatch& batch) const;

  /// What a layer caches. One kv head: keys are the latent and the shared rotated key, values the latent again (keys
  /// and values lie in different orders in a page).
  static tensor::KvLayer kv_layer(const LatentAttentionConfig& config) {
    return {1, config.kv_lora_rank + config.qk_rope_head_dim, config.kv_lora_rank};
  }

 private:
  Value queries(Value x) const;

  Scope scope_;
  LatentAttentionConfig config_;
  int layer_;
  std::optional<Linear> q_proj_, q_a_proj_, q_b_proj_;
  std::optional<RmsNorm> q_a_layernorm_;
  Linear kv_a_proj_with_mqa_, o_proj_;
  RmsNorm kv_a_layernorm_;
  Value k_b_proj_, v_b_proj_;
};

}  // namespace tenon::nn
