#include "runtime/steps/embedding.h"

namespace tenon::runtime {

std::string EmbeddingStep::describe() const {
  return shape_text({data_.columns}).append(" -> ").append(to_string(data_.out));
}

void EmbeddingStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int) const {
  const tensor::RowView& table = run.tables[data_.table];
  for (std::int64_t row = begin; row < end; ++row) {
    const auto token = static_cast<std::size_t>(row);
    const std::int32_t named = data_.index == Index::kTokenId    ? run.batch->token_ids[token]
                               : data_.index == Index::kPosition ? run.batch->positions[token]
                                                                 : 0;
    const std::int64_t id = std::int64_t{named} + data_.fixed;
    TENON_CHECK(id >= 0 && id < table.n, "a token id outside the vocabulary, or a position beyond the table");
    run.kernels->dequantize_row(table.dtype, table.row(id), data_.columns, data_.scale, run.floats(data_.out, row));
  }
}

}  // namespace tenon::runtime
