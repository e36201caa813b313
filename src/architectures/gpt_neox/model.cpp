// GPT-NeoX (transformers/models/gpt_neox/modeling_gpt_neox.py).
// y = x + Attn(norm(x)) + Mlp(norm'(x)), or one after the other where use_parallel_residual is false.
// T = tokens of every row, concatenated; x is [T, hidden_size].
#include <cmath>

#include "gpt_neox.h"

namespace tenon::architectures::gpt_neox {
namespace {

using graph::Value;

struct Attention {
  nn::Scope scope;
  const Config& config;
  int layer;
  nn::Linear query_key_value, dense;

  Attention(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        config(c),
        layer(layer_index),
        query_key_value(w / "query_key_value", c.hidden_size, 3 * c.hidden_size, c.attention_bias),
        dense(w / "dense", c.hidden_size, c.hidden_size, c.attention_bias) {}

  // The fused rows go by head: q, k and v of the first, then those of the second, …
  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const int d = config.head_dim;
    const Value qkv = nn::split_heads(query_key_value(x), config.num_attention_heads, 3 * d);
    const Value q = graph::slice(qkv, 0, d), k = graph::slice(qkv, d, 2 * d), v = graph::slice(qkv, 2 * d, 3 * d);
    return scope.tap(dense(nn::attention(q, k, v, rope, b, layer, {.scale = 1.0 / std::sqrt(d)})));
  }
};

struct Mlp {
  nn::Scope scope;
  const Config& config;
  nn::Linear dense_h_to_4h, dense_4h_to_h;

  Mlp(const nn::Scope& w, const Config& c)
      : scope(w),
        config(c),
        dense_h_to_4h(w / "dense_h_to_4h", c.hidden_size, c.intermediate_size, true),
        dense_4h_to_h(w / "dense_4h_to_h", c.intermediate_size, c.hidden_size, true) {}

  Value operator()(Value x) const {
    const auto entered = scope.enter();
    return scope.tap(dense_4h_to_h(config.hidden_act(dense_h_to_4h(x))));
  }
};

struct Block {
  nn::Scope scope;
  const Config& config;
  nn::LayerNorm input_layernorm, post_attention_layernorm;
  Attention attention;
  Mlp mlp;

  Block(const nn::Scope& w, const Config& c, int layer)
      : scope(w),
        config(c),
        input_layernorm(w / "input_layernorm", c.hidden_size, c.layer_norm_eps),
        post_attention_layernorm(w / "post_attention_layernorm", c.hidden_size, c.layer_norm_eps),
        attention(w / "attention", c, layer),
        mlp(w / "mlp", c) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value h = x + attention(input_layernorm(x), rope, b);
    return scope.tap(h + mlp(post_attention_layernorm(config.use_parallel_residual ? x : h)));
  }
};

}  // namespace

std::vector<tensor::KvLayer> GPTNeoXForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {c.num_attention_heads, c.head_dim, c.head_dim});
}

void GPTNeoXForCausalLM::build(const model::BuildContext& context) const {
  const Config& c = *config_;
  const nn::Scope root(context.graph);
  const nn::Scope w = root / "gpt_neox";
  const nn::RaggedBatch b(context.graph);
  const nn::Embedding embed_in(w / "embed_in", c.vocab_size, c.hidden_size);
  const Value rope = nn::Rope(c.rope, context.max_length).table(b);

  Value x = (w / "embed_in").tap(embed_in(b.token_ids));
  for (int layer = 0; layer < c.num_hidden_layers; ++layer) x = Block(w / "layers" / layer, c, layer)(x, rope, b);
  x = (w / "final_layer_norm").tap(nn::LayerNorm(w / "final_layer_norm", c.hidden_size, c.layer_norm_eps)(x));

  const nn::Linear embed_out(c.tie_word_embeddings ? w / "embed_in" : root / "embed_out", c.hidden_size, c.vocab_size);
  context.graph.output("logits", embed_out(b.sampled(x)));
}

}  // namespace tenon::architectures::gpt_neox
