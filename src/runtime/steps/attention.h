#pragma once

#include <optional>

#include "runtime/step.h"
#include "runtime/steps/rope.h"

namespace tenon::runtime {

/// Stores keys and values of the batch's tokens, rotating the keys first if there is a rope.
class KvAppendStep final : public RowStep {
 public:
  struct Data {
    int layer;
    Place k, v;                    ///< k: after the rotation
    std::optional<RopeData> rope;  ///< from the unrotated keys to k
  };
  KvAppendStep(std::string scope, const Data& data) : RowStep(std::move(scope), Rows::kTokens), data_(data) {}
  const char* kernel() const override { return data_.rope ? "rope+kv_append" : "kv_append"; }
  std::string describe() const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  Data data_;
};

/// Where a bias of the scores lies in the weights: by head, then by the key's distance from the query.
struct RelativeBiasPlace {
  std::int64_t offset = 0;
  std::int64_t center = 0;  ///< of a head's floats the one of distance 0
  std::int64_t stride = 0;  ///< floats of a head
};

/// An item is what the kernel says: some query tokens of some heads.
class AttentionStep final : public Step {
 public:
  struct Data {
    int layer, heads;
    Place q, out;
    float scale, softcap;
    int window;
    int chunk;
    bool causal;
    std::optional<std::int64_t> sinks;  ///< offset into the weights
    std::optional<RelativeBiasPlace> bias;
  };
  AttentionStep(std::string scope, const Data& data) : Step(std::move(scope)), data_(data) {}
  const char* kernel() const override { return "attention"; }
  std::string describe() const override;
  bool by_rows() const override { return false; }
  std::int64_t items(const Run& run) const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;
  std::int64_t scratch_bytes(const kernels::Kernels& k, const Limits& limits,
                             const tensor::KvLayout& layout) const override;

 private:
  kernels::AttentionTask task(const Run& run) const;
  Data data_;
};

}  // namespace tenon::runtime
