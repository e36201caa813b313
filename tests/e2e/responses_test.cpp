// /v1/responses: what chat completions give, in OpenAI's newer shape, whole and as events.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "server_process.h"

namespace tenon::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Json body(const Json& more = Json::object()) {
  Json out = {{"model", "tiny"}, {"input", "Once upon a time"}, {"temperature", 0}, {"max_output_tokens", 40}};
  out.update(more);
  return out;
}

Json created(const TinyServer& server, const Json& request) {
  const HttpReply reply = post(server.port(), "/v1/responses", request);
  if (reply.status != 200) throw std::runtime_error(reply.body);
  return reply.json();
}

// The events of a stream, after checking their form.
std::vector<Json> streamed(const TinyServer& server, Json request) {
  request["stream"] = true;
  const HttpReply reply = post(server.port(), "/v1/responses", request);
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_TRUE(reply.complete);
  EXPECT_THAT(reply.headers.at("content-type"), HasSubstr("text/event-stream"));
  EXPECT_THAT(reply.body, Not(HasSubstr("[DONE]")));
  std::vector<Json> out;
  for (std::size_t at = 0; at < reply.body.size();) {
    const auto end = reply.body.find("\n\n", at), line = reply.body.find("\ndata: ", at);
    if (end == std::string::npos || line > end || reply.body.compare(at, 7, "event: ") != 0) {
      ADD_FAILURE() << "no event: " << reply.body.substr(at, 200);
      break;
    }
    out.push_back(Json::parse(reply.body.substr(line + 7, end - line - 7)));
    EXPECT_EQ(out.back()["type"], reply.body.substr(at + 7, line - at - 7));
    EXPECT_EQ(out.back()["sequence_number"], out.size() - 1);
    at = end + 2;
  }
  if (out.size() < 4) throw std::runtime_error("a stream of too few events: " + reply.body);
  EXPECT_EQ(out[0]["type"], "response.created");
  EXPECT_EQ(out[1]["type"], "response.in_progress");
  return out;
}

Json joined(const std::vector<Json>& events, const char* type) {
  std::string out;
  for (const Json& event : events) {
    if (event["type"] == type) out += event["delta"].get<std::string>();
  }
  return out;
}

// Its items without what is another each time.
Json items_of(const Json& response) {
  Json items = response["output"];
  for (Json& item : items) item.erase("id"), item.erase("call_id");
  return items;
}

Json error_of(const TinyServer& server, const Json& request) {
  const HttpReply reply = post(server.port(), "/v1/responses", request);
  EXPECT_EQ(reply.status, 400) << reply.body;
  return reply.json().value("error", Json{{"param", nullptr}, {"message", ""}, {"code", nullptr}});
}

const Json kTool = Json::parse(R"({"type": "function", "name": "weather", "description": "The weather",
  "parameters": {"type": "object", "properties": {"city": {"enum": ["Paris", "Oslo"]}, "days": {"enum": [1, 2]}},
                 "required": ["city", "days"], "additionalProperties": false}, "strict": true})");

void expect_weather(const Json& item) {
  EXPECT_EQ(item["type"], "function_call");
  EXPECT_EQ(item["name"], "weather");
  EXPECT_EQ(item["status"], "completed");
  const Json arguments = Json::parse(item["arguments"].get<std::string>(), nullptr, false);
  ASSERT_TRUE(arguments.is_object()) << item;
  EXPECT_THAT((std::vector<Json>{"Paris", "Oslo"}), testing::Contains(arguments.value("city", Json()))) << item;
  EXPECT_THAT((std::vector<Json>{1, 2}), testing::Contains(arguments.value("days", Json()))) << item;
}

