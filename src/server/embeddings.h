// /v1/embeddings: OpenAI's JSON in, vectors out.  https://platform.openai.com/docs/api-reference/embeddings
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "generate/embedder.h"
#include "server/exchange.h"
#include "server/metrics.h"

namespace tenon::server {

struct ParsedEmbeddings {
  generate::EmbedRequest embed;
  std::string model;
  bool base64 = false;  ///< vectors as base64 of float32 in little endian
};

/// Unknown fields unless they are allowed, wrong types, values out of range and inputs that are none are errors that
/// name the parameter.
Result<ParsedEmbeddings> parse_embeddings_request(const Json& body, bool allow_unknown = false);

/// {"object": "list", "data": [{"object": "embedding", "index", "embedding"}, …], "model", "usage"}
std::string embeddings_reply(const generate::Embeddings& embeddings, bool base64, const std::string& model);

/// Starts a request that came at `begin`, whose answer or late failure goes to `exchange`; the client's hang-up cancels
/// it. An error has not been answered yet.
Status start_embeddings(const generate::Embedder& embedder, ParsedEmbeddings request, const std::string& model,
                        TimePoint begin, const std::shared_ptr<Exchange>& exchange, Metrics& metrics);

}  // namespace tenon::server
