// Texts -> vectors: what the server and the command line share of an embedding model. Tokenizes, truncates where asked,
// submits to the encoder, cuts vectors.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "engine/encoder_loop.h"
#include "tokenizer/tokenizer.h"

namespace tenon::generate {

/// Whether a model's vectors may be cut to their first dimensions (Kusupati et al. 2022).
struct Matryoshka {
  bool allowed = false;
  std::vector<std::int64_t> dimensions = {};  ///< the only ones; empty: any
};

struct EmbedRequest {
  /// Text, to be tokenized with the tokenizer's special tokens, or token ids.
  using Input = std::variant<std::string, std::vector<std::int32_t>>;
  std::vector<Input> inputs;                                ///< at least one
  std::optional<std::int64_t> dimensions = {};              ///< of the vectors; none: all
  std::optional<std::int64_t> truncate_prompt_tokens = {};  ///< longer inputs are cut to this; -1: to max_length()
};

struct Embeddings {
  std::vector<std::vector<float>> vectors;  ///< in the order of the inputs
  std::int64_t prompt_tokens = 0;
};

/// Called once, on the encoder's thread, unless the request's handle was destroyed before; must not block. Errors are
/// engine::VectorSink's.
using EmbeddingSink = std::function<void(Result<Embeddings>)>;

/// A running request. Destroying the handle cancels it: then no call of the sink begins, though one may be running.
class Embedding {
 public:
  virtual ~Embedding() = default;
};

class Embedder {
 public:
  struct Parts {
    std::shared_ptr<engine::EncoderLoop> encoder;
    std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
    std::optional<bool> add_special_tokens = {};  ///< none: true
    std::string prompt = {};                      ///< put before every text
    Matryoshka matryoshka = {};
  };
  explicit Embedder(Parts parts);

  /// The request with its inputs as token ids, cut where it says so. Errors are the client's (kInvalidArgument or
  /// kUnsupported with `param`: "input", "dimensions", …). Any number of threads.
  Result<EmbedRequest> encode(EmbedRequest request) const;
  /// Of a request or what encode() made of it. Errors are encode()'s or the queue's.
  Result<std::unique_ptr<Embedding>> start(EmbedRequest request, EmbeddingSink sink) const;

  engine::EncoderLoop& encoder() const { return *parts_.encoder; }
  const tokenizer::Tokenizer& tokenizer() const { return *parts_.tokenizer; }
  bool add_special_tokens() const { return parts_.add_special_tokens.value_or(true); }
  int max_length() const { return parts_.encoder->encoder().max_length(); }

 private:
  Status check_dimensions(std::int64_t dimensions) const;
  Result<std::vector<std::int32_t>> ids_of(EmbedRequest::Input input, std::optional<std::int64_t> most) const;
  Result<std::vector<std::int32_t>> truncated(const std::string& text, std::vector<std::int32_t> ids,
                                              std::size_t most) const;

  Parts parts_;
};

}  // namespace tenon::generate
