// For tests: a small decoder with the knobs of the three families, its random weights in any dtype, and batches.
#pragma once

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "compiler/compile.h"
#include "graph/graph.h"
#include "graph/interpreter.h"
#include "graph/ops.h"
#include "tensor/batch_layout.h"

namespace tenon::compiler::test {

using graph::Value;
using graph::WeightUse;
using tensor::DType;

struct Config {
  int layers = 2, hidden = 64, heads = 4, kv_heads = 2, head_dim = 16, intermediate = 96, vocab = 100;
  bool tied = true, bias = false, qk_norm = false, post_norms = false, sinks = false, interleaved = false;
  bool gelu = false;  ///< gelu_tanh instead of silu
  double norm_offset = 0.0, embedding_scale = 1.0, softcap = 0.0, logit_softcap = 0.0;
  int window = 0;   ///< of the odd layers
  int experts = 0;  ///< 0: a dense MLP; else the odd layers have so many experts of `intermediate`
  bool expert_bias = false;
  graph::RouterOptions router = {};
  bool correction_bias = false;
  int latent = 0;  ///< not 0: multi-head latent attention, keys and values compressed to so many (one kv head)
  int chunk = 0;   ///< of the attention
  bool temperature = false;    ///< of the queries, by position
  bool weighed_input = false;  ///< experts' weights come before their activation
  int taps = 0;                ///< not 0: the even layers convolve in place of attention
};

/// Records the decoder, "logits" and a tap for each layer.
class Decoder {
 public:
  Decoder(graph::Graph& g, const Config& c) : g_(g), c_(c) {
    const auto input = [&](int i) {
      const auto& spec = tensor::kBatchInputs[static_cast<std::size_t>(i)];
      std::vector<graph::Dim> dims = {spec.dims[0]};
      if (spec.dims[1] != nullptr) dims.emplace_back(spec.dims[1]);
      return g_.input(spec.name, {spec.dtype, dims});
    };
    ids_ = input(0), positions_ = input(1), offsets_ = input(2), pages_ = input(3), logit_rows_ = input(4);
  }

  void build() {
    const Value table = g_.weight("embed", {c_.vocab, c_.hidden}, WeightUse::kEmbedding);
    Value x = embedding(ids_, table);
    if (c_.embedding_scale != 1.0) x = x * c_.embedding_scale;
    for (int layer = 0; layer < c_.layers; ++layer) {
      const std::string name = "layers." + std::to_string(layer);
      x = block(x, name, layer);
      g_.tap(name, x);
    }
    x = gather_rows(x, logit_rows_);
    x = norm(x, "norm", c_.hidden);
    Value logits = matmul(x, c_.tied ? "embed" : "lm_head", c_.vocab, false);
    if (c_.logit_softcap > 0) logits = graph::softcap(logits, c_.logit_softcap);
    g_.output("logits", logits);
  }

 private:
  Value norm(Value x, const std::string& name, int size) {
    g_.push_scope(name);
    const Value y = rms_norm(x, g_.weight(name, {size}, WeightUse::kVector), 1e-5, c_.norm_offset);
    g_.pop_scope();
    return y;
  }
  Value matmul(Value x, const std::string& name, int n, bool bias) {
    g_.push_scope(name);
    Value y = linear(x, g_.weight(name, {n, x.dim(-1).size()}, WeightUse::kMatmul));
    if (bias) y = y + g_.weight(name + ".bias", {n}, WeightUse::kVector);
    g_.pop_scope();
    return y;
  }
  Value heads(Value x, int n) { return reshape(x, {tensor::dims::kTotalTokens, n, c_.head_dim}); }

