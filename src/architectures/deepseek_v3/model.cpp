// DeepSeek-V3 (transformers/models/deepseek_v3/modeling_deepseek_v3.py; DeepSeek-AI 2024, arXiv:2412.19437).
// h = x + Attn(norm(x));  y = h + Mlp(norm(h)).  T = tokens of every row, concatenated; x is [T, hidden_size].
#include "deepseek_v3.h"

namespace tenon::architectures::deepseek_v3 {
namespace {

using graph::Value;

// Routed experts by sigmoid scores, whose choice a bias corrects, and shared ones that every token goes through.
struct SparseMoe {
  nn::Scope scope;
  graph::RouterOptions router;
  nn::Linear gate;
  Value e_score_correction_bias;
  nn::GatedExperts experts;
  nn::GatedMlp shared_experts;

  SparseMoe(const nn::Scope& w, const Config& c)
      : scope(w),
        router{.top_k = c.num_experts_per_tok,
               .scoring = graph::RouterScoring::kSigmoidOfEach,
               .normalize = c.norm_topk_prob,
               .epsilon = 1e-20,
               .scale = c.routed_scaling_factor,
               .n_group = c.n_group,
               .topk_group = c.topk_group,
               .group_score = graph::GroupScore::kSumOfTwo},
        gate(w / "gate", c.hidden_size, c.n_routed_experts),
        e_score_correction_bias(
            (w / "gate").weight("e_score_correction_bias", {c.n_routed_experts}, nn::WeightUse::kVector)),
        experts(w / "experts", c.n_routed_experts, c.hidden_size, c.moe_intermediate_size, c.hidden_act),
        shared_experts(w / "shared_experts", c.hidden_size, c.moe_intermediate_size * c.n_shared_experts,
                       c.hidden_act) {}

  Value operator()(Value x) const {
    const auto entered = scope.enter();
    return scope.tap(experts(x, graph::route_experts(gate(x), router, e_score_correction_bias)) + shared_experts(x));
  }
};

struct Block {
  nn::Scope scope;
  nn::RmsNorm input_layernorm, post_attention_layernorm;
  nn::LatentAttention self_attn;
  int layer;
  const Config& config;

  Block(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        input_layernorm(w / "input_layernorm", c.hidden_size, c.rms_norm_eps),
        post_attention_layernorm(w / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps),
        self_attn(w / "self_attn", c.hidden_size, c.attention, layer_index),
        layer(layer_index),
        config(c) {}

  Value operator()(Value x, Value rope, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Config& c = config;
    const Value h = x + self_attn(input_layernorm(x), rope, b);
    const Value y = post_attention_layernorm(h);
    if (layer >= c.first_k_dense_replace) return scope.tap(h + SparseMoe(scope / "mlp", c)(y));
    return scope.tap(h + nn::GatedMlp(scope / "mlp", c.hidden_size, c.intermediate_size, c.hidden_act)(y));
  }
};

}  // namespace

std::vector<tensor::KvLayer> DeepseekV3ForCausalLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      nn::LatentAttention::kv_layer(c.attention));
}

void DeepseekV3ForCausalLM::build(const model::BuildContext& context) const {
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

}  // namespace tenon::architectures::deepseek_v3
