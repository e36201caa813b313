// The layers that model classes are made of. A layer asks for its weights when it is made, and records ops when called.
// T = total_tokens: the tokens of every row, concatenated. Values are float32.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "nn/scope.h"

namespace tenon::nn {

/// y = x · weightᵀ (+ bias): [.., in] → [.., out]. Tensors: weight [out, in], bias [out]. The weight keeps whatever
/// encoding the checkpoint gives it.
class Linear {
 public:
  Linear(const Scope& w, int in_features, int out_features, bool bias = false);
  Value operator()(Value x) const;

 private:
  Scope scope_;
  Value weight_, bias_;
};

/// x / sqrt(mean(x²) + eps) * (weight + weight_offset) over the last dim. Tensor: weight [size]. Gemma stores w for a
/// norm of 1 + w: weight_offset = 1.
class RmsNorm {
 public:
  RmsNorm(const Scope& w, int size, double eps, double weight_offset = 0.0);
  Value operator()(Value x) const;

 private:
  Scope scope_;
  Value weight_;
  double eps_, weight_offset_;
};

/// (x - mean(x)) / sqrt(var(x) + eps) over the last dim, times weight, plus bias. Tensors: weight [size], bias [size].
/// For a norm without either use graph::layer_norm.
class LayerNorm {
 public:
  LayerNorm(const Scope& w, int size, double eps, bool bias = true);
  Value operator()(Value x) const;

 private:
  Scope scope_;
  Value weight_, bias_;
  double eps_;
};

/// ids [T] → [T, hidden_size]. Tensor: weight [vocab_size, hidden_size].
class Embedding {
 public:
  Embedding(const Scope& w, int vocab_size, int hidden_size);
  Value operator()(Value ids) const;

 private:
  Scope scope_;
  Value weight_;
};

/// A function of one value.
using Activation = Value (*)(Value);

/// By the name that `hidden_act` gives it in Hugging Face's ACT2FN; null if it is not one of activation_names().
Activation find_activation(std::string_view name);
std::vector<std::string_view> activation_names();

/// down_proj(activation(gate_proj(x)) * up_proj(x)): the gated MLP (GLU variants, Shazeer 2020), [T, hidden] → the
/// same.
class GatedMlp {
 public:
  GatedMlp(const Scope& w, int hidden_size, int intermediate_size, Activation activation, bool bias = false);
  Value operator()(Value x) const;

 private:
  Scope scope_;
  Linear gate_proj_, up_proj_, down_proj_;
  Activation activation_;
};

}  // namespace tenon::nn
