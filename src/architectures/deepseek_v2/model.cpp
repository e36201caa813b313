// DeepSeek-V2 (transformers/models/deepseek_v2/modeling_deepseek_v2.py; DeepSeek-AI 2024, arXiv:2405.04434).
// h = x + Attn(norm(x));  y = h + Mlp(norm(h)).  T = tokens of every row, concatenated; x is [T, hidden_size].
#include <optional>

#include "deepseek_v2.h"

namespace tenon::architectures::deepseek_v2 {
namespace {

using graph::Value;

// The reference gives these two norms no eps of the config.
constexpr double kLatentNormEps = 1e-6;

// Queries [T, heads, qk_nope_head_dim + qk_rope_head_dim], through a low rank if there is one.
struct Queries {
  const Config& config;
  std::optional<nn::Linear> q_proj, q_a_proj, q_b_proj;
  std::optional<nn::RmsNorm> q_a_layernorm;

  Queries(const nn::Scope& w, const Config& c) : config(c) {
    const int size = c.num_attention_heads * (c.qk_nope_head_dim + c.qk_rope_head_dim);
    if (c.q_lora_rank == 0) {
      q_proj.emplace(w / "q_proj", c.hidden_size, size);
      return;
    }
    q_a_proj.emplace(w / "q_a_proj", c.hidden_size, c.q_lora_rank, c.attention_bias);
    q_a_layernorm.emplace(w / "q_a_layernorm", c.q_lora_rank, kLatentNormEps);
    q_b_proj.emplace(w / "q_b_proj", c.q_lora_rank, size);
  }

  Value operator()(Value x) const {
    const Value q = q_proj ? (*q_proj)(x) : (*q_b_proj)((*q_a_layernorm)((*q_a_proj)(x)));
    return nn::split_heads(q, config.num_attention_heads, config.qk_nope_head_dim + config.qk_rope_head_dim);
  }
};

// Multi-head latent attention. With c the normed latent of a token, head h has the keys W_k c and the values W_v c, and
// all heads share a rotated key. q · W_k c = (W_kᵀ q) · c and Σ p W_v c = W_v Σ p c: so only c and the shared key are
// cached, queries are taken to the latent space (k_b_proj) and results out of it (v_b_proj).
struct Attention {
  nn::Scope scope;
  const Config& config;
  int layer;
  Queries queries;
  nn::Linear kv_a_proj_with_mqa, o_proj;
  nn::RmsNorm kv_a_layernorm;
  Value k_b_proj, v_b_proj;  // [heads, kv_lora_rank, qk_nope_head_dim], [heads, v_head_dim, kv_lora_rank]

  Attention(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        config(c),
        layer(layer_index),
        queries(w, c),
        kv_a_proj_with_mqa(w / "kv_a_proj_with_mqa", c.hidden_size, c.kv_lora_rank + c.qk_rope_head_dim,
                           c.attention_bias),
        o_proj(w / "o_proj", c.num_attention_heads * c.v_head_dim, c.hidden_size, c.attention_bias),
        kv_a_layernorm(w / "kv_a_layernorm", c.kv_lora_rank, kLatentNormEps),
        k_b_proj(
            (w / "k_b_proj")
                .weight("weight", {c.num_attention_heads, c.kv_lora_rank, c.qk_nope_head_dim}, nn::WeightUse::kMatmul)),
        v_b_proj((w / "v_b_proj")
                     .weight("weight", {c.num_attention_heads, c.v_head_dim, c.kv_lora_rank}, nn::WeightUse::kMatmul)) {
  }

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const int latent_size = config.kv_lora_rank, nope = config.qk_nope_head_dim, rotated = config.qk_rope_head_dim;
    const auto rotate = [&](Value part) { return graph::rope(part, rope, true); };
    const Value q = queries(x);
    const Value q_latent = graph::head_linear(graph::slice(q, 0, nope), k_b_proj);
    const Value q_rotated = rotate(graph::slice(q, nope, nope + rotated));
    const Value kv = kv_a_proj_with_mqa(x);
    const Value latent = nn::split_heads(kv_a_layernorm(graph::slice(kv, 0, latent_size)), 1, latent_size);
    const Value k_rotated = rotate(nn::split_heads(graph::slice(kv, latent_size, latent_size + rotated), 1, rotated));
    const Value cache =
        graph::kv_append(graph::concat({latent, k_rotated}), latent, layer, b.positions, b.row_offsets, b.page_table);
    const Value y = graph::attention(graph::concat({q_latent, q_rotated}), cache, {.scale = config.attention_scale});
    return scope.tap(o_proj(nn::merge_heads(graph::head_linear(y, v_b_proj))));
  }
};

// Routed experts by a softmax over all, and shared ones that every token goes through.
struct SparseMoe {
  nn::Scope scope;
  graph::RouterOptions router;
  nn::Linear gate;
  nn::GatedExperts experts;
  nn::GatedMlp shared_experts;

