#include "runtime/steps/sequence.h"

#include <algorithm>
#include <cmath>

namespace tenon::runtime {

std::string PositionTemperatureStep::describe() const { return arrow({data_.columns}, data_.x, data_.out); }

void PositionTemperatureStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int) const {
  for (std::int64_t row = begin; row < end; ++row) {
    const double position = run.batch->positions[static_cast<std::size_t>(row)];
    const double factor = 1.0 + data_.strength * std::log1p(std::floor((position + 1.0) / data_.floor_scale));
    run.kernels->scale(run.floats(data_.x, row), static_cast<float>(factor), run.floats(data_.out, row), data_.columns);
  }
}

std::string ShortConvStep::describe() const {
  return std::string("layer ")
      .append(std::to_string(data_.layer))
      .append(" ")
      .append(shape_text({data_.taps, data_.channels}))
      .append(" -> ")
      .append(to_string(data_.out));
}

void ShortConvStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const {
  const tensor::Batch& batch = *run.batch;
  const tensor::KvLayout& layout = *run.kv_layout;
  const std::int64_t page_bytes = layout.page_bytes();
  const std::int64_t states = tensor::bytes_of(layout.dtype, layout.value_offset(data_.layer, 0));
  const std::int64_t state_bytes = tensor::bytes_of(layout.dtype, data_.channels);
  auto* state = reinterpret_cast<float*>(run.scratch(thread));
  std::int64_t row = 0;
  for (std::int64_t t = begin; t < end; ++t) {
    while (t >= batch.row_offsets[static_cast<std::size_t>(row + 1)]) ++row;
    float* out = run.floats(data_.out, t);
    std::fill_n(out, data_.channels, 0.0f);
    const std::int64_t oldest = batch.positions[static_cast<std::size_t>(t)] - (data_.taps - 1);
    for (std::int64_t j = std::max<std::int64_t>(0, -oldest); j < data_.taps; ++j) {
      const std::int64_t p = oldest + j;
      const std::int64_t page =
          batch.page_table[static_cast<std::size_t>(row * batch.max_pages + p / tensor::kPageTokens)];
      const std::byte* from = run.kv_pages + page * page_bytes + states + p % tensor::kPageTokens * state_bytes;
      run.kernels->dequantize_row(layout.dtype, from, data_.channels, 1.0f, state);
      run.kernels->mul(state, run.vector(data_.weight) + j * data_.channels, state, data_.channels);
      run.kernels->add(out, state, out, data_.channels);
    }
  }
}

}  // namespace tenon::runtime
