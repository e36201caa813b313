// Texts to vectors: runs an embedding model over token ids and pools its hidden states. One run takes many texts.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "batch/batch_builder.h"
#include "kvcache/page_pool.h"
#include "runtime/executable.h"
#include "runtime/pooling.h"

namespace tenon::engine {

/// Used by one thread at a time. The bits of a text's vector do not depend on what else is in its runs, nor on the
/// pieces in which it is run.
class Encoder {
 public:
  struct Options {
    runtime::Pooling pooling;
    std::int64_t vocab_size = 0;
    int max_length = 0;       ///< most tokens of a text; cut to what the executable allows
    bool whole_texts = true;  ///< tokens see what follows them: a text must be in one run; else it may come in pieces
  };

  /// A text on its way to its vector. It stays where it is from add() to run().
  struct Text {
    std::vector<std::int32_t> ids;  ///< not empty, within check()
    /// Once all of it was run: [dimensions], or kInternal where the model's values are not finite.
    std::optional<Result<std::vector<float>>> vector = {};
    std::size_t done = 0;  ///< tokens that were run

    kvcache::PageTable pages = {};  ///< the encoder's, as is
    std::vector<double> sums = {};  ///< this: what is pooled so far
  };

  /// `executable` returns hidden states [sampled_rows, dimensions]. kResourceExhausted where there is no memory for the
  /// keys and values of one run.
  static Result<std::unique_ptr<Encoder>> create(std::shared_ptr<runtime::Executable> executable, Options options,
                                                 int threads);

  /// Whether these ids can be a text. Errors say what "the text" has: no tokens, too many, or an id outside the
  /// vocabulary (kInvalidArgument).
  Status check(std::span<const std::int32_t> ids) const;

  /// Adds a text, or its next `most_tokens` at most where it may come in pieces, to the next run. False if there is no
  /// room for it in that run. At most one text at a time may be begun and not done beside whole ones: `whole` refuses
  /// to cut this one.
  bool add(Text& text, std::int64_t most_tokens, bool whole);
  /// Runs what was added.
  void run();

  /// One vector of dimensions() for each text, in order. Errors: as check(), with which text it is; kInternal.
  Result<std::vector<std::vector<float>>> encode(std::span<const std::vector<std::int32_t>> texts);

  std::int64_t dimensions() const { return executable_->vocab_size(); }
  int max_length() const { return options_.max_length; }
  bool normalizes() const { return options_.pooling.normalize; }
  std::int64_t run_tokens() const { return limits_.max_total_tokens; }  ///< the most of one run
  kvcache::PoolStats page_stats() const { return pool_.stats(); }

 private:
  struct Added {
    Text* text;
    std::size_t count, states;  ///< tokens, and how many of their states come back
  };
  Encoder(std::shared_ptr<runtime::Executable> executable, Options options, HugeBuffer pages, std::int64_t num_pages,
          int threads);
  void pool(const Added& added, std::span<const float> states) const;
  Result<std::vector<float>> finish(const Text& text) const;

  std::shared_ptr<runtime::Executable> executable_;
  Options options_;
  batch::Limits limits_;
  HugeBuffer pages_;
  kvcache::PagePool pool_;
  batch::BatchBuilder builder_;
  std::vector<Added> added_;
  std::size_t tokens_ = 0, states_ = 0;  ///< of added_
  ThreadPool threads_;
};

}  // namespace tenon::engine
