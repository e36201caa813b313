// How the items of a step are handed out: each thread has a run of them, and takes of another's when it has none left.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tenon::runtime {

/// The shares of every thread in the steps of one phase. A thread goes through its own share from the front, so that
/// its weights come from memory as one stream; one that has done its own takes from the back of others', so that
/// threads that the machine slows down do less. Nothing is set up before a phase: a share that bears another phase's
/// number is whole.
class Shares {
 public:
  void resize(std::size_t steps, int threads) {
    threads_ = threads;
    shares_ = std::vector<Share>(steps * static_cast<std::size_t>(threads));
  }

  int threads() const { return threads_; }

  /// Calls execute(begin, end) for ranges of [0, items) until all of them are taken. `step` counts the phase's steps,
  /// `phase` is a number that was never used before and is the same for all threads.
  template <class F>
  void take(std::size_t step, std::uint64_t phase, std::int64_t items, int thread, F&& execute) {
    for (int i = 0; i < threads_; ++i) {
      const int owner = (thread + i) % threads_;
      const std::int64_t first = items * owner / threads_, size = items * (owner + 1) / threads_ - first;
      const std::int64_t chunks = std::min(size, kChunks);
      std::atomic<std::uint64_t>& word = shares_[step * static_cast<std::size_t>(threads_) + owner].left;
      for (std::int64_t chunk; (chunk = next(word, phase, chunks, i == 0)) >= 0;) {
        execute(first + size * chunk / chunks, first + size * (chunk + 1) / chunks);
      }
    }
  }

 private:
  static constexpr std::int64_t kChunks = 8;  ///< of a share

  /// phase << 16 | chunks taken from the front << 8 | end of what is left; a cache line each.
  struct alignas(64) Share {
    std::atomic<std::uint64_t> left{0};
  };

  /// A chunk that is this thread's from now on, -1 when none is left.
  static std::int64_t next(std::atomic<std::uint64_t>& word, std::uint64_t phase, std::int64_t chunks, bool front) {
    std::uint64_t old = word.load(std::memory_order_relaxed);
    for (;;) {
      const bool whole = old >> 16 != phase;
      const std::uint64_t begin = whole ? 0 : old >> 8 & 0xff;
      const std::uint64_t end = whole ? static_cast<std::uint64_t>(chunks) : old & 0xff;
      if (begin == end) return -1;
      const std::uint64_t left = phase << 16 | (front ? begin + 1 : begin) << 8 | (front ? end : end - 1);
      if (word.compare_exchange_weak(old, left, std::memory_order_relaxed))
        return static_cast<std::int64_t>(front ? begin : end - 1);
    }
  }

  int threads_ = 0;
  std::vector<Share> shares_;
};

}  // namespace tenon::runtime