  Value attend(Value x, const std::string& name, int layer) {
    Value q = heads(matmul(x, name + ".q_proj", c_.heads * c_.head_dim, c_.bias), c_.heads);
    Value k = heads(matmul(x, name + ".k_proj", c_.kv_heads * c_.head_dim, c_.bias), c_.kv_heads);
    const Value v = heads(matmul(x, name + ".v_proj", c_.kv_heads * c_.head_dim, c_.bias), c_.kv_heads);
    if (c_.qk_norm) q = norm(q, name + ".q_norm", c_.head_dim), k = norm(k, name + ".k_norm", c_.head_dim);
    std::vector<double> frequencies;
    for (int i = 0; i < c_.head_dim / 2; ++i) frequencies.push_back(std::pow(10000.0, -2.0 * i / c_.head_dim));
    const Value table = rope_table(positions_, frequencies);  // every layer asks for its own
    if (c_.temperature) q = position_temperature(q, positions_, 16, 0.3);
    q = rope(q, table, c_.interleaved), k = rope(k, table, c_.interleaved);
    const Value cache = kv_append(k, v, layer, positions_, offsets_, pages_);
    graph::AttentionOptions options{.scale = 1 / std::sqrt(c_.head_dim), .softcap = c_.softcap};
    options.chunk = c_.chunk;
    if (layer % 2 == 1) options.window = c_.window;
    const Value sinks = c_.sinks ? g_.weight(name + ".sinks", {c_.heads}, WeightUse::kVector) : Value();
    const Value y = reshape(attention(q, cache, options, sinks), {tensor::dims::kTotalTokens, c_.heads * c_.head_dim});
    return matmul(y, name + ".o_proj", c_.hidden, false);
  }
  Value convolve(Value x, const std::string& name, int layer) {
    const Value state =
        state_append(matmul(x, name + ".in_proj", c_.hidden, false), layer, positions_, offsets_, pages_);
    const Value y = short_conv(state, g_.weight(name + ".conv", {c_.taps, c_.hidden}, WeightUse::kVector));
    return matmul(y, name + ".out_proj", c_.hidden, false);
  }
  Value attend_latent(Value x, const std::string& name, int layer) {
    const int rotated = c_.head_dim / 2, key_dim = c_.latent + rotated;
    std::vector<double> frequencies;
    for (int i = 0; i < rotated / 2; ++i) frequencies.push_back(std::pow(10000.0, -2.0 * i / rotated));
    const Value table = rope_table(positions_, frequencies);
    const Value q = heads(matmul(x, name + ".q_proj", c_.heads * c_.head_dim, false), c_.heads);
    const auto by_head = [&](Value in, const char* weight, int n) {
      return head_linear(in, g_.weight(name + weight, {c_.heads, n, in.dim(-1).size()}, WeightUse::kMatmul));
    };
    const Value queries = graph::concat({by_head(slice(q, 0, c_.head_dim - rotated), ".k_b_proj", c_.latent),
                                         rope(slice(q, c_.head_dim - rotated, c_.head_dim), table, c_.interleaved)});
    const Value kv = matmul(x, name + ".kv_a_proj", key_dim, false);
    const Value latent = norm(slice(kv, 0, c_.latent), name + ".kv_a_norm", c_.latent);
    const Value shared = reshape(slice(kv, c_.latent, key_dim), {tensor::dims::kTotalTokens, 1, rotated});
    const Value v = reshape(latent, {tensor::dims::kTotalTokens, 1, c_.latent});
    const Value cache =
        kv_append(graph::concat({v, rope(shared, table, c_.interleaved)}), v, layer, positions_, offsets_, pages_);
    const Value y = by_head(attention(queries, cache, {.scale = 1 / std::sqrt(c_.head_dim)}), ".v_b_proj", c_.head_dim);
    return matmul(reshape(y, {tensor::dims::kTotalTokens, c_.heads * c_.head_dim}), name + ".o_proj", c_.hidden, false);
  }
  Value mlp(Value x, const std::string& name) {
    const Value gate = matmul(x, name + ".gate_proj", c_.intermediate, false);
    const Value up = matmul(x, name + ".up_proj", c_.intermediate, false);
    return matmul((c_.gelu ? gelu_tanh(gate) : silu(gate)) * up, name + ".down_proj", c_.hidden, false);
  }
  Value experts(Value x, const std::string& name) {
    const Value correction =
        c_.correction_bias ? g_.weight(name + ".correction", {c_.experts}, WeightUse::kVector) : Value();
    const auto [ids, weights] = route_experts(matmul(x, name + ".router", c_.experts, false), c_.router, correction);
    const auto expert = [&](Value in, const char* proj, int n) {
      const std::string weight = name + "." + proj;
      return expert_linear(in, ids, g_.weight(weight, {c_.experts, n, in.dim(-1).size()}, WeightUse::kMatmul),
                           c_.expert_bias ? g_.weight(weight + ".bias", {c_.experts, n}, WeightUse::kVector) : Value());
    };
    Value gate = expert(x, "gate_proj", c_.intermediate), up = expert(x, "up_proj", c_.intermediate);
    if (c_.weighed_input) {
      gate = scale_experts(gate, weights), up = scale_experts(up, weights);
      return combine_experts(expert(silu(gate) * up, "down_proj", c_.hidden));
    }
    return combine_experts(expert((c_.gelu ? gelu_tanh(gate) : silu(gate)) * up, "down_proj", c_.hidden), weights);
  }
  Value block(Value x, const std::string& name, int layer) {
    Value y = norm(x, name + ".input_norm", c_.hidden);
    y = c_.taps > 0 && layer % 2 == 0 ? convolve(y, name + ".conv", layer)
        : c_.latent > 0               ? attend_latent(y, name + ".attn", layer)
                                      : attend(y, name + ".attn", layer);
    if (c_.post_norms) y = norm(y, name + ".post_attn_norm", c_.hidden);
    x = x + y;
    y = norm(x, name + ".mlp_norm", c_.hidden);
    y = c_.experts > 0 && layer % 2 == 1 ? experts(y, name + ".mlp") : mlp(y, name + ".mlp");
    if (c_.post_norms) y = norm(y, name + ".post_mlp_norm", c_.hidden);
    return x + y;
  }

