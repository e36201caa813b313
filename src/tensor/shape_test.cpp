#include "tensor/shape.h"

#include <gtest/gtest.h>

#include <limits>

namespace tenon::tensor {
namespace {

TEST(Shape, Elements) {
  EXPECT_EQ(elements({}), 1);
  EXPECT_EQ(elements({3, 4, 5}), 60);
  EXPECT_EQ(elements({3, 0, 5}), 0);
  // Counts that no memory holds saturate rather than wrap.
  EXPECT_EQ(elements({std::int64_t{1} << 40, std::int64_t{1} << 40}), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(elements({std::int64_t{1} << 40, std::int64_t{1} << 40, 0}), 0);
}

TEST(Shape, ToString) {
  EXPECT_EQ(to_string(Shape{}), "[]");
  EXPECT_EQ(to_string(Shape{2, 3}), "[2, 3]");
}

TEST(Shape, ViewBytes) { EXPECT_EQ((TensorView{.dtype = DType::kQ8_0, .shape = {2, 64}}.bytes()), 136); }

}  // namespace
}  // namespace tenon::tensor
