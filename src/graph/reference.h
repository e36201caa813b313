// What the scalar references compute on: whole tensors in std::vector, and a KV cache in a map.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "graph/graph.h"

namespace tenon::graph {

/// A tensor of the interpreter; row-major. Only one of f32 and i32 is used.
struct Tensor {
  std::vector<std::int64_t> dims;
  std::vector<float> f32;
  std::vector<std::int32_t> i32;

  std::int64_t elements() const;
  std::int64_t last() const { return dims.empty() ? 1 : dims.back(); }
  std::int64_t rows() const { return last() == 0 ? 0 : elements() / last(); }  ///< all dims but the last
  float* row(std::int64_t i) { return f32.data() + i * last(); }
  const float* row(std::int64_t i) const { return f32.data() + i * last(); }
};

/// Keys and values by (layer, page, position in the page), all heads of a token together.
struct KvStore {
  struct Entry {
    std::vector<float> key, value;
  };
  std::map<std::tuple<std::int64_t, std::int32_t, std::int64_t>, Entry> entries;
};

/// One node being interpreted.
struct Call {
  const Attributes& attributes;
  std::vector<const Tensor*> inputs;
  std::vector<Tensor*> outputs;
  KvStore& kv;

  const Tensor& in(std::size_t i) const { return *inputs[i]; }
  Tensor& out(std::size_t i = 0) const { return *outputs[i]; }
};

}  // namespace tenon::graph
