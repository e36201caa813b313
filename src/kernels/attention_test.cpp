// Paged attention of every ISA that this machine has, against double precision, and bit by bit against itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "kernels/isa_test.h"
#include "kernels/parts.h"

namespace tenon::kernels {
namespace {

using tensor::kPageTokens;

struct Shape {
  int heads = 4;
  int kv_heads = 2;
  int key_dim = 64;
  int value_dim = 64;
  DType dtype = DType::kBF16;
  int window = 0;
  float softcap = 0.0f;
  bool sinks = false;
  bool causal = true;
  int chunk = 0;
  bool bias = false;
};

/// A sequence: `past` tokens are in the cache, `fresh` ones are computed now.
struct Row {
  int past = 0;
  int fresh = 0;
  unsigned seed = 0;
};

// The values of a sequence's token, the same in whatever batch or chunk it comes.
float value_of(unsigned seed, int token, int kind, int index) {
  std::uint32_t x = seed * 2654435761u ^ static_cast<std::uint32_t>(token) * 40503u ^
                    static_cast<std::uint32_t>(kind) << 28 ^ static_cast<std::uint32_t>(index) * 2246822519u;
  x ^= x >> 15, x *= 2246822519u, x ^= x >> 13, x *= 3266489917u, x ^= x >> 16;
  return static_cast<float>(x) * 0x1p-31f - 1.0f;
}

enum Kind { kQuery = 1, kKey = 2, kValue = 3 };

/// One layer's cache for some sequences, its pages shuffled and full of NaN where nothing was appended.
class Cache {
 public:
  Cache(const IsaParts& isa, const Shape& shape, std::vector<Row> rows)
      : isa_(isa), shape_(shape), rows_(std::move(rows)), past_(rows_.size(), 0) {
    // A layer before and one after, so that offsets count.
    layout_ = {shape.dtype, {{1, 4, 2}, {shape.kv_heads, shape.key_dim, shape.value_dim}, {1, 2, 2}}};
    for (const Row& row : rows_)
      max_pages_ = std::max(max_pages_, (row.past + row.fresh + kPageTokens - 1) / kPageTokens + 1);
    std::vector<std::int32_t> ids(rows_.size() * static_cast<std::size_t>(max_pages_));
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), std::mt19937(9));
    pages_.assign(static_cast<std::size_t>(layout_.page_bytes()) * ids.size(), std::byte{0xff});
    table_ = ids;
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      const int used = (rows_[r].past + rows_[r].fresh + kPageTokens - 1) / kPageTokens;
      for (int p = used; p < max_pages_; ++p)
        table_[r * static_cast<std::size_t>(max_pages_) + static_cast<std::size_t>(p)] = -1;
    }
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      if (rows_[r].past > 0) step(counts_for(r, rows_[r].past), false, 1);
    }
  }

  std::vector<int> counts_for(std::size_t row, int count) const {
    std::vector<int> counts(rows_.size(), 0);
    counts[row] = count;
    return counts;
  }

  /// Appends counts[r] tokens of each sequence and, if asked, attends with them; returns [tokens][heads][value_dim].
  /// The items are computed `split` at a time, in descending order.
  std::vector<float> step(const std::vector<int>& counts, bool attend, std::int64_t split) {
    std::vector<std::int32_t> positions, offsets = {0}, ids;
    const int ldq = shape_.heads * shape_.key_dim + 3;
    const int ldk = shape_.kv_heads * shape_.key_dim + 1;
    const int ldv = shape_.kv_heads * shape_.value_dim + 5;
    std::vector<float> q, k, v;
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      for (int i = 0; i < counts[r]; ++i) {
        const int token = past_[r] + i;
        positions.push_back(token);
        for (int j = 0; j < ldq; ++j) q.push_back(query_scale_ * value_of(rows_[r].seed, token, kQuery, j));
        for (int j = 0; j < ldk; ++j) k.push_back(value_of(rows_[r].seed, token, kKey, j));
        for (int j = 0; j < ldv; ++j) v.push_back(value_of(rows_[r].seed, token, kValue, j));
      }
      past_[r] += counts[r];
      offsets.push_back(static_cast<std::int32_t>(positions.size()));
    }
    ids.assign(positions.size(), 0);
    const auto tokens = static_cast<std::int64_t>(positions.size());
    const tensor::Batch batch{ids, positions, offsets, table_, max_pages_, {}};

    const KvAppendTask append{k.data(), ldk, v.data(), ldv, &layout_, 1, pages_.data(), &batch};
    for (std::int64_t t = 0; t < tokens; t += 5) isa_.attention->kv_append(append, t, std::min(t + 5, tokens));
    if (!attend) return {};

    const int ldo = shape_.heads * shape_.value_dim + 1;
    std::vector<float> out(positions.size() * static_cast<std::size_t>(ldo) + 1, 77.0f);
    AttentionTask task{q.data(), ldq, out.data(), ldo, shape_.heads, &layout_, 1, pages_.data(), &batch};
    task.scale = scale();
    task.softcap = shape_.softcap;
    task.window = shape_.window;
    task.chunk = shape_.chunk;
    task.causal = shape_.causal;
    const std::vector<float> sinks = sink_values();
    if (shape_.sinks) task.sinks = sinks.data();
    const std::vector<float> bias = bias_values();
    task.bias_stride = bias_stride();
    if (shape_.bias) task.bias = bias.data() + bias_center();
    const std::int64_t items = isa_.attention->attention_items(task);
    std::vector<std::byte> scratch(static_cast<std::size_t>(isa_.attention->attention_scratch_bytes(task)));
    for (std::int64_t end = items; end > 0; end -= split) {
      // Scratch comes dirty.
      std::fill(scratch.begin(), scratch.end(), std::byte{0xff});
      isa_.attention->attention(task, std::max<std::int64_t>(end - split, 0), end, scratch.data());
    }
    std::vector<float> dense;
    for (std::size_t t = 0; t < positions.size(); ++t) {
      const float* from = out.data() + t * static_cast<std::size_t>(ldo);
      dense.insert(dense.end(), from, from + ldo - 1);
      EXPECT_EQ(from[ldo - 1], 77.0f) << "wrote beyond a row";
    }
    EXPECT_EQ(out.back(), 77.0f);
    return dense;
  }

  std::vector<int> fresh() const {
    std::vector<int> counts;
    for (const Row& row : rows_) counts.push_back(row.fresh);
    return counts;
  }

  /// The row's outputs for its fresh tokens in double precision, from the keys and values as the cache rounds them.
  std::vector<double> reference(const Row& row) const {
    std::vector<double> out;
    const int group = shape_.heads / shape_.kv_heads;
    const std::vector<float> sinks = sink_values();
    for (int token = row.past; token < row.past + row.fresh; ++token) {
      const int first = shape_.chunk > 0    ? token / shape_.chunk * shape_.chunk
                        : shape_.window > 0 ? std::max(0, token - shape_.window + 1)
                                            : 0;
      for (int h = 0; h < shape_.heads; ++h) {
        std::vector<double> scores;
        const double sink = shape_.sinks ? static_cast<double>(sinks[static_cast<std::size_t>(h)])
                                         : -std::numeric_limits<double>::infinity();
        double maximum = sink;
        const int last = shape_.causal ? token : row.past + row.fresh - 1;
        for (int other = first; other <= last; ++other) {
          double s = 0;
          for (int d = 0; d < shape_.key_dim; ++d) {
            s += asked(query_scale_ * value_of(row.seed, token, kQuery, h * shape_.key_dim + d)) *
                 stored(value_of(row.seed, other, kKey, h / group * shape_.key_dim + d));
          }
          s *= static_cast<double>(scale());
          if (shape_.bias) s += static_cast<double>(bias_value(h, other - token));
          if (shape_.softcap > 0) {
            s = static_cast<double>(shape_.softcap) * std::tanh(s / static_cast<double>(shape_.softcap));
          }
          scores.push_back(s);
          maximum = std::max(maximum, s);
        }
        double total = std::exp(sink - maximum), running = sink;
        for (std::size_t i = 0; i < scores.size();) {  // a page's weights are relative to the maximum so far
          const int page = (first + static_cast<int>(i)) / kPageTokens;
          const std::size_t end = std::min(scores.size(), static_cast<std::size_t>((page + 1) * kPageTokens - first));
          for (std::size_t j = i; j < end; ++j) running = std::max(running, scores[j]);
          for (; i < end; ++i)
            total += scores[i] = weighed(std::exp(scores[i] - running)) * std::exp(running - maximum);
        }
        for (int d = 0; d < shape_.value_dim; ++d) {
          double sum = 0;
          for (std::size_t i = 0; i < scores.size(); ++i) {
            sum += scores[i] *
                   stored(value_of(row.seed, first + static_cast<int>(i), kValue, h / group * shape_.value_dim + d));
          }
          out.push_back(sum / total);
        }
      }
    }
    return out;
  }

  /// Whether queries and probabilities are rounded to bfloat16 (attention_dot_tile.h).
  bool dots() const { return shape_.dtype == DType::kBF16 && isa_.name == "avx512"; }

 private:
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape_.key_dim)); }
  std::vector<float> sink_values() const {
    std::vector<float> sinks;
    for (int h = 0; h < shape_.heads; ++h) sinks.push_back(static_cast<float>(h) - 0.5f);
    return sinks;
  }
  // By head and distance, for all keys of whole pages: every distance has a value of its own.
  std::int64_t bias_center() const { return std::int64_t{max_pages_} * kPageTokens - 1; }
  std::int64_t bias_stride() const { return 2 * bias_center() + 1; }
  static float bias_value(int head, int distance) {
    return 2.0f * value_of(static_cast<unsigned>(head) + 5, distance + 100000, kKey, 7);
  }
  std::vector<float> bias_values() const {
    std::vector<float> bias;
    for (int h = 0; shape_.bias && h < shape_.heads; ++h) {
      for (std::int64_t i = 0; i < bias_stride(); ++i)
        bias.push_back(bias_value(h, static_cast<int>(i - bias_center())));
    }
    return bias;
  }
  double stored(float x) const {
    return static_cast<double>(shape_.dtype == DType::kBF16 ? tensor::from_bf16(tensor::to_bf16(x)) : x);
  }
  double asked(float x) const { return dots() ? stored(x) : static_cast<double>(x); }
  double weighed(double p) const { return dots() ? stored(static_cast<float>(p)) : p; }

  static constexpr float query_scale_ = 4.0f;  // attention is then far from uniform
  const IsaParts& isa_;
  Shape shape_;
  std::vector<Row> rows_;
  std::vector<int> past_;
  tensor::KvLayout layout_;
  int max_pages_ = 0;
  std::vector<std::byte> pages_;
  std::vector<std::int32_t> table_;
};

