// Phi 3 and 4 (transformers/models/phi3/modeling_phi3.py).
// h = x + Attn(norm(x));  y = h + Mlp(norm(h)).  q, k and v are the rows of one tensor, as are
// gate and up. T = tokens of every row, concatenated; x is [T, hidden_size].
#include <cmath>

#include "phi3.h"

namespace tenon::architectures::phi3 {
namespace {

using graph::Value;

struct Attention {
  nn::Scope scope;
  const Config& config;
  int layer;
  nn::Linear qkv_proj, o_proj;

  Attention(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        config(c),
        layer(layer_index),
        qkv_proj(w / "qkv_proj", c.hidden_size, (c.num_attention_heads + 2 * c.num_key_value_heads) * c.head_dim),
        o_proj(w / "o_proj", c.num_attention_heads * c.head_dim, c.hidden_size) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const int q_size = config.num_attention_heads * config.head_dim;
    const int kv_size = config.num_key_value_heads * config.head_dim;
    const Value qkv = qkv_proj(x);
    const Value q = nn::split_heads(graph::slice(qkv, 0, q_size), config.num_attention_heads, config.head_dim);
    const Value k =
        nn::split_heads(graph::slice(qkv, q_size, q_size + kv_size), config.num_key_value_heads, config.head_dim);
    const Value v = nn::split_heads(graph::slice(qkv, q_size + kv_size, q_size + 2 * kv_size),
                                    config.num_key_value_heads, config.head_dim);
    const graph::AttentionOptions options{.scale = 1.0 / std::sqrt(config.head_dim), .window = config.sliding_window};
    return scope.tap(o_proj(nn::attention(q, k, v, rope, b, layer, options)));
  }
};

struct Mlp {
  nn::Scope scope;
  int intermediate_size;
  nn::Activation activation;
  nn::Linear gate_up_proj, down_proj;

  Mlp(const nn::Scope& w, const Config& c)
      : scope(w),
        intermediate_size(c.intermediate_size),
        activation(c.hidden_act),
        gate_up_proj(w / "gate_up_proj", c.hidden_size, 2 * c.intermediate_size),
        down_proj(w / "down_proj", c.intermediate_size, c.hidden_size) {}

  Value operator()(Value x) const {
    const auto entered = scope.enter();
    const Value gate_up = gate_up_proj(x);
    const Value gate = graph::slice(gate_up, 0, intermediate_size);
    const Value up = graph::slice(gate_up, intermediate_size, 2 * intermediate_size);
    return scope.tap(down_proj(activation(gate) * up));
  }
};

struct Block {
  nn::Scope scope;
  nn::RmsNorm input_layernorm, post_attention_layernorm;
  Attention self_attn;
  Mlp mlp;

  Block(const nn::Scope& w, const Config& c, int layer)
      : scope(w),
        input_layernorm(w / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(w / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps),
        self_attn(w / "self_attn", c, layer),
        mlp(w / "mlp", c) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value h = x + self_attn(input_layernorm(x), rope, b);
    return scope.tap(h + mlp(post_attention_layernorm(h)));
  }
};

}  // namespace

std::vector<tensor::KvLayer> Phi3ForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {c.num_key_value_heads, c.head_dim, c.head_dim});
}

void Phi3ForCausalLM::build(const model::BuildContext& context) const {
  const Config& c = *config_;
  const nn::Scope root(context.graph);
  const nn::Scope w = root / "model";
  const nn::RaggedBatch b(context.graph);
  const nn::Embedding embed_tokens(w / "embed_tokens", c.vocab_size, c.hidden_size);
  nn::RopeConfig rotation = c.rope;
  rotation.frequency_factors = context.max_length > c.original_max_position_embeddings ? c.long_factor : c.short_factor;
  const Value rope =
      graph::rope_table(b.positions, nn::rope_frequencies(rotation, context.max_length).inv_freq, c.attention_factor);

  Value x = (w / "embed_tokens").tap(embed_tokens(b.token_ids));
  for (int layer = 0; layer < c.num_hidden_layers; ++layer) x = Block(w / "layers" / layer, c, layer)(x, rope, b);
  x = (w / "norm").tap(nn::RmsNorm(w / "norm", c.hidden_size, c.rms_norm_eps)(x));

  const nn::Linear lm_head(c.tie_word_embeddings ? w / "embed_tokens" : root / "lm_head", c.hidden_size, c.vocab_size);
  context.graph.output("logits", lm_head(b.sampled(x)));
}

}  // namespace tenon::architectures::phi3
