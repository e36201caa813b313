// An Executable is a compiled model: a list of steps over one arena, its packed weights, and how to run a batch on it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "tensor/batch_layout.h"
#include "tensor/kv_layout.h"

namespace tenon::runtime {

/// The largest batch that the arena is planned for.
struct Limits {
  int max_total_tokens = 512;
  int max_rows = 64;
  int max_sampled_rows = 64;  ///< tokens whose logits one run can return
  int max_pages_per_row = 128;
};

/// A named intermediate value, kept when the graph was compiled with taps.
struct Tap {
  std::string name;  ///< "model.layers.3", …
  std::vector<std::int64_t> shape;
  std::span<const float> values;  ///< valid until the next run
};

class Executable {
 public:
  virtual ~Executable() = default;

  virtual const Limits& limits() const = 0;
  virtual const tensor::KvLayout& kv_layout() const = 0;
  virtual std::int64_t vocab_size() const = 0;
  virtual std::int64_t weight_bytes() const = 0;  ///< packed weights and constants
  virtual std::int64_t arena_bytes() const = 0;
  /// Bytes of weights that one decode step of one row reads, for GB/s (embedding look-up excluded).
  virtual std::int64_t streamed_bytes() const = 0;
  /// Multiplications and additions of the matmuls in one run, for shares of the arithmetic peak.
  virtual double matmul_flops(std::int64_t total_tokens, std::int64_t sampled_rows) const = 0;

  /// Runs one batch; keys and values go to `kv_pages` (page p at kv_pages + p * page_bytes). Returns the logits
  /// [sampled_rows, vocab_size], valid until the next run. The batch must be within limits() (checked: a bug of ours).
  /// Allocates nothing and does not throw.
  virtual std::span<float> run(const tensor::Batch& batch, std::byte* kv_pages, ThreadPool& pool) = 0;

  /// Bytes of weights for which memory is set aside, but not taken yet: pack_more() takes it, a piece of them a call.
  /// Until then runs are right, to the bit, and slower. Not while run() runs.
  virtual std::int64_t unpacked_bytes() const { return 0; }
  virtual void pack_more(ThreadPool&) {}

  /// The taps of the last run; empty unless compiled with taps.
  virtual std::vector<Tap> taps() const = 0;
};

}  // namespace tenon::runtime