class Attention : public testing::TestWithParam<IsaParts> {
 protected:
  void expect_near_reference(const Shape& shape, const std::vector<Row>& rows) {
    SCOPED_TRACE(testing::Message() << "heads " << shape.heads << "/" << shape.kv_heads << " dims " << shape.key_dim
                                    << "," << shape.value_dim << " " << tensor::name(shape.dtype) << " window "
                                    << shape.window << " softcap " << shape.softcap << " sinks " << shape.sinks
                                    << " bias " << shape.bias);
    Cache cache(GetParam(), shape, rows);
    const std::vector<float> got = cache.step(cache.fresh(), true, 3);
    std::vector<double> want;
    for (const Row& row : rows) {
      const std::vector<double> part = cache.reference(row);
      want.insert(want.end(), part.begin(), part.end());
    }
    ASSERT_EQ(got.size(), want.size());
    double largest = 0, sum = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_FALSE(std::isnan(got[i])) << i;
      const double error = std::abs(static_cast<double>(got[i]) - want[i]);
      largest = std::max(largest, error), sum += error;
    }
    // Float32 costs some 1e-6; where that rounds a weight to another bfloat16, which is rare, 2^-8 of it.
    EXPECT_LT(largest, cache.dots() ? 0x1p-8 : 4e-6);
    EXPECT_LT(sum / static_cast<double>(got.size()), 4e-6);
  }
};

