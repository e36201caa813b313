// Paged attention and the KV cache's writer, written once over a Simd (rows_simd.h of each ISA's folder); attention.cpp
// of each folder instantiates them.
//
// Each query row walks the pages that it sees, in order: scores (in float32, or sums of bfloat16 products where the CPU
// has them, attention_dot_tile.h), scale, softcap, mask, one rescale of the online softmax (Milakov and Gimelshein,
// 2018), all in float32, then probabilities times values. All steps of a row depend on that row and its pages only
// (attention_tile.h), so grouping rows into tiles and items changes no bit. A slot that the row does not see may hold
// anything, NaN included: its score is replaced and its value is never touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/parts.h"
#include "kernels/portable/attention_dot_tile.h"
#include "kernels/portable/attention_items.h"
#include "kernels/portable/attention_tile.h"

namespace tenon::kernels {

template <class S>
class AttentionKernels {
 public:
  static constexpr AttentionPart part() { return {kv_append, attention_items, attention_scratch_bytes, attention}; }

 private:
  using F = typename S::F;
  static constexpr int kWidth = S::kWidth;
  static constexpr int kPage = tensor::kPageTokens;
  static constexpr int kVectors = kPage / kWidth;
  static constexpr float kLowest = -__builtin_inff();

  static void kv_append(const KvAppendTask& task, std::int64_t begin, std::int64_t end) {
    task.kv->dtype == DType::kBF16 ? append<Bf16Kv<S>>(task, begin, end) : append<F32Kv<S>>(task, begin, end);
  }

  static void attention(const AttentionTask& task, std::int64_t begin, std::int64_t end, std::byte* scratch) {
    task.kv->dtype == DType::kBF16 ? run<Bf16Kv<S>>(task, begin, end, scratch)
                                   : run<F32Kv<S>>(task, begin, end, scratch);
  }

  template <class Kv>
  static void append(const KvAppendTask& task, std::int64_t begin, std::int64_t end) {
    const tensor::Batch& batch = *task.batch;
    const tensor::KvLayer layer = task.kv->layers.data()[task.layer];
    const std::int64_t page_bytes = task.kv->page_bytes();
    const std::int64_t keys = task.kv->key_offset(task.layer, 0);
    const std::int64_t values = task.kv->value_offset(task.layer, 0);
    int row = 0;
    for (std::int64_t t = begin; t < end; ++t) {
      while (t >= batch.row_offsets.data()[row + 1]) ++row;
      const int position = batch.positions.data()[t];
      const std::int64_t page = batch.page_table.data()[std::int64_t{row} * batch.max_pages + position / kPage];
      const int slot = position % kPage;
      auto* to = reinterpret_cast<typename Kv::Element*>(task.pages + page * page_bytes);
      for (int h = 0; h < layer.num_kv_heads; ++h) {
        store_key<Kv>(task.k + t * task.ldk + std::int64_t{h} * layer.key_dim, layer.key_dim, slot,
                      to + keys + std::int64_t{h} * layer.key_dim * kPage);
        store_value<Kv>(task.v + t * task.ldv + std::int64_t{h} * layer.value_dim, layer.value_dim,
                        to + values + (std::int64_t{h} * kPage + slot) * layer.value_dim);
      }
    }
  }

  template <class Kv>
  static void store_key(const float* x, int n, int slot, typename Kv::Element* block) {
    typename Kv::Element narrow[kWidth];
    for (int d = 0; d < n; d += kWidth) {
      const int count = n - d < kWidth ? n - d : kWidth;
      Kv::store(narrow, count == kWidth ? S::load(x + d) : S::load_n(x + d, count));
      for (int i = 0; i < count; i += 2) {
        block[Kv::key_at(d + i, slot)] = narrow[i];
        block[Kv::key_at(d + i + 1, slot)] = narrow[i + 1];
      }
    }
  }

  template <class Kv>
  static void store_value(const float* x, int n, typename Kv::Element* to) {
    int d = 0;
    for (; d + kWidth <= n; d += kWidth) Kv::store(to + d, S::load(x + d));
    if (d < n) Kv::store_n(to + d, S::load_n(x + d, n - d), n - d);
  }

