#include "verify/evaluator.h"

#include <algorithm>
#include <cstring>

#include "graph/ops/embedding.h"
#include "graph/ops/op.h"
#include "graph/ops/registry.h"
#include "tensor/kv_layout.h"
#include "verify/rewriter.h"

namespace tenon::verify {
namespace {

using graph::Graph;
using graph::Node;
using graph::Tensor;

// Sixteen sums side by side: vectors for the compiler, and nearer to the truth than one.
float dot(const float* a, const float* b, std::int64_t n) {
  constexpr std::int64_t kLanes = 16;
  float sums[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t l = 0; l < kLanes; ++l) sums[l] += a[i + l] * b[i + l];
  }
  double total = 0;
  for (; i < n; ++i) total += static_cast<double>(a[i]) * b[i];
  for (const float s : sums) total += s;
  return static_cast<float>(total);
}

// Numbers exactly, by their bits: a search moves them by the last digit.
void append(std::string& text, const graph::Attributes& attributes) {
  const auto number = [&](double x) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &x, sizeof bits);
    text += std::to_string(bits);
    text += ',';
  };
  for (const auto& [name, value] : attributes) {
    text += ';';
    text += name;
    text += '=';
    if (const auto* i = std::get_if<std::int64_t>(&value)) text += std::to_string(*i);
    if (const auto* d = std::get_if<double>(&value)) number(*d);
    if (const auto* s = std::get_if<std::string>(&value)) text += *s;
    if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value)) {
      for (const auto i : *list) text.append(std::to_string(i)).append(1, ',');
    }
    if (const auto* list = std::get_if<std::vector<double>>(&value)) {
      for (const double d : *list) number(d);
    }
  }
}

Tensor transposed(const tensor::RowView& rows) {
  const std::vector<float> from = graph::to_floats(rows);
  Tensor to{.dims = {rows.k, rows.n}, .f32 = std::vector<float>(from.size())};
  for (std::int64_t i = 0; i < rows.n; ++i) {
    for (std::int64_t j = 0; j < rows.k; ++j) to.row(j)[i] = from[static_cast<std::size_t>(i * rows.k + j)];
  }
  return to;
}

}  // namespace