const std::vector<Row> kRagged = {{0, 1, 1},  {200, 1, 2}, {0, 7, 3},   {63, 1, 4},
                                  {64, 1, 5}, {1, 63, 6},  {30, 65, 7}, {128, 64, 8}};

TEST_P(Attention, HeadDimsAndGroups) {
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    for (const int dim : {8, 64, 80, 96, 128, 256}) {
      expect_near_reference({.heads = 4, .kv_heads = 2, .key_dim = dim, .value_dim = dim, .dtype = dtype}, kRagged);
    }
    expect_near_reference({.heads = 4, .kv_heads = 1, .key_dim = 96, .value_dim = 64, .dtype = dtype}, kRagged);
    expect_near_reference({.heads = 2, .kv_heads = 2, .key_dim = 6, .value_dim = 34, .dtype = dtype}, kRagged);
    for (const auto& [heads, kv_heads] : std::vector<std::pair<int, int>>{{3, 3}, {9, 3}, {8, 2}, {16, 2}, {7, 1}}) {
      expect_near_reference({.heads = heads, .kv_heads = kv_heads, .key_dim = 16, .value_dim = 16, .dtype = dtype},
                            kRagged);
    }
  }
}

TEST_P(Attention, LongPrefillChunk) {
  expect_near_reference({.heads = 8, .kv_heads = 2, .key_dim = 16, .value_dim = 16},
                        {{100, 130, 1}, {0, 0, 2}, {0, 130, 3}});
}

