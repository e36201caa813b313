#include "graph/interpreter.h"

#include "base/check.h"
#include "graph/copier.h"
#include "graph/ops/op.h"

namespace tenon::graph {
namespace {

using Sizes = std::map<std::string, std::int64_t, std::less<>>;

std::vector<std::int64_t> resolve(const Type& type, const Sizes& sizes) {
  std::vector<std::int64_t> dims;
  for (const Dim& dim : type.dims) {
    if (!dim.symbolic()) {
      dims.push_back(dim.size());
      continue;
    }
    const auto it = sizes.find(dim.name());
    TENON_CHECK(it != sizes.end(), "no input has the dim " + dim.name());
    dims.push_back(it->second);
  }
  return dims;
}

void note_sizes(const std::string& name, const Type& type, const Tensor& tensor, Sizes& sizes) {
  TENON_CHECK(tensor.dims.size() == type.dims.size(), "the rank of input " + name);
  for (std::size_t i = 0; i < tensor.dims.size(); ++i) {
    const Dim& dim = type.dims[i];
    const std::int64_t size = dim.symbolic() ? sizes.try_emplace(dim.name(), tensor.dims[i]).first->second : dim.size();
    TENON_CHECK(size == tensor.dims[i], "dim " + to_string(dim) + " of input " + name);
  }
}

Tensor indices(std::vector<std::int64_t> dims, std::span<const std::int32_t> values) {
  return {.dims = std::move(dims), .i32 = {values.begin(), values.end()}};
}

}  // namespace

std::int64_t Tensor::elements() const {
  std::int64_t n = 1;
  for (std::int64_t dim : dims) n *= dim;
  return n;
}

std::vector<float> to_floats(const tensor::RowView& rows) {
  std::vector<float> values(static_cast<std::size_t>(rows.n * rows.k));
  for (std::int64_t i = 0; i < rows.n; ++i)
    tensor::to_float(rows.dtype, rows.row(i), rows.k, values.data() + i * rows.k);
  return values;
}

std::map<std::string, Tensor> batch_inputs(const tensor::Batch& batch) {
  const auto size = [](const auto& span) { return static_cast<std::int64_t>(span.size()); };
  return {{"token_ids", indices({size(batch.token_ids)}, batch.token_ids)},
          {"positions", indices({size(batch.positions)}, batch.positions)},
          {"row_offsets", indices({size(batch.row_offsets)}, batch.row_offsets)},
          {"page_table", indices({batch.rows(), batch.max_pages}, batch.page_table)},
          {"logit_rows", indices({size(batch.logit_rows)}, batch.logit_rows)}};
}

Interpreter::Interpreter(const Graph& graph, const Weights& weights) : graph_(decompose(graph)) {
  const auto fix = [&](std::size_t value, std::vector<float> data) {
    Tensor tensor{.dims = resolve(graph_->values()[value].type, {}), .f32 = std::move(data)};
    TENON_CHECK(tensor.elements() == static_cast<std::int64_t>(tensor.f32.size()),
                "weight " + graph_->values()[value].name);
    fixed_.emplace(static_cast<int>(value), std::move(tensor));
  };
  for (std::size_t i = 0; i < graph_->values().size(); ++i) {
    const ValueInfo& info = graph_->values()[i];
    if (info.source == Source::kWeight) fix(i, weights(info.name));
    if (info.source == Source::kConstant) fix(i, info.constant);
  }
}

Interpreter::Results Interpreter::run(const std::map<std::string, Tensor>& inputs) {
  Sizes sizes;
  std::map<int, Tensor> values;
  for (std::size_t i = 0; i < graph_->values().size(); ++i) {
    const ValueInfo& info = graph_->values()[i];
    if (info.source != Source::kInput) continue;
    const auto it = inputs.find(info.name);
    TENON_CHECK(it != inputs.end(), "no input " + info.name);
    note_sizes(info.name, info.type, it->second, sizes);
    values.emplace(static_cast<int>(i), it->second);
  }
  const auto find = [&](int value) -> const Tensor& {
    const auto it = fixed_.find(value);
    return it != fixed_.end() ? it->second : values.at(value);
  };
  for (const Node& node : graph_->nodes()) {
    Call call{node.attributes, {}, {}, kv_};
    for (int value : node.inputs) call.inputs.push_back(&find(value));
    for (int value : node.outputs) {
      const Type& type = graph_->info(value).type;
      Tensor& tensor = values[value];
      if (type.dtype == DType::kF32) {
        tensor.dims = resolve(type, sizes);
        tensor.f32.resize(static_cast<std::size_t>(tensor.elements()));
      } else if (type.dtype == DType::kI32) {
        tensor.dims = resolve(type, sizes);
        tensor.i32.resize(static_cast<std::size_t>(tensor.elements()));
      } else {  // the state of a KV cache: only its head dims are known
        for (const Dim& dim : type.dims) tensor.dims.push_back(dim.symbolic() ? 0 : dim.size());
      }
      call.outputs.push_back(&tensor);
    }
    node.op->reference(call);
  }
  Results results;
  for (const auto& [name, value] : graph_->outputs()) results.outputs[name] = find(value);
  for (const auto& [name, value] : graph_->taps()) results.taps[name] = find(value);
  return results;
}

}  // namespace tenon::graph