Evaluator::Evaluator(Weights weights, std::vector<std::int32_t> ids, ThreadPool& pool)
    : weights_(std::move(weights)), pool_(pool) {
  std::vector<std::int32_t> positions(ids.size()), pages((ids.size() + tensor::kPageTokens - 1) / tensor::kPageTokens);
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int32_t>(i);
  for (std::size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<std::int32_t>(i);
  const std::int32_t offsets[] = {0, static_cast<std::int32_t>(ids.size())};
  inputs_ = graph::batch_inputs({.token_ids = ids,
                                 .positions = positions,
                                 .row_offsets = offsets,
                                 .page_table = pages,
                                 .max_pages = static_cast<int>(pages.size()),
                                 .logit_rows = positions});
  for (const tensor::BatchInput& input : tensor::kBatchInputs) {
    const Tensor& tensor = inputs_.at(input.name);
    sizes_[input.dims[0]] = tensor.dims[0];
    if (input.dims[1] != nullptr) sizes_[input.dims[1]] = tensor.dims[1];
  }
}

const Tensor* Evaluator::known(const std::string& tap) const {
  const auto it = known_.find(tap);
  return it == known_.end() ? nullptr : &it->second;
}

std::map<int, std::string> Evaluator::leaves(const Graph& graph, int target) const {
  std::map<int, std::string> out;
  for (const auto& [name, value] : graph.taps()) {
    // Of taps of one value the last: what a model does to it between them, and this graph does not, is done by then.
    if (value != target && known_.contains(name)) out.insert_or_assign(value, name);
  }
  return out;
}

std::vector<int> Evaluator::segment(const Graph& graph, int target) const {
  const auto stops = leaves(graph, target);
  std::vector<bool> needed(graph.values().size());
  needed[static_cast<std::size_t>(target)] = true;
  std::vector<int> nodes;
  for (std::size_t i = graph.nodes().size(); i-- > 0;) {
    const Node& node = graph.nodes()[i];
    const bool live = std::ranges::any_of(
        node.outputs, [&](int v) { return needed[static_cast<std::size_t>(v)] && !stops.contains(v); });
    if (!live) continue;
    nodes.push_back(static_cast<int>(i));
    for (const int v : node.inputs) needed[static_cast<std::size_t>(v)] = true;
  }
  std::ranges::reverse(nodes);
  return nodes;
}

int Evaluator::key(const std::string& text) {
  return keys_.try_emplace(text, static_cast<int>(keys_.size())).first->second;
}

Result<tensor::RowView> Evaluator::rows_of(const std::string& name) {
  if (!name.ends_with(kTransposed)) return weights_(name);
  auto& entry = weights_cache_[name];
  if (!entry) {
    TENON_ASSIGN(const tensor::RowView rows, weights_(name.substr(0, name.size() - std::strlen(kTransposed))));
    entry = std::make_shared<Entry>(Entry{transposed(rows), nullptr});
  }
  const Tensor& t = entry->tensor;
  return tensor::RowView{.dtype = tensor::DType::kF32,
                         .n = t.dims[0],
                         .k = t.dims[1],
                         .data = reinterpret_cast<const std::byte*>(t.f32.data()),
                         .row_bytes = t.dims[1] * 4,
                         .order = {},
                         .owner = entry};
}

Result<const Tensor*> Evaluator::weight_tensor(const std::string& name, const graph::Type& type) {
  auto& entry = weights_cache_[name];
  if (!entry || entry->tensor.dims.size() != type.dims.size()) {
    TENON_ASSIGN(const tensor::RowView rows, rows_of(name));
    entry = std::make_shared<Entry>();
    for (const graph::Dim& dim : type.dims) entry->tensor.dims.push_back(dim.size());
    entry->tensor.f32 = graph::to_floats(rows);
    if (entry->tensor.elements() != static_cast<std::int64_t>(entry->tensor.f32.size())) {
      return invalid("tensor " + name + " does not have the shape " + graph::to_string(type));
    }
  }
  return &entry->tensor;
}

Status Evaluator::linear(const Tensor& x, const std::string& weight, Tensor& out) {
  TENON_ASSIGN(const tensor::RowView rows, rows_of(weight));
  if (rows.k != x.last() || rows.n != out.last()) return invalid("tensor " + weight + " has another shape");
  constexpr std::int64_t kGrain = 16;
  pool_.parallel_for(rows.n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> row(static_cast<std::size_t>(rows.k));
    for (std::int64_t n = begin; n < end; ++n) {
      tensor::to_float(rows.dtype, rows.row(n), rows.k, row.data());
      for (std::int64_t m = 0; m < x.rows(); ++m) out.row(m)[n] = dot(x.row(m), row.data(), rows.k);
    }
  });
  return {};
}

Status Evaluator::embedding(const Tensor& ids, const std::string& weight, Tensor& out) {
  TENON_ASSIGN(const tensor::RowView rows, rows_of(weight));
  for (std::size_t i = 0; i < ids.i32.size(); ++i) {
    if (ids.i32[i] < 0 || ids.i32[i] >= rows.n) return invalid("a token id is outside of the vocabulary");
    tensor::to_float(rows.dtype, rows.row(ids.i32[i]), rows.k, out.row(static_cast<std::int64_t>(i)));
  }
  return {};
}

