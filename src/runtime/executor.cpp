// Runs a plan: one SPMD region a batch, a barrier between phases.
#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "runtime/plan.h"
#include "runtime/shares.h"

namespace tenon::runtime {
namespace {

class PlanExecutable final : public Executable {
 public:
  PlanExecutable(Plan plan, Weights weights, HugeBuffer arena)
      : plan_(std::move(plan)),
        weights_(std::move(weights)),
        unpacked_(std::exchange(weights_.unpacked, {})),
        arena_(std::move(arena)) {
    run_.kernels = &kernels::kernels();
    run_.kv_layout = &plan_.kv_layout;
    run_.tables = weights_.tables.data();
    run_.weights = weights_.packed.data();
    run_.arena = arena_.data();
    run_.scratch_bytes = plan_.scratch_bytes;
    run_.replica_bytes = plan_.replica_bytes;
    run_.thread_bytes = plan_.scratch_bytes + plan_.replica_bytes + unpacked_.scratch_bytes();
    if (unpacked_.bytes() > 0) run_.unpacked = &unpacked_;
  }

  Status reserve_threads(int threads) {
    if (threads <= threads_) return {};
    TENON_ASSIGN(thread_memory_,
                 HugeBuffer::allocate(static_cast<std::size_t>(std::max<std::int64_t>(64, threads * run_.thread_bytes)),
                                      "scratch of the threads"));
    run_.thread_memory = thread_memory_.data();
    threads_ = threads;
    return {};
  }

  const Limits& limits() const override { return plan_.limits; }
  const tensor::KvLayout& kv_layout() const override { return plan_.kv_layout; }
  std::int64_t vocab_size() const override { return plan_.vocab_size; }
  std::int64_t weight_bytes() const override { return plan_.weight_bytes + weights_.spilled->bytes(); }
  std::int64_t arena_bytes() const override { return plan_.arena_bytes; }
  std::int64_t streamed_bytes() const override { return plan_.streamed_bytes; }
  double matmul_flops(std::int64_t total_tokens, std::int64_t sampled_rows) const override {
    return plan_.flops_per_token * static_cast<double>(total_tokens) +
           plan_.flops_per_sampled_row * static_cast<double>(sampled_rows);
  }

  std::span<float> run(const tensor::Batch& batch, std::byte* kv_pages, ThreadPool& pool) override {
    check(batch);
    TENON_CHECK(reserve_threads(pool.size()).has_value(), "no memory for more threads");
    batch_ = batch;
    run_.batch = &batch_;
    run_.kv_pages = kv_pages;
    if (pool.size() != shares_.threads()) shares_.resize(most_steps(), pool.size());
    first_phase_ += plan_.phases.size();
    pool.run([this, &pool](int thread) { run_thread(thread, pool); });
    return {run_.floats(plan_.logits), static_cast<std::size_t>(batch_.sampled_rows() * plan_.vocab_size)};
  }

  std::int64_t unpacked_bytes() const override { return unpacked_.bytes(); }
  void pack_more(ThreadPool& pool) override {
    unpacked_.pack_more(weights_.packed.data(), *weights_.spilled, pool);
    if (unpacked_.bytes() == 0) run_.unpacked = nullptr;
  }

  std::vector<Tap> taps() const override {
    std::vector<Tap> taps;
    if (run_.batch == nullptr) return taps;
    for (const TapPlace& tap : plan_.taps) {
      const std::int64_t rows = run_.rows(tap.rows);
      std::vector<std::int64_t> shape = {rows};
      shape.insert(shape.end(), tap.dims.begin(), tap.dims.end());
      taps.push_back(
          {tap.name, std::move(shape), {run_.floats(tap.place), static_cast<std::size_t>(rows * tap.place.stride)}});
    }
    return taps;
  }

