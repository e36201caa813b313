// Llama 4, text (transformers/models/llama4/modeling_llama4.py).
// h = x + Attn(norm(x));  y = h + FeedForward(norm(h)).  T = tokens of every row, concatenated; x is [T, hidden_size].
#include <cmath>

#include "llama4.h"

namespace tenon::architectures::llama4 {
namespace {

using graph::Value;

// Layers that rotate (interleaved pairs) see their chunk of positions, and may norm queries and keys after the
// rotation, without weights. The others see all positions, and their queries grow with the position.
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

  Value turned(Value x, Value rope) const {
    const Value y = graph::rope(x, rope, true);
    if (!config.use_qk_norm) return y;
    const std::vector<float> ones(static_cast<std::size_t>(config.head_dim), 1.0f);
    return graph::rms_norm(y, scope.graph().constant(ones, {config.head_dim}), config.rms_norm_eps);
  }

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Config::Layer& kind = config.layers[static_cast<std::size_t>(layer)];
    Value q = nn::split_heads(q_proj(x), config.num_attention_heads, config.head_dim);
    Value k = nn::split_heads(k_proj(x), config.num_key_value_heads, config.head_dim);
    const Value v = nn::split_heads(v_proj(x), config.num_key_value_heads, config.head_dim);
    if (kind.rotates) {
      q = turned(q, rope), k = turned(k, rope);
    } else if (config.attn_temperature_tuning) {
      q = graph::position_temperature(q, b.positions, config.floor_scale, config.attn_scale);
    }
    const Value cache = graph::kv_append(k, v, layer, b.positions, b.row_offsets, b.page_table);
    const graph::AttentionOptions options{.scale = 1.0 / std::sqrt(config.head_dim), .chunk = kind.chunk};
    return scope.tap(o_proj(nn::merge_heads(graph::attention(q, cache, options))));
  }
};

// The weight of a choice is that of the expert's input. Gate and up are linear, so it is put on what they make.
struct SparseMoe {
  nn::Scope scope;
  const Config& config;
  nn::Linear router;
  Value gate_proj, up_proj, down_proj;
  nn::GatedMlp shared_expert;

  SparseMoe(const nn::Scope& w, const Config& c)
      : scope(w),
        config(c),
        router(w / "router", c.hidden_size, c.num_local_experts),
        gate_proj(expert(w / "experts" / "gate_proj", c.intermediate_size, c.hidden_size)),
        up_proj(expert(w / "experts" / "up_proj", c.intermediate_size, c.hidden_size)),
        down_proj(expert(w / "experts" / "down_proj", c.hidden_size, c.intermediate_size)),
        shared_expert(w / "shared_expert", c.hidden_size, c.intermediate_size, c.hidden_act) {}

  Value expert(const nn::Scope& w, int out, int in) const {
    return w.weight("weight", {config.num_local_experts, out, in}, nn::WeightUse::kMatmul);
  }

  Value operator()(Value x) const {
    const auto entered = scope.enter();
    const auto [ids, weights] = graph::route_experts(
        router(x), {.top_k = config.num_experts_per_tok, .scoring = graph::RouterScoring::kSigmoidOfChosen});
    const Value gate = graph::scale_experts(graph::expert_linear(x, ids, gate_proj), weights);
    const Value up = graph::scale_experts(graph::expert_linear(x, ids, up_proj), weights);
    const Value routed = graph::combine_experts(graph::expert_linear(config.hidden_act(gate) * up, ids, down_proj));
    return scope.tap(shared_expert(x) + routed);
  }
};

struct Block {
  nn::Scope scope;
  nn::RmsNorm input_layernorm, post_attention_layernorm;
  Attention self_attn;
  const Config& config;
  bool has_experts;

  Block(const nn::Scope& w, const Config& c, int layer)
      : scope(w),
        input_layernorm(w / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(w / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps),
        self_attn(w / "self_attn", c, layer),
        config(c),
        has_experts(c.layers[static_cast<std::size_t>(layer)].has_experts) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Config& c = config;
    const Value h = x + self_attn(input_layernorm(x), rope, b);
    const Value y = post_attention_layernorm(h);
    const nn::Scope w = scope / "feed_forward";
    if (has_experts) return scope.tap(h + SparseMoe(w, c)(y));
    return scope.tap(h + nn::GatedMlp(w, c.hidden_size, c.intermediate_size_mlp, c.hidden_act)(y));
  }
};

}  // namespace

std::vector<tensor::KvLayer> Llama4ForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {c.num_key_value_heads, c.head_dim, c.head_dim});
}

void Llama4ForCausalLM::build(const model::BuildContext& context) const {
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

}  // namespace tenon::architectures::llama4
