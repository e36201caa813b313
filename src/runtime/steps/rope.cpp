#include "runtime/steps/rope.h"

namespace tenon::runtime {

std::string RopeTableStep::describe() const {
  return shape_text({static_cast<std::int64_t>(2 * data_.inv_freq.size())}).append(" -> ").append(to_string(data_.out));
}

void RopeTableStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int) const {
  run.kernels->rope_table(run.batch->positions.data() + begin, end - begin, data_.inv_freq.data(),
                          static_cast<std::int64_t>(data_.inv_freq.size()), data_.scale, run.floats(data_.out, begin));
}

std::string RopeStep::describe() const { return arrow({data_.heads, data_.head_dim}, data_.x, data_.out); }

void RopeData::execute(const Run& run, std::int64_t begin, std::int64_t end) const {
  run.kernels->rope(run.floats(x, begin), x.stride, run.floats(table, begin), style, end - begin, heads, head_dim, half,
                    run.floats(out, begin), out.stride);
}

}  // namespace tenon::runtime
