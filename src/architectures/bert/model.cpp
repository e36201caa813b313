// BERT (transformers/models/bert/modeling_bert.py): h = norm(x + Attn(x));  y = norm(h + Mlp(h)), where every token
// sees its whole sequence.  T = tokens of every row; x is [T, hidden_size].
#include <cmath>

#include "bert.h"

namespace tenon::architectures::bert {
namespace {

using graph::Value;

// All tokens are of type 0: one text, no pair.
Value embeddings(const nn::Scope& w, const Config& c, const nn::RaggedBatch& b) {
  const auto entered = w.enter();
  const nn::Embedding word_embeddings(w / "word_embeddings", c.vocab_size, c.hidden_size);
  const nn::Embedding position_embeddings(w / "position_embeddings", c.max_position_embeddings, c.hidden_size);
  const Value token_types =
      (w / "token_type_embeddings").weight("weight", {c.type_vocab_size, c.hidden_size}, nn::WeightUse::kEmbedding);
  const Value x = word_embeddings(b.token_ids) + graph::embedding_row(b.token_ids, token_types, 0);
  return w.tap(nn::LayerNorm(w / "LayerNorm", c.hidden_size, c.layer_norm_eps)(x + position_embeddings(b.positions)));
}

struct Attention {
  nn::Scope scope;
  const Config& config;
  int layer;
  nn::Linear query, key, value, dense;
  nn::LayerNorm norm;

  Attention(const nn::Scope& w, const Config& c, int layer_index)
      : scope(w),
        config(c),
        layer(layer_index),
        query(w / "self.query", c.hidden_size, c.hidden_size, true),
        key(w / "self.key", c.hidden_size, c.hidden_size, true),
        value(w / "self.value", c.hidden_size, c.hidden_size, true),
        dense(w / "output.dense", c.hidden_size, c.hidden_size, true),
        norm(w / "output.LayerNorm", c.hidden_size, c.layer_norm_eps) {}

  Value operator()(Value x, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value q = nn::split_heads(query(x), config.num_attention_heads, config.head_dim);
    const Value k = nn::split_heads(key(x), config.num_attention_heads, config.head_dim);
    const Value v = nn::split_heads(value(x), config.num_attention_heads, config.head_dim);
    const graph::AttentionOptions options{.scale = 1.0 / std::sqrt(config.head_dim), .causal = false};
    return scope.tap(norm(x + dense(nn::attention(q, k, v, {}, b, layer, options))));
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

  Value operator()(Value x, const nn::RaggedBatch& b) const {
    const auto entered = scope.enter();
    const Value h = attention(x, b);
    return scope.tap(norm(h + output(config.hidden_act(intermediate(h)))));
  }
};

}  // namespace

std::vector<tensor::KvLayer> BertModel::kv_parameters() const {
  const Config& c = *config_;
  return std::vector<tensor::KvLayer>(static_cast<std::size_t>(c.num_hidden_layers),
                                      {c.num_attention_heads, c.head_dim, c.head_dim});
}

void BertModel::build(const model::BuildContext& context) const {
  const Config& c = *config_;
  const nn::Scope w(context.graph);
  const nn::RaggedBatch b(context.graph);
  Value x = embeddings(w / "embeddings", c, b);
  for (int layer = 0; layer < c.num_hidden_layers; ++layer) x = Block(w / "encoder.layer" / layer, c, layer)(x, b);
  context.graph.output("hidden_states", b.sampled(x));
}

}  // namespace tenon::architectures::bert