TEST(Responses, AreTheReplyOfAChat) {
  TinyServer server(true);
  const Json chat =
      post(server.port(), "/v1/chat/completions",
           {{"model", "tiny"},
            {"messages",
             Json::array({{{"role", "system"}, {"content", "Once"}}, {{"role", "user"}, {"content", " upon a time"}}})},
            {"temperature", 0},
            {"max_tokens", 40}})
          .json();
  const Json whole = created(server, body({{"instructions", "Once"}, {"input", " upon a time"}}));
  EXPECT_EQ(whole["object"], "response");
  EXPECT_TRUE(whole["id"].get<std::string>().starts_with("resp_"));
  EXPECT_GT(whole["created_at"], 1'700'000'000);
  EXPECT_EQ(whole["status"], "incomplete");
  EXPECT_EQ(whole["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(whole["instructions"], "Once");
  EXPECT_EQ(whole["max_output_tokens"], 40);
  EXPECT_EQ(whole["model"], "tiny");
  EXPECT_TRUE(whole["error"].is_null());
  ASSERT_EQ(whole["output"].size(), 1U);
  const Json& message = whole["output"][0];
  EXPECT_EQ(message["status"], "incomplete");
  EXPECT_EQ(message["content"][0]["text"], chat["choices"][0]["message"]["content"]);
  EXPECT_EQ(message["content"][0]["annotations"], Json::array());
  EXPECT_EQ(whole["usage"]["input_tokens"], chat["usage"]["prompt_tokens"]);
  EXPECT_EQ(whole["usage"]["output_tokens"], 40);
  EXPECT_EQ(whole["usage"]["total_tokens"], chat["usage"]["total_tokens"]);
  EXPECT_GT(whole["usage"]["input_tokens_details"]["cached_tokens"], 0);

  const auto events = streamed(server, body({{"instructions", "Once"}, {"input", " upon a time"}}));
  EXPECT_EQ(joined(events, "response.output_text.delta"), message["content"][0]["text"]);
  EXPECT_EQ(events.back()["type"], "response.incomplete");
  EXPECT_EQ(items_of(events.back()["response"]), items_of(whole));
  EXPECT_NE(events.back()["response"]["id"], whole["id"]);
  EXPECT_EQ(events.back()["response"]["usage"]["output_tokens"], 40);
  EXPECT_EQ(server.metric("tenon:request_success_total", "finished_reason=\"length\""), 3);
  EXPECT_THAT(server.process().err(), AllOf(HasSubstr("POST /v1/responses 200 in"), Not(HasSubstr("upon a time"))));
}

TEST(Responses, OneThatEndsIsCompleted) {
  TinyServer server(true);
  const Json request = body({{"stop", " "}});
  EXPECT_EQ(created(server, request)["status"], "completed");
  const auto events = streamed(server, request);
  EXPECT_EQ(events.back()["type"], "response.completed");
  EXPECT_EQ(events.back()["response"]["output"][0]["status"], "completed");
}

TEST(Responses, AForcedCallWholeAndStreamedAndItsResult) {
  TinyServer server(true, {"--tool-call-parser", "hermes"});
  for (const Json& choice : {Json("required"), Json{{"type", "function"}, {"name", "weather"}}}) {
    const Json request = body({{"tools", Json::array({kTool})},
                               {"tool_choice", choice},
                               {"parallel_tool_calls", false},
                               {"max_output_tokens", 200}});
    const Json whole = created(server, request);
    ASSERT_EQ(whole["output"].size(), 1U) << whole;
    expect_weather(whole["output"][0]);
    EXPECT_EQ(whole["status"], "completed");
    EXPECT_EQ(whole["tool_choice"], choice);
    EXPECT_EQ(whole["tools"], Json::array({kTool}));
    const auto events = streamed(server, request);
    EXPECT_EQ(joined(events, "response.function_call_arguments.delta"), whole["output"][0]["arguments"]);
    EXPECT_EQ(items_of(events.back()["response"]), items_of(whole));

    // The client goes on with the items as they came, and the tool's output.
    Json input = Json::array({{{"role", "user"}, {"content", "Once"}}});
    input.push_back(whole["output"][0]);
    input.push_back({{"type", "function_call_output"},
                     {"call_id", whole["output"][0]["call_id"]},
                     {"output", " there was a sunny day"}});
    const Json next = created(server, body({{"input", input}, {"tools", Json::array({kTool})}}));
    EXPECT_EQ(next["output"][0]["type"], "message") << next;
  }
}

TEST(Responses, AnyDrawOfASchemaIsValid) {
  TinyServer server(true);
  const Json format = Json::parse(R"({"type": "json_schema", "name": "answer", "strict": true, "schema": {
    "type": "object", "properties": {"verdict": {"type": "boolean"}}, "required": ["verdict"],
    "additionalProperties": false}})");
  for (int seed = 0; seed < 4; ++seed) {
    const Json request = body({{"text", {{"format", format}}}, {"temperature", 1.3}, {"seed", seed}});
    const Json whole = created(server, request);
    const std::string text = whole["output"][0]["content"][0]["text"];
    EXPECT_TRUE(Json::parse(text, nullptr, false).value("verdict", Json()).is_boolean()) << text;
    EXPECT_EQ(whole["text"]["format"], format);
    EXPECT_EQ(joined(streamed(server, request), "response.output_text.delta"), text);
  }
}

TEST(Responses, ReasoningIsAnItemOfItsOwn) {
  TempDir dir;
  copy_model(dir.path());
  std::ofstream(dir.path() / "chat_template.jinja")
      << "{{ bos_token }}{% for m in messages %}{{ m['reasoning_content'] }}{{ m['content'] }}{% endfor %}"
         "{# </think> #}<think>";
  TinyServer server(dir.path(), {});
  const Json whole = created(server, body());
  ASSERT_EQ(whole["output"].size(), 1U) << whole;
  const Json& item = whole["output"][0];
  EXPECT_EQ(item["type"], "reasoning");
  EXPECT_EQ(item["summary"], Json::array());
  EXPECT_EQ(item["content"][0]["type"], "reasoning_text");
  EXPECT_EQ(whole["usage"]["output_tokens_details"]["reasoning_tokens"], 40);
  const auto events = streamed(server, body());
  EXPECT_EQ(joined(events, "response.reasoning_text.delta"), item["content"][0]["text"]);
  EXPECT_EQ(items_of(events.back()["response"]), items_of(whole));
  // The template reads it again: as many tokens as the same text of the user's.
  const Json with_reasoning =
      Json::array({{{"role", "user"}, {"content", "Once"}},
                   {{"type", "reasoning"},
                    {"summary", Json::array()},
                    {"content", Json::array({{{"type", "reasoning_text"}, {"text", " upon"}}})}},
                   {{"role", "user"}, {"content", " a time"}}});
  EXPECT_EQ(created(server, body({{"input", with_reasoning}}))["usage"]["input_tokens"],
            whole["usage"]["input_tokens"]);
}

TEST(Responses, LogprobsOfTheText) {
  TinyServer server(true);
  const Json request =
      body({{"include", {"message.output_text.logprobs"}}, {"top_logprobs", 2}, {"max_output_tokens", 6}});
  const Json logprobs = created(server, request)["output"][0]["content"][0]["logprobs"];
  ASSERT_EQ(logprobs.size(), 6U);
  EXPECT_EQ(logprobs[0]["top_logprobs"].size(), 2U);
  Json streamed_ones = Json::array();
  for (const Json& event : streamed(server, request)) {
    if (event["type"] != "response.output_text.delta") continue;
    streamed_ones.insert(streamed_ones.end(), event["logprobs"].begin(), event["logprobs"].end());
  }
  EXPECT_EQ(streamed_ones, logprobs);
}

TEST(Responses, BadInputIsNamedInTheWordsOfThisApi) {
  TinyServer server(true);
  const auto param = [&](const char* name, Json value) { return error_of(server, body({{name, value}}))["param"]; };
  EXPECT_EQ(param("input", 5), "input");
  EXPECT_EQ(param("input", Json::array({{{"type", "item_reference"}, {"id", "msg_1"}}})), "input[0]");
  EXPECT_EQ(param("max_output_tokens", 0), "max_output_tokens");
  EXPECT_EQ(param("temperature", 9), "temperature");
  EXPECT_EQ(param("background", true), "background");
  EXPECT_EQ(param("previous_response_id", "resp_1"), "previous_response_id");
  EXPECT_EQ(param("tools", Json::array({{{"type", "web_search"}}})), "tools");
  EXPECT_EQ(param("reasoning", {{"effort", "low"}}), "reasoning.effort");
  EXPECT_EQ(param("temprature", 1), "temprature");
  const Json schema = {{"type", "json_schema"}, {"name", "x"}, {"schema", {{"type", "objct"}}}};
  EXPECT_EQ(param("text", {{"format", schema}}), "text.format") << "found when the grammar is made";
  std::string story;
  for (int i = 0; i < 600; ++i) story += "Once ";
  const Json too_long = error_of(server, body({{"input", story}}));
  EXPECT_EQ(too_long["param"], "input");
  EXPECT_EQ(too_long["code"], "context_length_exceeded");
  Json streamed = body({{"input", story}, {"stream", true}});
  EXPECT_EQ(error_of(server, streamed)["param"], "input") << "with its status, before the stream begins";
  EXPECT_EQ(post(server.port(), "/v1/responses", body({{"model", "other"}})).status, 404);
  EXPECT_EQ(request(server.port(), "POST", "/v1/responses", "[]").status, 400);
}

TEST(Responses, AreOfAModelWithAChatTemplate) {
  TinyServer server;
  const Json error = error_of(server, body());
  EXPECT_EQ(error["param"], "input");
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("chat template"));
}

