#include "runtime/unpacked.h"

#include <algorithm>
#include <array>

namespace tenon::runtime {

std::byte* SpilledWeights::take(std::int64_t bytes) {
  auto part = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(bytes));
  const std::scoped_lock lock(mutex_);
  bytes_ += bytes;
  return parts_.emplace_back(std::move(part)).get();
}

std::int64_t SpilledWeights::bytes() const {
  const std::scoped_lock lock(mutex_);
  return bytes_;
}

std::int64_t MatrixSources::target(std::size_t source, std::int64_t i) const {
  const std::int64_t panels = sources[source].panels(), expert = i / panels, p = i % panels;
  if (alternate) return expert * place.panels() + 2 * p + static_cast<std::int64_t>(source);
  std::int64_t begin = 0;
  for (std::size_t s = 0; s < source; ++s) begin += sources[s].panels();
  return expert * place.panels() + begin + p;
}

std::pair<std::size_t, std::int64_t> MatrixSources::source_of(std::int64_t panel) const {
  const std::int64_t expert = panel / place.panels();
  std::int64_t p = panel % place.panels();
  std::size_t source = 0;
  if (alternate) {
    source = static_cast<std::size_t>(p % 2), p /= 2;
  } else {
    for (; p >= sources[source].panels(); ++source) p -= sources[source].panels();
  }
  return {source, expert * sources[source].panels() + p};
}

std::array<const std::byte*, kernels::kPanel> MatrixSources::rows_of(std::size_t source, std::int64_t i) const {
  const auto& [rows, size, release] = sources[source];
  const std::int64_t panels = sources[source].panels(), expert = i / panels, p = i % panels;
  const std::int64_t first = expert * size + p * kernels::kPanel;
  std::array<const std::byte*, kernels::kPanel> pointers{};  // null behind the last row
  for (std::int64_t row = first; row < std::min((expert + 1) * size, first + kernels::kPanel); ++row) {
    pointers[static_cast<std::size_t>(row - first)] = rows.row(row);
  }
  return pointers;
}

void MatrixSources::pack(std::size_t source, std::int64_t i, std::byte* out) const {
  const tensor::RowView& rows = sources[source].rows;
  kernels::kernels().pack_panel(place.dtype, rows.k, rows.dtype, rows_of(source, i).data(), out);
}

void MatrixSources::place_panel(std::size_t source, std::int64_t i, std::byte* weights, SpilledWeights& spilled) const {
  std::byte* const out = weights + place.offset + target(source, i) * place.panel_bytes;
  if (!place.coded) return pack(source, i, out);
  const tensor::RowView& rows = sources[source].rows;
  const auto pointers = rows_of(source, i);
  const auto pack_coded = [&](std::byte* room, std::int64_t count) {
    return kernels::kernels().pack_coded_panel(rows.k, rows.dtype, pointers.data(), out, room, count);
  };
  const std::int64_t spills = pack_coded(nullptr, 0);
  if (spills > 0) pack_coded(spilled.take(spills * kernels::kSpillBytes), spills);
}

Unpacked::Unpacked(std::vector<MatrixSources> matrices) {
  for (MatrixSources& from : matrices) {
    by_offset_.emplace_back(from.place.offset, matrices_.size());
    bytes_ += from.panels() * from.place.panel_bytes;
    matrices_.push_back({std::move(from)});
  }
  std::ranges::sort(by_offset_);
}

void Unpacked::pack_more(std::byte* weights, SpilledWeights& spilled, ThreadPool& pool) {
  constexpr std::int64_t kBytes = std::int64_t{32} << 20;  ///< some milliseconds, for which a request may have to wait
  constexpr std::int64_t kHugePage = std::int64_t{2} << 20;
  if (next_ == matrices_.size()) return;
  auto& [from, packed] = matrices_[next_];
  const std::int64_t panel_bytes = from.place.panel_bytes;
  const std::int64_t most = std::max<std::int64_t>(2 * pool.size(), kBytes / panel_bytes);
  const std::int64_t begin = packed, count = std::min(from.panels() - begin, most);
  const std::int64_t grain =
      std::clamp<std::int64_t>(kHugePage / panel_bytes, 1, std::max<std::int64_t>(1, count / (2 * pool.size())));
  pool.parallel_for(count, grain, [&, &from = from](std::int64_t first, std::int64_t last) {
    for (std::int64_t panel = begin + first; panel < begin + last; ++panel) {
      const auto [source, i] = from.source_of(panel);
      from.place_panel(source, i, weights, spilled);
    }
  });
  bytes_ -= count * panel_bytes;
  packed += count;
  // After each piece, so that what is packed does not lie in memory twice; what is still to be read comes back by
  // itself.
  for (MatrixSources::Source& source : from.sources) {
    if (source.release) source.release();
    if (packed == from.panels()) source = {.rows = {}, .size = source.size, .release = {}};
  }
  if (packed == from.panels()) ++next_;
}

std::int64_t Unpacked::scratch_bytes() const {
  std::int64_t most = 0;
  for (const Matrix& matrix : matrices_) {
    const MatrixPlace& place = matrix.from.place;
    most = std::max(most, 2 * kernels::kernels().panel_bytes(place.dtype, place.k));
  }
  return (most + 63) / 64 * 64;
}

const Unpacked::Matrix* Unpacked::find(std::int64_t offset) const {
  const auto at = std::ranges::lower_bound(by_offset_, offset, {}, &std::pair<std::int64_t, std::size_t>::first);
  if (at == by_offset_.end() || at->first != offset) return nullptr;
  const Matrix& matrix = matrices_[at->second];
  return matrix.packed == matrix.from.panels() ? nullptr : &matrix;
}

}  // namespace tenon::runtime
