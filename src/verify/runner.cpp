#include "verify/runner.h"

#include <algorithm>
#include <cstring>

namespace tenon::verify {
namespace {

std::int64_t pages_for(std::size_t tokens) {
  return static_cast<std::int64_t>((tokens + tensor::kPageTokens - 1) / tensor::kPageTokens);
}

}  // namespace

Result<std::unique_ptr<Runner>> Runner::load(loader::LoadOptions options, int threads, int max_tokens, int max_rows) {
  options.limits.max_total_tokens = options.limits.max_sampled_rows = max_tokens;
  options.limits.max_rows = max_rows;
  ThreadPool pool(threads);
  TENON_ASSIGN(auto model, loader::load(options, pool));
  return std::unique_ptr<Runner>(new Runner(std::move(model), threads));
}

std::vector<Logits> Runner::run(const std::vector<Ids>& sequences, int chunk) {
  auto& executable = *model_.executable;
  const auto vocab = static_cast<std::size_t>(executable.vocab_size());
  std::int64_t total_pages = 0, max_pages = 1;
  for (const auto& ids : sequences) {
    total_pages += pages_for(ids.size());
    max_pages = std::max(max_pages, pages_for(ids.size()));
  }
  // Pages of one sequence are scattered, as after a while of serving; what they held before is garbage.
  const std::int64_t page_bytes = executable.kv_layout().page_bytes();
  auto buffer = HugeBuffer::allocate(static_cast<std::size_t>(total_pages * page_bytes), "the KV cache");
  if (!buffer) throw std::runtime_error(buffer.error().message);
  pages_ = std::move(*buffer);
  std::memset(pages_.data(), 0xff, pages_.size());
  std::vector<std::vector<std::int32_t>> tables(sequences.size());
  std::int32_t next_page = static_cast<std::int32_t>(total_pages);
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    for (std::int64_t p = 0; p < pages_for(sequences[s].size()); ++p) tables[s].push_back(--next_page);
  }

  std::vector<Logits> out(sequences.size());
  std::vector<std::size_t> done(sequences.size());
  for (std::size_t s = 0; s < sequences.size(); ++s) out[s].resize(sequences[s].size() * vocab);
  for (;;) {
    std::vector<std::int32_t> ids, positions, offsets = {0}, table, logit_rows;
    std::vector<std::size_t> rows;
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      const std::size_t room = static_cast<std::size_t>(executable.limits().max_total_tokens) - ids.size();
      const std::size_t n = std::min({sequences[s].size() - done[s], static_cast<std::size_t>(chunk), room});
      if (n == 0 || static_cast<int>(rows.size()) == executable.limits().max_rows) continue;
      for (std::size_t t = done[s]; t < done[s] + n; ++t) {
        logit_rows.push_back(static_cast<std::int32_t>(ids.size()));
        ids.push_back(sequences[s][t]);
        positions.push_back(static_cast<std::int32_t>(t));
      }
      offsets.push_back(static_cast<std::int32_t>(ids.size()));
      for (std::int64_t p = 0; p < max_pages; ++p) {
        table.push_back(p < static_cast<std::int64_t>(tables[s].size()) ? tables[s][static_cast<std::size_t>(p)] : -1);
      }
      rows.push_back(s);
    }
    if (rows.empty()) return out;
    const tensor::Batch batch{.token_ids = ids,
                              .positions = positions,
                              .row_offsets = offsets,
                              .page_table = table,
                              .max_pages = static_cast<int>(max_pages),
                              .logit_rows = logit_rows};
    const auto logits = executable.run(batch, pages_.data(), pool_);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const auto begin = static_cast<std::size_t>(offsets[r]), end = static_cast<std::size_t>(offsets[r + 1]);
      std::copy_n(logits.begin() + static_cast<std::ptrdiff_t>(begin * vocab), (end - begin) * vocab,
                  out[rows[r]].begin() + static_cast<std::ptrdiff_t>(done[rows[r]] * vocab));
      done[rows[r]] += end - begin;
    }
  }
}

}  // namespace tenon::verify