TEST_P(Attention, Windows) {
  for (const int window : {1, 5, 64, 100}) {
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
      expect_near_reference(
          {.heads = 4, .kv_heads = 2, .key_dim = 16, .value_dim = 24, .dtype = dtype, .window = window}, kRagged);
      expect_near_reference(
          {.heads = 3, .kv_heads = 3, .key_dim = 16, .value_dim = 16, .dtype = dtype, .window = window}, kRagged);
    }
  }
}

TEST_P(Attention, Chunks) {
  for (const int chunk : {1, 7, 64, 90}) {
    for (const DType dtype : {DType::kBF16, DType::kF32}) {
      expect_near_reference({.heads = 4, .kv_heads = 2, .key_dim = 16, .value_dim = 24, .dtype = dtype, .chunk = chunk},
                            kRagged);
    }
  }
}

// Multi-head latent attention: one kv head, keys wider than values, many query heads.
TEST_P(Attention, OneWideHeadForAllQueries) {
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    expect_near_reference({.heads = 16, .kv_heads = 1, .key_dim = 576, .value_dim = 512, .dtype = dtype}, kRagged);
    expect_near_reference({.heads = 5, .kv_heads = 1, .key_dim = 28, .value_dim = 20, .dtype = dtype}, kRagged);
  }
}

void expect_same_bits(const std::vector<float>& got, const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(got[i]), std::bit_cast<std::uint32_t>(want[i]))
        << i << ": " << got[i] << " " << want[i];
  }
}

TEST_P(Attention, BothDirections) {
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    const Shape shape{.heads = 4, .kv_heads = 4, .key_dim = 16, .value_dim = 16, .dtype = dtype, .causal = false};
    expect_near_reference(shape, {{0, 1, 1}, {0, 64, 2}, {0, 130, 3}, {0, 7, 4}});
    // A sequence's bits are the same alone, and with its work divided otherwise.
    const std::vector<Row> rows = {{0, 7, 4}, {0, 200, 5}, {0, 65, 6}};
    Cache together(GetParam(), shape, rows);
    const std::vector<float> all = together.step(together.fresh(), true, 3);
    std::size_t begin = 0;
    for (const Row& row : rows) {
      Cache alone(GetParam(), shape, {row});
      const std::vector<float> one = alone.step(alone.fresh(), true, 1);
      const auto at = all.begin() + static_cast<std::ptrdiff_t>(begin);
      expect_same_bits({at, at + static_cast<std::ptrdiff_t>(one.size())}, one);
      begin += one.size();
    }
  }
}

