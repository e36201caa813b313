#pragma once

#include "runtime/step.h"

namespace tenon::runtime {

/// Copies rows, or parts of each head of them: taps, concat, slices of heads.
class CopyStep final : public RowStep {
 public:
  struct Data {
    Place x, out;
    std::int64_t groups, columns;     ///< a row is `groups` times `columns` floats
    std::int64_t x_group, out_group;  ///< floats from one group to the next
  };
  CopyStep(std::string scope, Rows rows, const Data& data) : RowStep(std::move(scope), rows), data_(data) {}
  const char* kernel() const override { return "copy"; }
  std::string describe() const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  Data data_;
};

/// The rows of x that the batch wants logits of.
class GatherRowsStep final : public RowStep {
 public:
  struct Data {
    Place x, out;
    std::int64_t columns;
  };
  GatherRowsStep(std::string scope, const Data& data) : RowStep(std::move(scope), Rows::kSampled), data_(data) {}
  const char* kernel() const override { return "gather_rows"; }
  std::string describe() const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  Data data_;
};

}  // namespace tenon::runtime
