#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tenon {
namespace {

constexpr auto kSpin = std::chrono::microseconds(50);

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) : size_(std::max(1, threads)) {
  // With more threads than CPUs a spinning thread holds up the one that it waits for.
  cpu_set_t mask;
  const int cpus = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1;
  spin_ = size_ <= cpus ? 1 : 0;
  try {
    for (int i = 1; i < size_; ++i) threads_.emplace_back([this, i] { worker(i); });
  } catch (...) {
    stop();  // the destructor does not run, and a thread must not be let go before it is joined
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stop_ = true;
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (auto& thread : threads_) thread.join();
}

// Until done(): spins a while, then sleeps until `word` is no longer `old`.
template <class Done>
void ThreadPool::wait(std::atomic<std::uint32_t>& word, std::uint32_t old, Done done) {
  if (spin_) {
    const auto end = std::chrono::steady_clock::now() + kSpin;
    do {
      for (int i = 0; i < 64; ++i) {
        if (done()) return;
        pause();
      }
    } while (std::chrono::steady_clock::now() < end);
  }
  while (!done()) word.wait(old, std::memory_order_acquire);
}

void ThreadPool::worker(int thread) {
  std::uint32_t seen = 0;
  for (;;) {
    wait(generation_, seen, [&] { return generation_.load(std::memory_order_acquire) != seen; });
    ++seen;
    if (stop_) return;
    (*job_)(thread);
    if (remaining_.fetch_sub(1, std::memory_order_acq_rel) == 1) remaining_.notify_one();
  }
}

void ThreadPool::run(const std::function<void(int)>& f) {
  if (size_ == 1) return f(0);
  job_ = &f;
  remaining_.store(static_cast<std::uint32_t>(size_ - 1), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  f(0);
  for (std::uint32_t left; (left = remaining_.load(std::memory_order_acquire)) != 0;) {
    wait(remaining_, left, [&] { return remaining_.load(std::memory_order_acquire) != left; });
  }
}

void ThreadPool::barrier() {
  if (size_ == 1) return;
  const std::uint32_t phase = barrier_phase_.load(std::memory_order_acquire);
  if (barrier_count_.fetch_add(1, std::memory_order_acq_rel) == static_cast<std::uint32_t>(size_ - 1)) {
    barrier_count_.store(0, std::memory_order_relaxed);
    barrier_phase_.fetch_add(1, std::memory_order_release);
    barrier_phase_.notify_all();
  } else {
    wait(barrier_phase_, phase, [&] { return barrier_phase_.load(std::memory_order_acquire) != phase; });
  }
}

void ThreadPool::parallel_for(std::int64_t n, std::int64_t grain,
                              const std::function<void(std::int64_t, std::int64_t)>& f) {
  std::atomic<std::int64_t> next{0};
  run([&](int) {
    for (std::int64_t begin; (begin = next.fetch_add(grain, std::memory_order_relaxed)) < n;) {
      f(begin, std::min(n, begin + grain));
    }
  });
}

int ThreadPool::default_threads() {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  std::set<std::pair<std::string, std::string>> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    std::string package = "0", core = std::to_string(cpu);
    std::ifstream(topology + "physical_package_id") >> package;
    std::ifstream(topology + "core_id") >> core;
    cores.emplace(package, core);
  }
  int threads = static_cast<int>(cores.size());
  std::ifstream cpu_max("/sys/fs/cgroup/cpu.max");  // "<quota|max> <period>"
  if (double quota = 0, period = 0; cpu_max >> quota >> period && period > 0) {
    threads = std::min(threads, static_cast<int>(quota / period + 0.5));
  }
  return std::max(1, threads);
}

}  // namespace tenon
