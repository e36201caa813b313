// Weights that are packed while the model already runs. Packing touches as much fresh memory as the model has, which on
// a virtual machine can take seconds a gigabyte; until it is done, a step packs the panels that it reads into scratch,
// out of the checkpoint's mapped file. Both ways the same kernel sees the same panel, so that no bit differs.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "runtime/steps/matmul.h"
#include "tensor/row_view.h"

namespace tenon::runtime {

/// Parts of coded panels that are kept outside of them. Any thread may take.
class SpilledWeights {
 public:
  std::byte* take(std::int64_t bytes);  ///< stays where it is
  std::int64_t bytes() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<std::byte[]>> parts_;
  std::int64_t bytes_ = 0;
};

/// What a packed matrix is made from: weights beside one another, each from a panel on, and so for each expert.
struct MatrixSources {
  struct Source {
    tensor::RowView rows;           ///< [experts * size, k]
    std::int64_t size = 0;          ///< rows of each expert
    std::function<void()> release;  ///< lets its pages go, which come back where they are read again
    std::int64_t panels() const { return (size + kernels::kPanel - 1) / kernels::kPanel; }
  };
  MatrixPlace place;  ///< of one expert; the others follow
  std::int64_t experts = 1;
  bool alternate = false;  ///< the panels of two sources alternate (gate, up)
  std::vector<Source> sources;

  std::int64_t panels() const { return experts * place.panels(); }
  /// The panel of the whole that panel i of a source is, and back. A source's panels are counted over all experts.
  std::int64_t target(std::size_t source, std::int64_t i) const;
  std::pair<std::size_t, std::int64_t> source_of(std::int64_t panel) const;
  /// Panel i of a source, not coded.
  void pack(std::size_t source, std::int64_t i, std::byte* out) const;
  /// To where it belongs in `weights`, coded if `place` is.
  void place_panel(std::size_t source, std::int64_t i, std::byte* weights, SpilledWeights& spilled) const;

 private:
  std::array<const std::byte*, kernels::kPanel> rows_of(std::size_t source, std::int64_t i) const;
};

class Unpacked {
 public:
  /// In the order in which they are to be packed.
  explicit Unpacked(std::vector<MatrixSources> matrices);

  /// Packs the next few megabytes to where they belong in `weights`. Not while a step runs.
  void pack_more(std::byte* weights, SpilledWeights& spilled, ThreadPool& pool);
  std::int64_t bytes() const { return bytes_; }  ///< of panels that are not packed yet
  /// What a thread needs to pack what an item of a step reads.
  std::int64_t scratch_bytes() const;

  /// How many panels of the matrix at `offset` lie packed, from the first one on. Null: all of it.
  struct Matrix {
    MatrixSources from;
    std::int64_t packed = 0;
  };
  const Matrix* find(std::int64_t offset) const;

 private:
  std::vector<Matrix> matrices_;
  std::vector<std::pair<std::int64_t, std::size_t>> by_offset_;  ///< sorted
  std::size_t next_ = 0;
  std::int64_t bytes_ = 0;
};

}  // namespace tenon::runtime
