#include "engine/engine.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/memory.h"
#include "engine/engine_loop.h"
#include "tensor/kv_layout.h"

namespace tenon::engine {
namespace {

std::string mebibytes(std::size_t bytes) { return std::to_string(((bytes - 1) >> 20) + 1) + " MiB"; }

Status at_most(const char* option, std::int64_t value, std::int64_t limit) {
  if (value >= 1 && value <= limit) return {};
  return invalid(std::string(option) + " must be between 1 and " + std::to_string(limit) + " for this model, not " +
                     std::to_string(value),
                 option);
}

// Options with their defaults filled in, within the executable's limits.
Result<Options> resolve(Options options, const runtime::Limits& limits) {
  TENON_TRY(at_most("max_batch_tokens", options.max_batch_tokens, limits.max_total_tokens));
  // A row that decodes takes one token of the budget.
  TENON_TRY(at_most("max_batch_size", options.max_batch_size,
                    std::min({limits.max_rows, limits.max_sampled_rows, options.max_batch_tokens})));
  TENON_TRY(at_most("prefill_chunk", options.prefill_chunk, std::numeric_limits<int>::max()));
  TENON_TRY(at_most("mixed_prefill", options.mixed_prefill, std::numeric_limits<int>::max()));
  TENON_TRY(at_most("max_queue_size", options.max_queue_size, std::numeric_limits<int>::max()));
  if (options.speculative_tokens != 0)
    TENON_TRY(at_most("speculative_tokens", options.speculative_tokens, limits.max_total_tokens));
  TENON_TRY(at_most("num_pages", options.num_pages, std::numeric_limits<std::int32_t>::max()));
  const std::int64_t longest = std::int64_t{limits.max_pages_per_row} * tensor::kPageTokens;
  if (options.max_length == 0) {
    options.max_length = static_cast<int>(std::min<std::int64_t>(longest, std::numeric_limits<int>::max()));
  }
  TENON_TRY(at_most("max_length", options.max_length, longest));
  return options;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<runtime::Executable> executable, Options options,
                                               int threads, Clock clock) {
  TENON_ASSIGN(options, resolve(options, executable->limits()));
  const auto page_bytes = static_cast<std::size_t>(executable->kv_layout().page_bytes());
  const auto bytes = static_cast<std::size_t>(options.num_pages) * page_bytes;
  const std::string purpose = "the KV cache of " + std::to_string(options.num_pages) + " pages (" +
                              std::to_string(options.num_pages * tensor::kPageTokens) + " tokens)";
  const std::size_t free = available_memory(), promised = static_cast<std::size_t>(executable->unpacked_bytes());
  if (const std::size_t available = free - std::min(free, promised); bytes > available) {
    return fail(ErrorCode::kResourceExhausted, purpose + " needs " + mebibytes(bytes) + ", but only " +
                                                   mebibytes(std::max<std::size_t>(available, 1)) +
                                                   " of memory are free: give the KV cache less");
  }
  TENON_ASSIGN(HugeBuffer kv, HugeBuffer::allocate(bytes, purpose));
  return std::make_unique<EngineLoop>(std::move(executable), options, std::move(kv), threads, std::move(clock));
}

Result<RequestId> Engine::submit(Request request, std::shared_ptr<Sink> sink) {
  std::vector<Submission> one;
  one.push_back({std::move(request), std::move(sink)});
  TENON_ASSIGN(const auto ids, submit_all(std::move(one)));
  return ids.front();
}

}  // namespace tenon::engine
