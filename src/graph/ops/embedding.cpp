#include <algorithm>

#include "graph/ops.h"
#include "graph/ops/embedding.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 2, 2);
  expect_indices(signature, 0, "ids");
  expect_float(signature, 1, "weight", 2);
  const Dim& rows = signature.type(1).dims[0];
  if (const std::int64_t offset = embedding_offset(signature.attributes);
      offset < 0 || (!rows.symbolic() && offset >= rows.size())) {
    reject(signature, describe(signature, 1, "weight") + ", which has no row " + std::to_string(offset));
  }
  return {{DType::kF32, {signature.type(0).dims[0], signature.type(1).dims.back()}}};
}

void reference(Call& call) {
  const Tensor& weight = call.in(1);
  for (std::size_t i = 0; i < call.in(0).i32.size(); ++i) {
    const std::int64_t id = call.in(0).i32[i] + embedding_offset(call.attributes);
    TENON_CHECK(id >= 0 && id < weight.rows(), "token id " + std::to_string(id));
    std::copy_n(weight.row(id), weight.last(), call.out().row(static_cast<std::int64_t>(i)));
  }
}

}  // namespace

constinit const Op kEmbedding{.name = "embedding", .infer = infer, .reference = reference};

// Said only where there is one.
std::int64_t embedding_offset(const Attributes& attributes) {
  return attributes.contains("offset") ? integer(attributes, "offset") : 0;
}

Value embedding(Value ids, Value weight, std::int64_t offset) {
  return record(kEmbedding, {ids, weight}, offset == 0 ? Attributes{} : Attributes{{"offset", offset}});
}

}  // namespace tenon::graph
