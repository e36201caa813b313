// For tests: a Llama written as someone bringing it up might get it wrong, one knob a mistake. Without a mistake it is
// transformers' LlamaForCausalLM.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "model/config_reader.h"
#include "nn/attention.h"
#include "nn/layers.h"
#include "nn/rope.h"

namespace tenon::verify::test {

using graph::Value;

struct Mistakes {
  double rope_theta = 0;  ///< 0: the config's
  bool ignores_scaling = false;
  bool interleaved = false;
  int rotary_dim = 0;  ///< 0: the whole head
  bool no_rope_in_layer_1 = false;
  bool no_rope = false;
  bool no_rope_of_q = false, rope_of_v = false;
  double eps = 0;  ///< 0: the config's
  double norm_offset = 0;
  bool no_bias = false;
  int head_dim = 0;            ///< 0: the config's
  double attention_scale = 0;  ///< 0: 1/sqrt(head_dim)
  double attention_softcap = 0, final_softcap = 0;
  std::string_view activation = "";  ///< "": the config's
  double embedding_scale = 1, logits_scale = 1, residual_scale = 1;
  int window = 0;
  bool layer_norms = false, no_activation = false;
  bool parallel = false, forgets_attention = false, normed_residual = false;
  bool gate_and_up_swapped = false, k_and_v_swapped = false, norms_swapped = false, no_final_norm = false;
};

class PlantedLlama {
 public:
  PlantedLlama(graph::Graph& graph, const Json& config, Mistakes mistakes)
      : graph_(graph), m_(std::move(mistakes)), reader_(config, "LlamaForCausalLM"), batch_(graph) {
    hidden_ = reader_.integer("hidden_size");
    heads_ = reader_.integer("num_attention_heads");
    kv_heads_ = reader_.integer_or("num_key_value_heads", heads_);
    head_dim_ = reader_.integer_or("head_dim", hidden_ / heads_);
    intermediate_ = reader_.integer("intermediate_size");
    vocab_ = reader_.integer("vocab_size");
    layers_ = reader_.integer("num_hidden_layers");
    positions_ = reader_.integer("max_position_embeddings");
    eps_ = m_.eps > 0 ? m_.eps : reader_.number("rms_norm_eps");
    attention_bias_ = reader_.boolean_or("attention_bias", false) && !m_.no_bias;
    mlp_bias_ = reader_.boolean_or("mlp_bias", false) && !m_.no_bias;
    activation_ =
        m_.activation.empty() ? reader_.activation_or("hidden_act", "silu") : nn::find_activation(m_.activation);
    rope_ = reader_.rope(head_dim_, positions_);
    if (m_.rope_theta > 0) rope_.rope_theta = m_.rope_theta;
    if (m_.ignores_scaling) rope_.rope_type = nn::RopeType::kDefault;
    if (m_.head_dim > 0) {  // the same matrices cut into other heads
      heads_ = heads_ * head_dim_ / m_.head_dim, kv_heads_ = kv_heads_ * head_dim_ / m_.head_dim;
      head_dim_ = rope_.head_dim = m_.head_dim;
    }
    if (m_.rotary_dim > 0) rope_.head_dim = m_.rotary_dim;
  }

  void build() {
    const nn::Scope root(graph_), w = root / "model";
    const auto frequencies = nn::rope_frequencies(rope_, positions_);
    table_ = graph::rope_table(batch_.positions, frequencies.inv_freq, frequencies.attention_factor);
    Value x = nn::Embedding(w / "embed_tokens", vocab_, hidden_)(batch_.token_ids);
    if (m_.embedding_scale != 1) x = x * m_.embedding_scale;
    x = (w / "embed_tokens").tap(x);
    for (int layer = 0; layer < layers_; ++layer) x = block(w / "layers" / layer, x, layer);
    x = (w / "norm").tap(m_.no_final_norm ? x : norm(w / "norm", x));
    Value logits = nn::Linear(root / "lm_head", hidden_, vocab_)(batch_.sampled(x));
    if (m_.logits_scale != 1) logits = logits * m_.logits_scale;
    if (m_.final_softcap > 0) logits = graph::softcap(logits, m_.final_softcap);
    graph_.output("logits", logits);
  }

 private:
  Value norm(const nn::Scope& w, Value x) const {
    return m_.layer_norms ? nn::LayerNorm(w, hidden_, eps_, false)(x)
                          : nn::RmsNorm(w, hidden_, eps_, m_.norm_offset)(x);
  }

  Value rotated(Value x, int layer) const {
    if (m_.no_rope || (m_.no_rope_in_layer_1 && layer == 1)) return x;
    return graph::rope(x, table_, m_.interleaved);
  }

  Value attention(const nn::Scope& w, Value x, int layer) const {
    const auto entered = w.enter();
    const int kv = kv_heads_ * head_dim_;
    const auto project = [&](const char* name, int size) {
      return nn::Linear(w / name, hidden_, size, attention_bias_)(x);
    };
    const Value q = nn::split_heads(project("q_proj", heads_ * head_dim_), heads_, head_dim_);
    const Value k = nn::split_heads(project(m_.k_and_v_swapped ? "v_proj" : "k_proj", kv), kv_heads_, head_dim_);
    Value v = nn::split_heads(project(m_.k_and_v_swapped ? "k_proj" : "v_proj", kv), kv_heads_, head_dim_);
    if (m_.rope_of_v) v = rotated(v, layer);
    const Value cache =
        graph::kv_append(rotated(k, layer), v, layer, batch_.positions, batch_.row_offsets, batch_.page_table);
    const double scale = m_.attention_scale > 0 ? m_.attention_scale : 1 / std::sqrt(head_dim_);
    const Value y = graph::attention(m_.no_rope_of_q ? q : rotated(q, layer), cache,
                                     {.scale = scale, .softcap = m_.attention_softcap, .window = m_.window});
    return w.tap(nn::Linear(w / "o_proj", heads_ * head_dim_, hidden_, attention_bias_)(nn::merge_heads(y)));
  }

  Value mlp(const nn::Scope& w, Value x) const {
    const auto entered = w.enter();
    Value gate = nn::Linear(w / "gate_proj", hidden_, intermediate_, mlp_bias_)(x);
    Value up = nn::Linear(w / "up_proj", hidden_, intermediate_, mlp_bias_)(x);
    if (m_.gate_and_up_swapped) std::swap(gate, up);
    return w.tap(nn::Linear(w / "down_proj", intermediate_, hidden_,
                            mlp_bias_)((m_.no_activation ? gate : activation_(gate)) * up));
  }

  Value block(const nn::Scope& w, Value x, int layer) const {
    const auto entered = w.enter();
    const char *first = "input_layernorm", *second = "post_attention_layernorm";
    if (m_.norms_swapped) std::swap(first, second);
    const Value normed = norm(w / first, x);
    const Value a = attention(w / "self_attn", normed, layer);
    const Value h = (m_.normed_residual ? normed : x) + (m_.residual_scale == 1 ? a : a * m_.residual_scale);
    const Value branch = mlp(w / "mlp", norm(w / second, m_.parallel ? x : h));
    return w.tap((m_.forgets_attention ? x : h) + branch);
  }

  graph::Graph& graph_;
  Mistakes m_;
  model::ConfigReader reader_;
  nn::RaggedBatch batch_;
  int hidden_, heads_, kv_heads_, head_dim_, intermediate_, vocab_, layers_, positions_;
  double eps_;
  bool attention_bias_, mlp_bias_;
  nn::Activation activation_;
  nn::RopeConfig rope_;
  Value table_;
};

}  // namespace tenon::verify::test
