// The items and the events of a reply of /v1/responses.
#include "server/responses_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tenon::server {
namespace {

using testing::ElementsAre;

class ResponsesReply : public testing::Test {
 protected:
  void add(const std::vector<ChoiceJson>& pieces) { writer_.add(pieces, ++tokens_); }
  void add_text(const char* text, const char* logprob_of = nullptr) {
    ChoiceJson piece{.text = text};
    if (logprob_of) piece.logprobs = scored(logprob_of);
    add({piece});
  }
  void add_call(const char* id, const char* name, const char* arguments) {
    add({{.tool_calls = Json::array({tool_call({.text = arguments, .name = name}, id, 0)})}});
  }
  void add_arguments(const char* text) { add({{.tool_calls = Json::array({more_arguments({.text = text}, 0)})}}); }
  static Json scored(const char* token) {
    return {{"content", Json::array({{{"token", token}, {"logprob", -1.0}, {"top_logprobs", Json::array()}}})},
            {"refusal", nullptr}};
  }
  Json finish(const char* reason = "stop") {
    return writer_.finish(reason, {.prompt_tokens = 5, .completion_tokens = tokens_, .cached_tokens = 2});
  }
  std::vector<std::string> types() const {
    std::vector<std::string> out;
    for (const Json& event : events_) out.push_back(event["type"].get<std::string>().substr(0, 60));
    return out;
  }
  // Of the events of this type, joined.
  std::string joined(const char* type) const {
    std::string out;
    for (const Json& event : events_) {
      if (event["type"] == type) out += event["delta"].get<std::string>();
    }
    return out;
  }
  const Json& first(const char* type) const {
    for (const Json& event : events_) {
      if (event["type"] == type) return event;
    }
    ADD_FAILURE() << "no " << type;
    return events_.front();
  }
  static std::vector<std::string> tokens_of(const Json& logprobs) {
    std::vector<std::string> out;
    for (const Json& one : logprobs) out.push_back(one["token"]);
    return out;
  }

