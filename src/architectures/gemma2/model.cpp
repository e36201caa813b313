// Gemma 2 (transformers/models/gemma2/modeling_gemma2.py).
// h = x + norm(Attn(norm(x)));  y = h + norm(Mlp(norm(h))), all norms of 1 + w.  Some layers see a window. Scores and
// logits are soft-capped.  T = tokens of every row; x is [T, hidden_size].
#include <cmath>

#include "gemma2.h"

namespace tenon::architectures::gemma2 {
namespace {

using graph::Value;

nn::RmsNorm norm_of(const nn::Scope& w, int size, const Config& c) { return nn::RmsNorm(w, size, c.rms_norm_eps, 1.0); }

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

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value q = nn::split_heads(q_proj(x), config.num_attention_heads, config.head_dim);
    const Value k = nn::split_heads(k_proj(x), config.num_key_value_heads, config.head_dim);
    const Value v = nn::split_heads(v_proj(x), config.num_key_value_heads, config.head_dim);
    const bool slides = config.slides[static_cast<std::size_t>(layer)];
    const graph::AttentionOptions options{.scale = 1.0 / std::sqrt(config.query_pre_attn_scalar),
                                          .softcap = config.attn_logit_softcapping,
                                          .window = slides ? config.sliding_window : 0};
    return scope.tap(o_proj(nn::attention(q, k, v, rope, b, layer, options)));
  }
};

struct Block {
  nn::Scope scope;
  nn::RmsNorm input_layernorm, post_attention_layernorm, pre_feedforward_layernorm, post_feedforward_layernorm;
  Attention self_attn;
  nn::GatedMlp mlp;

  Block(const nn::Scope& w, const Config& c, int layer)
      : scope(w),
        input_layernorm(norm_of(w / "input_layernorm", c.hidden_size, c)),
        post_attention_layernorm(norm_of(w / "post_attention_layernorm", c.hidden_size, c)),
        pre_feedforward_layernorm(norm_of(w / "pre_feedforward_layernorm", c.hidden_size, c)),
        post_feedforward_layernorm(norm_of(w / "post_feedforward_layernorm", c.hidden_size, c)),
        self_attn(w / "self_attn", c, layer),
        mlp(w / "mlp", c.hidden_size, c.intermediate_size, c.hidden_activation) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value h = x + post_attention_layernorm(self_attn(input_layernorm(x), rope, b));
    return scope.tap(h + post_feedforward_layernorm(mlp(pre_feedforward_layernorm(h))));
  }
};

}  // namespace

std::vector<tensor::KvLayer> Gemma2ForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {c.num_key_value_heads, c.head_dim, c.head_dim});
}

void Gemma2ForCausalLM::build(const model::BuildContext& context) const {
  const Config& c = *config_;
  const nn::Scope root(context.graph);
  const nn::Scope w = root / "model";
  const nn::RaggedBatch b(context.graph);
  const nn::Embedding embed_tokens(w / "embed_tokens", c.vocab_size, c.hidden_size);
  const Value rope = nn::Rope(c.rope, context.max_length).table(b);

  // A bfloat16 run of transformers rounds this scale to bfloat16; its float32 run, which is the measure of every
  // encoding here (the residual stream is float32), does not.
  Value x = (w / "embed_tokens").tap(embed_tokens(b.token_ids) * std::sqrt(static_cast<double>(c.hidden_size)));
  for (int layer = 0; layer < c.num_hidden_layers; ++layer) x = Block(w / "layers" / layer, c, layer)(x, rope, b);
  x = (w / "norm").tap(norm_of(w / "norm", c.hidden_size, c)(x));

  const nn::Linear lm_head(c.tie_word_embeddings ? w / "embed_tokens" : root / "lm_head", c.hidden_size, c.vocab_size);
  Value logits = lm_head(b.sampled(x));
  if (c.final_logit_softcapping > 0.0) logits = graph::softcap(logits, c.final_logit_softcapping);
  context.graph.output("logits", logits);
}

}  // namespace tenon::architectures::gemma2
