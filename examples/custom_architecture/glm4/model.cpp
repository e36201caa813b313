// GLM-4 (transformers/models/glm4/modeling_glm4.py).
// h = x + norm(Attn(norm(x)));  y = h + norm(Mlp(norm(h))).  T = tokens of every row; x is [T, hidden_size].
#include <cmath>

#include "glm4.h"

namespace tenon::architectures::glm4 {
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
        q_proj(w / "q_proj", c.hidden_size, c.num_attention_heads * c.head_dim, c.attention_bias),
        k_proj(w / "k_proj", c.hidden_size, c.num_key_value_heads * c.head_dim, c.attention_bias),
        v_proj(w / "v_proj", c.hidden_size, c.num_key_value_heads * c.head_dim, c.attention_bias),
        o_proj(w / "o_proj", c.num_attention_heads * c.head_dim, c.hidden_size) {}

  // nn::attention rotates halves; here pairs (2i, 2i+1) of the rotated part turn.
  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value q = nn::split_heads(q_proj(x), config.num_attention_heads, config.head_dim);
    const Value k = nn::split_heads(k_proj(x), config.num_key_value_heads, config.head_dim);
    const Value v = nn::split_heads(v_proj(x), config.num_key_value_heads, config.head_dim);
    const Value cache =
        graph::kv_append(graph::rope(k, rope, true), v, layer, b.positions, b.row_offsets, b.page_table);
    const Value y = graph::attention(graph::rope(q, rope, true), cache, {.scale = 1.0 / std::sqrt(config.head_dim)});
    return scope.tap(o_proj(nn::merge_heads(y)));
  }
};

// One matrix makes gate and up, side by side.
struct Mlp {
  nn::Scope scope;
  const Config& config;
  nn::Linear gate_up_proj, down_proj;

  Mlp(const nn::Scope& w, const Config& c)
      : scope(w),
        config(c),
        gate_up_proj(w / "gate_up_proj", c.hidden_size, 2 * c.intermediate_size),
        down_proj(w / "down_proj", c.intermediate_size, c.hidden_size) {}

  Value operator()(Value x) const {
    const auto entered = scope.enter();
    const Value both = gate_up_proj(x);
    const int size = config.intermediate_size;
    const Value gate = graph::slice(both, 0, size), up = graph::slice(both, size, 2 * size);
    return scope.tap(down_proj(up * config.hidden_act(gate)));
  }
};

struct Block {
  nn::Scope scope;
  nn::RmsNorm input_layernorm, post_self_attn_layernorm, post_attention_layernorm, post_mlp_layernorm;
  Attention self_attn;
  Mlp mlp;

  Block(const nn::Scope& w, const Config& c, int layer)
      : scope(w),
        input_layernorm(w / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_self_attn_layernorm(w / "post_self_attn_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(w / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps),
        post_mlp_layernorm(w / "post_mlp_layernorm", c.hidden_size, c.rms_norm_eps),
        self_attn(w / "self_attn", c, layer),
        mlp(w / "mlp", c) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value h = x + post_self_attn_layernorm(self_attn(input_layernorm(x), rope, b));
    return scope.tap(h + post_mlp_layernorm(mlp(post_attention_layernorm(h))));
  }
};

}  // namespace

std::vector<tensor::KvLayer> Glm4ForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {c.num_key_value_heads, c.head_dim, c.head_dim});
}

void Glm4ForCausalLM::build(const model::BuildContext& context) const {
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

}  // namespace tenon::architectures::glm4
