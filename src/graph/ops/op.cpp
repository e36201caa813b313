#include "graph/ops/op.h"

namespace tenon::graph {

Value record(const Op& op, const std::vector<Value>& inputs, Attributes attributes) {
  if (inputs.empty() || !inputs.front()) throw GraphError(std::string(op.name) + ": the first input is empty");
  return inputs.front().graph().record1(op, inputs, std::move(attributes));
}

void reject(const Signature& signature, const std::string& detail) {
  const std::string where = signature.scope.empty() ? "" : " in " + signature.scope;
  throw GraphError(signature.op + where + ": " + detail);
}

std::string describe(const Signature& signature, std::size_t i, const char* role) {
  const ValueInfo& info = *signature.inputs[i];
  const std::string type = to_string(info.type);
  if (info.source != Source::kWeight) return std::string(role) + " is " + type;
  return "weight " + info.name + " is " + type.substr(type.find('['));
}

void expect_inputs(const Signature& signature, std::size_t min, std::size_t max) {
  const std::size_t n = signature.inputs.size();
  if (n < min || n > max) reject(signature, "it has " + std::to_string(n) + " inputs, not " + std::to_string(min));
}

void expect_float(const Signature& signature, std::size_t i, const char* role, int min_rank) {
  const Type& type = signature.type(i);
  if (type.dtype != DType::kF32) reject(signature, describe(signature, i, role) + ", not float32");
  if (static_cast<int>(type.dims.size()) < min_rank) {
    reject(signature, describe(signature, i, role) + ", which has fewer than " + std::to_string(min_rank) + " dims");
  }
}

void expect_indices(const Signature& signature, std::size_t i, const char* role, int rank) {
  const Type& type = signature.type(i);
  if (type.dtype != DType::kI32 || static_cast<int>(type.dims.size()) != rank) {
    reject(signature, describe(signature, i, role) + ", not int32 of " + std::to_string(rank) + " dims");
  }
}

std::int64_t last_dim(const Signature& signature, std::size_t i, const char* role) {
  const Type& type = signature.type(i);
  if (type.dims.empty() || type.dims.back().symbolic()) {
    reject(signature, describe(signature, i, role) + ", whose last dim is not a number");
  }
  return type.dims.back().size();
}

Type with_last_dim(Type type, std::int64_t size) {
  type.dims.back() = Dim(size);
  return type;
}

}  // namespace tenon::graph
