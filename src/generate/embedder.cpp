#include "generate/embedder.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace tenon::generate {
namespace {

using Ids = std::vector<std::int32_t>;

class EncoderEmbedding final : public Embedding {
 public:
  EncoderEmbedding(std::shared_ptr<engine::EncoderLoop> encoder, engine::RequestId id,
                   std::shared_ptr<std::atomic<bool>> closed)
      : encoder_(std::move(encoder)), id_(id), closed_(std::move(closed)) {}
  ~EncoderEmbedding() override {
    *closed_ = true;
    encoder_->cancel(id_);
  }

 private:
  const std::shared_ptr<engine::EncoderLoop> encoder_;
  const engine::RequestId id_;
  const std::shared_ptr<std::atomic<bool>> closed_;
};

// The first dimensions, at the length that all of them had if that was 1.
void cut(std::vector<float>& vector, std::size_t dimensions, bool normalize) {
  vector.resize(dimensions);
  if (!normalize) return;
  double squares = 0.0;
  for (const float x : vector) squares += static_cast<double>(x) * static_cast<double>(x);
  const double length = std::max(std::sqrt(squares), 1e-12);
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) / length);
}

// The error of one input, which says which one it is where there are several.
std::unexpected<Error> about(Error error, std::size_t index, std::size_t count) {
  error.message = (count == 1 ? std::string("the input ") : "input[" + std::to_string(index) + "] ") + error.message;
  error.param = "input";
  return std::unexpected(std::move(error));
}

}  // namespace

Embedder::Embedder(Parts parts) : parts_(std::move(parts)) { TENON_CHECK(parts_.encoder && parts_.tokenizer); }

Status Embedder::check_dimensions(std::int64_t dimensions) const {
  const std::int64_t all = parts_.encoder->encoder().dimensions();
  if (dimensions == all) return {};
  if (dimensions < 1 || dimensions > all) {
    return invalid("'dimensions' must be between 1 and " + std::to_string(all) + ", the model's own, not " +
                       std::to_string(dimensions),
                   "dimensions");
  }
  if (!parts_.matryoshka.allowed) {
    return invalid(
        "this model does not say that its vectors may be cut (a Matryoshka model's config.json does): leave "
        "'dimensions' out for all " +
            std::to_string(all),
        "dimensions");
  }
  const auto& only = parts_.matryoshka.dimensions;
  if (only.empty() || std::ranges::find(only, dimensions) != only.end()) return {};
  std::string list;
  for (const std::int64_t one : only) list += (list.empty() ? "" : ", ") + std::to_string(one);
  return invalid("'dimensions' must be one of " + list + " for this model, not " + std::to_string(dimensions),
                 "dimensions");
}

// As the reference's tokenizers cut on the right: the special tokens around the text stay, the text loses its end.
Result<Ids> Embedder::truncated(const std::string& text, Ids ids, std::size_t most) const {
  TENON_ASSIGN(const Ids around, parts_.tokenizer->encode("", add_special_tokens()));
  TENON_ASSIGN(const Ids body, parts_.tokenizer->encode(text, false));
  if (around.size() + body.size() == ids.size() && around.size() <= most) {
    for (std::size_t before = 0; before <= around.size(); ++before) {
      const auto middle = ids.begin() + static_cast<std::ptrdiff_t>(before);
      if (!std::equal(ids.begin(), middle, around.begin()) || !std::equal(body.begin(), body.end(), middle)) continue;
      ids.erase(middle + static_cast<std::ptrdiff_t>(most - around.size()),
                middle + static_cast<std::ptrdiff_t>(body.size()));
      return ids;
    }
  }
  ids.resize(most);
  return ids;
}

Result<Ids> Embedder::ids_of(EmbedRequest::Input input, std::optional<std::int64_t> most) const {
  const bool is_text = std::holds_alternative<std::string>(input);
  Ids ids;
  if (is_text) {
    std::string& text = std::get<std::string>(input);
    if (text.empty()) return invalid("is an empty string");
    text.insert(0, parts_.prompt);
    TENON_ASSIGN(ids, parts_.tokenizer->encode(text, add_special_tokens()));
  } else {
    ids = std::get<Ids>(std::move(input));
  }
  if (most && ids.size() > static_cast<std::size_t>(*most)) {
    if (!is_text) {
      ids.resize(static_cast<std::size_t>(*most));
    } else {
      TENON_ASSIGN(ids, truncated(std::get<std::string>(input), std::move(ids), static_cast<std::size_t>(*most)));
    }
  }
  if (auto fits = parts_.encoder->encoder().check(ids); !fits) {
    Error error = std::move(fits).error();
    if (ids.size() > static_cast<std::size_t>(max_length())) error.message += ", or set truncate_prompt_tokens to -1";
    return std::unexpected(std::move(error));
  }
  return ids;
}

Result<EmbedRequest> Embedder::encode(EmbedRequest request) const {
  TENON_CHECK(!request.inputs.empty());
  if (request.dimensions) TENON_TRY(check_dimensions(*request.dimensions));
  std::optional<std::int64_t> most = request.truncate_prompt_tokens;
  if (most && (*most < -1 || *most == 0 || *most > max_length())) {
    return invalid("'truncate_prompt_tokens' must be -1 or between 1 and " + std::to_string(max_length()) + ", not " +
                       std::to_string(*most),
                   "truncate_prompt_tokens");
  }
  if (most == -1) most = max_length();
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    auto ids = ids_of(std::move(request.inputs[i]), most);
    if (!ids) return about(std::move(ids).error(), i, request.inputs.size());
    request.inputs[i] = std::move(*ids);
  }
  return request;
}

Result<std::unique_ptr<Embedding>> Embedder::start(EmbedRequest request, EmbeddingSink sink) const {
  TENON_CHECK(sink);
  TENON_ASSIGN(request, encode(std::move(request)));
  std::vector<Ids> texts;
  Embeddings answer;
  for (auto& input : request.inputs) {
    texts.push_back(std::get<Ids>(std::move(input)));
    answer.prompt_tokens += static_cast<std::int64_t>(texts.back().size());
  }
  auto closed = std::make_shared<std::atomic<bool>>(false);
  const bool normalize = parts_.encoder->encoder().normalizes();
  const bool cuts = request.dimensions && *request.dimensions < parts_.encoder->encoder().dimensions();
  const auto dimensions = static_cast<std::size_t>(cuts ? *request.dimensions : 0);
  auto on_vectors = [closed, sink = std::move(sink), answer = std::move(answer), dimensions,
                     normalize](Result<engine::Vectors> vectors) mutable {
    if (*closed) return;
    if (!vectors) return sink(std::unexpected(std::move(vectors).error()));
    answer.vectors = std::move(*vectors);
    if (dimensions > 0) {
      for (auto& vector : answer.vectors) cut(vector, dimensions, normalize);
    }
    sink(std::move(answer));
  };
  TENON_ASSIGN(const engine::RequestId id, parts_.encoder->submit(std::move(texts), std::move(on_vectors)));
  return std::make_unique<EncoderEmbedding>(parts_.encoder, id, std::move(closed));
}

}  // namespace tenon::generate