  template <class Kv>
  static void run(const AttentionTask& task, std::int64_t begin, std::int64_t end, std::byte* scratch) {
    const AttentionItems items(task);
    const AttentionScratch layout(task);
    const Pages pages{task.kv->page_bytes(), task.kv->key_offset(task.layer, 0), task.kv->value_offset(task.layer, 0)};
    const auto address = reinterpret_cast<std::uintptr_t>(scratch);
    auto* floats = reinterpret_cast<float*>((address + 63) / 64 * 64);
    TokenBlock block;
    for (std::int64_t i = begin; i < end; ++i) {
      const auto within = static_cast<int>(i % items.per_block());
      if (i == begin || within == 0) block = token_block(task, items, i / items.per_block());
      const int kv_head = within / items.parts;
      const int group = task.heads / items.kv_heads;
      const int first = within % items.parts * items.heads;
      const int heads = group - first < items.heads ? group - first : items.heads;
      Item<Kv>(task, layout, pages, floats, block, kv_head, kv_head * group + first, heads).run();
    }
  }

  /// Where the layer's first key block and its first value block lie in a page, in elements.
  struct Pages {
    std::int64_t bytes;
    std::int64_t keys;
    std::int64_t values;
  };

  /// One item. Its query rows are numbered by token, then head.
  template <class Kv>
  class Item {
    static constexpr bool kDots = S::kDots && std::is_same_v<Kv, Bf16Kv<S>>;
    using Tile = std::conditional_t<kDots, AttentionDotTile<S>, AttentionTile<S, Kv>>;
    using Element = typename Kv::Element;
    using Query = typename Tile::Query;
    using Weight = typename Tile::Weight;

   public:
    Item(const AttentionTask& task, const AttentionScratch& layout, const Pages& pages, float* scratch,
         const TokenBlock& block, int kv_head, int first_head, int heads)
        : task_(task),
          layer_(task.kv->layers.data()[task.layer]),
          block_(block),
          first_head_(first_head),
          heads_(heads),
          rows_(block.tokens * heads),
          position_(task.batch->positions.data()[block.token]),
          row_last_(task.batch->positions.data()[task.batch->row_offsets.data()[block.row + 1] - 1]),
          stride_(layout.stride),
          sums_(scratch + layout.sums),
          scores_(scratch + layout.scores),
          maxima_(scratch + layout.maxima),
          totals_(scratch + layout.totals),
          queries_(scratch + layout.queries),
          table_(task.batch->page_table.data() + std::int64_t{block.row} * task.batch->max_pages),
          page_bytes_(pages.bytes),
          key_offset_(pages.keys + std::int64_t{kv_head} * layer_.key_dim * kPage),
          value_offset_(pages.values + std::int64_t{kv_head} * layer_.value_dim * kPage) {}

    void run() {
      for (int r = 0; r < rows_; ++r) {
        // A sink is a first key without a value: it sets the maximum, and its weight of one is in the sum.
        maxima_[r] = task_.sinks != nullptr ? task_.sinks[head(r)] : kLowest;
        totals_[r] = task_.sinks != nullptr ? 1.0f : 0.0f;
        for (std::int64_t d = 0; d < stride_; d += kWidth) S::store(sums_ + r * stride_ + d, S::zero());
      }
      if constexpr (kDots) {
        for (int r = 0; r < rows_; ++r) Tile::round_query(given_query(r), layer_.key_dim, rounded_query(r));
      }
      const int last_page = last_seen(rows_ - 1) / kPage;
      for (int page = first_seen(0) / kPage; page <= last_page; ++page) walk(page, page < last_page ? page + 1 : -1);
      for (int r = 0; r < rows_; ++r) finish(r);
    }

   private:
    int position(int r) const { return position_ + r / heads_; }
    int head(int r) const { return first_head_ + r % heads_; }
    /// The first position that row r sees.
    int first_seen(int r) const {
      if (task_.chunk > 0) return position(r) / task_.chunk * task_.chunk;
      const int first = position(r) - task_.window + 1;
      return task_.window > 0 && first > 0 ? first : 0;
    }
    int last_seen(int r) const { return task_.causal ? position(r) : row_last_; }
    /// The slots of the page that row r sees are [slot_begin, slot_end).
    int slot_begin(int r, int page) const {
      const int slot = first_seen(r) - page * kPage;
      return slot > 0 ? slot : 0;
    }
    int slot_end(int r, int page) const {
      const int slot = last_seen(r) + 1 - page * kPage;
      return slot < kPage ? slot : kPage;
    }

