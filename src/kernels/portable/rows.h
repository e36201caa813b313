// The row kernels, written once over a Simd (rows_simd.h of each ISA's folder); rows.cpp of each folder instantiates
// them.
//
// An element's result must not depend on the range or the tail that it falls in: tails run the same vector operations
// on a partly filled vector, and sums take their terms in lanes counted from the row's start.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/parts.h"
#include "kernels/portable/rows_dequantize.h"

namespace tenon::kernels {

/// RowPart::rope_table; one for all ISAs, since nearly all of its time is spent in libm.
void rope_table(const std::int32_t* positions, std::int64_t tokens, const double* inv_freq, std::int64_t half,
                float scale, float* out);

template <class S>
class RowKernels {
 public:
  static constexpr RowPart part() {
    return {rms_norm, layer_norm, rope_table, rope, unary, add, mul, scale, softcap, clamp, DequantizeRow<S>::run,
            argmax,   log_sum_exp};
  }

 private:
  using F = typename S::F;
  static constexpr int kWidth = S::kWidth;

  /// f(offset, load, store) for each vector of a row; in the tail load and store touch n % kWidth elements only.
  template <class Function>
  static void for_vectors(std::int64_t n, Function f) {
    std::int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) f(i, S::load, S::store);
    if (const int rest = static_cast<int>(n - i); rest > 0) {
      f(i, [rest](const float* p) { return S::load_n(p, rest); }, [rest](float* p, F x) { S::store_n(p, x, rest); });
    }
  }

  /// y[i] = f(x[i])
  template <class Function>
  static void map(const float* x, float* y, std::int64_t n, Function f) {
    for_vectors(n, [&](std::int64_t i, auto load, auto store) { store(y + i, f(load(x + i))); });
  }