 private:
  // The batch stays within what the arena was planned for, and every index within what it points at.
  void check(const tensor::Batch& batch) const {
    const Limits& limits = plan_.limits;
    const int tokens = batch.total_tokens();
    TENON_CHECK(tokens > 0 && tokens <= limits.max_total_tokens, "tokens of the batch: " + std::to_string(tokens));
    TENON_CHECK(batch.rows() > 0 && batch.rows() <= limits.max_rows, "rows of the batch");
    TENON_CHECK(batch.sampled_rows() <= limits.max_sampled_rows, "sampled rows of the batch");
    TENON_CHECK(batch.max_pages > 0 && batch.max_pages <= limits.max_pages_per_row, "pages of a row");
    TENON_CHECK(batch.positions.size() == batch.token_ids.size(), "one position a token");
    TENON_CHECK(batch.page_table.size() == static_cast<std::size_t>(batch.rows() * batch.max_pages), "the page table");
    TENON_CHECK(batch.row_offsets.front() == 0 && batch.row_offsets.back() == tokens, "the ends of row_offsets");
    TENON_CHECK(std::ranges::is_sorted(batch.row_offsets), "row_offsets ascend");
    for (std::int32_t row : batch.logit_rows) TENON_CHECK(row >= 0 && row < tokens, "a logit row");
    for (std::int32_t position : batch.positions) {
      TENON_CHECK(position >= 0 && position / tensor::kPageTokens < batch.max_pages, "a position beyond the pages");
    }
  }

  std::size_t most_steps() const {
    std::size_t steps = 0;
    for (const Phase& phase : plan_.phases) steps = std::max(steps, phase.steps.size());
    return steps;
  }

  void run_thread(int thread, ThreadPool& pool) {
    for (std::size_t i = 0; i < plan_.phases.size(); ++i) {
      const Phase& phase = plan_.phases[i];
      if (phase.replicated_rows > 0 && run_.rows(phase.rows) <= phase.replicated_rows) {
        for (const auto& s : phase.steps) {
          if (const std::int64_t rows = s->items(run_); rows > 0) s->execute(run_, 0, rows, thread);
        }
        continue;
      }
      const std::int64_t alignment = common_alignment(phase);
      for (std::size_t j = 0; j < phase.steps.size(); ++j) {
        const Step& step = *phase.steps[j];
        if (step.by_rows()) {
          run_rows(step, alignment, thread, pool.size());
        } else {
          shares_.take(j, first_phase_ + i, step.items(run_), thread,
                       [&](std::int64_t begin, std::int64_t end) { step.execute(run_, begin, end, thread); });
        }
      }
      if (i + 1 < plan_.phases.size()) pool.barrier();
    }
  }

  std::int64_t common_alignment(const Phase& phase) const {
    std::int64_t alignment = 1;
    for (const auto& s : phase.steps) {
      if (s->by_rows() && s->items(run_) > 0) alignment = std::lcm(alignment, s->alignment(run_));
    }
    return alignment;
  }

  void run_rows(const Step& step, std::int64_t alignment, int thread, int threads) const {
    const std::int64_t rows = step.items(run_), blocks = (rows + alignment - 1) / alignment;
    const std::int64_t begin = blocks * thread / threads * alignment;
    const std::int64_t end = std::min(rows, blocks * (thread + 1) / threads * alignment);
    if (begin < end) step.execute(run_, begin, end, thread);
  }

  Plan plan_;
  Weights weights_;
  Unpacked unpacked_;
  HugeBuffer arena_, thread_memory_;
  int threads_ = 0;
  Shares shares_;
  std::uint64_t first_phase_ = 0;  ///< the number, for shares_, of this run's first phase
  tensor::Batch batch_;
  Run run_;
};

}  // namespace

Result<std::shared_ptr<Executable>> make_executable(Plan plan, Weights weights, int threads) {
  const auto bytes = static_cast<std::size_t>(std::max<std::int64_t>(64, plan.arena_bytes));
  TENON_ASSIGN(HugeBuffer arena, HugeBuffer::allocate(bytes, "intermediate values"));
  auto executable = std::make_shared<PlanExecutable>(std::move(plan), std::move(weights), std::move(arena));
  TENON_TRY(executable->reserve_threads(threads));
  return executable;
}

std::string to_text(const Plan& plan) {
  std::string text;
  for (std::size_t i = 0; i < plan.phases.size(); ++i) {
    for (const auto& step : plan.phases[i].steps) {
      std::string line = std::to_string(i);
      line.resize(std::max<std::size_t>(line.size(), 5), ' ');
      line += step->kernel();
      line.resize(std::max<std::size_t>(line.size() + 1, 22), ' ');
      line += step->describe();
      if (!step->scope().empty()) line += "  ; " + step->scope();
      if (plan.phases[i].replicated_rows > 0) {
        line += " (each thread for itself up to " + std::to_string(plan.phases[i].replicated_rows) + " rows)";
      }
      text += line + '\n';
    }
  }
  return text;
}

}  // namespace tenon::runtime
