#include "tensor/kv_layout.h"

#include <gtest/gtest.h>

namespace tenon::tensor {
namespace {

TEST(KvLayout, OffsetsAreTheDocumentedOrder) {
  const KvLayout layout{DType::kBF16, {{2, 8, 4}, {1, 6, 6}}};
  EXPECT_EQ(layout.key_offset(0, 0), 0);
  EXPECT_EQ(layout.key_offset(0, 1), 8 * 64);
  EXPECT_EQ(layout.value_offset(0, 0), 2 * 8 * 64);
  EXPECT_EQ(layout.value_offset(0, 1), (2 * 8 + 4) * 64);
  EXPECT_EQ(layout.key_offset(1, 0), (2 * 8 + 2 * 4) * 64);
  EXPECT_EQ(layout.value_offset(1, 0), (2 * 8 + 2 * 4 + 6) * 64);
  EXPECT_EQ(layout.page_elements(), (2 * 8 + 2 * 4 + 6 + 6) * 64);
  EXPECT_EQ(layout.page_bytes(), 2 * layout.page_elements());
  EXPECT_EQ((KvLayout{DType::kF32, layout.layers}.page_bytes()), 4 * layout.page_elements());
  EXPECT_EQ(KvLayout{}.page_bytes(), 0);
}

}  // namespace
}  // namespace tenon::tensor
