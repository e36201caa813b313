// 4 floats in the compilers' vector extension, for any CPU: what rows.h and attention.h are written in.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

namespace tenon::kernels::portable_isa {

/// Every operation works lane by lane, so an element's result is the same in whatever lane or tail it lies.
struct Simd {
  typedef float F __attribute__((vector_size(16)));
  static constexpr int kWidth = 4;
  static constexpr bool kDots = false;  ///< products of bfloat16 pairs, as portable/attention_dot_tile.h wants them

  static F zero() { return F{0, 0, 0, 0}; }
  static F set1(float x) { return F{x, x, x, x}; }
  static F load(const float* p) { return load_n(p, kWidth); }
  static void store(float* p, F x) { store_n(p, x, kWidth); }
  /// The first n lanes, zeros beyond; memory beyond is not touched.
  static F load_n(const float* p, int n) {
    F x = zero();
    std::memcpy(&x, p, static_cast<std::size_t>(n) * sizeof *p);
    return x;
  }
  static void store_n(float* p, F x, int n) { std::memcpy(p, &x, static_cast<std::size_t>(n) * sizeof *p); }

  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  /// a * b + c, and a * b - c: not fused, since emulating that is slow where the CPU has no FMA.
  static F fma(F a, F b, F c) { return a * b + c; }
  static F fms(F a, F b, F c) { return a * b - c; }
  static float fma1(float a, float b, float c) { return a * b + c; }
  /// The larger; b where either is NaN.
  static F max(F a, F b) { return a > b ? a : b; }
  /// The smaller; b where either is NaN.
  static F min(F a, F b) { return a < b ? a : b; }

  static F exp(F x) {
    return map(x, [](float v) { return std::exp(v); });
  }
  static F tanh(F x) {
    return map(x, [](float v) { return std::tanh(v); });
  }
  static F sigmoid(F x) {
    return map(x, [](float v) { return 1.0f / (1.0f + std::exp(-v)); });
  }
  static F silu(F x) {
    return map(x, [](float v) { return v / (1.0f + std::exp(-v)); });
  }
  /// 0.5 x (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x³), as x sigmoid(2u), which loses no digits for negative x.
  static F gelu_tanh(F x) {
    return map(x, [](float v) { return v / (1.0f + std::exp(-1.595769122f * v * (1.0f + 0.044715f * v * v))); });
  }
  static F gelu_erf(F x) {
    return map(x, [](float v) { return 0.5f * v * (1.0f + std::erf(v * 0.707106781f)); });
  }

  /// Halves are added until one lane is left.
  static float sum(F x) { return (x[0] + x[2]) + (x[1] + x[3]); }
  static float maximum(F x) {
    const float a = x[0] > x[2] ? x[0] : x[2];
    const float b = x[1] > x[3] ? x[1] : x[3];
    return a > b ? a : b;
  }

  /// x in lanes [begin, end), fill elsewhere.
  static F keep(F x, int begin, int end, F fill) {
    for (int i = 0; i < kWidth; ++i) fill[i] = i >= begin && i < end ? x[i] : fill[i];
    return fill;
  }

  static F load_bf16(const std::uint16_t* p) { return load_bf16_n(p, kWidth); }
  static F load_bf16_n(const std::uint16_t* p, int n) {
    F x = zero();
    for (int i = 0; i < n; ++i) x[i] = widen_bf16(p + i);
    return x;
  }
  static F load_f16(const std::uint16_t* p) { return load_f16_n(p, kWidth); }
  static F load_f16_n(const std::uint16_t* p, int n) {
    F x = zero();
    for (int i = 0; i < n; ++i) x[i] = tensor::from_f16(read(p + i));
    return x;
  }
  static F load_i8(const std::int8_t* p) {
    return F{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2]), static_cast<float>(p[3])};
  }
  /// Of kWidth pairs of bfloat16: the first and the second of each.
  static F load_bf16_even(const std::uint16_t* p) {
    return F{widen_bf16(p + 0), widen_bf16(p + 2), widen_bf16(p + 4), widen_bf16(p + 6)};
  }
  static F load_bf16_odd(const std::uint16_t* p) {
    return F{widen_bf16(p + 1), widen_bf16(p + 3), widen_bf16(p + 5), widen_bf16(p + 7)};
  }
  /// The same of the first n pairs (0 < n <= kWidth), zeros beyond; memory beyond is not touched.
  static F load_bf16_even_n(const std::uint16_t* p, int n) { return load_bf16_pairs_n(p, n); }
  static F load_bf16_odd_n(const std::uint16_t* p, int n) { return load_bf16_pairs_n(p + 1, n); }
  /// even[0], odd[0], even[1], odd[1], …: the first kWidth of these, and the last.
  static F interleave_low(F even, F odd) { return F{even[0], odd[0], even[1], odd[1]}; }
  static F interleave_high(F even, F odd) { return F{even[2], odd[2], even[3], odd[3]}; }
  static void store_bf16(std::uint16_t* p, F x) { store_bf16_n(p, x, kWidth); }
  static void store_bf16_n(std::uint16_t* p, F x, int n) {
    for (int i = 0; i < n; ++i) p[i] = tensor::to_bf16(x[i]);
  }

  /// A sum of floats in float64, lane by lane.
  struct DoubleSum {
    double lanes[kWidth] = {};

    void add(F x) {
      for (int i = 0; i < kWidth; ++i) lanes[i] += static_cast<double>(x[i]);
    }
    double sum() const { return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]); }
  };

  /// The largest value of each lane and the place where it stood first.
  struct MaxPlace {
    float best[kWidth] = {-__builtin_inff(), -__builtin_inff(), -__builtin_inff(), -__builtin_inff()};
    std::int32_t place[kWidth] = {};

    void update(F x, std::int32_t begin) {
      for (int i = 0; i < kWidth; ++i) {
        if (x[i] > best[i]) best[i] = x[i], place[i] = begin + i;
      }
    }
    void get(float* values, std::int32_t* places) const {
      std::memcpy(values, best, sizeof best);
      std::memcpy(places, place, sizeof place);
    }
  };

 private:
  static F load_bf16_pairs_n(const std::uint16_t* p, int n) {
    F x = zero();
    for (int i = 0; i < n; ++i) x[i] = widen_bf16(p + 2 * i);
    return x;
  }
  // Rows of a mapped file may lie at odd addresses.
  static std::uint16_t read(const std::uint16_t* p) {
    std::uint16_t x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
  static float widen_bf16(const std::uint16_t* p) {
    const std::uint32_t bits = static_cast<std::uint32_t>(read(p)) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  template <class Function>
  static F map(F x, Function f) {
    return F{f(x[0]), f(x[1]), f(x[2]), f(x[3])};
  }
};

}  // namespace tenon::kernels::portable_isa
