// The endpoints and their errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server_process.h"

namespace tenon::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const Json kCompletion = {{"model", "tiny"}, {"prompt", "Once upon a time"}, {"max_tokens", 4}};

Json with(const char* name, Json value) {
  Json body = kCompletion;
  body[name] = std::move(value);
  return body;
}

// The error object of a reply, after checking its form.
Json error_of(const HttpReply& reply, int status) {
  EXPECT_EQ(reply.status, status) << reply.body;
  EXPECT_EQ(reply.headers.count("content-type") ? reply.headers.at("content-type") : "", "application/json");
  const Json json = reply.json();
  if (!json.is_object() || !json.contains("error")) {
    ADD_FAILURE() << "no error object: " << reply.body;
    return {{"message", ""}, {"type", ""}, {"param", ""}, {"code", ""}};
  }
  for (const char* member : {"message", "type", "param", "code"}) EXPECT_TRUE(json["error"].contains(member)) << member;
  return json["error"];
}

std::string message_of(const HttpReply& reply, int status) {
  return error_of(reply, status)["message"].get<std::string>();
}

TEST(ServeApi, HealthAndModels) {
  TinyServer server;
  EXPECT_EQ(request(server.port(), "GET", "/health").status, 200);
  const Json list = request(server.port(), "GET", "/v1/models").json();
  EXPECT_EQ(list["object"], "list");
  ASSERT_EQ(list["data"].size(), 1u);
  EXPECT_EQ(list["data"][0]["id"], "tiny");
  EXPECT_EQ(list["data"][0]["object"], "model");
  EXPECT_EQ(list["data"][0]["max_model_len"], 512);
  EXPECT_EQ(request(server.port(), "GET", "/v1/models?limit=5").json(), list);
  EXPECT_EQ(request(server.port(), "GET", "/v1/models/tiny").json(), list["data"][0]);
  const Json error = error_of(request(server.port(), "GET", "/v1/models/other"), 404);
  EXPECT_EQ(error["code"], "model_not_found");
  EXPECT_THAT(error["message"].get<std::string>(), AllOf(HasSubstr("'other'"), HasSubstr("'tiny'")));
}

TEST(ServeApi, ModelNamesMayHaveASlashEscapedOrNot) {
  TinyServer server(false, {}, "org/some model");
  EXPECT_EQ(request(server.port(), "GET", "/v1/models/org%2Fsome%20model").status, 200);
  EXPECT_EQ(request(server.port(), "GET", "/v1/models/org/some%20model").status, 200);
  EXPECT_EQ(request(server.port(), "GET", "/v1/models/org%2Fsome%2").status, 404);
}

TEST(ServeApi, AnotherModelIsNotFound) {
  TinyServer server;
  const Json error = error_of(post(server.port(), "/v1/completions", with("model", "other")), 404);
  EXPECT_EQ(error["param"], "model");
  EXPECT_EQ(error["code"], "model_not_found");
}

TEST(ServeApi, WrongMethodsAndPaths) {
  TinyServer server;
  const HttpReply reply = request(server.port(), "GET", "/v1/completions");
  EXPECT_THAT(message_of(reply, 405), HasSubstr("POST"));
  EXPECT_EQ(reply.headers.at("allow"), "POST");
  EXPECT_EQ(request(server.port(), "POST", "/health", "{}").status, 405);
  EXPECT_EQ(request(server.port(), "DELETE", "/v1/models").status, 405);
  message_of(request(server.port(), "GET", "/nothing"), 404);
}

TEST(ServeApi, BadJsonIsPlaced) {
  TinyServer server;
  EXPECT_THAT(message_of(request(server.port(), "POST", "/v1/completions", "{\"model\": \"tiny\",\n oops}"), 400),
              HasSubstr("line 2"));
  EXPECT_THAT(message_of(request(server.port(), "POST", "/v1/completions"), 400), HasSubstr("has no body"));
  message_of(request(server.port(), "POST", "/v1/completions", "[]"), 400);
  message_of(request(server.port(), "POST", "/v1/completions", "{\"model\": \"\xff\xfe\"}"), 400);
  message_of(request(server.port(), "POST", "/v1/completions", std::string("{\"a\": \0}", 8)), 400);
}

