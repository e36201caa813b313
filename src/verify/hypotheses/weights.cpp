// Weights in one another's place: swapped, transposed, halves of a fused one in the other order, an unused one instead.
#include <algorithm>
#include <set>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "verify/hypotheses/trial.h"

namespace tenon::verify {
namespace {

using graph::Node;
using graph::Value;

struct Weight {
  std::string layer, module, name;  ///< "model.layers.0", "mlp.up_proj", "mlp.up_proj.weight"
  std::vector<graph::Dim> dims;
};

Weight weight_of(const graph::Graph::WeightRequest& request) {
  Weight w{.layer = layer_of(request.name), .module = {}, .name = {}, .dims = request.type.dims};
  w.name = w.layer.empty() ? request.name : request.name.substr(w.layer.size() + 1);
  w.module = w.name.substr(0, w.name.rfind('.'));
  return w;
}

// The weights that the part at hand uses.
std::set<std::string> used_here(const Trial& trial) {
  std::set<std::string> names;
  for (const int index : trial.nodes()) {
    for (const int value : trial.node(index).inputs) {
      if (trial.is_weight(value)) names.insert(trial.graph().info(value).name);
    }
  }
  return names;
}

// `name` with the module a for b and b for a; a module keeps its ".weight" and ".bias" together.
std::string swapped(const std::string& name, const std::string& a, const std::string& b) {
  for (const auto& [from, to] : {std::pair{a, b}, std::pair{b, a}}) {
    if (name.starts_with(from) && name.size() > from.size() && name[from.size()] == '.') {
      return to + name.substr(from.size());
    }
  }
  return name;
}

void try_swaps(Trial& trial, const std::vector<Weight>& weights, const std::set<std::string>& here) {
  constexpr int kMostPairs = 300;  // experts make many
  int pairs = 0;
  const auto is_here = [&](const Weight& w) {
    return here.contains(w.layer.empty() ? w.name : w.layer + "." + w.name);
  };
  for (std::size_t i = 0; i < weights.size(); ++i) {
    for (std::size_t j = i + 1; j < weights.size(); ++j) {
      const Weight &a = weights[i], &b = weights[j];
      if (a.layer != b.layer || a.layer != trial.layer() || a.dims != b.dims || a.module == b.module) continue;
      if (!a.name.ends_with(".weight") || !b.name.ends_with(".weight")) continue;
      if ((!is_here(a) && !is_here(b)) || ++pairs > kMostPairs) continue;
      trial.test({.kind = "swapped weights",
                  .text = "the reference uses " + a.module + " where this model uses " + b.module + ", and the reverse",
                  .node = {},
                  .weight = [a = a.module, b = b.module](const std::string&, const std::string& name) {
                    return swapped(name, a, b);
                  }});
    }
  }
}

void try_transposed(Trial& trial, const std::vector<Weight>& weights, const std::set<std::string>& here) {
  for (const Weight& w : weights) {
    const std::string full = w.layer.empty() ? w.name : w.layer + "." + w.name;
    if (w.dims.size() != 2 || w.dims[0] != w.dims[1] || !here.contains(full) || w.layer != trial.layer()) continue;
    trial.test({.kind = "transposed weight",
                .text = "the reference multiplies by " + w.name + " as [in, out], this model as [out, in]",
                .node = {},
                .weight = [only = w.name](const std::string&, const std::string& name) {
                  return name == only ? name + kTransposed : name;
                }});
  }
}

// The bias goes with the weight.
void try_other_module(Trial& trial, const Weight& w, const std::string& other) {
  const std::string module = other.substr(0, other.rfind('.'));
  const auto* unused = &trial.background().unused;
  const std::string prefix = w.layer.empty() ? "" : w.layer + ".";
  if (!w.name.ends_with(".weight") || !unused->contains(prefix + module + ".bias")) return;
  trial.test({.kind = "other weight",
              .text = "the reference uses " + module + " (weight and bias) where this model uses " + w.module,
              .node = {},
              .weight = [from = w.module, module](const std::string&, const std::string& n) {
                return n == from + ".weight" || n == from + ".bias" ? module + n.substr(from.size()) : n;
              }});
}

void try_unused(Trial& trial, const std::vector<Weight>& weights, const std::set<std::string>& here) {
  constexpr int kMostTried = 100;
  int tried = 0;
  for (const Weight& w : weights) {
    const std::string full = w.layer.empty() ? w.name : w.layer + "." + w.name;
    if (!here.contains(full)) continue;
    for (const auto& [name, shape] : trial.background().unused) {
      const std::string layer = layer_of(name);
      if (layer != w.layer || shape.size() != w.dims.size() || ++tried > kMostTried) continue;
      bool same = true;
      for (std::size_t i = 0; i < shape.size(); ++i) same = same && graph::Dim(shape[i]) == w.dims[i];
      if (!same) continue;
      const std::string other = layer.empty() ? name : name.substr(layer.size() + 1);
      trial.test({.kind = "other weight",
                  .text = "the reference uses " + other + " where this model uses " + w.name,
                  .node = {},
                  .weight = [from = w.name, other](const std::string&, const std::string& n) {
                    return n == from ? other : n;
                  }});
      try_other_module(trial, w, other);
    }
  }
}

// gate and up, or k and v, cut out of one fused output in the other order.
void try_slices(Trial& trial) {
  const auto slices = trial.nodes_of(graph::kSlice);
  for (std::size_t i = 0; i < slices.size(); ++i) {
    for (std::size_t j = i + 1; j < slices.size(); ++j) {
      const Node &a = trial.node(slices[i]), &b = trial.node(slices[j]);
      const auto of = [](const Node& n, const char* name) { return graph::integer(n.attributes, name); };
      if (a.inputs != b.inputs || of(a, "end") - of(a, "begin") != of(b, "end") - of(b, "begin")) continue;
      if (of(a, "begin") == of(b, "begin")) continue;
      trial.test({.kind = "swapped weights",
                  .text = "the reference cuts the fused output of " + a.scope +
                          " into its parts in another order: columns from " + std::to_string(of(a, "begin")) +
                          " and from " + std::to_string(of(b, "begin")) + " change places",
                  .node =
                      [a = a.attributes, b = b.attributes](Rewriter& to, int index) {
                        const Node& node = to.node(index);
                        if (node.op != &graph::kSlice || (node.attributes != a && node.attributes != b)) return false;
                        to.copy_with(index, node.attributes == a ? b : a);
                        return true;
                      },
                  .weight = {}});
    }
  }
}

// A fused output cut in equal parts: the first rows of the matrix, the next, …; or the rows of each head, or each row,
// in turn.
struct Cut {
  const Node* slice = nullptr;
  int fused = -1;  ///< [T, parts * heads * width]
  std::int64_t part = 0, parts = 0, heads = 0, width = 0;
  bool by_head = false;
};

Cut cut_of(const graph::Graph& graph, const Node& node, std::int64_t heads) {
  if (node.op != &graph::kSlice) return {};
  Cut cut{.slice = &node, .fused = node.inputs[0], .heads = heads};
  const auto& dims = graph.info(node.inputs[0]).type.dims;
  const std::int64_t begin = graph::integer(node.attributes, "begin"),
                     size = graph::integer(node.attributes, "end") - begin;
  const std::int64_t all = dims.back().size();
  if (size <= 0 || size == all || all % size != 0 || begin % size != 0) return {};
  cut.part = begin / size, cut.parts = all / size;
  if (dims.size() == 3) {
    const int maker = graph.info(cut.fused).node;
    const Node* reshape = maker < 0 ? nullptr : &graph.nodes()[static_cast<std::size_t>(maker)];
    if (reshape == nullptr || reshape->op != &graph::kReshape) return {};
    if (graph.info(reshape->inputs[0]).type.dims.size() != 2) return {};
    cut.fused = reshape->inputs[0], cut.heads = dims[1].size(), cut.width = size, cut.by_head = true;
    return cut;
  }
  if (dims.size() != 2 || heads == 0 || size % heads != 0) return {};
  cut.width = size / heads;
  return cut;
}

void try_fused_order(Trial& trial) {
  const auto slices = trial.nodes_of(graph::kSlice);
  if (slices.empty()) return;
  const auto attention = trial.nodes_of(graph::kAttention);
  const std::int64_t heads = attention.empty()
                                 ? trial.graph().info(trial.node(slices[0]).outputs[0]).type.dims.back().size()
                                 : trial.graph().info(trial.node(attention[0]).inputs[0]).type.dims[1].size();
  const Cut first = cut_of(trial.graph(), trial.node(slices[0]), heads);
  if (first.slice == nullptr) return;
  const std::string by_head = attention.empty() ? "row by row in turn" : "head by head (q, k and v of each in turn)";
  trial.test({.kind = "fused order",
              .text = "the reference cuts the fused output of " + first.slice->scope + " " +
                      (first.by_head ? "into whole parts, one after the other; this model " + by_head
                                     : by_head + ", this model into whole parts, one after the other"),
              .node =
                  [heads, by_head = first.by_head](Rewriter& to, int index) {
                    const Cut cut = cut_of(to.from(), to.node(index), heads);
                    if (cut.slice == nullptr || cut.by_head != by_head) return false;
                    const Value x = to.value(cut.fused);
                    const std::int64_t size = cut.heads * cut.width;
                    Value y = cut.by_head ? graph::slice(x, cut.part * size, (cut.part + 1) * size)
                                          : graph::reshape(x, {x.dim(0), cut.heads, cut.parts * cut.width});
                    y = cut.by_head ? graph::reshape(y, {y.dim(0), cut.heads, cut.width})
                                    : graph::slice(y, cut.part * cut.width, (cut.part + 1) * cut.width);
                    if (!cut.by_head) y = graph::reshape(y, {y.dim(0), size});
                    to.set(cut.slice->outputs[0], y);
                    return true;
                  },
              .weight = {}});
}

}  // namespace

void try_weights(Trial& trial) {
  const std::set<std::string> here = used_here(trial);
  std::vector<Weight> weights;
  for (const auto& request : trial.graph().weights()) weights.push_back(weight_of(request));
  try_swaps(trial, weights, here);
  try_transposed(trial, weights, here);
  try_unused(trial, weights, here);
  try_slices(trial);
  try_fused_order(trial);
}

}  // namespace tenon::verify
