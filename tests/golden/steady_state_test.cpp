// A step of the engine in which replies go on allocates nothing, on any thread.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>
#include <new>
#include <vector>

#include "engine/engine.h"
#include "loader/loader.h"

namespace {

std::atomic<std::int64_t> allocations{0};

void* allocate(std::size_t bytes, std::size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* const p =
      std::aligned_alloc(alignment, (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace tenon::golden {
namespace {

constexpr int kRequests = 4;

/// Four replies side by side, of as many kinds; how much had been allocated after each step in which all of them went
/// on, by one token or more.
std::vector<std::int64_t> allocated_by_step(engine::Engine& engine, std::int32_t first_token) {
  std::vector<std::int64_t> counts;
  counts.reserve(1000);  // the sink itself allocates nothing
  std::promise<void> done;
  int running = kRequests;
  const auto sink = std::make_shared<engine::Sink>([&](std::span<const engine::TokenEvent> events) {
    for (const auto& event : events) running -= event.finish == engine::FinishReason::kNone ? 0 : 1;
    if (running == kRequests && events.size() >= kRequests) counts.push_back(allocations.load());
    if (running == 0) done.set_value();
  });
  std::vector<engine::Submission> submissions;
  for (int i = 0; i < kRequests; ++i) {
    engine::Request request{.prompt = {first_token, 2, 3, i}, .max_tokens = 100};
    request.sampling = {.temperature = i == 0 ? 0.0f : 1.0f, .seed = 7};
    if (i == 1) request.sampling.top_p = 0.9f;
    if (i == 2) request.sampling.top_k = 20;
    if (i == 3) request.sampling.repetition_penalty = 1.2f;
    submissions.push_back({std::move(request), sink});
  }
  EXPECT_TRUE(engine.submit_all(std::move(submissions)));
  EXPECT_EQ(done.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  return counts;
}

void expect_steps_allocate_nothing(int speculative_tokens, std::size_t fewest_steps) {
  ThreadPool pool(1);
  auto model = loader::load({.model = TENON_GOLDEN_DIR "/llama/gqa_tied",
                             .quantization_encoding = "bfloat16",
                             .limits = {.max_sampled_rows = 64 + speculative_tokens}},
                            pool);
  ASSERT_TRUE(model) << model.error().message;
  auto engine =
      engine::Engine::create(model->executable, {.num_pages = 200, .speculative_tokens = speculative_tokens}, 2);
  ASSERT_TRUE(engine) << engine.error().message;
  allocated_by_step(**engine, 4);  // its buffers grow to what such requests need
  const auto counts = allocated_by_step(**engine, 5);
  ASSERT_GE(counts.size(), fewest_steps);
  for (std::size_t step = 1; step < counts.size(); ++step) EXPECT_EQ(counts[step], counts[step - 1]) << "step " << step;
  EXPECT_EQ((*engine)->stats().accepted_tokens > 0, speculative_tokens > 0);
}

// A page and a half: the second page is taken, the first one joins the prefix tree.
TEST(SteadyState, AStepAllocatesNothing) { expect_steps_allocate_nothing(0, 90); }
TEST(SteadyState, NorWithGuessedTokens) { expect_steps_allocate_nothing(16, 30); }

}  // namespace
}  // namespace tenon::golden
