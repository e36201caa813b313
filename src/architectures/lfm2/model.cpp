// LFM2 (transformers/models/lfm2/modeling_lfm2.py).
// h = x + Operator(norm(x));  y = h + FeedForward(norm(h)).  T = tokens of every row, concatenated; x is [T,
// hidden_size].
#include <cmath>

#include "lfm2.h"

namespace tenon::architectures::lfm2 {
namespace {

using graph::Value;

struct Attention {
  nn::Scope scope;
  const Config& config;
  int layer;
  nn::Linear q_proj, k_proj, v_proj, out_proj;
  nn::RmsNorm q_layernorm, k_layernorm;

  Attention(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        config(c),
        layer(layer_index),
        q_proj(w / "q_proj", c.hidden_size, c.num_attention_heads * c.head_dim),
        k_proj(w / "k_proj", c.hidden_size, c.num_key_value_heads * c.head_dim),
        v_proj(w / "v_proj", c.hidden_size, c.num_key_value_heads * c.head_dim),
        out_proj(w / "out_proj", c.num_attention_heads * c.head_dim, c.hidden_size),
        q_layernorm(w / "q_layernorm", c.head_dim, c.norm_eps),
        k_layernorm(w / "k_layernorm", c.head_dim, c.norm_eps) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value q = q_layernorm(nn::split_heads(q_proj(x), config.num_attention_heads, config.head_dim));
    const Value k = k_layernorm(nn::split_heads(k_proj(x), config.num_key_value_heads, config.head_dim));
    const Value v = nn::split_heads(v_proj(x), config.num_key_value_heads, config.head_dim);
    const graph::AttentionOptions options{.scale = 1.0 / std::sqrt(config.head_dim)};
    return scope.tap(out_proj(nn::attention(q, k, v, rope, b, layer, options)));
  }
};

// out_proj(C * conv(B * x)), with B, C and x from one projection: a causal depthwise convolution of conv_L_cache taps.
// B * x of each token is what the cache keeps.
struct ShortConv {
  nn::Scope scope;
  const Config& config;
  int layer;
  nn::Linear in_proj, out_proj;
  Value taps, bias;

  ShortConv(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        config(c),
        layer(layer_index),
        in_proj(w / "in_proj", c.hidden_size, 3 * c.hidden_size, c.conv_bias),
        out_proj(w / "out_proj", c.hidden_size, c.hidden_size, c.conv_bias),
        taps((w / "conv").weight("weight", {c.conv_L_cache, c.hidden_size}, nn::WeightUse::kVector)) {
    if (c.conv_bias) bias = (w / "conv").weight("bias", {c.hidden_size}, nn::WeightUse::kVector);
  }

  Value operator()(Value x, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const int size = config.hidden_size;
    const Value bcx = in_proj(x);
    const Value gated = graph::slice(bcx, 0, size) * graph::slice(bcx, 2 * size, 3 * size);
    const Value state = graph::state_append(gated, layer, b.positions, b.row_offsets, b.page_table);
    Value y = graph::short_conv(state, taps);
    if (bias) y = y + bias;
    return scope.tap(out_proj(graph::slice(bcx, size, 2 * size) * y));
  }
};

struct FeedForward {
  nn::Scope scope;
  nn::Linear w1, w3, w2;

  FeedForward(const nn::Scope& w, const Config& c)
      : scope(w),
        w1(w / "w1", c.hidden_size, c.intermediate_size),
        w3(w / "w3", c.hidden_size, c.intermediate_size),
        w2(w / "w2", c.intermediate_size, c.hidden_size) {}

  Value operator()(Value x) const {
    const auto entered = scope.enter();
    return scope.tap(w2(graph::silu(w1(x)) * w3(x)));
  }
};

struct Block {
  nn::Scope scope;
  nn::RmsNorm operator_norm, ffn_norm;
  FeedForward feed_forward;
  const Config& config;
  int layer;

  Block(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        operator_norm(w / "operator_norm", c.hidden_size, c.norm_eps),
        ffn_norm(w / "ffn_norm", c.hidden_size, c.norm_eps),
        feed_forward(w / "feed_forward", c),
        config(c),
        layer(layer_index) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value n = operator_norm(x);
    const bool attends = config.attends[static_cast<std::size_t>(layer)];
    const Value h = x + (attends ? Attention(scope / "self_attn", config, layer)(n, rope, b)
                                 : ShortConv(scope / "conv", config, layer)(n, b));
    return scope.tap(h + feed_forward(ffn_norm(h)));
  }
};

}  // namespace

// A layer of convolution keeps one value a token, and no keys.
std::vector<tensor::KvLayer> Lfm2ForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  std::vector<tensor::KvLayer> layers;
  for (const bool attends : c.attends) {
    layers.push_back(attends ? tensor::KvLayer{c.num_key_value_heads, c.head_dim, c.head_dim}
                             : tensor::KvLayer{1, 0, c.hidden_size});
  }
  return layers;
}

void Lfm2ForCausalLM::build(const model::BuildContext& context) const {
  const Config& c = *config_;
  const nn::Scope root(context.graph);
  const nn::Scope w = root / "model";
  const nn::RaggedBatch b(context.graph);
  const nn::Embedding embed_tokens(w / "embed_tokens", c.vocab_size, c.hidden_size);
  const Value rope = nn::Rope(c.rope, context.max_length).table(b);

  Value x = (w / "embed_tokens").tap(embed_tokens(b.token_ids));
  for (int layer = 0; layer < c.num_hidden_layers; ++layer) x = Block(w / "layers" / layer, c, layer)(x, rope, b);
  x = (w / "embedding_norm").tap(nn::RmsNorm(w / "embedding_norm", c.hidden_size, c.norm_eps)(x));

  const nn::Linear lm_head(c.tie_word_embeddings ? w / "embed_tokens" : root / "lm_head", c.hidden_size, c.vocab_size);
  context.graph.output("logits", lm_head(b.sampled(x)));
}

}  // namespace tenon::architectures::lfm2
