// Starcoder 2 (transformers/models/starcoder2/modeling_starcoder2.py).
// h = x + Attn(norm(x));  y = h + Mlp(norm(h)), with layer norms, biases and an MLP of two matrices. A token may see
// only the last `sliding_window` positions. T = tokens of every row, concatenated; x is [T, hidden_size].
#include <cmath>

#include "starcoder2.h"

namespace tenon::architectures::starcoder2 {
namespace {

using graph::Value;

struct Attention {
  nn::Scope scope;
  const Config& config;
  int layer;
  nn::Linear q_proj, k_proj, v_proj, o_proj;

  Attention(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        config(c),
        layer(layer_index),
        q_proj(w / "q_proj", c.hidden_size, c.num_attention_heads * c.head_dim, c.use_bias),
        k_proj(w / "k_proj", c.hidden_size, c.num_key_value_heads * c.head_dim, c.use_bias),
        v_proj(w / "v_proj", c.hidden_size, c.num_key_value_heads * c.head_dim, c.use_bias),
        o_proj(w / "o_proj", c.num_attention_heads * c.head_dim, c.hidden_size, c.use_bias) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value q = nn::split_heads(q_proj(x), config.num_attention_heads, config.head_dim);
    const Value k = nn::split_heads(k_proj(x), config.num_key_value_heads, config.head_dim);
    const Value v = nn::split_heads(v_proj(x), config.num_key_value_heads, config.head_dim);
    const graph::AttentionOptions options{.scale = 1.0 / std::sqrt(config.head_dim), .window = config.sliding_window};
    return scope.tap(o_proj(nn::attention(q, k, v, rope, b, layer, options)));
  }
};

struct Mlp {
  nn::Scope scope;
  const Config& config;
  nn::Linear c_fc, c_proj;

  Mlp(const nn::Scope& w, const Config& c)
      : scope(w),
        config(c),
        c_fc(w / "c_fc", c.hidden_size, c.intermediate_size, c.use_bias),
        c_proj(w / "c_proj", c.intermediate_size, c.hidden_size, c.use_bias) {}

  Value operator()(Value x) const {
    const auto entered = scope.enter();
    return scope.tap(c_proj(config.hidden_act(c_fc(x))));
  }
};

struct Block {
  nn::Scope scope;
  nn::LayerNorm input_layernorm, post_attention_layernorm;
  Attention self_attn;
  Mlp mlp;

  Block(const nn::Scope& w, const Config& c, int layer)
      : scope(w),
        input_layernorm(w / "input_layernorm", c.hidden_size, c.norm_epsilon),
        post_attention_layernorm(w / "post_attention_layernorm", c.hidden_size, c.norm_epsilon),
        self_attn(w / "self_attn", c, layer),
        mlp(w / "mlp", c) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value h = x + self_attn(input_layernorm(x), rope, b);
    return scope.tap(h + mlp(post_attention_layernorm(h)));
  }
};

}  // namespace

std::vector<tensor::KvLayer> Starcoder2ForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {c.num_key_value_heads, c.head_dim, c.head_dim});
}

void Starcoder2ForCausalLM::build(const model::BuildContext& context) const {
  const Config& c = *config_;
  const nn::Scope root(context.graph);
  const nn::Scope w = root / "model";
  const nn::RaggedBatch b(context.graph);
  const nn::Embedding embed_tokens(w / "embed_tokens", c.vocab_size, c.hidden_size);
  const Value rope = nn::Rope(c.rope, context.max_length).table(b);

  Value x = (w / "embed_tokens").tap(embed_tokens(b.token_ids));
  for (int layer = 0; layer < c.num_hidden_layers; ++layer) x = Block(w / "layers" / layer, c, layer)(x, rope, b);
  x = (w / "norm").tap(nn::LayerNorm(w / "norm", c.hidden_size, c.norm_epsilon)(x));

  const nn::Linear lm_head(c.tie_word_embeddings ? w / "embed_tokens" : root / "lm_head", c.hidden_size, c.vocab_size);
  context.graph.output("logits", lm_head(b.sampled(x)));
}

}  // namespace tenon::architectures::starcoder2