  /// Sum of term(x, sum so far): vector j of the row goes to accumulator j % 4. In the tail x is 0 beyond the row, and
  /// term is told how many lanes count.
  template <class Term>
  static float sum_of(const float* x, std::int64_t n, Term term) {
    F sums[4] = {S::zero(), S::zero(), S::zero(), S::zero()};
    std::int64_t i = 0;
    for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
      for (int j = 0; j < 4; ++j) {
        sums[j] = term(S::load(x + i + j * kWidth), sums[j], kWidth);
      }
    }
    int j = 0;
    for_vectors(n - i, [&](std::int64_t offset, auto load, auto) {
      sums[j] = term(load(x + i + offset), sums[j], static_cast<int>(std::min<std::int64_t>(kWidth, n - i - offset)));
      ++j;
    });
    return S::sum(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])));
  }

  static float sum_of_squares(const float* x, std::int64_t n) {
    return sum_of(x, n, [](F v, F sum, int) { return S::fma(v, v, sum); });
  }

  /// The mean first, then the squares of what is left: no cancellation.
  static void layer_norm(const float* x, std::int64_t ldx, float eps, float* y, std::int64_t ldy, std::int64_t rows,
                         std::int64_t n) {
    for (std::int64_t r = 0; r < rows; ++r, x += ldx, y += ldy) {
      const F mean = S::set1(sum_of(x, n, [](F v, F sum, int) { return S::add(v, sum); }) / static_cast<float>(n));
      const float squares = sum_of(x, n, [mean](F v, F sum, int lanes) {
        F d = S::sub(v, mean);
        if (lanes < kWidth) d = S::keep(d, 0, lanes, S::zero());
        return S::fma(d, d, sum);
      });
      const F inverse = S::set1(1.0f / std::sqrt(squares / static_cast<float>(n) + eps));
      map(x, y, n, [&](F v) { return S::mul(S::sub(v, mean), inverse); });
    }
  }

  static void rms_norm(const float* x, std::int64_t ldx, const float* weight, float weight_offset, float eps, float* y,
                       std::int64_t ldy, std::int64_t rows, std::int64_t n) {
    const F offset = S::set1(weight_offset);
    for (std::int64_t r = 0; r < rows; ++r, x += ldx, y += ldy) {
      const float mean = sum_of_squares(x, n) / static_cast<float>(n);
      const F inverse = S::set1(1.0f / std::sqrt(mean + eps));
      if (weight == nullptr) {
        map(x, y, n, [&](F v) { return S::mul(v, inverse); });
        continue;
      }
      for_vectors(n, [&](std::int64_t i, auto load, auto store) {
        store(y + i, S::mul(S::mul(load(x + i), inverse), S::add(load(weight + i), offset)));
      });
    }
  }

  static void rope(const float* x, std::int64_t ldx, const float* table, RopeStyle style, std::int64_t tokens,
                   int heads, int head_dim, std::int64_t half, float* y, std::int64_t ldy) {
    for (std::int64_t t = 0; t < tokens; ++t, x += ldx, y += ldy, table += 2 * half) {
      for (int h = 0; h < heads; ++h) {
        const float* from = x + std::int64_t{h} * head_dim;
        float* to = y + std::int64_t{h} * head_dim;
        style == RopeStyle::kHalf ? rotate_halves(from, table, half, to) : rotate_pairs(from, table, half, to);
        if (from != to) map(from + 2 * half, to + 2 * half, head_dim - 2 * half, [](F v) { return v; });
      }
    }
  }

  static void rotate_halves(const float* x, const float* table, std::int64_t half, float* y) {
    for_vectors(half, [&](std::int64_t i, auto load, auto store) {
      const F cos = load(table + i);
      const F sin = load(table + half + i);
      const F a = load(x + i);
      const F b = load(x + half + i);
      store(y + i, S::fms(a, cos, S::mul(b, sin)));
      store(y + half + i, S::fma(a, sin, S::mul(b, cos)));
    });
  }

  static void rotate_pairs(const float* x, const float* table, std::int64_t half, float* y) {
    for (std::int64_t i = 0; i < half; ++i) {
      const float cos = table[i];
      const float sin = table[half + i];
      const float a = x[2 * i];
      const float b = x[2 * i + 1];
      y[2 * i] = S::fma1(a, cos, -(b * sin));
      y[2 * i + 1] = S::fma1(a, sin, b * cos);
    }
  }

  static void unary(Unary op, const float* x, float* y, std::int64_t n) {
    switch (op) {
      case Unary::kSilu:
        return map(x, y, n, S::silu);
      case Unary::kGeluTanh:
        return map(x, y, n, S::gelu_tanh);
      case Unary::kGeluErf:
        return map(x, y, n, S::gelu_erf);
      case Unary::kSigmoid:
        return map(x, y, n, S::sigmoid);
      case Unary::kTanh:
        return map(x, y, n, S::tanh);
      case Unary::kRelu:
        return map(x, y, n, [](F v) { return S::max(S::zero(), v); });  // NaN stays
      case Unary::kExp:
        return map(x, y, n, S::exp);
    }
  }

  static void add(const float* a, const float* b, float* y, std::int64_t n) {
    for_vectors(n, [&](std::int64_t i, auto load, auto store) { store(y + i, S::add(load(a + i), load(b + i))); });
  }

  static void mul(const float* a, const float* b, float* y, std::int64_t n) {
    for_vectors(n, [&](std::int64_t i, auto load, auto store) { store(y + i, S::mul(load(a + i), load(b + i))); });
  }

  static void scale(const float* x, float s, float* y, std::int64_t n) {
    map(x, y, n, [factor = S::set1(s)](F v) { return S::mul(v, factor); });
  }

  static void softcap(const float* x, float cap, float* y, std::int64_t n) {
    const F caps = S::set1(cap);
    map(x, y, n, [&](F v) { return S::mul(caps, S::tanh(S::div(v, caps))); });
  }

  static void clamp(const float* x, float low, float high, float* y, std::int64_t n) {
    map(x, y, n, [l = S::set1(low), h = S::set1(high)](F v) { return S::min(h, S::max(l, v)); });  // NaN stays
  }

  static std::int64_t argmax(const float* x, std::int64_t n) {
    typename S::MaxPlace max;
    for_vectors(n, [&](std::int64_t i, auto load, auto) {
      F v = load(x + i);
      if (n - i < kWidth) v = S::keep(v, 0, static_cast<int>(n - i), S::set1(-__builtin_inff()));
      max.update(v, static_cast<std::int32_t>(i));
    });
    float values[kWidth];
    std::int32_t places[kWidth];
    max.get(values, places);
    int best = 0;
    for (int j = 1; j < kWidth; ++j) {
      if (values[j] > values[best] || (values[j] == values[best] && places[j] < places[best])) best = j;
    }
    if (values[best] != -__builtin_inff()) return places[best];
    // Nothing was larger than -inf: the first -inf, since it is larger than a NaN.
    for (std::int64_t i = 0; i < n; ++i) {
      if (x[i] == x[i]) return i;
    }
    return 0;
  }

  static double log_sum_exp(const float* x, std::int64_t n) {
    const F lowest = S::set1(-__builtin_inff());
    F maxima = lowest;
    for_vectors(n, [&](std::int64_t i, auto load, auto) {
      F v = load(x + i);
      if (n - i < kWidth) v = S::keep(v, 0, static_cast<int>(n - i), lowest);
      maxima = S::max(v, maxima);
    });
    const float max = S::maximum(maxima);
    // Also all NaN, which the maximum passes over.
    if (max == -__builtin_inff() || max == __builtin_inff()) {
      for (std::int64_t i = 0; i < n; ++i) {
        if (x[i] != x[i]) return static_cast<double>(x[i]);
      }
      return static_cast<double>(max);
    }
    typename S::DoubleSum sum;
    for_vectors(n, [&](std::int64_t i, auto load, auto) {
      F v = S::exp(S::sub(load(x + i), S::set1(max)));
      if (n - i < kWidth) v = S::keep(v, 0, static_cast<int>(n - i), S::zero());
      sum.add(v);
    });
    return static_cast<double>(max) + std::log(sum.sum());
  }
};

}  // namespace tenon::kernels
