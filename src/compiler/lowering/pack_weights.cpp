// Weights → kernel order, tensor by tensor, so that no more than one tensor lies in memory twice.
#include <algorithm>
#include <array>
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

// Row pointers of one panel of one source, whose rows end before `last`; null from there on.
void pack_one(const tensor::RowView& rows, tensor::DType dtype, std::int64_t first, std::int64_t last, std::byte* out) {
  std::array<const std::byte*, kernels::kPanel> pointers{};
  for (std::int64_t i = first; i < std::min(last, first + kernels::kPanel); ++i) {
    pointers[static_cast<std::size_t>(i - first)] = rows.row(i);
  }
  kernels::kernels().pack_panel(dtype, rows.k, rows.dtype, pointers.data(), out);
}

Status pack_matrix(const MatrixRecipe& recipe, WeightProvider& provider, ThreadPool& pool, std::byte* base) {
  std::int64_t begin = 0;  // panel of the whole matrix where this source starts
  for (std::size_t s = 0; s < recipe.weights.size(); ++s) {
    TENON_ASSIGN(const tensor::RowView rows,
                 fetch(provider, recipe.weights[s], recipe.experts * recipe.sizes[s], recipe.place.k));
    const std::int64_t size = recipe.sizes[s], panels = (size + kernels::kPanel - 1) / kernels::kPanel;
    // About a huge page at a time: two threads that first touch one page at the same moment both have it zeroed.
    const std::int64_t grain =
        std::clamp<std::int64_t>(kHugePage / recipe.place.panel_bytes, 1,
                                 std::max<std::int64_t>(1, recipe.experts * panels / (2 * pool.size())));
    pool.parallel_for(recipe.experts * panels, grain, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t i = from; i < to; ++i) {
        const std::int64_t expert = i / panels, p = i % panels;
        const std::int64_t in_expert = recipe.alternate ? 2 * p + static_cast<std::int64_t>(s) : begin + p;
        const std::int64_t target = expert * recipe.place.panels() + in_expert;
        pack_one(rows, recipe.place.dtype, expert * size + p * kernels::kPanel, (expert + 1) * size,
                 base + recipe.place.offset + target * recipe.place.panel_bytes);
      }
    });
    begin += panels;
    provider.release(recipe.weights[s]);
  }
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

Result<runtime::Weights> pack_weights(const Lowered& lowered, WeightProvider& provider, ThreadPool& pool) {
  runtime::Weights weights;
  const auto bytes = static_cast<std::size_t>(std::max<std::int64_t>(64, lowered.weight_bytes));
  TENON_ASSIGN(weights.packed, HugeBuffer::allocate(bytes, "packed weights"));
  // The largest first: its source and its packed form are then in memory while little else is.
  std::vector<const MatrixRecipe*> order;
  for (const MatrixRecipe& recipe : lowered.matrices) order.push_back(&recipe);
  const auto size = [](const MatrixRecipe* recipe) { return recipe->experts * recipe->place.n * recipe->place.k; };
  std::ranges::stable_sort(order, std::ranges::greater(), size);
  for (const MatrixRecipe* recipe : order) {
    TENON_TRY(pack_matrix(*recipe, provider, pool, weights.packed.data()));
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
