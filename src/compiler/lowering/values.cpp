// Values, weights and steps of the lowerer: the bookkeeping that the ops (ops.cpp) are lowered with.
#include <algorithm>

#include "compiler/lowering/lowerer.h"
#include "graph/ops/relative_bucket.h"
#include "runtime/steps/copy.h"

namespace tenon::compiler {
namespace {

constexpr std::int64_t kAlign = 64;

std::int64_t align(std::int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

}  // namespace

Lowerer::Lowerer(const Graph& graph, const PassContext& context, const CompileOptions& options)
    : graph_(graph),
      context_(context),
      options_(options),
      views_(graph.values().size()),
      packed_of_(graph.values().size(), -1),
      last_use_(graph.values().size()) {
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    for (int value : graph.nodes()[i].inputs) last_use_[static_cast<std::size_t>(value)] = i;
  }
  for (const auto& [name, value] : graph.outputs()) last_use_[static_cast<std::size_t>(value)] = graph.nodes().size();
}

void Lowerer::reject(const std::string& what) const {
  const std::string where = node_->scope.empty() ? "" : " in " + node_->scope;
  throw graph::GraphError(node_->op->name + where + " cannot be compiled: " + what);
}

Rows Lowerer::rows(int value) const {
  const graph::Dim& first = type(value).dims.front();
  if (first == graph::Dim(tensor::dims::kTotalTokens)) return Rows::kTokens;
  if (first == graph::Dim(tensor::dims::kSampledRows)) return Rows::kSampled;
  reject("a value is " + to_string(type(value)) + ", whose first dim is neither the tokens nor the sampled rows");
}

std::int64_t Lowerer::columns(int value) const {
  std::int64_t n = 1;
  for (std::size_t i = 1; i < type(value).dims.size(); ++i) {
    if (type(value).dims[i].symbolic()) reject("a value is " + to_string(type(value)));
    n *= type(value).dims[i].size();
  }
  return n;
}

int Lowerer::add_storage(std::int64_t bytes) {
  out_.storages.push_back({.bytes = align(bytes)});
  return static_cast<int>(out_.storages.size()) - 1;
}

View Lowerer::new_view(Rows rows, std::int64_t columns) {
  const int most = rows == Rows::kTokens ? options_.limits.max_total_tokens : options_.limits.max_sampled_rows;
  return {.storage = add_storage(most * columns * static_cast<std::int64_t>(sizeof(float))),
          .rows = rows,
          .columns = columns,
          .stride = columns};
}

const View& Lowerer::view(int value) const {
  const auto& found = views_[static_cast<std::size_t>(value)];
  if (!found) reject("an operand of type " + to_string(type(value)) + " is no value of a row");
  return *found;
}

View Lowerer::contiguous(int value) {
  const View from = view(value);
  if (from.stride == from.columns) return from;
  const View to = new_view(from.rows, from.columns);
  emit_copy(from, to, 1, 0);
  return to;
}

bool Lowerer::dead_after_this_node(const View& view, int except_input) const {
  for (std::size_t value = 0; value < views_.size(); ++value) {
    const auto& other = views_[value];
    if (!other || other->storage != view.storage || other->end() <= view.begin || other->begin >= view.end()) continue;
    if (last_use_[value] > index_) return false;
    // Another operand of this node over the same columns would be read after they are written.
    if (static_cast<int>(value) != except_input && last_use_[value] == index_) return false;
  }
  return std::ranges::count(node_->inputs, except_input) == 1;
}

View Lowerer::result_over(int input) {
  const View over = view(input);
  if (dead_after_this_node(over, input)) return over;
  return new_view(over.rows, over.columns);
}

bool Lowerer::is_vector(int value) const {
  return graph_.info(value).source == graph::Source::kWeight || graph_.info(value).source == graph::Source::kConstant;
}

std::int64_t Lowerer::reserve_weights(std::int64_t bytes) {
  const std::int64_t offset = out_.weight_bytes;
  out_.weight_bytes += align(bytes);
  return offset;
}

std::int64_t Lowerer::vector(const std::vector<int>& values) {
  const auto [it, is_new] = vectors_.try_emplace(values);
  if (!is_new) return it->second;
  VectorRecipe recipe;
  std::int64_t elements = 0;
  for (int value : values) {
    const graph::ValueInfo& info = graph_.info(value);
    const auto& dims = info.type.dims;
    if (!is_vector(value) || dims.empty() || dims.size() > 2)
      reject("an operand is " + to_string(info.type) + ", no vector");
    recipe.parts.push_back({.weight = info.name,
                            .constant = info.constant,
                            .rows = dims.size() == 2 ? dims[0].size() : 1,
                            .size = dims.back().size()});
    elements += recipe.parts.back().rows * recipe.parts.back().size;
  }
  recipe.offset = it->second = reserve_weights(elements * static_cast<std::int64_t>(sizeof(float)));
  out_.vectors.push_back(std::move(recipe));
  return it->second;
}

runtime::RelativeBiasPlace Lowerer::relative_bias(int table, std::int64_t max_distance) {
  const graph::ValueInfo& info = graph_.info(table);
  if (info.source != graph::Source::kWeight) reject("the bias must be a tensor of the checkpoint");
  const std::int64_t buckets = info.type.dims[0].size(), heads = info.type.dims[1].size();
  // A kernel reads whole pages of keys, those that no token sees too.
  const std::int64_t longest = std::int64_t{options_.limits.max_pages_per_row} * tensor::kPageTokens;
  runtime::RelativeBiasPlace place{.center = longest - 1, .stride = 2 * longest - 1};
  const auto [it, is_new] = vectors_.try_emplace({table, -1 - static_cast<int>(max_distance)});
  if (is_new) {
    VectorRecipe recipe;
    recipe.parts.push_back({.weight = info.name, .constant = {}, .rows = buckets, .size = heads});
    for (std::int64_t head = 0; head < heads; ++head) {
      for (std::int64_t i = 0; i < place.stride; ++i) {
        const std::int64_t bucket = graph::relative_bucket(i - place.center, buckets, max_distance);
        recipe.order.push_back(static_cast<std::int32_t>(bucket * heads + head));
      }
    }
    recipe.offset = it->second = reserve_weights(heads * place.stride * static_cast<std::int64_t>(sizeof(float)));
    out_.vectors.push_back(std::move(recipe));
  }
  place.offset = it->second;
  return place;
}

runtime::MatrixPlace Lowerer::matrix(const std::vector<int>& weights, bool alternate) {
  const auto [it, is_new] = matrices_.try_emplace(weights, out_.matrices.size());
  if (!is_new && out_.matrices[it->second].alternate == alternate) return out_.matrices[it->second].place;
  const auto dtype = common_dtype(graph_, weights, context_);
  if (!dtype) reject("its weights are stored in different ways, or are no tensors of the checkpoint");
  const auto& first = type(weights[0]).dims;
  MatrixRecipe recipe{.alternate = alternate, .experts = first.size() == 3 ? first[0].size() : 1};
  recipe.place = {.dtype = *dtype, .k = first.back().size()};
  for (int weight : weights) {
    if (recipe.place.n % kernels::kPanel != 0) reject("a weight does not start on a panel");
    recipe.weights.push_back(graph_.info(weight).name);
    recipe.sizes.push_back(type(weight).dims[type(weight).dims.size() - 2].size());
    recipe.place.n += recipe.sizes.back();
  }
  const auto& kernels = kernels::kernels();
  recipe.place.panel_bytes = kernels.panel_bytes(*dtype, recipe.place.k);
  if (*dtype == tensor::DType::kBF16 && context_.code_weights) {
    const std::int64_t coded = kernels.coded_panel_bytes(recipe.place.k);
    recipe.place.coded = coded > 0;
    if (coded > 0) recipe.place.panel_bytes = coded;
  }
  recipe.place.offset = reserve_weights(recipe.experts * recipe.place.bytes());
  it->second = out_.matrices.size();
  out_.matrices.push_back(recipe);
  return recipe.place;
}

void Lowerer::emit_rows(Rows rows, std::vector<Access> accesses, Make make) {
  out_.steps.push_back({.by_rows = true, .rows = rows, .accesses = std::move(accesses), .make = std::move(make)});
}

void Lowerer::emit_items(std::vector<Access> accesses, Make make) {
  out_.steps.push_back({.by_rows = false, .accesses = std::move(accesses), .make = std::move(make)});
}

void Lowerer::emit_copy(const View& from, const View& to, std::int64_t groups, std::int64_t from_group,
                        std::int64_t to_group) {
  const std::int64_t columns = to_group == 0 ? to.columns / groups : from.columns / groups;
  const std::int64_t step = to_group == 0 ? columns : to_group;
  emit_rows(from.rows, {read(from), write(to)},
            [=, scope = node_->scope](const Placement& at, const std::vector<PackedOperand>&) {
              return std::make_unique<runtime::CopyStep>(
                  scope, from.rows, runtime::CopyStep::Data{at(from), at(to), groups, columns, from_group, step});
            });
}

int Lowerer::cache_storage(std::int64_t layer) {
  const auto [it, is_new] = caches_.try_emplace(layer);
  if (is_new) it->second = add_storage(0);
  return it->second;
}

void Lowerer::keep_taps_of(const Node& node) {
  for (const auto& [name, value] : graph_.taps()) {
    if (std::ranges::find(node.outputs, value) == node.outputs.end()) continue;
    if (grouped_.contains(value)) reject("a value whose rows lie sorted by expert cannot be tapped");
    const View from = view(value);
    const View kept = new_view(from.rows, from.columns);
    out_.storages[static_cast<std::size_t>(kept.storage)].pinned = true;
    emit_copy(from, kept, 1, 0);
    Lowered::TapView tap{.name = name, .view = kept};
    for (std::size_t i = 1; i < type(value).dims.size(); ++i) tap.dims.push_back(type(value).dims[i].size());
    out_.taps.push_back(std::move(tap));
  }
}

void Lowerer::keep_output() {
  const int value = graph_.outputs().front().second;
  if (graph_.outputs().size() != 1 || type(value).dims.size() != 2 || rows(value) != Rows::kSampled) {
    reject("the model must have one output, [sampled_rows, vocab]");
  }
  out_.logits = contiguous(value);
  out_.storages[static_cast<std::size_t>(out_.logits.storage)].pinned = true;
}

Lowered Lowerer::run() {
  for (index_ = 0; index_ < graph_.nodes().size(); ++index_) {
    node_ = &graph_.nodes()[index_];
    lower_node(*node_);
    keep_taps_of(*node_);
  }
  keep_output();
  return std::move(out_);
}

Result<Lowered> lower(const Graph& graph, const PassContext& context, const CompileOptions& options) {
  try {
    return Lowerer(graph, context, options).run();
  } catch (const graph::GraphError& error) {
    return unsupported(error.what());
  }
}

}  // namespace tenon::compiler