    const float* given_query(int r) const {
      return task_.q + (block_.token + r / heads_) * task_.ldq + std::int64_t{head(r)} * layer_.key_dim;
    }
    Query* rounded_query(int r) const { return reinterpret_cast<Query*>(queries_) + std::int64_t{r} * layer_.key_dim; }
    const Query* query(int r) const {
      if constexpr (kDots) {
        return rounded_query(r);
      } else {
        return given_query(r);
      }
    }
    const Weight* weights(int r) const { return reinterpret_cast<const Weight*>(scores_ + r * kPage); }

    const Element* elements(int page) const {
      return reinterpret_cast<const Element*>(task_.pages + table_[page] * page_bytes_);
    }

    /// The page's part in all rows; `next_page` (or -1) is wanted after it.
    void walk(int page, int next_page) {
      // The rows that see this page: positions ascend, so they are consecutive.
      int begin = 0;
      int end = rows_;
      while (begin < end && slot_end(begin, page) <= 0) begin += heads_;
      while (end > begin && slot_begin(end - 1, page) >= kPage) end -= heads_;
      const Element* next = next_page < 0 ? nullptr : elements(next_page);
      while (begin < end) {
        // Tiles of even size: 8 rows are 4 + 4, not 6 + 2.
        const int tiles = (end - begin + kTileRows - 1) / kTileRows;
        const int rows = (end - begin + tiles - 1) / tiles;
        tile(begin, rows, page, next);
        begin += rows;
        next = nullptr;  // the first tile has fetched it
      }
    }

    void tile(int begin, int rows, int page, const Element* next) {
      const Query* q[kTileRows];
      for (int r = 0; r < rows; ++r) q[r] = query(begin + r);
      const Element* keys = elements(page) + key_offset_;
      Tile::scores(rows, q, keys, layer_.key_dim, slot_end(begin + rows - 1, page),
                   next == nullptr ? nullptr : next + key_offset_, scores_);
      // Slots that all rows of the tile see, and beside them those that only some do.
      int common_begin = 0;
      int common_end = kPage;
      for (int r = 0; r < rows; ++r) {
        const int row_begin = slot_begin(begin + r, page);
        const int row_end = slot_end(begin + r, page);
        softmax(begin + r, page, row_begin, row_end, scores_ + r * kPage);
        common_begin = row_begin > common_begin ? row_begin : common_begin;
        common_end = row_end < common_end ? row_end : common_end;
      }
      common_begin = (common_begin + Tile::kKeyStep - 1) / Tile::kKeyStep * Tile::kKeyStep;
      common_end = common_end / Tile::kKeyStep * Tile::kKeyStep;
      if (common_begin >= common_end) common_begin = common_end = kPage;
      float* sums = sums_ + begin * stride_;
      const Element* values = elements(page) + value_offset_;
      const auto add_each = [&](int from, int to) {
        for (int r = 0; r < rows; ++r) {
          const int row_begin = slot_begin(begin + r, page);
          const int row_end = slot_end(begin + r, page);
          Tile::add_values(1,
                           {weights(r), values, layer_.value_dim, row_begin > from ? row_begin : from,
                            row_end < to ? row_end : to, nullptr},
                           sums + r * stride_, stride_);
        }
      };
      if (common_begin > 0) add_each(0, common_begin);
      Tile::add_values(rows,
                       {weights(0), values, layer_.value_dim, common_begin, common_end,
                        next == nullptr ? nullptr : next + value_offset_},
                       sums, stride_);
      if (common_end < kPage) add_each(common_end, kPage);
    }

    void softmax(int r, int page, int begin, int end, float* scores) {
      if (task_.bias != nullptr) add_bias(r, page, end, scores);
      begin == 0 && end == kPage ? softmax_of<true>(r, begin, end, scores) : softmax_of<false>(r, begin, end, scores);
    }

