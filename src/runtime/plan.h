// What the compiler hands to the runtime, and the Executable that runs it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "runtime/executable.h"
#include "runtime/step.h"
#include "runtime/unpacked.h"

namespace tenon::runtime {

/// Steps between two barriers. A step depends on earlier phases, or by rows on earlier steps of its own.
struct Phase {
  std::vector<std::unique_ptr<Step>> steps;
  /// Up to so many rows every thread runs all of the phase for itself, and no barrier follows. 0: never.
  std::int64_t replicated_rows = 0;
  Rows rows = Rows::kTokens;  ///< of a replicated phase
};

struct TapPlace {
  std::string name;
  Place place;  ///< contiguous
  Rows rows = Rows::kTokens;
  std::vector<std::int64_t> dims;  ///< after the first
};

struct Plan {
  Limits limits;
  tensor::KvLayout kv_layout;
  std::vector<Phase> phases;
  std::int64_t arena_bytes = 0;
  std::int64_t scratch_bytes = 0, replica_bytes = 0;  ///< of each thread
  std::int64_t weight_bytes = 0, streamed_bytes = 0;
  double flops_per_token = 0, flops_per_sampled_row = 0;  ///< of the matmuls
  std::vector<std::string> tables;                        ///< embedding tables, by weight name
  Place logits;                                           ///< [sampled_rows, vocab_size], contiguous
  std::int64_t vocab_size = 0;
  std::vector<TapPlace> taps;
};

/// The weights that the steps' offsets point into, and the tables in the order of Plan::tables.
struct Weights {
  HugeBuffer packed;
  std::unique_ptr<SpilledWeights> spilled = std::make_unique<SpilledWeights>();
  std::vector<MatrixSources> unpacked;  ///< what of them Executable::pack_more() packs
  std::vector<tensor::RowView> tables;
};

/// Allocates the arena; kResourceExhausted says how much it needs. `threads`: of the pool that it will run on (a larger
/// pool makes the first run allocate).
Result<std::shared_ptr<Executable>> make_executable(Plan plan, Weights weights, int threads);

/// The step table: phase, module, kernel, shapes and arena offsets.
std::string to_text(const Plan& plan);

}  // namespace tenon::runtime
