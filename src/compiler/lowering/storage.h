// Where values lie, before the memory plan: pieces of storage, and views into them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/plan.h"
#include "runtime/step.h"
#include "runtime/steps/matmul.h"

namespace tenon::compiler {

using runtime::Rows;

/// Something with an offset in the arena. The state of a layer's KV cache is one too, of no bytes: what reads and
/// writes it is ordered like everything else.
struct Storage {
  std::int64_t bytes = 0;  ///< for the largest batch
  bool pinned = false;     ///< until the end of the run: logits, taps
};

/// A float32 value, or some columns of one.
struct View {
  int storage = -1;
  Rows rows = Rows::kTokens;
  std::int64_t begin = 0, columns = 0;  ///< floats of each row
  std::int64_t stride = 0;              ///< floats from one row to the next

  std::int64_t end() const { return begin + columns; }
};

struct Access {
  int storage = -1;
  std::int64_t begin = 0, end = 0;  ///< columns
  bool write = false;
  bool own_rows = true;  ///< a step over rows touches only the rows that it computes
};

/// Offsets of all storages.
class Placement {
 public:
  explicit Placement(std::vector<std::int64_t> offsets) : offsets_(std::move(offsets)) {}
  runtime::Place operator()(const View& view) const {
    return {.offset = offset(view.storage) + view.begin * static_cast<std::int64_t>(sizeof(float)),
            .stride = view.stride};
  }
  std::int64_t offset(int storage) const { return offsets_[static_cast<std::size_t>(storage)]; }

 private:
  std::vector<std::int64_t> offsets_;
};

/// A packed left operand.
struct PackedOperand {
  int storage = -1;
  runtime::PackedPlace place;  ///< offset is set by the memory plan
};

/// A step before memory is planned.
struct LoweredStep {
  bool by_rows = false;
  Rows rows = Rows::kTokens;
  std::vector<Access> accesses;
  int packs = -1;  ///< the packed operand that it makes, an index into Lowered::packed
  std::function<std::unique_ptr<runtime::Step>(const Placement&, const std::vector<PackedOperand>&)> make;
};

struct MatrixRecipe {
  std::vector<std::string> weights;  ///< beside one another, each from a panel on
  std::vector<std::int64_t> sizes;   ///< rows of each
  bool alternate = false;            ///< the panels of two weights alternate (gate, up)
  std::int64_t experts = 1;          ///< so many matrices one after another, each like `place`; `sizes` are of each
  runtime::MatrixPlace place;
};

struct VectorRecipe {
  struct Part {
    std::string weight;  ///< or, if empty:
    std::vector<float> constant;
    std::int64_t rows = 1, size = 0;  ///< a row an expert
  };
  std::vector<Part> parts;
  std::vector<std::int32_t> order = {};  ///< which elements of the parts are wanted, in this order; empty: all
  std::int64_t offset = 0;
};

/// A graph as steps over storages, and what the packed weights are made from.
struct Lowered {
  std::vector<Storage> storages;
  std::vector<LoweredStep> steps;
  std::vector<PackedOperand> packed;
  std::vector<MatrixRecipe> matrices;
  std::vector<VectorRecipe> vectors;
  struct Table {
    std::string name;
    std::int64_t n = 0, k = 0;
  };
  std::vector<Table> tables;
  std::int64_t weight_bytes = 0, streamed_bytes = 0;
  double flops_per_token = 0, flops_per_sampled_row = 0;
  View logits;
  struct TapView {
    std::string name;
    View view;
    std::vector<std::int64_t> dims;
  };
  std::vector<TapView> taps;
};

}  // namespace tenon::compiler