  std::vector<Json> events_;
  std::int64_t tokens_ = 0;
  ResponseWriter writer_{{.id = "resp_7", .model = "m", .created = 11},
                         {{"tools", Json::array()}, {"store", false}},
                         [this](const Json& event) { events_.push_back(event); }};
};

TEST_F(ResponsesReply, AMessage) {
  writer_.begin();
  add_text("On");
  add_text("ce");
  const Json whole = finish();
  EXPECT_EQ(whole, Json::parse(R"({
    "id": "resp_7", "object": "response", "created_at": 11, "status": "completed", "error": null,
    "incomplete_details": null, "model": "m", "output": [{"id": "msg_7_0", "type": "message", "role": "assistant", "content":
      [{"type": "output_text", "text": "Once", "annotations": [], "logprobs": []}], "status": "completed"}],
    "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
      "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7},
    "tools": [], "store": false})"));
  EXPECT_THAT(types(), ElementsAre("response.created", "response.in_progress", "response.output_item.added",
                                   "response.content_part.added", "response.output_text.delta",
                                   "response.output_text.delta", "response.output_text.done",
                                   "response.content_part.done", "response.output_item.done", "response.completed"));
  for (std::size_t i = 0; i < events_.size(); ++i) EXPECT_EQ(events_[i]["sequence_number"], i);
  const Json& created = events_[0]["response"];
  EXPECT_EQ(created["status"], "in_progress");
  EXPECT_EQ(created["output"], Json::array());
  EXPECT_TRUE(created["usage"].is_null());
  EXPECT_EQ(created["store"], false);
  EXPECT_EQ(events_[2]["item"], Json::parse(R"({"id": "msg_7_0", "type": "message", "role": "assistant", "content": [],
                            "status": "in_progress"})"));
  EXPECT_EQ(events_[3]["part"],
            Json::parse(R"({"type": "output_text", "text": "", "annotations": [], "logprobs": []})"));
  EXPECT_EQ(events_[4], Json::parse(R"({"type": "response.output_text.delta", "sequence_number": 4,
    "item_id": "msg_7_0", "output_index": 0, "content_index": 0, "delta": "On", "logprobs": []})"));
  EXPECT_EQ(events_[6]["text"], "Once");
  EXPECT_EQ(events_[7]["part"], whole["output"][0]["content"][0]);
  EXPECT_EQ(events_[8]["item"], whole["output"][0]);
  EXPECT_EQ(events_[9]["response"], whole);
}

TEST_F(ResponsesReply, ReasoningThenTextThenCalls) {
  writer_.begin();
  add({ChoiceJson{}});  // "<think>", which shows nothing
  add({{.reasoning = "Hm"}});
  add({{.reasoning = "."}, {.text = "I "}});
  add_text("look.");
  add_call("abc", "f", "");
  add_arguments("{\"a\":");
  add_arguments(" 1}");
  add_call("def", "g", "{}");
  const Json whole = finish();
  ASSERT_EQ(whole["output"].size(), 4u) << whole;
  EXPECT_EQ(whole["output"][0], Json::parse(R"({"id": "rs_7_0", "type": "reasoning", "summary": [],
    "content": [{"type": "reasoning_text", "text": "Hm."}], "status": "completed"})"));
  EXPECT_EQ(whole["output"][1]["content"][0]["text"], "I look.");
  EXPECT_EQ(whole["output"][2], Json::parse(R"({"id": "fc_7_2", "type": "function_call", "call_id": "abc", "name": "f",
    "arguments": "{\"a\": 1}", "status": "completed"})"));
  EXPECT_EQ(whole["output"][3]["id"], "fc_7_3");
  EXPECT_EQ(whole["output"][3]["arguments"], "{}");
  EXPECT_EQ(whole["usage"]["output_tokens_details"]["reasoning_tokens"], 3);
  EXPECT_THAT(types(),
              ElementsAre("response.created", "response.in_progress",                                         //
                          "response.output_item.added", "response.content_part.added",                        //
                          "response.reasoning_text.delta", "response.reasoning_text.delta",                   //
                          "response.reasoning_text.done", "response.content_part.done",                       //
                          "response.output_item.done",                                                        //
                          "response.output_item.added", "response.content_part.added",                        //
                          "response.output_text.delta", "response.output_text.delta",                         //
                          "response.output_text.done", "response.content_part.done",                          //
                          "response.output_item.done",                                                        //
                          "response.output_item.added", "response.function_call_arguments.delta",             //
                          "response.function_call_arguments.delta", "response.function_call_arguments.done",  //
                          "response.output_item.done",                                                        //
                          "response.output_item.added", "response.function_call_arguments.delta",             //
                          "response.function_call_arguments.done", "response.output_item.done",               //
                          "response.completed"));
  EXPECT_EQ(joined("response.reasoning_text.delta"), "Hm.");
  EXPECT_EQ(joined("response.function_call_arguments.delta"), "{\"a\": 1}{}");
  EXPECT_EQ(first("response.content_part.added")["part"], (Json{{"type", "reasoning_text"}, {"text", ""}}));
  const Json& done = first("response.function_call_arguments.done");
  EXPECT_EQ(done["item_id"], "fc_7_2");
  EXPECT_EQ(done["output_index"], 2);
  EXPECT_EQ(done["name"], "f");
  EXPECT_EQ(done["arguments"], "{\"a\": 1}");
}

TEST_F(ResponsesReply, WhatIsCutIsIncomplete) {
  writer_.begin();
  add({{.reasoning = "Hm."}});
  add_text("Once");
  const Json whole = finish("length");
  EXPECT_EQ(whole["status"], "incomplete");
  EXPECT_EQ(whole["incomplete_details"], (Json{{"reason", "max_output_tokens"}}));
  EXPECT_EQ(whole["output"][0]["status"], "completed");
  EXPECT_EQ(whole["output"][1]["status"], "incomplete");
  EXPECT_EQ(events_.back()["type"], "response.incomplete");
  EXPECT_EQ(events_.back()["response"], whole);
}

TEST_F(ResponsesReply, AReplyWithoutAnyTextIsAnEmptyMessage) {
  add({{.reasoning = "Hm."}});
  add({ChoiceJson{}});
  const Json whole = finish();
  ASSERT_EQ(whole["output"].size(), 2u);
  EXPECT_EQ(whole["output"][1]["content"][0]["text"], "");
  EXPECT_EQ(whole["output"][1]["status"], "completed");
}

TEST_F(ResponsesReply, NoMessageIsMadeUpBesideCallsOrInWhatIsCut) {
  add_call("abc", "f", "{}");
  EXPECT_EQ(finish()["output"].size(), 1u);
  ResponseWriter cut({.id = "resp_8"}, Json::object(), nullptr);
  EXPECT_EQ(cut.finish("length", {})["output"], Json::array());
}

TEST_F(ResponsesReply, LogprobsAreThoseOfTheText) {
  add({{.logprobs = scored("<think>")}});
  add({{.reasoning = "Hm", .logprobs = scored("Hm")}});
  add({{.reasoning = ".", .logprobs = scored(".Once")}, {.text = "Once"}});
  add({{.logprobs = scored(" <")}});  // held back: it could begin a marker
  add_text(" < upon", "upon");
  add({{.logprobs = scored("</s>")}});
  const Json whole = finish();
  EXPECT_THAT(tokens_of(whole["output"][1]["content"][0]["logprobs"]), ElementsAre(".Once", " <", "upon", "</s>"));
  std::vector<std::string> streamed;
  for (const Json& event : events_) {
    if (event["type"] != "response.output_text.delta") continue;
    for (const std::string& token : tokens_of(event["logprobs"])) streamed.push_back(token);
  }
  EXPECT_THAT(streamed, ElementsAre(".Once", " <", "upon", "</s>"));
  EXPECT_EQ(first("response.output_text.done")["logprobs"], whole["output"][1]["content"][0]["logprobs"]);
}

TEST_F(ResponsesReply, LogprobsOfCallsAreNotThoseOfALaterText) {
  add({{.tool_calls = Json::array({tool_call({.text = "{}", .name = "f"}, "a", 0)}), .logprobs = scored("{}")}});
  add_text("done", "done");
  EXPECT_THAT(tokens_of(finish()["output"][1]["content"][0]["logprobs"]), ElementsAre("done"));
}

TEST_F(ResponsesReply, AFailureIsToldInBothShapesAndEndsTheResponse) {
  writer_.begin();
  add_text("On");
  writer_.fail(500, {ErrorCode::kInternal, "it broke"}, {.prompt_tokens = 5, .completion_tokens = 1});
  ASSERT_GE(events_.size(), 2u);
  const Json& error = events_[events_.size() - 2];
  EXPECT_EQ(error["type"], "error");
  EXPECT_EQ(error["message"], "it broke");
  EXPECT_EQ(error["code"], "server_error");
  EXPECT_TRUE(error["param"].is_null());
  EXPECT_EQ(error["error"], Json::parse(R"({"message": "it broke", "type": "server_error", "param": null,
                                            "code": "server_error"})"));
  const Json& failed = events_.back();
  EXPECT_EQ(failed["type"], "response.failed");
  EXPECT_EQ(failed["response"]["status"], "failed");
  EXPECT_EQ(failed["response"]["error"], (Json{{"code", "server_error"}, {"message", "it broke"}}));
  EXPECT_EQ(failed["response"]["output"][0]["status"], "incomplete");
  EXPECT_EQ(failed["response"]["usage"]["output_tokens"], 1);
  writer_.fail(400, {ErrorCode::kInvalidArgument, "no", "text.format"}, {});
  EXPECT_EQ(events_.back()["response"]["error"]["code"], "invalid_prompt");
}

}  // namespace
}  // namespace tenon::server
