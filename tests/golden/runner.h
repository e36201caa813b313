// Runs a loaded model on token ids, without engine or scheduler: whole, in chunks, or many sequences in one batch.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "loader/loader.h"
#include "weights/checkpoint.h"

namespace tenon::golden {

using Ids = std::vector<std::int32_t>;
/// Logits after each token: [tokens, vocab].
using Logits = std::vector<float>;

class Runner {
 public:
  /// Every token's logits can be read: max_sampled_rows is max_total_tokens.
  static Result<std::unique_ptr<Runner>> load(loader::LoadOptions options, int threads = 1, int max_tokens = 512,
                                              int max_rows = 64);

  /// Runs the sequences side by side: each step takes up to `chunk` tokens of every sequence that has some left.
  std::vector<Logits> run(const std::vector<Ids>& sequences, int chunk);
  Logits run(const Ids& ids, int chunk) { return run(std::vector<Ids>{ids}, chunk)[0]; }

  const loader::LoadedModel& model() const { return model_; }
  std::int64_t vocab() const { return model_.executable->vocab_size(); }

 private:
  Runner(loader::LoadedModel model, int threads) : model_(std::move(model)), pool_(threads) {}
  loader::LoadedModel model_;
  ThreadPool pool_;
  HugeBuffer pages_;
};

struct Reference {
  std::vector<Ids> prompts;
  std::vector<Logits> logits;
  std::unique_ptr<weights::Checkpoint> tensors;  ///< taps: "tap.NAME"
};
Result<Reference> read_reference(const std::string& path);

struct Difference {
  double kl_mean = 0, kl_max = 0;  ///< KL(reference ‖ ours) of each token's distribution
  double max_abs = 0;              ///< of the logits
  double top1 = 0;                 ///< share of tokens with the same argmax
  std::int64_t tokens = 0;
};
Difference compare(std::span<const float> reference, std::span<const float> ours, std::int64_t vocab);
void accumulate(Difference& total, const Difference& part);

}  // namespace tenon::golden
