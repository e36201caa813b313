// A step of a compiled model: one kernel over a range of its output. Steps know where their operands lie, as offsets
// into the arena and the packed weights; what differs from run to run comes with Run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "kernels/kernels.h"
#include "runtime/executable.h"
#include "tensor/row_view.h"

namespace tenon::runtime {

/// How many rows a value has: one for each token of the batch, or one for each sampled token.
enum class Rows : std::uint8_t { kTokens, kSampled };

/// A float32 value in the arena.
struct Place {
  std::int64_t offset = 0;  ///< bytes from the arena's start to row 0
  std::int64_t stride = 0;  ///< floats from one row to the next
};

/// The packed left operand of a matmul.
struct PackedPlace {
  std::int64_t offset = 0;  ///< bytes from the arena's start
  tensor::DType weight_dtype = tensor::DType::kF32;
  std::int64_t k = 0;
  Rows rows = Rows::kTokens;
  /// Up to so many rows each thread packs a copy of its own, at replica_offset of its replicas, which saves a barrier.
  std::int64_t replicated_rows = 0;
  std::int64_t replica_offset = 0;
};

class Unpacked;

/// What a step sees of the run.
struct Run {
  const kernels::Kernels* kernels = nullptr;
  const tensor::Batch* batch = nullptr;
  const tensor::KvLayout* kv_layout = nullptr;
  const tensor::RowView* tables = nullptr;  ///< embedding tables
  const std::byte* weights = nullptr;
  const Unpacked* unpacked = nullptr;  ///< weights that are not, or not all, packed; null: none
  std::byte* arena = nullptr;
  std::byte* kv_pages = nullptr;
  std::byte* thread_memory = nullptr;  ///< each thread's scratch, its replicas, its scratch for unpacked weights
  std::int64_t scratch_bytes = 0, replica_bytes = 0, thread_bytes = 0;

  std::int64_t rows(Rows rows) const { return rows == Rows::kTokens ? batch->total_tokens() : batch->sampled_rows(); }
  float* floats(const Place& place, std::int64_t row = 0) const {
    return reinterpret_cast<float*>(arena + place.offset) + row * place.stride;
  }
  const float* vector(std::int64_t offset) const { return reinterpret_cast<const float*>(weights + offset); }
  std::byte* scratch(int thread) const { return thread_memory + thread * thread_bytes; }
  std::byte* unpacked_scratch(int thread) const { return scratch(thread) + scratch_bytes + replica_bytes; }
  std::byte* packed(const PackedPlace& place, int thread) const {
    if (rows(place.rows) > place.replicated_rows) return arena + place.offset;
    return scratch(thread) + scratch_bytes + place.replica_offset;
  }
  kernels::ActivationLayout layout(const PackedPlace& place) const {
    return kernels->activation_layout(place.weight_dtype, rows(place.rows), place.k);
  }
};

class Step {
 public:
  explicit Step(std::string scope) : scope_(std::move(scope)) {}
  virtual ~Step() = default;
  const std::string& scope() const { return scope_; }

  virtual const char* kernel() const = 0;
  /// Shapes, weights and offsets, for `tenon inspect`.
  virtual std::string describe() const = 0;

  /// Steps over rows are split evenly, each thread a run of rows whose begin is a multiple of alignment(); all such
  /// steps of a phase are split alike, so that a row's later steps run on the thread that ran its earlier ones. Other
  /// steps have their items taken by the threads as shares.h says.
  virtual bool by_rows() const = 0;
  virtual std::int64_t items(const Run& run) const = 0;
  virtual std::int64_t alignment(const Run&) const { return 1; }
  /// Computes items [begin, end), which is not empty.
  virtual void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const = 0;

  /// The most scratch a thread needs.
  virtual std::int64_t scratch_bytes(const kernels::Kernels&, const Limits&, const tensor::KvLayout&) const {
    return 0;
  }

 private:
  std::string scope_;
};

/// A step with one item a row.
class RowStep : public Step {
 public:
  RowStep(std::string scope, Rows rows) : Step(std::move(scope)), rows_(rows) {}
  bool by_rows() const final { return true; }
  std::int64_t items(const Run& run) const final { return run.rows(rows_); }

 private:
  Rows rows_;
};

// -- for describe()
/// "@4096+64": an offset in the arena, and the row stride in floats.
std::string to_string(const Place& place);
/// "[4, 16]"
std::string shape_text(std::initializer_list<std::int64_t> shape);
/// "[4, 16] @0+64 -> @4096+64"
std::string arrow(std::initializer_list<std::int64_t> shape, const Place& from, const Place& to);

}  // namespace tenon::runtime
