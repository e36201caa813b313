#include "runtime/steps/copy.h"

#include <algorithm>

namespace tenon::runtime {

std::string CopyStep::describe() const { return arrow({data_.groups, data_.columns}, data_.x, data_.out); }

void CopyStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int) const {
  for (std::int64_t row = begin; row < end; ++row) {
    for (std::int64_t g = 0; g < data_.groups; ++g) {
      std::copy_n(run.floats(data_.x, row) + g * data_.x_group, data_.columns,
                  run.floats(data_.out, row) + g * data_.out_group);
    }
  }
}

std::string GatherRowsStep::describe() const { return arrow({data_.columns}, data_.x, data_.out); }

void GatherRowsStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int) const {
  for (std::int64_t row = begin; row < end; ++row) {
    const std::int32_t from = run.batch->logit_rows[static_cast<std::size_t>(row)];
    std::copy_n(run.floats(data_.x, from), data_.columns, run.floats(data_.out, row));
  }
}

}  // namespace tenon::runtime
