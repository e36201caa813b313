#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

// Dims travel as text, "total_tokens, 4, 16": they may be names.
std::vector<Dim> parse_dims(const std::string& text) {
  std::vector<Dim> dims;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(", ", begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    const bool is_number = item.find_first_not_of("0123456789") == std::string::npos;
    dims.push_back(is_number ? Dim(static_cast<std::int64_t>(std::stoll(item))) : Dim(item));
    begin = end + 2;
  }
  return dims;
}

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 1, 1);
  expect_float(signature, 0, "x");
  Type type{DType::kF32, parse_dims(attribute<std::string>(signature.attributes, "dims"))};
  const auto& from = signature.type(0).dims;
  const auto elements = [&](const std::vector<Dim>& dims) {
    std::int64_t n = 1;
    for (std::size_t i = 1; i < dims.size(); ++i) n *= dims[i].symbolic() ? 0 : dims[i].size();
    return n;
  };
  if (type.dims.empty() || type.dims[0] != from[0] || elements(type.dims) != elements(from) || elements(from) == 0) {
    reject(signature, describe(signature, 0, "x") + ", which cannot become " + to_string(type));
  }
  return {type};
}

void reference(Call& call) { call.out().f32 = call.in(0).f32; }

}  // namespace

constinit const Op kReshape{.name = "reshape", .infer = infer, .reference = reference};

Value reshape(Value x, std::vector<Dim> dims) {
  std::string text;
  for (const Dim& dim : dims) text += (text.empty() ? "" : ", ") + to_string(dim);
  return record(kReshape, {x}, {{"dims", text}});
}

}  // namespace tenon::graph