TEST(ServeApi, DeepNestingIsRefused) {
  TinyServer server;
  const std::size_t depth = 1'000'000;
  EXPECT_THAT(message_of(request(server.port(), "POST", "/v1/completions", std::string(depth, '[')), 400),
              HasSubstr("nested"));
  std::string body = R"({"model": "tiny", "prompt": )" + std::string(depth, '[') + std::string(depth, ']') + "}";
  EXPECT_THAT(message_of(request(server.port(), "POST", "/v1/completions", body), 400), HasSubstr("nested"));
  EXPECT_EQ(request(server.port(), "GET", "/health").status, 200);
}

TEST(ServeApi, ErrorsNameTheParameter) {
  TinyServer server;
  const auto param = [&](const char* name, Json value) {
    return error_of(post(server.port(), "/v1/completions", with(name, std::move(value))), 400)["param"];
  };
  EXPECT_EQ(param("temperature", "hot"), "temperature");
  EXPECT_EQ(param("max_tokens", -1), "max_tokens");
  EXPECT_EQ(param("prompt", 5), "prompt");
  EXPECT_EQ(param("n", 0), "n");
  EXPECT_EQ(param("temprature", 1), "temprature");
  EXPECT_EQ(param("prompt", Json::array({5000})), "prompt");  // an id beyond the vocabulary
  EXPECT_EQ(error_of(post(server.port(), "/v1/completions", with("suffix", "x")), 400)["code"],
            "unsupported_parameter");
}

TEST(ServeApi, APromptLongerThanTheContextSaysBothLengths) {
  TinyServer server;
  const Json ids(std::vector<int>(600, 403));
  EXPECT_THAT(message_of(post(server.port(), "/v1/completions", with("prompt", ids)), 400),
              AllOf(HasSubstr("600"), HasSubstr("512")));
}

TEST(ServeApi, EmptyPromptText) {
  TinyServer server;
  const HttpReply reply = post(server.port(), "/v1/completions", with("prompt", ""));
  EXPECT_EQ(reply.status, 200) << reply.body;  // the beginning-of-text token alone
  EXPECT_EQ(reply.json()["usage"]["prompt_tokens"], 1);
}

TEST(ServeApi, ChatWithoutATemplateIsRefused) {
  TinyServer server;
  Json body = {{"model", "tiny"}, {"messages", Json::array({{{"role", "user"}, {"content", "hi"}}})}};
  EXPECT_THAT(message_of(post(server.port(), "/v1/chat/completions", body), 400), HasSubstr("--chat-template FILE"));
  // Also with tools, for which a parser of calls would not help.
  body["tools"] = Json::array({{{"type", "function"}, {"function", {{"name", "f"}}}}});
  EXPECT_THAT(message_of(post(server.port(), "/v1/chat/completions", body), 400), HasSubstr("--chat-template FILE"));
  EXPECT_EQ(error_of(post(server.port(), "/v1/responses", {{"model", "tiny"}, {"input", "hi"}}), 400)["param"],
            "input");
}

TEST(ServeApi, TheKeyGuardsTheApi) {
  TinyServer server(false, {"--api-key", "secret"});
  const auto status = [&](const Headers& headers) {
    return request(server.port(), "POST", "/v1/completions", kCompletion.dump(), headers).status;
  };
  EXPECT_EQ(status({}), 401);
  EXPECT_EQ(status({{"Authorization", "Bearer secre"}}), 401);
  EXPECT_EQ(status({{"Authorization", "Bearer secrets"}}), 401);
  EXPECT_EQ(status({{"Authorization", "secret"}}), 401);
  EXPECT_EQ(status({{"Authorization", "Bearer secret"}}), 200);
  EXPECT_EQ(status({{"Authorization", "bearer secret"}}), 200);  // RFC 9110: the scheme ignores case, the key does not
  EXPECT_EQ(status({{"Authorization", "Bearer Secret"}}), 401);
  EXPECT_EQ(status({{"Authorization", "Basic secret"}}), 401);
  const Json error = error_of(request(server.port(), "GET", "/v1/models"), 401);
  EXPECT_EQ(error["code"], "invalid_api_key");
  EXPECT_EQ(request(server.port(), "GET", "/health").status, 200);
}