  SparseMoe(const nn::Scope& w, const Config& c)
      : scope(w),
        router{.top_k = c.num_experts_per_tok,
               .scoring = graph::RouterScoring::kSoftmaxOfAll,
               .scale = c.routed_scaling_factor,
               .n_group = c.n_group,
               .topk_group = c.topk_group,
               .group_score = graph::GroupScore::kMax},
        gate(w / "gate", c.hidden_size, c.n_routed_experts),
        experts(w / "experts", c.n_routed_experts, c.hidden_size, c.moe_intermediate_size, c.hidden_act),
        shared_experts(w / "shared_experts", c.hidden_size, c.moe_intermediate_size * c.n_shared_experts, c.hidden_act,
                       c.mlp_bias) {}

  Value operator()(Value x) const {
    const auto entered = scope.enter();
    return scope.tap(experts(x, graph::route_experts(gate(x), router)) + shared_experts(x));
  }
};

struct Block {
  nn::Scope scope;
  nn::RmsNorm input_layernorm, post_attention_layernorm;
  Attention self_attn;
  int layer;
  const Config& config;

  Block(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        input_layernorm(w / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(w / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps),
        self_attn(w / "self_attn", c, layer_index),
        layer(layer_index),
        config(c) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Config& c = config;
    const Value h = x + self_attn(input_layernorm(x), rope, b);
    const Value y = post_attention_layernorm(h);
    if (layer >= c.first_k_dense_replace) return scope.tap(h + SparseMoe(scope / "mlp", c)(y));
    return scope.tap(h + nn::GatedMlp(scope / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act, c.mlp_bias)(y));
  }
};

}  // namespace

// One kv head: keys are the latent and the shared rotated key, values the latent again (keys and values lie in
// different orders in a page).
std::vector<tensor::KvLayer> DeepseekV2ForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {1, c.kv_lora_rank + c.qk_rope_head_dim, c.kv_lora_rank});
}

void DeepseekV2ForCausalLM::build(const model::BuildContext& context) const {
  const Config& c = *config_;
  const nn::Scope root(context.graph);
  const nn::Scope w = root / "model";
  const nn::RaggedBatch b(context.graph);
  const nn::Embedding embed_tokens(w / "embed_tokens", c.vocab_size, c.hidden_size);
  const Value rope = nn::Rope(c.rope, context.max_length).table(b);

  Value x = (w / "embed_tokens").tap(embed_tokens(b.token_ids));
  for (int layer = 0; layer < c.num_hidden_layers; ++layer) x = Block(w / "layers" / layer, c, layer)(x, rope, b);
  x = (w / "norm").tap(nn::RmsNorm(w / "norm", c.hidden_size, c.rms_norm_eps)(x));

  const nn::Linear lm_head(c.tie_word_embeddings ? w / "embed_tokens" : root / "lm_head", c.hidden_size, c.vocab_size);
  context.graph.output("logits", lm_head(b.sampled(x)));
}

}  // namespace tenon::architectures::deepseek_v2