Status Evaluator::run_node(const Graph& graph, const Node& node, const Entries& inputs, const Entries& outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const graph::Type& type = graph.info(node.outputs[i]).type;
    Tensor& tensor = outputs[i]->tensor;
    for (const graph::Dim& dim : type.dims) {
      const auto size = dim.symbolic() ? sizes_.find(dim.name()) : sizes_.end();
      tensor.dims.push_back(!dim.symbolic() ? dim.size() : size == sizes_.end() ? 0 : size->second);
    }
    if (type.dtype == tensor::DType::kF32) tensor.f32.resize(static_cast<std::size_t>(tensor.elements()));
    if (type.dtype == tensor::DType::kI32) tensor.i32.resize(static_cast<std::size_t>(tensor.elements()));
  }
  Entry& out = *outputs[0];
  const auto weight_name = [&](std::size_t i) -> const std::string* {
    const graph::ValueInfo& info = graph.info(node.inputs[i]);
    return info.source == graph::Source::kWeight ? &info.name : nullptr;
  };
  if (node.op == &graph::kLinear && weight_name(1)) return linear(inputs[0]->tensor, *weight_name(1), out.tensor);
  const bool looks_up = node.op == &graph::kEmbedding && graph::embedding_offset(node.attributes) == 0;
  if (looks_up && weight_name(1)) return embedding(inputs[0]->tensor, *weight_name(1), out.tensor);
  graph::KvStore none;
  std::vector<const Tensor*> tensors;
  std::shared_ptr<graph::KvStore> store;
  const bool appends = node.op == &graph::kKvAppend || node.op == &graph::kStateAppend;
  if (appends) store = out.kv = std::make_shared<graph::KvStore>();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (const std::string* name = weight_name(i)) {
      TENON_ASSIGN(const Tensor* tensor, weight_tensor(*name, graph.info(node.inputs[i]).type));
      tensors.push_back(tensor);
      continue;
    }
    tensors.push_back(&inputs[i]->tensor);
    if (inputs[i]->kv) store = inputs[i]->kv;
  }
  graph::Call call{node.attributes, std::move(tensors), {}, store ? *store : none};
  for (const auto& output : outputs) call.outputs.push_back(&output->tensor);
  node.op->reference(call);
  return {};
}

Result<Tensor> Evaluator::evaluate(const Graph& graph, int target, bool keep) {
  trial_.clear();
  const auto stops = leaves(graph, target);
  std::map<int, int> key_of;  // value -> key of its structure
  std::map<int, std::shared_ptr<Entry>> entries;
  const auto input_of = [&](int value) -> Status {
    if (key_of.contains(value)) return {};
    const graph::ValueInfo& info = graph.info(value);
    if (const auto stop = stops.find(value); stop != stops.end()) {
      key_of[value] = key("t:" + stop->second);
      entries[value] = std::make_shared<Entry>(Entry{known_.at(stop->second), nullptr});
    } else if (info.source == graph::Source::kInput) {
      const auto it = inputs_.find(info.name);
      if (it == inputs_.end()) return invalid("the graph has an input " + info.name + ", which verify cannot fill");
      key_of[value] = key("i:" + info.name);
      entries[value] = std::make_shared<Entry>(Entry{it->second, nullptr});
    } else if (info.source == graph::Source::kWeight) {
      key_of[value] = key("w:" + info.name + graph::to_string(info.type));
      entries[value] = nullptr;
    } else if (info.source == graph::Source::kConstant) {
      Tensor tensor{.f32 = info.constant};
      std::string text = "c:";
      for (const graph::Dim& dim : info.type.dims) tensor.dims.push_back(dim.size());
      text.append(reinterpret_cast<const char*>(info.constant.data()), info.constant.size() * sizeof(float));
      key_of[value] = key(text);
      entries[value] = std::make_shared<Entry>(Entry{std::move(tensor), nullptr});
    }
    return {};
  };
  for (const int index : segment(graph, target)) {
    const Node& node = graph.nodes()[static_cast<std::size_t>(index)];
    if (node.op->reference == nullptr) {
      return fail(ErrorCode::kInternal, std::string("op ") + node.op->name + " cannot be evaluated alone");
    }
    std::string text = std::string("n:") + node.op->name;
    Entries inputs, outputs;
    for (const int value : node.inputs) {
      TENON_TRY(input_of(value));
      text.append(1, ':').append(std::to_string(key_of.at(value)));
      inputs.push_back(entries.at(value));
    }
    append(text, node.attributes);
    const int id = key(text);
    const auto kept = kept_.find(id);
    const auto trial = trial_.find(id);
    if (kept != kept_.end()) {
      outputs = kept->second;
    } else if (trial != trial_.end()) {
      outputs = trial->second;
    } else {
      for (std::size_t i = 0; i < node.outputs.size(); ++i) outputs.push_back(std::make_shared<Entry>());
      TENON_TRY(run_node(graph, node, inputs, outputs));
      (keep ? kept_ : trial_)[id] = outputs;
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      key_of[node.outputs[i]] = key(text + "#" + std::to_string(i));
      entries[node.outputs[i]] = outputs[i];
    }
  }
  TENON_TRY(input_of(target));
  if (entries[target] == nullptr) return fail(ErrorCode::kInternal, "the tapped value is a weight");
  return entries[target]->tensor;
}

}  // namespace tenon::verify