  graph::Graph& g_;
  const Config& c_;
  Value ids_, positions_, offsets_, pages_, logit_rows_;
};

/// Random weights for every request of a graph; matrices in `matrix_dtype`, or as `dtypes` says by name.
class RandomWeights final : public WeightProvider {
 public:
  RandomWeights(const graph::Graph& g, DType matrix_dtype, unsigned seed = 1,
                std::map<std::string, DType> dtypes = {}) {
    std::mt19937 random(seed);
    for (const auto& request : g.weights()) {
      const auto& dims = request.type.dims;
      const bool vector = request.uses.front() == WeightUse::kVector;
      std::int64_t rows = 1;
      for (std::size_t i = 0; i + 1 < dims.size(); ++i) rows *= dims[i].size();
      const auto it = dtypes.find(request.name);
      const DType dtype = vector ? DType::kF32 : it != dtypes.end() ? it->second : matrix_dtype;
      Stored& stored = stored_[request.name];
      stored.view = {.dtype = dtype, .n = rows, .k = dims.back().size()};
      stored.view.row_bytes = tensor::bytes_of(dtype, stored.view.k);
      fill(stored, random, vector);
      stored.view.data = stored.bytes.data();
    }
  }

  Result<DType> dtype(const std::string& name) override {
    TENON_ASSIGN(const tensor::RowView rows, weight(name));
    return rows.dtype;
  }
  Result<tensor::RowView> weight(const std::string& name) override {
    const auto it = stored_.find(name);
    if (it == stored_.end()) return fail(ErrorCode::kNotFound, "there is no tensor " + name);
    return it->second.view;
  }
  void release(const std::string& name) override { released.push_back(name); }

  /// For the interpreter.
  std::vector<float> floats(const std::string& name) const { return graph::to_floats(stored_.at(name).view); }
  tensor::RowView& view(const std::string& name) { return stored_.at(name).view; }

  std::vector<std::string> released;

 private:
  struct Stored {
    std::vector<std::byte> bytes;
    tensor::RowView view;
  };

