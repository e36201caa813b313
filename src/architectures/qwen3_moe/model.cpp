// Qwen 3 MoE (transformers/models/qwen3_moe/modeling_qwen3_moe.py): queries and keys are normalised a head, and most
// layers have experts. h = x + Attn(norm(x));  y = h + Moe(norm(h)).  T = tokens of every row, concatenated; x is [T,
// hidden_size].
#include <cmath>

#include "qwen3_moe.h"

namespace tenon::architectures::qwen3_moe {
namespace {

using graph::Value;

struct Attention {
  nn::Scope scope;
  const Config& config;
  int layer;
  nn::Linear q_proj, k_proj, v_proj, o_proj;
  nn::RmsNorm q_norm, k_norm;

  Attention(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        config(c),
        layer(layer_index),
        q_proj(w / "q_proj", c.hidden_size, c.num_attention_heads * c.head_dim, c.attention_bias),
        k_proj(w / "k_proj", c.hidden_size, c.num_key_value_heads * c.head_dim, c.attention_bias),
        v_proj(w / "v_proj", c.hidden_size, c.num_key_value_heads * c.head_dim, c.attention_bias),
        o_proj(w / "o_proj", c.num_attention_heads * c.head_dim, c.hidden_size, c.attention_bias),
        q_norm(w / "q_norm", c.head_dim, c.rms_norm_eps),
        k_norm(w / "k_norm", c.head_dim, c.rms_norm_eps) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value q = q_norm(nn::split_heads(q_proj(x), config.num_attention_heads, config.head_dim));
    const Value k = k_norm(nn::split_heads(k_proj(x), config.num_key_value_heads, config.head_dim));
    const Value v = nn::split_heads(v_proj(x), config.num_key_value_heads, config.head_dim);
    const graph::AttentionOptions options{.scale = 1.0 / std::sqrt(config.head_dim), .window = config.sliding_window};
    return scope.tap(o_proj(nn::attention(q, k, v, rope, b, layer, options)));
  }
};

// A softmax over all experts, of which the largest are kept.
struct SparseMoe {
  nn::Scope scope;
  graph::RouterOptions router;
  nn::Linear gate;
  nn::GatedExperts experts;

  SparseMoe(const nn::Scope& w, const Config& c)
      : scope(w),
        router{.top_k = c.num_experts_per_tok,
               .scoring = graph::RouterScoring::kSoftmaxOfAll,
               .normalize = c.norm_topk_prob},
        gate(w / "gate", c.hidden_size, c.num_experts),
        experts(w / "experts", c.num_experts, c.hidden_size, c.moe_intermediate_size, c.hidden_act) {}

  Value operator()(Value x) const {
    const auto entered = scope.enter();
    return scope.tap(experts(x, graph::route_experts(gate(x), router)));
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
    const Value h = x + self_attn(input_layernorm(x), rope, b);
    const Value y = post_attention_layernorm(h);
    if (config.sparse[static_cast<std::size_t>(layer)]) return scope.tap(h + SparseMoe(scope / "mlp", config)(y));
    const Config& c = config;
    return scope.tap(h + nn::GatedMlp(scope / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act)(y));
  }
};

}  // namespace

std::vector<tensor::KvLayer> Qwen3MoeForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {c.num_key_value_heads, c.head_dim, c.head_dim});
}

void Qwen3MoeForCausalLM::build(const model::BuildContext& context) const {
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

}  // namespace tenon::architectures::qwen3_moe
