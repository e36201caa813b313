// Cohere (transformers/models/cohere/modeling_cohere.py).
// y = x + Attn(norm(x)) + Mlp(norm(x)), with one layer norm for both branches. T = tokens of every row, concatenated; x
// is [T, hidden_size].
#include <cmath>

#include "cohere.h"

namespace tenon::architectures::cohere {
namespace {

using graph::Value;

/// A layer norm of each head by itself, times the head's own weights: [heads * head_dim], those of all heads.
struct HeadNorm {
  int heads, head_dim;
  double eps;
  Value weight;

  HeadNorm(const nn::Scope& w, int heads_, int head_dim_, double eps_)
      : heads(heads_),
        head_dim(head_dim_),
        eps(eps_),
        weight(w.weight("weight", {heads * head_dim}, nn::WeightUse::kVector)) {}

  Value operator()(Value x) const {  // [T, heads, head_dim] → the same
    const Value normalized = nn::merge_heads(graph::layer_norm(x, eps));
    return nn::split_heads(normalized * weight, heads, head_dim);
  }
};

struct Attention {
  nn::Scope scope;
  const Config& config;
  int layer;
  nn::Linear q_proj, k_proj, v_proj, o_proj;
  std::optional<HeadNorm> q_norm, k_norm;

  Attention(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        config(c),
        layer(layer_index),
        q_proj(w / "q_proj", c.hidden_size, c.num_attention_heads * c.head_dim, c.attention_bias),
        k_proj(w / "k_proj", c.hidden_size, c.num_key_value_heads * c.head_dim, c.attention_bias),
        v_proj(w / "v_proj", c.hidden_size, c.num_key_value_heads * c.head_dim, c.attention_bias),
        o_proj(w / "o_proj", c.num_attention_heads * c.head_dim, c.hidden_size, c.attention_bias) {
    if (!c.use_qk_norm) return;
    q_norm.emplace(w / "q_norm", c.num_attention_heads, c.head_dim, c.layer_norm_eps);
    k_norm.emplace(w / "k_norm", c.num_key_value_heads, c.head_dim, c.layer_norm_eps);
  }

  // nn::attention rotates halves; here pairs (2i, 2i+1) turn.
  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    Value q = nn::split_heads(q_proj(x), config.num_attention_heads, config.head_dim);
    Value k = nn::split_heads(k_proj(x), config.num_key_value_heads, config.head_dim);
    const Value v = nn::split_heads(v_proj(x), config.num_key_value_heads, config.head_dim);
    if (config.use_qk_norm) q = (*q_norm)(q), k = (*k_norm)(k);
    const Value cache =
        graph::kv_append(graph::rope(k, rope, true), v, layer, b.positions, b.row_offsets, b.page_table);
    const Value y = graph::attention(graph::rope(q, rope, true), cache, {.scale = 1.0 / std::sqrt(config.head_dim)});
    return scope.tap(o_proj(nn::merge_heads(y)));
  }
};

struct Block {
  nn::Scope scope;
  nn::LayerNorm input_layernorm;
  Attention self_attn;
  nn::GatedMlp mlp;

  Block(const nn::Scope& w, const Config& c, int layer)
      : scope(w),
        input_layernorm(w / "input_layernorm", c.hidden_size, c.layer_norm_eps, false),
        self_attn(w / "self_attn", c, layer),
        mlp(w / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value normalized = input_layernorm(x);
    const Value attended = self_attn(normalized, rope, b);
    return scope.tap(x + attended + mlp(normalized));
  }
};

}  // namespace

std::vector<tensor::KvLayer> CohereForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {c.num_key_value_heads, c.head_dim, c.head_dim});
}

void CohereForCausalLM::build(const model::BuildContext& context) const {
  const Config& c = *config_;
  const nn::Scope root(context.graph);
  const nn::Scope w = root / "model";
  const nn::RaggedBatch b(context.graph);
  const nn::Embedding embed_tokens(w / "embed_tokens", c.vocab_size, c.hidden_size);
  const Value rope = nn::Rope(c.rope, context.max_length).table(b);

  Value x = (w / "embed_tokens").tap(embed_tokens(b.token_ids));
  for (int layer = 0; layer < c.num_hidden_layers; ++layer) x = Block(w / "layers" / layer, c, layer)(x, rope, b);
  x = (w / "norm").tap(nn::LayerNorm(w / "norm", c.hidden_size, c.layer_norm_eps, false)(x));

  const nn::Linear lm_head(c.tie_word_embeddings ? w / "embed_tokens" : root / "lm_head", c.hidden_size, c.vocab_size);
  context.graph.output("logits", lm_head(b.sampled(x)) * c.logit_scale);
}

}  // namespace tenon::architectures::cohere
