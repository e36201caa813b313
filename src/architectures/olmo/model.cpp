// OLMo (transformers/models/olmo/modeling_olmo.py).
// h = x + Attn(norm(x));  y = h + Mlp(norm(h)).  The norms are LayerNorms without weights; what q_proj, k_proj and
// v_proj give may be clipped.  T = tokens of every row, concatenated; x is [T, hidden_size].
#include <cmath>

#include "olmo.h"

namespace tenon::architectures::olmo {
namespace {

using graph::Value;

/// OlmoLayerNorm: nothing of it is in the checkpoint, not even its epsilon in the config.
Value norm(const nn::Scope& scope, Value x) {
  const auto entered = scope.enter();
  return graph::layer_norm(x, 1e-5);
}

struct Attention {
  nn::Scope scope;
  const Config& config;
  int layer;
  nn::Linear q_proj, k_proj, v_proj, o_proj;

  Attention(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        config(c),
        layer(layer_index),
        q_proj(w / "q_proj", c.hidden_size, c.num_attention_heads * c.head_dim, c.attention_bias),
        k_proj(w / "k_proj", c.hidden_size, c.num_key_value_heads * c.head_dim, c.attention_bias),
        v_proj(w / "v_proj", c.hidden_size, c.num_key_value_heads * c.head_dim, c.attention_bias),
        o_proj(w / "o_proj", c.num_attention_heads * c.head_dim, c.hidden_size, c.attention_bias) {}

  Value clipped(Value x) const {
    return config.clip_qkv > 0.0 ? graph::clamp(x, -config.clip_qkv, config.clip_qkv) : x;
  }

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value q = nn::split_heads(clipped(q_proj(x)), config.num_attention_heads, config.head_dim);
    const Value k = nn::split_heads(clipped(k_proj(x)), config.num_key_value_heads, config.head_dim);
    const Value v = nn::split_heads(clipped(v_proj(x)), config.num_key_value_heads, config.head_dim);
    return scope.tap(o_proj(nn::attention(q, k, v, rope, b, layer, {.scale = 1.0 / std::sqrt(config.head_dim)})));
  }
};

struct Block {
  nn::Scope scope;
  Attention self_attn;
  nn::GatedMlp mlp;

  Block(const nn::Scope& w, const Config& c, int layer)
      : scope(w),
        self_attn(w / "self_attn", c, layer),
        mlp(w / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value h = x + self_attn(norm(scope / "input_layernorm", x), rope, b);
    return scope.tap(h + mlp(norm(scope / "post_attention_layernorm", h)));
  }
};

}  // namespace

std::vector<tensor::KvLayer> OlmoForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {c.num_key_value_heads, c.head_dim, c.head_dim});
}

void OlmoForCausalLM::build(const model::BuildContext& context) const {
  const Config& c = *config_;
  const nn::Scope root(context.graph);
  const nn::Scope w = root / "model";
  const nn::RaggedBatch b(context.graph);
  const nn::Embedding embed_tokens(w / "embed_tokens", c.vocab_size, c.hidden_size);
  const Value rope = nn::Rope(c.rope, context.max_length).table(b);

  Value x = (w / "embed_tokens").tap(embed_tokens(b.token_ids));
  for (int layer = 0; layer < c.num_hidden_layers; ++layer) x = Block(w / "layers" / layer, c, layer)(x, rope, b);
  x = (w / "norm").tap(norm(w / "norm", x));

  const nn::Linear lm_head(c.tie_word_embeddings ? w / "embed_tokens" : root / "lm_head", c.hidden_size, c.vocab_size);
  context.graph.output("logits", lm_head(b.sampled(x)));
}

}  // namespace tenon::architectures::olmo