TEST(ServeApi, AnyOfSeveralKeysWillDo) {
  TinyServer server(false, {"--api-key", "one", "--api-key", "two"});
  for (const auto& [key, status] : {std::pair("one", 200), {"two", 200}, {"three", 401}}) {
    const Headers headers = {{"Authorization", std::string("Bearer ") + key}};
    EXPECT_EQ(request(server.port(), "GET", "/v1/models", "", headers).status, status) << key;
  }
  EXPECT_EQ(request(server.port(), "POST", "/tokenize", "{}").status, 401);
  EXPECT_EQ(request(server.port(), "GET", "/v1/models").headers.at("www-authenticate"), "Bearer");
}

TEST(ServeApi, TokenizeAndDetokenize) {
  TinyServer server(true);
  const auto tokens = [&](const Json& body) {
    const HttpReply reply = post(server.port(), "/tokenize", body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.json();
  };
  const Json plain = tokens({{"model", "tiny"}, {"prompt", "Once upon a time"}});
  EXPECT_EQ(plain["tokens"][0], 1);
  EXPECT_EQ(plain["count"], plain["tokens"].size());
  EXPECT_EQ(plain["max_model_len"], 512);
  EXPECT_TRUE(plain["token_strs"].is_null());
  const Json bare =
      tokens({{"prompt", "Once upon a time"}, {"add_special_tokens", false}, {"return_token_strs", true}});
  EXPECT_EQ(bare["count"].get<int>() + 1, plain["count"].get<int>());
  EXPECT_EQ(bare["token_strs"].size(), bare["tokens"].size());
  const Json messages = Json::array({{{"role", "user"}, {"content", "Once upon a time"}}});
  EXPECT_EQ(tokens({{"messages", messages}})["tokens"], plain["tokens"]);
  Json twice = plain["tokens"];
  twice.insert(twice.begin(), 1);  // what the template has written already
  EXPECT_EQ(tokens({{"messages", messages}, {"add_special_tokens", true}})["tokens"], twice);
  const Json tools = Json::array({{{"type", "function"}, {"function", {{"name", "f"}}}}});
  EXPECT_EQ(tokens({{"messages", messages}, {"tools", tools}})["tokens"], plain["tokens"]);
  const HttpReply text = post(server.port(), "/detokenize", {{"tokens", bare["tokens"]}});
  EXPECT_EQ(text.status, 200) << text.body;
  EXPECT_EQ(text.json(), (Json{{"prompt", "Once upon a time"}}));
  const auto param = [&](const char* path, const Json& body) {
    return error_of(post(server.port(), path, body), 400)["param"];
  };
  EXPECT_EQ(param("/tokenize", {{"prompt", 5}}), "prompt");
  EXPECT_EQ(param("/tokenize", Json::object()), "prompt");
  EXPECT_EQ(param("/tokenize", {{"prompt", "x"}, {"promt", 1}}), "promt");
  EXPECT_EQ(param("/tokenize", {{"messages", messages}, {"tools", 5}}), "tools");
  EXPECT_THAT(message_of(post(server.port(), "/tokenize", {{"messages", messages}, {"prompt", "x"}}), 400),
              HasSubstr("'messages' cannot be given together with 'prompt'"));
  EXPECT_EQ(param("/detokenize", {{"tokens", "x"}}), "tokens");
  EXPECT_EQ(param("/detokenize", {{"tokens", {1, 512}}}), "tokens");
  error_of(post(server.port(), "/tokenize", {{"prompt", "x"}, {"model", "other"}}), 404);
}

TEST(ServeApi, TokenizerInfoAndVersion) {
  TinyServer server(true);
  const Json info = request(server.port(), "GET", "/tokenizer_info").json();
  EXPECT_EQ(info["eos_token"], "</s>");
  EXPECT_EQ(info["bos_token"], "<s>");
  EXPECT_THAT(info["chat_template"].get<std::string>(), HasSubstr("message['content']"));
  EXPECT_NE(request(server.port(), "GET", "/version").json()["version"].get<std::string>(), "");
}

TEST(ServeApi, RequestIdsAreEchoedOrMade) {
  TinyServer server;
  const auto id = [&](const Headers& headers) {
    return request(server.port(), "POST", "/v1/completions", kCompletion.dump(), headers).headers.at("x-request-id");
  };
  EXPECT_EQ(id({{"X-Request-Id", "abc-1"}}), "abc-1");
  const std::string one = id({}), other = id({});
  EXPECT_NE(one, "");
  EXPECT_NE(one, other);
  EXPECT_NE(id({{"X-Request-Id", std::string(129, 'x')}}), std::string(129, 'x'));
  Json body = kCompletion;
  body["stream"] = true;
  const HttpReply stream =
      request(server.port(), "POST", "/v1/completions", body.dump(), {{"X-Request-Id", "of-a-stream"}});
  EXPECT_EQ(stream.headers.at("x-request-id"), "of-a-stream");
  const std::string log = server.process().err();
  EXPECT_THAT(log, AllOf(HasSubstr("abc-1 POST /v1/completions 200 in"), testing::Not(HasSubstr("Once upon"))));
}

TEST(ServeApi, OtherOriginsAreRefusedUnlessAllowed) {
  const Headers mine = {{"Origin", "https://mine.example"}}, other = {{"Origin", "https://other.example"}};
  {
    TinyServer server;
    EXPECT_EQ(request(server.port(), "GET", "/v1/models", "", mine).headers.count("access-control-allow-origin"), 0u);
    EXPECT_EQ(request(server.port(), "OPTIONS", "/v1/models", "", mine).status, 405);
    const auto asked = [&](const Headers& headers) {
      return request(server.port(), "POST", "/v1/completions", kCompletion.dump(), headers);
    };
    const HttpReply refused = asked(mine);
    EXPECT_EQ(refused.status, 403) << "the page could not read the answer, but made the server work";
    EXPECT_THAT(refused.body, HasSubstr("--allowed-origins"));
    EXPECT_EQ(asked({{"Origin", "null"}}).status, 403);
    EXPECT_EQ(asked({{"Origin", "https://mine.example"}, {"Sec-Fetch-Site", "same-origin"}}).status, 200);
    EXPECT_EQ(asked({{"Origin", "http://localhost"}}).status, 200) << "as the Host of the request";
    EXPECT_EQ(asked({}).status, 200);
  }
  {
    TinyServer server(false, {"--allowed-origins", "https://mine.example"});
    EXPECT_EQ(request(server.port(), "POST", "/v1/completions", kCompletion.dump(), mine).status, 200);
    EXPECT_EQ(request(server.port(), "POST", "/v1/completions", kCompletion.dump(), other).status, 403);
  }
  TinyServer server(false, {"--allowed-origins", "https://mine.example", "--api-key", "k"});
  EXPECT_EQ(request(server.port(), "GET", "/v1/models", "", mine).headers.at("access-control-allow-origin"),
            "https://mine.example");
  EXPECT_EQ(request(server.port(), "GET", "/v1/models", "", other).headers.count("access-control-allow-origin"), 0u);
  const HttpReply preflight = request(server.port(), "OPTIONS", "/v1/chat/completions", "", mine);
  EXPECT_EQ(preflight.status, 204);
  EXPECT_FALSE(preflight.headers.contains("content-length"));
  EXPECT_THAT(preflight.headers.at("access-control-allow-headers"), HasSubstr("Authorization"));
  EXPECT_NE(request(server.port(), "OPTIONS", "/v1/chat/completions", "", other).status, 204);
  Headers asks = mine;
  asks.emplace_back("Access-Control-Request-Headers", "authorization,x-stainless-lang");
  EXPECT_EQ(request(server.port(), "OPTIONS", "/v1/models", "", asks).headers.at("access-control-allow-headers"),
            "authorization,x-stainless-lang");
}

TEST(ServeApi, Metrics) {
  TinyServer server;
  ASSERT_EQ(post(server.port(), "/v1/completions", kCompletion).status, 200);
  const HttpReply reply = request(server.port(), "GET", "/metrics");
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.headers.at("content-type"), HasSubstr("text/plain; version=0.0.4"));
  EXPECT_EQ(server.metric("tenon:generation_tokens_total"), 4);
  EXPECT_EQ(server.metric("tenon:request_success_total"), 1);
  EXPECT_EQ(server.metric("tenon:request_success_total", "finished_reason=\"length\""), 1);
  EXPECT_EQ(server.metric("tenon:request_success_total", "finished_reason=\"abort\""), 0);
  EXPECT_EQ(server.metric("tenon:requests_cancelled_total"), 0);
  EXPECT_EQ(server.metric("tenon:num_requests_running"), 0);
  EXPECT_EQ(server.metric("tenon:num_requests_waiting"), 0);
  EXPECT_EQ(server.metric("tenon:time_to_first_token_seconds_count"), 1);
  EXPECT_GT(server.metric("tenon:prompt_tokens_total"), 1);
  // Each token counted once: 4 tokens, 3 gaps between them, one mean.
  EXPECT_EQ(server.metric("tenon:inter_token_latency_seconds_count"), 3);
  EXPECT_EQ(server.metric("tenon:request_time_per_output_token_seconds_count"), 1);
  EXPECT_EQ(server.metric("tenon:request_queue_time_seconds_count"), 1);
  EXPECT_EQ(server.metric("tenon:request_generation_tokens_sum"), 4);
  EXPECT_EQ(server.metric("tenon:request_max_num_generation_tokens_sum"), 4);
  EXPECT_EQ(server.metric("tenon:request_params_n_sum"), 1);
  EXPECT_EQ(server.metric("tenon:request_params_max_tokens_sum"), 4);
  EXPECT_EQ(server.metric("tenon:request_inference_time_seconds_count"), 1);
  EXPECT_EQ(server.metric("tenon:iteration_tokens_total_count"), server.metric("tenon:engine_steps_total"));
  EXPECT_EQ(server.metric("tenon:iteration_tokens_total_sum"),
            server.metric("tenon:prompt_tokens_total") + server.metric("tenon:generation_tokens_total"));
  EXPECT_EQ(server.metric("tenon:iteration_tokens_total_bucket", "le=\"+Inf\""),
            server.metric("tenon:engine_steps_total"));
  EXPECT_EQ(server.metric("tenon:cache_config_info", "block_size=\"64\",enable_prefix_caching=\"True\""), 1);
  EXPECT_THAT(reply.body, HasSubstr("tenon:num_requests_waiting_by_reason{model_name=\"tiny\",reason=\"capacity\"} 0"));
  EXPECT_THAT(reply.body, Not(HasSubstr("vllm:")));
}

