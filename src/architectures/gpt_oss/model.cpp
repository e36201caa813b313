// gpt-oss (transformers/models/gpt_oss/modeling_gpt_oss.py).
// h = x + Attn(norm(x));  y = h + Moe(norm(h)).  T = tokens of every row, concatenated; x is [T, hidden_size].
#include <cmath>
#include <limits>

#include "gpt_oss.h"

namespace tenon::architectures::gpt_oss {
namespace {

using graph::Value;

// Each head has a sink: a logit that takes its share of the softmax and gives nothing.
struct Attention {
  nn::Scope scope;
  const Config& config;
  int layer;
  nn::Linear q_proj, k_proj, v_proj, o_proj;
  Value sinks;

  Attention(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        config(c),
        layer(layer_index),
        q_proj(w / "q_proj", c.hidden_size, c.num_attention_heads * c.head_dim, c.attention_bias),
        k_proj(w / "k_proj", c.hidden_size, c.num_key_value_heads * c.head_dim, c.attention_bias),
        v_proj(w / "v_proj", c.hidden_size, c.num_key_value_heads * c.head_dim, c.attention_bias),
        o_proj(w / "o_proj", c.num_attention_heads * c.head_dim, c.hidden_size, c.attention_bias),
        sinks(w.weight("sinks", {c.num_attention_heads}, nn::WeightUse::kVector)) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value q = graph::rope(nn::split_heads(q_proj(x), config.num_attention_heads, config.head_dim), rope);
    const Value k = graph::rope(nn::split_heads(k_proj(x), config.num_key_value_heads, config.head_dim), rope);
    const Value v = nn::split_heads(v_proj(x), config.num_key_value_heads, config.head_dim);
    const Value cache = graph::kv_append(k, v, layer, b.positions, b.row_offsets, b.page_table);
    const graph::AttentionOptions options{.scale = 1.0 / std::sqrt(config.head_dim),
                                          .window = config.windows[static_cast<std::size_t>(layer)]};
    return scope.tap(o_proj(nn::merge_heads(graph::attention(q, cache, options, sinks))));
  }
};

// The linear layers of all experts: weight [experts, out, in], bias [experts, out].
struct ExpertLinear {
  Value weight, bias;

  ExpertLinear(const nn::Scope& w, int experts, int in, int out)
      : weight(w.weight("weight", {experts, out, in}, nn::WeightUse::kMatmul)),
        bias(w.weight("bias", {experts, out}, nn::WeightUse::kVector)) {}

  Value operator()(Value x, Value ids) const { return graph::expert_linear(x, ids, weight, bias); }
};

struct Mlp {
  nn::Scope scope;
  const Config& config;
  nn::Linear router;
  ExpertLinear gate_proj, up_proj, down_proj;

  Mlp(const nn::Scope& w, const Config& c)
      : scope(w),
        config(c),
        router(w / "router", c.hidden_size, c.num_local_experts, true),
        gate_proj(w / "experts" / "gate_proj", c.num_local_experts, c.hidden_size, c.intermediate_size),
        up_proj(w / "experts" / "up_proj", c.num_local_experts, c.hidden_size, c.intermediate_size),
        down_proj(w / "experts" / "down_proj", c.num_local_experts, c.intermediate_size, c.hidden_size) {}

  Value operator()(Value x) const {
    const auto entered = scope.enter();
    const auto [ids, weights] = graph::route_experts(
        router(x), {.top_k = config.num_experts_per_tok, .scoring = graph::RouterScoring::kSoftmaxOfChosen});
    // gate * sigmoid(alpha * gate) * (up + 1), both clamped.
    const double limit = config.swiglu_limit;
    const Value gate = graph::clamp(gate_proj(x, ids), -std::numeric_limits<double>::infinity(), limit);
    const Value up = graph::clamp(up_proj(x, ids), -limit, limit);
    const auto size = static_cast<std::size_t>(config.intermediate_size);
    const Value one = scope.graph().constant(std::vector<float>(size, 1.0f), {config.intermediate_size});
    const Value h = (up + one) * (gate * graph::sigmoid(gate * config.swiglu_alpha));
    return scope.tap(graph::combine_experts(down_proj(h, ids), weights));
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

std::vector<tensor::KvLayer> GptOssForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {c.num_key_value_heads, c.head_dim, c.head_dim});
}

void GptOssForCausalLM::build(const model::BuildContext& context) const {
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

}  // namespace tenon::architectures::gpt_oss