TEST_P(Attention, ABiasByDistanceAndHead) {
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    const Shape shape{
        .heads = 4, .kv_heads = 4, .key_dim = 16, .value_dim = 16, .dtype = dtype, .causal = false, .bias = true};
    expect_near_reference(shape, {{0, 1, 1}, {0, 64, 2}, {0, 150, 3}});
    expect_near_reference({.heads = 6, .kv_heads = 2, .key_dim = 32, .value_dim = 20, .dtype = dtype, .bias = true},
                          {{0, 70, 1}, {63, 3, 2}, {100, 1, 3}});
    Cache together(GetParam(), shape, {{0, 7, 4}, {0, 200, 5}});
    Cache alone(GetParam(), shape, {{0, 200, 5}});
    const std::vector<float> all = together.step(together.fresh(), true, 3), one = alone.step(alone.fresh(), true, 1);
    expect_same_bits(std::vector<float>(all.end() - static_cast<std::ptrdiff_t>(one.size()), all.end()), one);
  }
}

TEST_P(Attention, SoftcapAndSinks) {
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    expect_near_reference({.key_dim = 16, .value_dim = 16, .dtype = dtype, .softcap = 2.0f}, kRagged);
    expect_near_reference({.key_dim = 16, .value_dim = 16, .dtype = dtype, .sinks = true}, kRagged);
    expect_near_reference({.key_dim = 16, .value_dim = 16, .dtype = dtype, .window = 5, .softcap = 5.0f, .sinks = true},
                          kRagged);
  }
}

std::vector<Shape> invariance_shapes() {
  std::vector<Shape> shapes;
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    shapes.push_back({.heads = 8, .kv_heads = 2, .key_dim = 64, .value_dim = 64, .dtype = dtype});
    shapes.push_back(
        {.heads = 3, .kv_heads = 1, .key_dim = 32, .value_dim = 20, .dtype = dtype, .window = 50, .softcap = 3.0f});
    shapes.push_back({.heads = 4, .kv_heads = 2, .key_dim = 16, .value_dim = 16, .dtype = dtype, .chunk = 24});
    shapes.push_back(
        {.heads = 2, .kv_heads = 2, .key_dim = 128, .value_dim = 256, .dtype = dtype, .window = 5, .sinks = true});
  }
  return shapes;
}

TEST_P(Attention, RowAloneIsRowInABatch) {
  for (const Shape& shape : invariance_shapes()) {
    Cache together(GetParam(), shape, kRagged);
    const std::vector<float> all = together.step(together.fresh(), true, 1000);
    std::size_t at = 0;
    for (const Row& row : kRagged) {
      Cache alone(GetParam(), shape, {row});
      const std::vector<float> want = alone.step({row.fresh}, true, 1000);
      expect_same_bits(
          {all.begin() + static_cast<std::ptrdiff_t>(at), all.begin() + static_cast<std::ptrdiff_t>(at + want.size())},
          want);
      at += want.size();
    }
  }
}

TEST_P(Attention, ChunksAreTheWhole) {
  constexpr int kTokens = 200;
  for (const Shape& shape : invariance_shapes()) {
    const std::vector<Row> rows = {{0, kTokens, 3}};
    Cache whole(GetParam(), shape, rows);
    const std::vector<float> want = whole.step({kTokens}, true, 1000);
    for (const int chunk : {1, 7, 64}) {
      Cache chunked(GetParam(), shape, rows);
      std::vector<float> got;
      for (int done = 0; done < kTokens; done += chunk) {
        const std::vector<float> part = chunked.step({std::min(chunk, kTokens - done)}, true, 1000);
        got.insert(got.end(), part.begin(), part.end());
      }
      expect_same_bits(got, want);
    }
  }
}

TEST_P(Attention, AnySplitOfItemsIsTheWhole) {
  for (const Shape& shape : invariance_shapes()) {
    Cache whole(GetParam(), shape, kRagged);
    const std::vector<float> want = whole.step(whole.fresh(), true, 100000);
    for (const std::int64_t split : {1, 2, 5}) {
      Cache again(GetParam(), shape, kRagged);
      expect_same_bits(again.step(again.fresh(), true, split), want);
    }
  }
}

TEST_P(Attention, ItemsAreManyEvenForOneToken) {
  // One kv head, one token: its four heads are items of their own.
  const tensor::KvLayout layout{DType::kBF16, {{1, 64, 64}}};
  const std::vector<std::int32_t> ids = {0}, positions = {0}, offsets = {0, 1}, table = {0};
  const tensor::Batch batch{ids, positions, offsets, table, 1, {}};
  const AttentionTask task{nullptr, 256, nullptr, 256, 4, &layout, 0, nullptr, &batch};
  EXPECT_EQ(GetParam().attention->attention_items(task), 4);
}