  // Quantized blocks of 32: an f16 scale, then random bits.
  static void fill(Stored& stored, std::mt19937& random, bool vector) {
    const tensor::RowView& view = stored.view;
    stored.bytes.resize(static_cast<std::size_t>(view.n * view.row_bytes));
    std::normal_distribution<float> normal(vector ? 1.0f : 0.0f,
                                           vector ? 0.2f : 1.0f / std::sqrt(static_cast<float>(view.k)));
    if (!tensor::info(view.dtype).quantized) {
      for (std::int64_t i = 0; i < view.n * view.k; ++i) {
        const float x = normal(random);
        if (view.dtype == DType::kF32) {
          std::memcpy(stored.bytes.data() + 4 * i, &x, 4);
        } else {
          const std::uint16_t bits = view.dtype == DType::kBF16 ? tensor::to_bf16(x) : tensor::to_f16(x);
          std::memcpy(stored.bytes.data() + 2 * i, &bits, 2);
        }
      }
      return;
    }
    const auto block = static_cast<std::size_t>(tensor::info(view.dtype).block_bytes);
    for (std::byte& byte : stored.bytes) byte = static_cast<std::byte>(random());
    const float range = view.dtype == DType::kQ8_0 ? 128.0f : 8.0f;
    for (std::size_t at = 0; at < stored.bytes.size(); at += block) {
      const float spread = 1.5f / std::sqrt(static_cast<float>(view.k)) / range;
      const std::uint16_t scale = tensor::to_f16(spread * (0.5f + static_cast<float>(random() % 100) / 100.0f));
      std::memcpy(stored.bytes.data() + at, &scale, 2);
    }
  }

  std::map<std::string, Stored> stored_;
};

/// A batch that owns its arrays. Row r has the pages r * max_pages and on.
struct OwnedBatch {
  std::vector<std::int32_t> ids, positions, offsets = {0}, pages, logit_rows;
  int max_pages = 4;

  /// Tokens of sequence `sequence` (whose pages are its own) at positions begin ..
  void add(const std::vector<std::int32_t>& tokens, int begin, int sequence, bool all_logits = true) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (all_logits || i + 1 == tokens.size()) logit_rows.push_back(static_cast<std::int32_t>(ids.size()));
      ids.push_back(tokens[i]);
      positions.push_back(begin + static_cast<int>(i));
    }
    offsets.push_back(static_cast<std::int32_t>(ids.size()));
    for (int i = 0; i < max_pages; ++i) pages.push_back(sequence * max_pages + i);
  }
  tensor::Batch view() const {
    return {.token_ids = ids,
            .positions = positions,
            .row_offsets = offsets,
            .page_table = pages,
            .max_pages = max_pages,
            .logit_rows = logit_rows};
  }
};

inline std::vector<std::int32_t> random_tokens(int n, int vocab, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < n; ++i) tokens.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(vocab)));
  return tokens;
}

/// What to try: each differs from llama in something.
inline std::map<std::string, Config> configs() {
  return {
      {"llama", {}},
      {"untied", {.kv_heads = 4, .tied = false}},
      {"qwen2", {.bias = true}},
      {"gemma3",
       {.qk_norm = true, .post_norms = true, .gelu = true, .norm_offset = 1.0, .embedding_scale = 8.0, .window = 5}},
      {"gemma2", {.post_norms = true, .gelu = true, .softcap = 5.0, .logit_softcap = 3.0, .window = 70}},
      {"sinks", {.heads = 8, .kv_heads = 1, .sinks = true, .interleaved = true}},
      {"experts", {.experts = 6, .router = {.top_k = 2, .normalize = true}}},
      {"all_experts", {.experts = 4, .router = {.top_k = 4, .normalize = true}}},
      {"biased_experts",
       {.experts = 5, .expert_bias = true, .router = {.top_k = 3, .scoring = graph::RouterScoring::kSoftmaxOfChosen}}},
      {"grouped_experts",
       {.gelu = true,
        .experts = 16,
        .router = {.top_k = 4,
                   .scoring = graph::RouterScoring::kSigmoidOfEach,
                   .normalize = true,
                   .epsilon = 1e-20,
                   .scale = 2.5,
                   .n_group = 4,
                   .topk_group = 2,
                   .group_score = graph::GroupScore::kSumOfTwo},
        .correction_bias = true}},
      {"odd_experts", {.hidden = 96, .intermediate = 40, .experts = 3, .router = {.top_k = 3}}},
      {"chunks",
       {.interleaved = true,
        .experts = 4,
        .router = {.top_k = 4, .scoring = graph::RouterScoring::kSigmoidOfChosen},
        .chunk = 24,
        .temperature = true,
        .weighed_input = true}},
      {"convolution", {.layers = 3, .taps = 4}},
      {"latent", {.heads = 3, .head_dim = 64, .interleaved = true, .latent = 96}},
      {"odd", {.hidden = 96, .heads = 3, .kv_heads = 3, .head_dim = 10, .intermediate = 160, .vocab = 67}}};
}

}  // namespace tenon::compiler::test
