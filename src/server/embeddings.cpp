#include "server/embeddings.h"

#include <array>
#include <bit>
#include <charconv>
#include <limits>
#include <span>
#include <string_view>

#include "server/fields.h"
#include "server/openai.h"

namespace tenon::server {
namespace {

using Ids = std::vector<std::int32_t>;

constexpr std::size_t kMaxInputs = 2048;  // OpenAI's

Status parse_input(const Json* input, std::vector<generate::EmbedRequest::Input>& out) {
  constexpr const char* kKinds = "must be a string, a list of strings, a list of token ids or a list of such lists";
  if (!input) return wrong("input", "is required");
  if (input->is_string()) {
    out.emplace_back(input->get<std::string>());
    return {};
  }
  if (!input->is_array()) return wrong("input", kKinds);
  if (input->empty()) return wrong("input", "is an empty list");
  const auto all = [&](auto is) { return std::ranges::all_of(*input, is); };
  if (all([](const Json& x) { return x.is_number(); })) {
    Ids ids;
    TENON_TRY(parse_ids(*input, "input", ids));
    out.emplace_back(std::move(ids));
    return {};
  }
  if (input->size() > kMaxInputs) {
    return wrong("input", "has " + std::to_string(input->size()) + " elements, but at most " +
                              std::to_string(kMaxInputs) + " are allowed: send several requests");
  }
  if (all([](const Json& x) { return x.is_string(); })) {
    for (const Json& text : *input) out.emplace_back(text.get<std::string>());
    return {};
  }
  if (!all([](const Json& x) { return x.is_array(); })) return wrong("input", kKinds);
  for (const Json& list : *input) {
    Ids ids;
    TENON_TRY(parse_ids(list, "input", ids));
    out.emplace_back(std::move(ids));
  }
  return {};
}

std::string base64(std::span<const float> vector) {
  static_assert(std::endian::native == std::endian::little && sizeof(float) == 4);
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto bytes = std::as_bytes(vector);
  const auto at = [&](std::size_t i) { return i < bytes.size() ? std::to_integer<unsigned>(bytes[i]) : 0u; };
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const unsigned group = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    for (std::size_t j = 0; j < 4; ++j) out += i + j > bytes.size() ? '=' : kDigits[group >> (18 - 6 * j) & 63];
  }
  return out;
}

// The shortest digits that read back as the same float32.
void append_number(std::string& out, float x) {
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), x).ptr;
  out.append(digits.data(), end);
}

// What stands between a request and its answer: one on the I/O thread, the answer from the encoder's.
struct Pending {
  std::unique_ptr<generate::Embedding> embedding;
};

void respond_error(Exchange& exchange, const Error& error) {
  const int status = http_status(error);
  exchange.respond(status, dump(error_object(status, error)));
}

}  // namespace

Result<ParsedEmbeddings> parse_embeddings_request(const Json& body, bool allow_unknown) {
  if (!body.is_object()) return invalid("the body must be a JSON object");
  Fields fields(body, allow_unknown);
  ParsedEmbeddings out;
  const Json* model = fields.find("model");
  if (!model) return wrong("model", "is required");
  if (!model->is_string()) return wrong("model", "must be a string");
  out.model = model->get<std::string>();
  const Json* input = fields.find("input");
  if (const Json* format = fields.find("encoding_format")) {
    if (*format != "float" && *format != "base64") {
      return wrong("encoding_format", "must be \"float\" or \"base64\", not " + format->dump());
    }
    out.base64 = *format == "base64";
  }
  if (const Json* user = fields.find("user"); user && !user->is_string()) return wrong("user", "must be a string");
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  TENON_TRY(fields.integer("dimensions", 1, kMost, out.embed.dimensions));
  TENON_TRY(fields.integer("truncate_prompt_tokens", -1, kMost, out.embed.truncate_prompt_tokens));
  // vLLM's, where they ask for nothing.
  TENON_TRY(fields.only("add_special_tokens", {true}));
  TENON_TRY(fields.only("priority", {0}));
  TENON_TRY(fields.no_others());
  TENON_TRY(parse_input(input, out.embed.inputs));
  return out;
}

std::string embeddings_reply(const generate::Embeddings& embeddings, bool as_base64, const std::string& model) {
  std::string out = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < embeddings.vectors.size(); ++i) {
    if (i > 0) out += ',';
    out += R"({"object":"embedding","index":)";
    out += std::to_string(i);
    out += R"(,"embedding":)";
    if (as_base64) {
      out += '"';
      out += base64(embeddings.vectors[i]);
      out += '"';
    } else {
      char before = '[';
      for (const float x : embeddings.vectors[i]) {
        out += before;
        append_number(out, x);
        before = ',';
      }
      out += ']';
    }
    out += '}';
  }
  out += R"(],"model":)";
  out += dump(model);
  out += R"(,"usage":)";
  out += dump({{"prompt_tokens", embeddings.prompt_tokens}, {"total_tokens", embeddings.prompt_tokens}});
  out += '}';
  return out;
}

Status start_embeddings(const generate::Embedder& embedder, ParsedEmbeddings request, const std::string& model,
                        TimePoint begin, const std::shared_ptr<Exchange>& exchange, Metrics& metrics) {
  auto pending = std::make_shared<Pending>();
  auto sink = [pending, exchange, begin, &metrics, model,
               as_base64 = request.base64](Result<generate::Embeddings> embeddings) {
    // Written here, on the encoder's thread: the text of a long list would hold up all connections.
    Result<std::string> body = std::string();
    std::int64_t tokens = 0;
    if (embeddings) {
      tokens = embeddings->prompt_tokens;
      body = embeddings_reply(*embeddings, as_base64, model);
    } else {
      body = std::unexpected(embeddings.error());
    }
    exchange->post([pending, exchange, begin, &metrics, tokens, body = std::move(body)]() mutable {
      if (!pending->embedding) return;  // hung up
      pending->embedding.reset();
      metrics.finished(body ? "stop" : "error", {.prompt_tokens = tokens}, {.begin = begin},
                       std::chrono::steady_clock::now());
      if (body) {
        exchange->respond(200, std::move(*body));
      } else {
        respond_error(*exchange, body.error());
      }
    });
  };
  TENON_ASSIGN(pending->embedding, embedder.start(std::move(request.embed), std::move(sink)));
  exchange->on_hang_up([weak = std::weak_ptr(pending), begin, &metrics] {
    const auto alive = weak.lock();
    if (!alive || !alive->embedding) return;
    alive->embedding.reset();
    metrics.finished("abort", {}, {.begin = begin}, std::chrono::steady_clock::now());
  });
  return {};
}

}  // namespace tenon::server
