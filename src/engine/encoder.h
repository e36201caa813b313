// Token ids in, one vector a text out: what the engine is for replies, for embeddings. A text is run whole, since its
// tokens see one another in both directions; many texts share a run.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "runtime/executable.h"
#include "runtime/pooling.h"

namespace tenon::engine {

class Encoder {
 public:
  struct Options {
    runtime::Pooling pooling;
    std::int64_t vocab_size = 0;
    int max_length = 0;  ///< most tokens of a text; at most the executable's max_total_tokens
  };

  /// `executable` returns hidden states [sampled_rows, dimensions]. kResourceExhausted where there is no memory for the
  /// keys and values of one run.
  static Result<std::unique_ptr<Encoder>> create(std::shared_ptr<runtime::Executable> executable, Options options,
                                                 int threads);

  /// One vector of dimensions() for each text, in order; the bits of one do not depend on the others. Errors: an empty
  /// or too long text (kInvalidArgument, says which and the lengths), an id outside the vocabulary.
  Result<std::vector<std::vector<float>>> encode(std::span<const std::vector<std::int32_t>> texts);

  std::int64_t dimensions() const { return executable_->vocab_size(); }

 private:
  Encoder(std::shared_ptr<runtime::Executable> executable, Options options, HugeBuffer pages, int threads);
  Status check(std::span<const std::vector<std::int32_t>> texts) const;
  std::size_t run(std::span<const std::vector<std::int32_t>> texts, std::vector<std::vector<float>>& out);
  std::vector<float> pool(std::span<const float> states) const;

  std::shared_ptr<runtime::Executable> executable_;
  Options options_;
  HugeBuffer pages_;
  ThreadPool threads_;
};

}  // namespace tenon::engine
