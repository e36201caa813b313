// Linears of one x → one matmul and slices of its result: q, k and v, and whatever else reads the same value. All parts
// must be stored alike, have a bias or have none, and start on a panel.
#include <algorithm>
#include <map>
#include <tuple>

#include "compiler/passes/pass.h"
#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "kernels/kernels.h"

namespace tenon::compiler {
namespace {

using graph::LinearParts;

struct Member {
  const Node* node;
  LinearParts<int> parts;
};

std::int64_t columns(const Graph& graph, const Member& member) {
  return graph.info(member.node->outputs[0]).type.dims.back().size();
}

// x, packed dtype and "has a bias" say which linears go together.
using Key = std::tuple<int, tensor::DType, bool>;

std::map<Key, std::vector<Member>> groups(const Graph& graph, const PassContext& context) {
  std::map<Key, std::vector<Member>> result;
  for (const Node& node : graph.nodes()) {
    const auto parts = as_linear(graph, node);
    if (!parts || parts->epilogue != graph::LinearEpilogue::kStore) continue;
    const auto dtype = common_dtype(graph, parts->weights, context);
    if (!dtype || graph.info(parts->x).type.dims.size() != 2) continue;
    const Member member{&node, *parts};
    if (columns(graph, member) % kernels::kPanel != 0) continue;
    result[{parts->x, *dtype, !parts->biases.empty()}].push_back(member);
  }
  std::erase_if(result, [](const auto& group) { return group.second.size() < 2; });
  return result;
}

// "model.layers.0.self_attn.q_proj" → "model.layers.0.self_attn"
std::string parent(const std::string& scope) { return scope.substr(0, std::min(scope.rfind('.'), scope.size())); }

// Records the fused linear and says what its members' results are now.
void fuse(graph::Copier& copier, const std::vector<Member>& members) {
  LinearParts<graph::Value> fused{.x = copier.value(members[0].parts.x)};
  for (const Member& member : members) {
    const auto parts = mapped(copier, member.parts);
    fused.weights.insert(fused.weights.end(), parts.weights.begin(), parts.weights.end());
    fused.biases.insert(fused.biases.end(), parts.biases.begin(), parts.biases.end());
  }
  copier.graph().push_scope(parent(members[0].node->scope));
  const graph::Value y = graph::fused_linear(fused);
  std::int64_t begin = 0;
  for (const Member& member : members) {
    const std::int64_t end = begin + columns(copier.from(), member);
    copier.replace(member.node->outputs[0], graph::slice(y, begin, end));
    begin = end;
  }
  copier.graph().pop_scope();
}

}  // namespace

std::unique_ptr<Graph> fuse_qkv(const Graph& graph, const PassContext& context) {
  graph::Copier copier(graph);
  const auto fusible = groups(graph, context);
  std::map<const Node*, const std::vector<Member>*> group_of;
  for (const auto& [key, members] : fusible) {
    for (const Member& member : members) group_of[member.node] = &members;
  }
  for (const Node& node : graph.nodes()) {
    const auto it = group_of.find(&node);
    if (it == group_of.end()) {
      copier.copy(node);
    } else if (it->second->front().node == &node) {
      fuse(copier, *it->second);
    }
  }
  return copier.finish();
}

}  // namespace tenon::compiler
