#include "server/api.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <charconv>
#include <chrono>
#include <random>

#include "base/clock.h"
#include "base/log.h"
#include "server/completion.h"
#include "server/embeddings.h"
#include "server/openai.h"
#include "server/responses_request.h"
#include "server/tokenize.h"

namespace tenon::server {
namespace {

std::int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Bodies beyond this are read on a thread of their own: a few milliseconds for the tokenizer. Those beyond the second,
// seconds, on another, so that long chats do not wait for them.
constexpr std::size_t kLargeBody = std::size_t{16} << 10;
constexpr std::size_t kHugeBody = std::size_t{512} << 10;

// %2F and the like, as clients write the slash of a model's name; what is no escape stays.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() && std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

// In the same time for every key of this length. The scheme ignores case (RFC 9110, 11.1).
bool key_matches(std::string_view authorization, const std::string& key) {
  constexpr std::string_view kScheme = "bearer ";
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  if (!std::ranges::equal(authorization.substr(0, kScheme.size()), kScheme, same)) return false;
  const std::string_view sent = authorization.substr(kScheme.size());
  return sent.size() == key.size() && CRYPTO_memcmp(sent.data(), key.data(), key.size()) == 0;
}

// Those that a browser's client wants to send, as openai-node its X-Stainless-…: none of them opens anything here.
std::string allowed_headers(const HttpRequest& request) {
  const auto is_plain = [](char c) { return is_printable({&c, 1}) || c == ' '; };
  const std::string& wanted = request.wanted_headers;
  if (wanted.empty() || !std::ranges::all_of(wanted, is_plain)) return "Authorization, Content-Type, X-Request-Id";
  return wanted;
}

// The last tokens that are left of a longer prompt, as "truncate_prompt_tokens" has it.
std::optional<std::int64_t> kept_tokens(const ParsedRequest& request, std::int64_t max_length) {
  if (request.truncate_prompt_tokens != -1) return request.truncate_prompt_tokens;
  const std::int64_t reply = std::max<std::int64_t>(request.generate.max_tokens.value_or(1), 1);
  return std::max<std::int64_t>(max_length - reply, 1);
}

bool is_of_stored_response(const HttpRequest& request) {
  if (!request.path.starts_with("/v1/responses/")) return false;
  return request.method == "GET" || request.method == "DELETE" || request.path.ends_with("/cancel");
}

bool is_compressed(const HttpRequest& request) {
  return !request.body.empty() && !request.content_encoding.empty() && request.content_encoding != "identity";
}

// What a bug throws there is the answer to this request, and no end of the thread that it runs on.
template <class T>
Result<T> guarded(const std::function<Result<T>(const std::string&)>& reader, const std::string& body) {
  try {
    return reader(body);
  } catch (const std::exception& exception) {
    TENON_LOG_ERROR("a request could not be read: {}", exception.what());
    return fail(ErrorCode::kInternal, "the request failed: " + std::string(exception.what()));
  }
}

Result<Json> parse_body(const std::string& body) {
  if (body.empty()) return invalid("the request has no body: it must be a JSON object");
  return parse_json(body, "request body", {.max_bytes = body.size(), .max_depth = 64});
}

}  // namespace

Api::Api(Served served, ApiOptions options)
    : served_(std::move(served)),
      options_(std::move(options)),
      metrics_(options_.metrics_prefix, options_.model_name),
      started_(unix_time()) {
  std::random_device device;
  next_id_ = (std::uint64_t{device()} << 32) | device();
}

Json Api::model_object() const {
  return {{"id", options_.model_name},
          {"object", "model"},
          {"created", started_},
          {"owned_by", "tenon"},
          {"max_model_len", options_.max_length},
          {"default_sampling_params", shown(options_.defaults)}};
}

void Api::handle(HttpRequest request, const std::shared_ptr<Exchange>& exchange) {
  struct Route {
    const char* method;
    const char* path;
    void (*run)(Api&, HttpRequest&, const std::shared_ptr<Exchange>&);
  };
  static constexpr Route kRoutes[] = {
      {"GET", "/health",
       [](Api& api, HttpRequest&, const auto& e) {
         if (api.draining_) {
           refuse(*e, {ErrorCode::kUnavailable, "the server is shutting down"});
         } else {
           e->respond(200, R"({"status":"ok"})");
         }
       }},
      {"GET", "/metrics",
       [](Api& api, HttpRequest&, const auto& e) {
         e->respond(200, api.metrics_.text(api.served_.stats()), "text/plain; version=0.0.4; charset=utf-8");
       }},
      {"GET", "/v1/models",
       [](Api& api, HttpRequest&, const auto& e) {
         e->respond(200, dump({{"object", "list"}, {"data", Json::array({api.model_object()})}}));
       }},
      {"GET", "/version",
       [](Api& api, HttpRequest&, const auto& e) { e->respond(200, dump({{"version", api.options_.version}})); }},
      {"GET", "/tokenizer_info",
       [](Api& api, HttpRequest&, const auto& e) { e->respond(200, dump(api.options_.tokenizer_info)); }},
      {"POST", "/tokenize", [](Api& api, HttpRequest& r, const auto& e) { api.tokens(r, e, true); }},
      {"POST", "/detokenize", [](Api& api, HttpRequest& r, const auto& e) { api.tokens(r, e, false); }},
      {"POST", "/v1/chat/completions",
       [](Api& api, HttpRequest& r, const auto& e) { api.complete(r, e, Generates::kChat); }},
      {"POST", "/v1/completions",
       [](Api& api, HttpRequest& r, const auto& e) { api.complete(r, e, Generates::kText); }},
      {"POST", "/v1/responses",
       [](Api& api, HttpRequest& r, const auto& e) { api.complete(r, e, Generates::kResponse); }},
      {"POST", "/v1/embeddings", [](Api& api, HttpRequest& r, const auto& e) { api.embed(r, e); }},
  };

  if (request.method == "OPTIONS" && allows_origin(request.origin)) {
    return exchange->respond(204, "", "text/plain",
                             {{"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
                              {"Access-Control-Allow-Headers", allowed_headers(request)},
                              {"Access-Control-Max-Age", "600"}});
  }
  if (!authorized(request)) {
    return refuse(*exchange, 401,
                  {ErrorCode::kPermissionDenied, "missing or wrong API key; send 'Authorization: Bearer KEY'"},
                  {{"WWW-Authenticate", "Bearer"}});
  }
  if (!may_ask(request)) {
    return refuse(*exchange, 403,
                  {ErrorCode::kPermissionDenied,
                   "a web page of another origin may not use this server; start it with --allowed-origins and the "
                   "page's origin, or with --api-key"});
  }
  const Route* other_method = nullptr;
  for (const Route& route : kRoutes) {
    if (request.path != route.path) continue;
    if (request.method == route.method) return route.run(*this, request, exchange);
    other_method = &route;
  }
  constexpr std::string_view kModels = "/v1/models/";
  if (request.path.starts_with(kModels) && request.method == "GET") {
    const std::string name = unescaped(std::string_view(request.path).substr(kModels.size()));
    if (auto known = check_model(name); !known) return refuse(*exchange, known.error());
    return exchange->respond(200, dump(model_object()));
  }
  if (is_of_stored_response(request)) {
    return refuse(*exchange,
                  {ErrorCode::kNotFound, "there is no " + request.method + " " + request.path +
                                             " here: responses are not stored, so none can be read, deleted, "
                                             "cancelled or continued later; hang up to cancel one"});
  }
  if (other_method) {
    return refuse(
        *exchange, 405,
        {ErrorCode::kInvalidArgument, request.path + " takes " + other_method->method + ", not " + request.method},
        {{"Allow", other_method->method}});
  }
  refuse(*exchange, {ErrorCode::kNotFound, "there is no " + request.method + " " + request.path + " here"});
}

bool Api::authorized(const HttpRequest& request) const {
  if (options_.api_keys.empty() || request.path == "/health" || request.path == "/metrics") return true;
  bool matches = false;
  for (const std::string& key : options_.api_keys) matches |= key_matches(request.authorization, key);
  return matches;
}

// A browser sends what any page asks for, and withholds only the answer. Where no key is needed, that is work for all.
bool Api::may_ask(const HttpRequest& request) const {
  return request.origin.empty() || request.method != "POST" || request.same_origin || !options_.api_keys.empty() ||
         allows_origin(request.origin);
}

bool Api::allows_origin(const std::string& origin) const {
  if (origin.empty()) return false;
  return std::ranges::any_of(options_.allowed_origins, [&](const auto& one) { return one == "*" || one == origin; });
}

Exchange::Headers Api::common_headers(const HttpRequest& request) {
  const bool own = request.request_id.empty() || request.request_id.size() > 128 || !is_printable(request.request_id);
  Exchange::Headers headers = {{"X-Request-Id", own ? "req-" + std::to_string(++next_id_) : request.request_id}};
  if (allows_origin(request.origin) && is_printable(request.origin)) {
    headers.emplace_back("Access-Control-Allow-Origin", request.origin);
    headers.emplace_back("Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
    headers.emplace_back("Vary", "Origin");
  }
  return headers;
}

Status Api::check_model(const Json& model) const {
  if (model == options_.model_name) return {};
  return fail(ErrorCode::kNotFound,
              "the model '" + (model.is_string() ? model.get<std::string>() : model.dump()) +
                  "' does not exist; this server has '" + options_.model_name + "'",
              "model");
}

// Reads a body with `reader` (JSON, chat template, tokenizer) and hands what came of it to `then`, on the I/O thread. A
// body of megabytes takes the tokenizer seconds: not on the I/O thread, which would keep all others waiting.
template <class T>
void Api::read(HttpRequest& request, const std::shared_ptr<Exchange>& exchange,
               std::function<Result<T>(const std::string& body)> reader, std::function<Status(T)> then) {
  if (is_compressed(request)) {
    return refuse(*exchange, 415,
                  {ErrorCode::kInvalidArgument,
                   "a body with the header 'Content-Encoding: " + request.content_encoding.substr(0, 64) +
                       "' is not read here: send it as it is, without the header"},
                  {{"Accept-Encoding", "identity"}});
  }
  auto answer = [exchange, then = std::move(then)](Result<T> out) {
    const Status done = out ? then(*std::move(out)) : Status(std::unexpected(std::move(out).error()));
    if (!done) refuse(*exchange, done.error());
  };
  if (request.body.size() <= kLargeBody) return answer(guarded(reader, request.body));
  auto wanted = std::make_shared<std::atomic<bool>>(true);
  exchange->on_hang_up([wanted] { *wanted = false; });
  auto& thread = request.body.size() <= kHugeBody ? reader_ : huge_reader_;
  boost::asio::post(thread, [exchange, wanted, reader = std::move(reader), answer = std::move(answer),
                             body = std::move(request.body)] {
    if (!*wanted) return;
    exchange->post([wanted, answer, out = guarded(reader, body)]() mutable {
      if (*wanted) answer(std::move(out));
    });
  });
}

void Api::tokens(HttpRequest& request, const std::shared_ptr<Exchange>& exchange, bool encode) {
  auto reader = [this, encode](const std::string& text) -> Result<std::string> {
    TENON_ASSIGN(const Json body, parse_body(text));
    if (body.is_object() && body.contains("model") && !body["model"].is_null()) TENON_TRY(check_model(body["model"]));
    const bool allow_unknown = options_.defaults.allow_unknown_fields;
    TENON_ASSIGN(const Json reply, encode ? tokenize(served_, body, options_.max_length, options_.format, allow_unknown)
                                          : detokenize(served_, body, allow_unknown));
    return dump(reply);
  };
  read<std::string>(request, exchange, std::move(reader), [exchange](std::string reply) {
    exchange->respond(200, std::move(reply));
    return Status();
  });
}

void Api::embed(HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  if (draining_) return refuse(*exchange, {ErrorCode::kUnavailable, "the server is shutting down"});
  if (!served_.embedder) {
    return refuse(*exchange,
                  {ErrorCode::kInvalidArgument,
                   "the model '" + options_.model_name +
                       "' generates text: it serves /v1/chat/completions and /v1/completions, not /v1/embeddings",
                   "model"});
  }
  auto reader = [this](const std::string& text) -> Result<ParsedEmbeddings> {
    TENON_ASSIGN(const Json body, parse_body(text));
    TENON_ASSIGN(ParsedEmbeddings parsed, parse_embeddings_request(body, options_.defaults.allow_unknown_fields));
    TENON_TRY(check_model(parsed.model));
    TENON_ASSIGN(parsed.embed, served_.embedder->encode(std::move(parsed.embed)));
    return parsed;
  };
  read<ParsedEmbeddings>(request, exchange, std::move(reader),
                         [this, exchange, begin = std::chrono::steady_clock::now()](ParsedEmbeddings parsed) {
                           return start_embeddings(*served_.embedder, std::move(parsed), options_.model_name, begin,
                                                   exchange, metrics_);
                         });
}

void Api::complete(HttpRequest& request, const std::shared_ptr<Exchange>& exchange, Generates what) {
  if (draining_) return refuse(*exchange, {ErrorCode::kUnavailable, "the server is shutting down"});
  if (!served_.generator) {
    return refuse(
        *exchange,
        {ErrorCode::kInvalidArgument,
         "the model '" + options_.model_name + "' embeds texts and generates none: use /v1/embeddings", "model"});
  }
  // First, so that nobody is told what to do about tools or reasoning of such a model.
  if (what != Generates::kText && !served_.generator->has_chat_template()) {
    return refuse(*exchange,
                  {ErrorCode::kUnsupported,
                   "the model '" + options_.model_name +
                       "' has no chat template, without which it takes texts only: use /v1/completions, or start the "
                       "server with --chat-template FILE",
                   what == Generates::kChat ? "messages" : "input"});
  }
  auto reader = [this, what](const std::string& text) -> Result<ParsedRequest> {
    TENON_ASSIGN(const Json body, parse_body(text));
    TENON_ASSIGN(ParsedRequest parsed, what == Generates::kText ? parse_completion_request(body, options_.defaults)
                                       : what == Generates::kChat
                                           ? parse_chat_request(body, options_.defaults, options_.format)
                                           : parse_responses_request(body, options_.defaults, options_.format));
    TENON_TRY(check_model(parsed.model));
    TENON_ASSIGN(parsed.generate.sampling.bad_words, served_.generator->encode_bad_words(parsed.bad_words));
    const auto keep = kept_tokens(parsed, options_.max_length);
    for (generate::Prompt& prompt : parsed.prompts) {
      prompt.keep_last = keep;
      auto encoded = served_.generator->encode(std::move(prompt));
      if (!encoded && what == Generates::kResponse) return std::unexpected(in_words_of_responses(encoded.error()));
      TENON_ASSIGN(prompt.value, std::move(encoded));
    }
    return parsed;
  };
  const char* prefix = what == Generates::kText ? "cmpl-" : what == Generates::kChat ? "chatcmpl-" : "resp_";
  const ReplyIdentity identity{.chat = what != Generates::kText,
                               .id = prefix + std::to_string(++next_id_),
                               .model = options_.model_name,
                               .created = unix_time()};
  read<ParsedRequest>(request, exchange, std::move(reader),
                      [this, exchange, identity, begin = std::chrono::steady_clock::now()](ParsedRequest parsed) {
                        if (double& left = parsed.generate.timeout; left > 0)
                          left = std::max(left - seconds_between(begin, std::chrono::steady_clock::now()), 1e-6);
                        return Completion::start(*served_.generator, std::move(parsed), identity, begin, exchange,
                                                 metrics_);
                      });
}

}  // namespace tenon::server
