// embedding, then scale: Gemma's sqrt(hidden_size).
#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Value> decompose(Graph&, const std::vector<Value>& in, const Attributes& attributes) {
  return {scale(embedding(in[0], in[1]), number(attributes, "s"))};
}

}  // namespace

constinit const Op kScaledEmbedding{.name = "scaled_embedding",
                                    .infer = [](const Signature& signature) { return kEmbedding.infer(signature); },
                                    .decompose = decompose};

}  // namespace tenon::graph
