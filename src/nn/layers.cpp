#include "nn/layers.h"

#include <array>
#include <utility>

#include "graph/ops.h"

namespace tenon::nn {

Linear::Linear(const Scope& w, int in_features, int out_features, bool bias)
    : scope_(w), weight_(w.weight("weight", {out_features, in_features}, WeightUse::kMatmul)) {
  if (bias) bias_ = w.weight("bias", {out_features}, WeightUse::kVector);
}

Value Linear::operator()(Value x) const {
  const auto entered = scope_.enter();
  const Value y = graph::linear(x, weight_);
  return bias_ ? graph::add(y, bias_) : y;
}

RmsNorm::RmsNorm(const Scope& w, int size, double eps, double weight_offset)
    : scope_(w), weight_(w.weight("weight", {size}, WeightUse::kVector)), eps_(eps), weight_offset_(weight_offset) {}

Value RmsNorm::operator()(Value x) const {
  const auto entered = scope_.enter();
  return graph::rms_norm(x, weight_, eps_, weight_offset_);
}

LayerNorm::LayerNorm(const Scope& w, int size, double eps, bool bias)
    : scope_(w), weight_(w.weight("weight", {size}, WeightUse::kVector)), eps_(eps) {
  if (bias) bias_ = w.weight("bias", {size}, WeightUse::kVector);
}

Value LayerNorm::operator()(Value x) const {
  const auto entered = scope_.enter();
  return graph::layer_norm(x, eps_, weight_, bias_);
}

Embedding::Embedding(const Scope& w, int vocab_size, int hidden_size)
    : scope_(w), weight_(w.weight("weight", {vocab_size, hidden_size}, WeightUse::kEmbedding)) {}

Value Embedding::operator()(Value ids) const {
  const auto entered = scope_.enter();
  return graph::embedding(ids, weight_);
}

namespace {

Value quick_gelu(Value x) { return x * graph::sigmoid(x * 1.702); }

Value relu2(Value x) {
  const Value y = graph::relu(x);
  return y * y;
}

// transformers/activations.py: gelu_new and gelu_pytorch_tanh are the same formula.
constexpr std::array<std::pair<std::string_view, Activation>, 10> kActivations = {{
    {"gelu", graph::gelu},
    {"gelu_new", graph::gelu_tanh},
    {"gelu_pytorch_tanh", graph::gelu_tanh},
    {"quick_gelu", quick_gelu},
    {"relu", graph::relu},
    {"relu2", relu2},
    {"sigmoid", graph::sigmoid},
    {"silu", graph::silu},
    {"swish", graph::silu},
    {"tanh", graph::tanh},
}};

}  // namespace

Activation find_activation(std::string_view name) {
  for (const auto& [known, function] : kActivations) {
    if (known == name) return function;
  }
  return nullptr;
}

std::vector<std::string_view> activation_names() {
  std::vector<std::string_view> names;
  for (const auto& [name, function] : kActivations) names.push_back(name);
  return names;
}

GatedMlp::GatedMlp(const Scope& w, int hidden_size, int intermediate_size, Activation activation, bool bias)
    : scope_(w),
      gate_proj_(w / "gate_proj", hidden_size, intermediate_size, bias),
      up_proj_(w / "up_proj", hidden_size, intermediate_size, bias),
      down_proj_(w / "down_proj", intermediate_size, hidden_size, bias),
      activation_(activation) {}

Value GatedMlp::operator()(Value x) const {
  const auto entered = scope_.enter();
  return scope_.tap(down_proj_(activation_(gate_proj_(x)) * up_proj_(x)));
}

}  // namespace tenon::nn
