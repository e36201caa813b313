#include "runtime/unpacked.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/file.h"

namespace tenon::runtime {
namespace {

std::vector<float> random_floats(std::int64_t count) {
  std::mt19937 random(1);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
  return values;
}

// y of two rows, by matmuls of a few panels each, as the threads of a step take them.
class Product {
 public:
  Product(MatrixSources matrix, kernels::Epilogue epilogue)
      : place_(matrix.place),
        epilogue_(epilogue),
        gated_(epilogue > kernels::Epilogue::kAdd),
        parts_(matrix.experts),
        x_(random_floats(2 * place_.k)),
        bias_(random_floats(place_.panels() * kernels::kPanel)),
        weights_(*HugeBuffer::allocate(static_cast<std::size_t>(matrix.panels() * place_.panel_bytes), "weights")),
        unpacked_({std::move(matrix)}) {
    run_.kernels = &kernels::kernels();
    run_.weights = weights_.data();
    run_.unpacked = &unpacked_;
    run_.thread_bytes = unpacked_.scratch_bytes();
    scratch_ = *HugeBuffer::allocate(static_cast<std::size_t>(run_.thread_bytes), "scratch");
    run_.thread_memory = scratch_.data();
  }

  std::vector<float> compute() {
    const kernels::Kernels& k = kernels::kernels();
    const kernels::ActivationLayout layout = k.activation_layout(place_.dtype, 2, place_.k);
    std::vector<std::byte> packed(static_cast<std::size_t>(layout.bytes() + 64));
    std::byte* const aligned = packed.data() + (64 - reinterpret_cast<std::uintptr_t>(packed.data()) % 64);
    for (std::int64_t b = 0; b < layout.blocks(); ++b) {
      k.pack_activations(layout, b, x_.data() + b * layout.row_block * place_.k, place_.k, aligned);
    }
    const std::int64_t columns = gated_ ? place_.n / 2 : place_.n;
    std::vector<float> y(static_cast<std::size_t>(2 * parts_ * columns), 0.5f);
    for (std::int64_t part = 0; part < parts_; ++part) {
      const kernels::MatmulTask task{.layout = layout,
                                     .activations = aligned,
                                     .y = y.data() + part * columns,
                                     .ldy = parts_ * columns,
                                     .bias = bias_.data(),
                                     .epilogue = epilogue_};
      for (std::int64_t begin = 0; begin < place_.panels(); begin += 6) {
        multiply(run_, place_, part, task, begin, std::min(begin + 6, place_.panels()), 0);
      }
    }
    return y;
  }

  std::int64_t spilled() const { return spilled_.bytes(); }
  bool pack_more() {
    unpacked_.pack_more(weights_.data(), spilled_, pool_);
    return unpacked_.bytes() > 0;
  }
  void forget() { run_.unpacked = nullptr; }

 private:
  MatrixPlace place_;
  kernels::Epilogue epilogue_;
  bool gated_;
  std::int64_t parts_;
  std::vector<float> x_, bias_;
  HugeBuffer weights_, scratch_;
  Unpacked unpacked_;
  SpilledWeights spilled_;
  ThreadPool pool_{2};
  Run run_;
};

MatrixSources matrix(const std::vector<float>& rows, std::int64_t k, std::vector<std::int64_t> sizes, bool alternate,
                     std::int64_t experts, int* released) {
  MatrixSources result{.place = {.k = k}, .experts = experts, .alternate = alternate, .sources = {}};
  std::int64_t first = 0;
  for (const std::int64_t size : sizes) {
    MatrixSources::Source source{.size = size, .release = [released] { ++*released; }};
    source.rows = {.n = experts * size,
                   .k = k,
                   .data = reinterpret_cast<const std::byte*>(rows.data() + first * k),
                   .row_bytes = k * 4,
                   .order = {},
                   .owner = nullptr};
    first += experts * size;
    // Only the last has a panel that is not full.
    result.place.n += size;
    result.sources.push_back(std::move(source));
  }
  result.place.panel_bytes = kernels::kernels().panel_bytes(tensor::DType::kF32, k);
  return result;
}

void check(Product& product, int sources, const int& released) {
  const std::vector<float> expected = product.compute();
  int pieces = 1;
  while (product.pack_more()) {
    EXPECT_TRUE(product.compute() == expected) << "after piece " << pieces;
    EXPECT_EQ(released, pieces * sources);
    ++pieces;
  }
  EXPECT_GT(pieces, 1) << "too small to be packed in part";
  EXPECT_EQ(released, pieces * sources);
  EXPECT_TRUE(product.compute() == expected);
  product.forget();
  EXPECT_TRUE(product.compute() == expected);
}

void check(std::int64_t k, const std::vector<std::int64_t>& sizes, bool alternate, std::int64_t experts,
           kernels::Epilogue epilogue) {
  std::int64_t n = 0;
  for (const std::int64_t size : sizes) n += size;
  const std::vector<float> rows = random_floats(experts * n * k);
  int released = 0;
  Product product(matrix(rows, k, sizes, alternate, experts, &released), epilogue);
  check(product, static_cast<int>(sizes.size()), released);
}

// Of each 40 to 70 MB, so that they are packed in pieces.
TEST(Unpacked, AProductIsTheSameBeforeWhileAndAfterItsWeightsArePacked) {
  check(1024, {6400, 3200, 1000}, false, 1, kernels::Epilogue::kAdd);
}

TEST(Unpacked, SoAreThoseOfGatesAndOfExperts) {
  check(1024, {5120, 5120}, true, 1, kernels::Epilogue::kSiluMul);
  check(512, {640, 640}, true, 16, kernels::Epilogue::kSiluMul);
  check(512, {1300}, false, 16, kernels::Epilogue::kStore);
}

TEST(Unpacked, SoAreCodedOnesOfWhichPartsSpill) {
  constexpr std::int64_t kN = 24000, kK = 1024;
  const std::int64_t panel_bytes = kernels::kernels().coded_panel_bytes(kK);
  if (panel_bytes == 0) GTEST_SKIP() << "skipped: this ISA has no coded panels";
  std::vector<float> rows = random_floats(kN * kK);
  // Of some rows the magnitudes are all over the range.
  for (std::int64_t row = 0; row < kN; row += 1000) {
    for (std::int64_t i = 0; i < kK; ++i)
      rows[static_cast<std::size_t>(row * kK + i)] *= std::exp2f(static_cast<float>(i % 97 - 90));
  }
  int released = 0;
  MatrixSources coded = matrix(rows, kK, {16000, 8000}, false, 1, &released);
  coded.place.dtype = tensor::DType::kBF16;
  coded.place.coded = true;
  coded.place.panel_bytes = panel_bytes;
  Product product(std::move(coded), kernels::Epilogue::kAdd);
  check(product, 2, released);
  EXPECT_EQ(product.spilled(), kN / 1000 * kK / 64 * kernels::kSpillBytes);
}

}  // namespace
}  // namespace tenon::runtime