TEST_P(Attention, ScratchIsEnoughForAnyBatch) {
  // The few items of one token split their heads; those of many tokens do not, and must fit in the same scratch.
  const tensor::KvLayout layout{DType::kBF16, {{1, 64, 64}}};
  const auto bytes = [&](int tokens) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens)), positions = ids, offsets = {0, tokens},
                                                                     table = {0, 1, 2};
    const tensor::Batch batch{ids, positions, offsets, table, 3, {}};
    const AttentionTask task{nullptr, 256, nullptr, 256, 4, &layout, 0, nullptr, &batch};
    return GetParam().attention->attention_scratch_bytes(task);
  };
  EXPECT_EQ(bytes(1), bytes(150));
  EXPECT_GE(bytes(1), 16 * 4 * 64 * 4);
}

TEST_P(Attention, AppendRoundsToNearestEvenInTheDocumentedPlaces) {
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    const tensor::KvLayout layout{dtype, {{2, 18, 22}}};
    const std::size_t element = dtype == DType::kBF16 ? 2 : 4;
    std::vector<std::byte> pages(static_cast<std::size_t>(layout.page_bytes()) * 2, std::byte{0xff});
    const std::vector<std::int32_t> ids = {0, 0}, positions = {67, 68}, offsets = {0, 2}, table = {0, 1};
    const tensor::Batch batch{ids, positions, offsets, table, 2, {}};
    std::vector<float> k, v;
    for (int i = 0; i < 2 * 36; ++i)
      k.push_back(value_of(1, 0, kKey, i) * std::exp2(static_cast<float>(i % 9 * 20 - 140)));
    for (int i = 0; i < 2 * 44; ++i) v.push_back(value_of(1, 0, kValue, i));
    k[5] = std::numeric_limits<float>::quiet_NaN();
    k[6] = std::numeric_limits<float>::infinity();
    k[7] = std::numeric_limits<float>::max();
    const KvAppendTask task{k.data(), 36, v.data(), 44, &layout, 0, pages.data(), &batch};
    GetParam().attention->kv_append(task, 0, 2);
    const auto read = [&](std::int64_t index) {
      const std::byte* at = pages.data() + layout.page_bytes() + index * static_cast<std::int64_t>(element);
      std::uint32_t bits = 0;
      std::memcpy(&bits, at, element);
      return bits;
    };
    const auto bits_of = [&](float x) {
      return dtype == DType::kBF16 ? tensor::to_bf16(x) : std::bit_cast<std::uint32_t>(x);
    };
    for (int t = 0; t < 2; ++t) {
      const int slot = positions[static_cast<std::size_t>(t)] % kPageTokens;
      for (int h = 0; h < 2; ++h) {
        for (int d = 0; d < 18; ++d) {
          const std::int64_t place =
              dtype == DType::kBF16 ? (d / 2 * kPageTokens + slot) * 2 + d % 2 : d * kPageTokens + slot;
          EXPECT_EQ(read(layout.key_offset(0, h) + place), bits_of(k[static_cast<std::size_t>(t * 36 + h * 18 + d)]))
              << d;
        }
        for (int d = 0; d < 22; ++d) {
          EXPECT_EQ(read(layout.value_offset(0, h) + slot * 22 + d),
                    bits_of(v[static_cast<std::size_t>(t * 44 + h * 22 + d)]));
        }
      }
    }
    // Nothing else was written.
    std::size_t untouched = 0;
    for (std::size_t i = 0; i < pages.size(); i += element) {
      bool ones = true;
      for (std::size_t j = 0; j < element; ++j) ones = ones && pages[i + j] == std::byte{0xff};
      untouched += ones ? 1 : 0;
    }
    EXPECT_EQ(untouched, pages.size() / element - 2 * 2 * (18 + 22));
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Attention, testing::ValuesIn(isa_parts()),
                         [](const auto& isa) { return isa.param.name; });

}  // namespace
}  // namespace tenon::kernels
