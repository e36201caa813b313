// Weights → kernel order, tensor by tensor, so that no more than one tensor lies in memory twice.
#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "compiler/lowering/lower.h"

namespace tenon::compiler {
namespace {

Result<tensor::RowView> fetch(WeightProvider& provider, const std::string& name, std::int64_t n, std::int64_t k) {
  TENON_ASSIGN(tensor::RowView rows, provider.weight(name));
  if (rows.n != n || rows.k != k) {
    return invalid("weight " + name + " is [" + std::to_string(rows.n) + ", " + std::to_string(rows.k) +
                   "] in the checkpoint, and the model needs [" + std::to_string(n) + ", " + std::to_string(k) + "]");
  }
  if (rows.data == nullptr) return invalid("weight " + name + " has no data");
  return rows;
}

constexpr std::int64_t kHugePage = std::int64_t{2} << 20;

// Packs the sources one after another, or leaves them in `sources` if the first lies in a mapped file.
Status pack_matrix(const MatrixRecipe& recipe, WeightProvider& provider, ThreadPool& pool, bool later,
                   runtime::Weights& weights) {
  runtime::MatrixSources matrix{
      .place = recipe.place, .experts = recipe.experts, .alternate = recipe.alternate, .sources = {}};
  for (const std::int64_t size : recipe.sizes) matrix.sources.push_back({.rows = {}, .size = size, .release = {}});
  for (std::size_t s = 0; s < recipe.weights.size(); ++s) {
    runtime::MatrixSources::Source& source = matrix.sources[s];
    TENON_ASSIGN(source.rows, fetch(provider, recipe.weights[s], recipe.experts * source.size, recipe.place.k));
    if (later) source.release = provider.release_later(recipe.weights[s]);
    if (s == 0) later = source.release != nullptr;
    if (later) continue;
    const std::int64_t panels = recipe.experts * source.panels();
    // About a huge page at a time: two threads that first touch one page at the same moment both have it zeroed.
    const std::int64_t grain = std::clamp<std::int64_t>(kHugePage / recipe.place.panel_bytes, 1,
                                                        std::max<std::int64_t>(1, panels / (2 * pool.size())));
    pool.parallel_for(panels, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        matrix.place_panel(s, i, weights.packed.data(), *weights.spilled);
      }
    });
    source.rows = {};
    provider.release(recipe.weights[s]);
  }
  if (later) weights.unpacked.push_back(std::move(matrix));
  return {};
}

Status pack_vector(const VectorRecipe& recipe, WeightProvider& provider, std::byte* base) {
  auto* const packed = reinterpret_cast<float*>(base + recipe.offset);
  std::int64_t elements = 0;
  for (const VectorRecipe::Part& part : recipe.parts) elements += part.rows * part.size;
  std::vector<float> all(static_cast<std::size_t>(recipe.order.empty() ? 0 : elements));
  float* out = recipe.order.empty() ? packed : all.data();
  for (const VectorRecipe::Part& part : recipe.parts) {
    if (part.weight.empty()) {
      std::ranges::copy(part.constant, out);
    } else {
      TENON_ASSIGN(const tensor::RowView rows, fetch(provider, part.weight, part.rows, part.size));
      for (std::int64_t i = 0; i < part.rows; ++i) {
        tensor::to_float(rows.dtype, rows.row(i), part.size, out + i * part.size);
      }
      provider.release(part.weight);
    }
    out += part.rows * part.size;
  }
  for (std::size_t i = 0; i < recipe.order.size(); ++i) packed[i] = all[static_cast<std::size_t>(recipe.order[i])];
  return {};
}

}  // namespace

Result<runtime::Weights> pack_weights(const Lowered& lowered, WeightProvider& provider, bool later, ThreadPool& pool) {
  runtime::Weights weights;
  const auto bytes = static_cast<std::size_t>(std::max<std::int64_t>(64, lowered.weight_bytes));
  TENON_ASSIGN(weights.packed, HugeBuffer::allocate(bytes, "packed weights"));
  // The largest first: its source and its packed form are then in memory while little else is.
  std::vector<const MatrixRecipe*> order;
  for (const MatrixRecipe& recipe : lowered.matrices) order.push_back(&recipe);
  const auto size = [](const MatrixRecipe* recipe) { return recipe->experts * recipe->place.n * recipe->place.k; };
  std::ranges::stable_sort(order, std::ranges::greater(), size);
  for (const MatrixRecipe* recipe : order) {
    TENON_TRY(pack_matrix(*recipe, provider, pool, later, weights));
  }
  for (const VectorRecipe& recipe : lowered.vectors) TENON_TRY(pack_vector(recipe, provider, weights.packed.data()));
  // Rows of embedding tables are looked up where they lie: of a tied one the pages were released, and those come back
  // whose rows are used.
  for (const auto& table : lowered.tables) {
    TENON_ASSIGN(tensor::RowView rows, fetch(provider, table.name, table.n, table.k));
    weights.tables.push_back(std::move(rows));
  }
  return weights;
}

}  // namespace tenon::compiler
