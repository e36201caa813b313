// MPNet (transformers/models/mpnet/modeling_mpnet.py): BERT without token types, with a relative position bias that all
// layers share.  h = norm(x + Attn(x));  y = norm(h + Mlp(h)).  T = tokens of every row; x is [T, hidden_size].
#include <cmath>

#include "mpnet.h"

namespace tenon::architectures::mpnet {
namespace {

using graph::Value;

Value embeddings(const nn::Scope& w, const Config& c, const nn::RaggedBatch& b) {
  const auto entered = w.enter();
  const nn::Embedding word_embeddings(w / "word_embeddings", c.vocab_size, c.hidden_size);
  const Value table =
      (w / "position_embeddings").weight("weight", {c.position_rows, c.hidden_size}, nn::WeightUse::kEmbedding);
  const Value positions = graph::embedding(b.positions, table, kFirstPosition);
  return w.tap(
      nn::LayerNorm(w / "LayerNorm", c.hidden_size, c.layer_norm_eps)(word_embeddings(b.token_ids) + positions));
}

struct Attention {
  nn::Scope scope;
  const Config& config;
  int layer;
  nn::Linear q, k, v, o;
  nn::LayerNorm norm;

  Attention(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        config(c),
        layer(layer_index),
        q(w / "attn.q", c.hidden_size, c.hidden_size, true),
        k(w / "attn.k", c.hidden_size, c.hidden_size, true),
        v(w / "attn.v", c.hidden_size, c.hidden_size, true),
        o(w / "attn.o", c.hidden_size, c.hidden_size, true),
        norm(w / "LayerNorm", c.hidden_size, c.layer_norm_eps) {}

  Value operator()(Value x, graph::RelativeBias bias, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const auto heads = [&](Value y) { return nn::split_heads(y, config.num_attention_heads, config.head_dim); };
    const graph::AttentionOptions options{.scale = 1.0 / std::sqrt(config.head_dim), .causal = false};
    const Value y = nn::attention(heads(q(x)), heads(k(x)), heads(v(x)), {}, b, layer, options, bias);
    return scope.tap(norm(x + o(y)));
  }
};

struct Block {
  nn::Scope scope;
  const Config& config;
  Attention attention;
  nn::Linear intermediate, output;
  nn::LayerNorm norm;

  Block(const nn::Scope& w, const Config& c, int layer)
      : scope(w),
        config(c),
        attention(w / "attention", c, layer),
        intermediate(w / "intermediate.dense", c.hidden_size, c.intermediate_size, true),
        output(w / "output.dense", c.intermediate_size, c.hidden_size, true),
        norm(w / "output.LayerNorm", c.hidden_size, c.layer_norm_eps) {}

  Value operator()(Value x, graph::RelativeBias bias, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value h = attention(x, bias, b);
    return scope.tap(norm(h + output(config.hidden_act(intermediate(h)))));
  }
};

}  // namespace

std::vector<tensor::KvLayer> MPNetForMaskedLM::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {c.num_attention_heads, c.head_dim, c.head_dim});
}

void MPNetForMaskedLM::build(const model::BuildContext& context) const {
  const Config& c = *config_;
  const nn::Scope w(context.graph);
  const nn::RaggedBatch b(context.graph);
  const graph::RelativeBias bias{
      .table = (w / "encoder.relative_attention_bias")
                   .weight("weight", {c.relative_attention_num_buckets, c.num_attention_heads}, nn::WeightUse::kVector),
      .max_distance = 128};
  Value x = embeddings(w / "embeddings", c, b);
  for (int layer = 0; layer < c.num_hidden_layers; ++layer)
    x = Block(w / "encoder.layer" / layer, c, layer)(x, bias, b);
  context.graph.output("hidden_states", b.sampled(x));
}

}  // namespace tenon::architectures::mpnet
