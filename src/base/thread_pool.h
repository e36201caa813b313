// The pool that runs kernels: every thread runs the same function (SPMD), barriers inside it, no queue.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace tenon {

/// A fixed set of threads that run one function together. Waiting spins for some tens of microseconds, then sleeps on a
/// futex, so that an idle process uses no CPU. run() may be called from one thread at a time; it is thread 0.
class ThreadPool {
 public:
  explicit ThreadPool(int threads = default_threads());
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  /// Calls f(thread) for thread = 0 .. size()-1 and returns when all have returned. f must not throw.
  void run(const std::function<void(int)>& f);

  /// Waits until all threads of the current run() have come here. Every thread must make the same calls.
  void barrier();

  /// run() for one dimension: f(begin, end) over chunks of at most `grain` of [0, n), handed out dynamically. For
  /// work whose chunks write disjoint outputs.
  void parallel_for(std::int64_t n, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& f);

  /// The physical cores that the affinity mask and the cgroup's cpu.max leave to this process, at least 1.
  static int default_threads();

 private:
  void stop();
  void worker(int thread);
  template <class Done>
  void wait(std::atomic<std::uint32_t>& word, std::uint32_t old, Done done);

  const int size_;
  int spin_;
  const std::function<void(int)>* job_ = nullptr;
  bool stop_ = false;
  alignas(64) std::atomic<std::uint32_t> generation_{0};
  alignas(64) std::atomic<std::uint32_t> remaining_{0};
  alignas(64) std::atomic<std::uint32_t> barrier_count_{0};
  alignas(64) std::atomic<std::uint32_t> barrier_phase_{0};
  std::vector<std::thread> threads_;
};

}  // namespace tenon
