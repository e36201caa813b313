// Mixture of experts: the choice, the sorting of tokens by expert, the matmuls of each expert over its tokens, and the
// sum. A row (token, choice) is called a pair; pairs lie sorted by expert, each expert's in the order of the tokens.
#pragma once

#include <optional>

#include "runtime/step.h"
#include "runtime/steps/matmul.h"

namespace tenon::runtime {

/// Which pair lies where, in the arena: made anew each run.
struct GroupingPlace {
  std::int64_t offset = 0;  ///< bytes from the arena's start
  std::int64_t experts = 0, top_k = 0;
  static std::int64_t bytes(std::int64_t experts, std::int64_t top_k, std::int64_t most_tokens);
};

/// The same as pointers.
struct Grouping {
  std::int32_t *active_count, *active;  ///< how many experts have pairs, and which
  std::int32_t* begin;                  ///< [experts + 1]: the first slot of each expert's pairs
  std::int32_t* slot_expert;            ///< [pairs]
  std::int32_t* slot_token;             ///< [pairs]
  std::int32_t* slot_of;                ///< [tokens, top_k]
  Grouping(const Run& run, const GroupingPlace& place);
  std::int64_t rows(std::int64_t expert) const { return begin[expert + 1] - begin[expert]; }
};

/// The packed left operand of every expert's matmul: that of expert e begins at slot begin[e] times row_bytes, which no
/// number of rows exceeds.
struct ExpertOperandPlace {
  std::int64_t offset = 0;
  tensor::DType weight_dtype = tensor::DType::kF32;
  std::int64_t k = 0, row_bytes = 0;
  static std::int64_t most_row_bytes(const kernels::Kernels& kernels, tensor::DType weight_dtype, std::int64_t k,
                                     std::int64_t most_tokens);
};

/// Logits → ids and weights, a row at a time. Of equal scores the lower index wins; NaN loses to everything else.
class RouteExpertsStep final : public RowStep {
 public:
  enum class Scoring : std::uint8_t { kSoftmax, kSigmoid, kSoftmaxOfChosen, kSigmoidOfChosen };
  struct Data {
    Place logits, ids, weights;  ///< ids are int32
    int experts = 0, top_k = 0;
    Scoring scoring = Scoring::kSoftmax;
    bool normalize = false, sum_of_two = false;
    float epsilon = 0, scale = 1;
    int n_group = 1, topk_group = 1;
    std::optional<std::int64_t> correction_bias;  ///< offset into the weights
  };
  RouteExpertsStep(std::string scope, Rows rows, const Data& data) : RowStep(std::move(scope), rows), data_(data) {}
  const char* kernel() const override { return "route_experts"; }
  std::string describe() const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;
  std::int64_t scratch_bytes(const kernels::Kernels&, const Limits&, const tensor::KvLayout&) const override;

 private:
  void route(const Run& run, std::int64_t row, float* scores, float* choice) const;
  void keep_groups(float* choice) const;
  Data data_;
};

/// Sorts the pairs of all tokens by expert; one item, for it is a counting sort of some thousand numbers.
class GroupByExpertStep final : public Step {
 public:
  GroupByExpertStep(std::string scope, const Place& ids, const GroupingPlace& out)
      : Step(std::move(scope)), ids_(ids), out_(out) {}
  const char* kernel() const override { return "group_by_expert"; }
  std::string describe() const override;
  bool by_rows() const override { return false; }
  std::int64_t items(const Run&) const override { return 1; }
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  Place ids_;
  GroupingPlace out_;
};

/// Packs each expert's rows. An item is a pair; the first of a block packs the block.
class PackExpertsStep final : public Step {
 public:
  struct Data {
    Place x;
    bool gather = false;  ///< x has a row a token, not one a pair
    GroupingPlace grouping;
    ExpertOperandPlace out;
  };
  PackExpertsStep(std::string scope, const Data& data) : Step(std::move(scope)), data_(data) {}
  const char* kernel() const override { return "pack_experts"; }
  std::string describe() const override;
  bool by_rows() const override { return false; }
  std::int64_t items(const Run& run) const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;
  std::int64_t scratch_bytes(const kernels::Kernels& k, const Limits& limits, const tensor::KvLayout&) const override;

 private:
  Data data_;
};

/// y = x · wᵀ of each expert that has rows, and an epilogue. Items are the panels of all those experts, one expert
/// after another, or pairs of panels for the gated epilogues: threads share an expert when few are chosen.
class ExpertMatmulStep final : public Step {
 public:
  struct Data {
    MatrixPlace weight;  ///< of expert 0; the others follow
    ExpertOperandPlace x;
    GroupingPlace grouping;
    Place out;                         ///< a row a pair
    std::optional<std::int64_t> bias;  ///< offset into the weights, [experts, n]
    kernels::Epilogue epilogue = kernels::Epilogue::kStore;
  };
  ExpertMatmulStep(std::string scope, const Data& data) : Step(std::move(scope)), data_(data) {}
  const char* kernel() const override { return "expert_matmul"; }
  std::string describe() const override;
  bool by_rows() const override { return false; }
  std::int64_t items(const Run& run) const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  std::int64_t items_of_expert() const { return data_.weight.panels() / panels_of_item(); }
  std::int64_t panels_of_item() const { return data_.epilogue > kernels::Epilogue::kAdd ? 2 : 1; }
  Data data_;
};

/// out[t, j] = weights[t, j] · y[t, j], rows of both as the grouping has them.
class ScaleExpertsStep final : public RowStep {
 public:
  struct Data {
    Place y, weights, out;
    GroupingPlace grouping;
    std::int64_t columns = 0;
  };
  ScaleExpertsStep(std::string scope, const Data& data) : RowStep(std::move(scope), Rows::kTokens), data_(data) {}
  const char* kernel() const override { return "scale_experts"; }
  std::string describe() const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  Data data_;
};

/// out[t] = Σ_j weights[t, j] · y[t, j], in the order of j.
class CombineExpertsStep final : public RowStep {
 public:
  struct Data {
    Place y;
    std::optional<Place> weights;  ///< none: ones
    Place out;
    GroupingPlace grouping;
    std::int64_t columns = 0;
  };
  CombineExpertsStep(std::string scope, const Data& data) : RowStep(std::move(scope), Rows::kTokens), data_(data) {}
  const char* kernel() const override { return "combine_experts"; }
  std::string describe() const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  Data data_;
};

}  // namespace tenon::runtime