    /// Scales too, so that softmax_of does not.
    void add_bias(int r, int page, int end, float* scores) {
      const float* bias = task_.bias + head(r) * task_.bias_stride + page * kPage - position(r);
      const int vectors = (end + kWidth - 1) / kWidth;
      for (int v = 0; v < vectors; ++v) {
        const F scaled = S::mul(S::load(scores + v * kWidth), S::set1(task_.scale));
        S::store(scores + v * kWidth, S::add(scaled, S::load(bias + v * kWidth)));
      }
    }

    /// Turns a row's scores of a page into probabilities relative to the running maximum, which it updates. A page that
    /// the row sees only in part takes the same operations: the rest are lanes of no weight, and vectors left out.
    template <bool whole>
    void softmax_of(int r, int begin, int end, float* scores) {
      const int vectors = whole ? kVectors : (end + kWidth - 1) / kWidth;
      const auto visible = [&](F x, int v, float other) {
        return whole ? x : S::keep(x, begin - v * kWidth, end - v * kWidth, S::set1(other));
      };
      const F scale = S::set1(task_.bias != nullptr ? 1.0f : task_.scale);
      F s[kVectors];
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) s[v] = S::mul(S::load(scores + v * kWidth), scale);
      if (task_.softcap > 0.0f) {
        const F cap = S::set1(task_.softcap);
        for (int v = 0; v < vectors; ++v) s[v] = S::mul(cap, S::tanh(S::div(s[v], cap)));
      }
      F largest = S::set1(kLowest);
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        s[v] = visible(s[v], v, kLowest);
        largest = S::max(s[v], largest);
      }
      const float page_maximum = S::maximum(largest);
      const float maximum = page_maximum > maxima_[r] ? page_maximum : maxima_[r];
      F total = S::zero();
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        const F p = visible(S::exp(S::sub(s[v], S::set1(maximum))), v, 0.0f);
        total = S::add(total, Tile::store_weights(reinterpret_cast<Weight*>(scores) + v * kWidth, p));
      }
      if (maximum != maxima_[r]) rescale(r, maximum);
      totals_[r] += S::sum(total);
    }

    void rescale(int r, float maximum) {
      // The first page's factor is e^-inf = 0, of sums that are zero.
      const F factor = S::exp(S::set1(maxima_[r] - maximum));
      float lanes[kWidth];
      S::store(lanes, factor);
      totals_[r] *= lanes[0];
      float* sums = sums_ + r * stride_;
      for (std::int64_t d = 0; d < stride_; d += kWidth) S::store(sums + d, S::mul(S::load(sums + d), factor));
      maxima_[r] = maximum;
    }

    void finish(int r) {
      const F total = S::set1(totals_[r]);
      const float* sums = sums_ + r * stride_;
      float* out = task_.out + (block_.token + r / heads_) * task_.ldo + std::int64_t{head(r)} * layer_.value_dim;
      for (int d = 0; d < layer_.value_dim; d += 2 * kWidth) {
        F ordered[2];
        Tile::in_order(S::div(S::load(sums + d), total), S::div(S::load(sums + d + kWidth), total), ordered);
        store_up_to(out + d, ordered[0], layer_.value_dim - d);
        store_up_to(out + d + kWidth, ordered[1], layer_.value_dim - d - kWidth);
      }
    }

    static void store_up_to(float* to, F x, int n) {
      if (n >= kWidth) {
        S::store(to, x);
      } else if (n > 0) {
        S::store_n(to, x, n);
      }
    }

    const AttentionTask& task_;
    const tensor::KvLayer layer_;
    const TokenBlock block_;
    const int first_head_;
    const int heads_;
    const int rows_;
    const int position_;
    const int row_last_;
    const std::int64_t stride_;
    float* const sums_;
    float* const scores_;
    float* const maxima_;
    float* const totals_;
    float* const queries_;
    const std::int32_t* const table_;
    const std::int64_t page_bytes_;
    const std::int64_t key_offset_;
    const std::int64_t value_offset_;
  };
};

}  // namespace tenon::kernels