TEST(ServeApi, MetricsUnderTheNamesOfVllmsDashboards) {
  TinyServer server(false, {"--metrics-prefix", "vllm"});
  ASSERT_EQ(post(server.port(), "/v1/completions", kCompletion).status, 200);
  EXPECT_EQ(server.metric("vllm:request_success_total"), 1);
  EXPECT_THAT(request(server.port(), "GET", "/metrics").body, Not(HasSubstr("tenon:")));
}

TEST(ServeApi, UnknownFieldsAreRefusedUnlessTheServerAllowsThem) {
  const Json body = {{"model", "tiny"}, {"prompt", "abc"}, {"max_tokens", 1}, {"my_own_field", {{"a", 1}}}};
  {
    TinyServer server;
    const HttpReply refused = post(server.port(), "/v1/completions", body);
    EXPECT_EQ(refused.status, 400);
    EXPECT_THAT(refused.body, HasSubstr("my_own_field"));
  }
  TinyServer server(false, {"--allow-unknown-fields"});
  const auto takes = [&](const char* path, const Json& what) {
    const HttpReply taken = post(server.port(), path, what);
    EXPECT_EQ(taken.status, 200) << path << taken.body;
  };
  takes("/v1/completions", body);
  Json nested = body;
  nested["stream"] = true;
  nested["stream_options"] = {{"include_usage", true}, {"my_own_field", 1}};
  nested["response_format"] = {{"type", "json_object"}, {"my_own_field", 1}};
  takes("/v1/completions", nested);
  nested["response_format"] = {{"type", "json_schema"},
                               {"json_schema", {{"name", "a"}, {"schema", {{"type", "object"}}}, {"my_own_field", 1}}}};
  takes("/v1/completions", nested);
  takes("/tokenize", {{"prompt", "abc"}, {"my_own_field", 1}});
  takes("/detokenize", {{"tokens", {1}}, {"my_own_field", 1}});
  // What is known is still checked.
  EXPECT_EQ(
      post(server.port(), "/v1/completions", Json{{"model", "tiny"}, {"prompt", "abc"}, {"max_tokens", "x"}}).status,
      400);
}

}  // namespace
}  // namespace tenon::e2e
