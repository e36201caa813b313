#include "runtime/steps/embedding.h"

namespace tenon::runtime {

std::string EmbeddingStep::describe() const {
  return shape_text({data_.columns}).append(" -> ").append(to_string(data_.out));
}

void EmbeddingStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int) const {
  const tensor::RowView& table = run.tables[data_.table];
  for (std::int64_t row = begin; row < end; ++row) {
    const std::int32_t id = run.batch->token_ids[static_cast<std::size_t>(row)];
    TENON_CHECK(id >= 0 && id < table.n, "token id outside the vocabulary");
    run.kernels->dequantize_row(table.dtype, table.row(id), data_.columns, data_.scale, run.floats(data_.out, row));
  }
}

}  // namespace tenon::runtime