TEST(Responses, AreNotStored) {
  TinyServer server(true);
  const Json whole = created(server, body({{"store", true}, {"max_output_tokens", 1}}));
  EXPECT_EQ(whole["store"], false);
  const std::string path = "/v1/responses/" + whole["id"].get<std::string>();
  for (const auto& [method, of] : {std::pair("GET", path), {"DELETE", path}, {"POST", path + "/cancel"}}) {
    const HttpReply reply = request(server.port(), method, of);
    EXPECT_EQ(reply.status, 404) << method;
    EXPECT_THAT(reply.body, HasSubstr("responses are not stored")) << method;
  }
  EXPECT_THAT(request(server.port(), "POST", "/v1/responses/compact").body, Not(HasSubstr("stored")));
  const HttpReply get = request(server.port(), "GET", "/v1/responses");
  EXPECT_EQ(get.status, 405);
  EXPECT_EQ(get.headers.at("allow"), "POST");
}

TEST(Responses, AHangUpEndsThem) {
  TinyServer server(true);
  constexpr int kClients = 16;
  const auto cancelled = [&] { return server.metric("tenon:requests_cancelled_total"); };
  const auto aborted = [&] { return server.metric("tenon:request_success_total", "finished_reason=\"abort\""); };
  for (const bool stream : {false, true}) {
    const Json endless = body({{"max_output_tokens", 400}, {"ignore_eos", true}, {"stream", stream}});
    const double least = cancelled() + kClients / 2.0;
    std::vector<std::unique_ptr<Connection>> clients;
    for (int i = 0; i < kClients; ++i) {
      clients.push_back(std::make_unique<Connection>(server.port()));
      clients.back()->send(http_text("POST", "/v1/responses", endless.dump()));
    }
    if (stream) {
      EXPECT_TRUE(clients.back()->wait_for("event: response.output_text.delta"));
    }
    clients.clear();
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(kPatience);
    const auto ended = [&] {
      return cancelled() >= least && cancelled() == aborted() && server.metric("tenon:num_requests_running") == 0;
    };
    while (!ended() && std::chrono::steady_clock::now() < until) {
    }
    EXPECT_GE(cancelled(), least);
    EXPECT_EQ(cancelled(), aborted());
  }
}

}  // namespace
}  // namespace tenon::e2e
