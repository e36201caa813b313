// Runs a loaded model on token ids, without engine or scheduler: whole, in chunks, or many sequences in one batch.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "loader/loader.h"

namespace tenon::verify {

using Ids = std::vector<std::int32_t>;
/// Logits after each token: [tokens, vocab].
using Logits = std::vector<float>;

class Runner {
 public:
  /// Every token's logits can be read: max_sampled_rows is max_total_tokens.
  static Result<std::unique_ptr<Runner>> load(loader::LoadOptions options, int threads = 1, int max_tokens = 512,
                                              int max_rows = 64);

  /// Of a model that was compiled already.
  Runner(loader::LoadedModel model, int threads) : model_(std::move(model)), pool_(threads) {}

  /// Runs the sequences side by side: each step takes up to `chunk` tokens of every sequence that has some left.
  std::vector<Logits> run(const std::vector<Ids>& sequences, int chunk);
  Logits run(const Ids& ids, int chunk) { return run(std::vector<Ids>{ids}, chunk)[0]; }

  const loader::LoadedModel& model() const { return model_; }
  std::int64_t vocab() const { return model_.executable->vocab_size(); }

 private:
  loader::LoadedModel model_;
  ThreadPool pool_;
  HugeBuffer pages_;
};

}  // namespace tenon::verify
