// What clients of vLLM's server send beside OpenAI's parameters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "server_process.h"

namespace tenon::e2e {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kTemplate =
    "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}";

// The tiny model with a template that closes its messages.
class ServeVllm : public testing::Test {
 protected:
  ServeVllm() {
    copy_model(dir_.path());
    std::ofstream(dir_.path() / "chat_template.jinja") << kTemplate;
    server_ = std::make_unique<TinyServer>(dir_.path(), std::vector<std::string>{});
  }
  static Json text_body(const char* more = "{}") {
    Json body = {{"model", "tiny"}, {"prompt", "Once upon a time"}, {"temperature", 0}, {"max_tokens", 24}};
    body.update(Json::parse(more));
    return body;
  }
  static Json chat_body(const char* more = "{}") {
    Json body = {{"model", "tiny"}, {"temperature", 0}, {"max_tokens", 24}};
    body["messages"] = Json::parse(R"([{"role": "user", "content": "Tell."},
                                       {"role": "assistant", "content": "Once upon a"}])");
    body.update(Json::parse(more));
    return body;
  }
  HttpReply send(const Json& body) const {
    return post(server_->port(), body.contains("prompt") ? "/v1/completions" : "/v1/chat/completions", body);
  }
  Json answer(const Json& body) const {
    const HttpReply reply = send(body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.json();
  }
  Json choice(const Json& body) const { return answer(body)["choices"][0]; }
  std::vector<Json> chunks(Json body) const {
    body["stream"] = true;
    std::vector<Json> out;
    for (const auto& event : events(send(body).body)) {
      if (event != "[DONE]") out.push_back(Json::parse(event));
    }
    return out;
  }
  std::string refused(const Json& body) const {
    const HttpReply reply = send(body);
    EXPECT_EQ(reply.status, 400) << reply.body;
    return reply.json()["error"]["param"];
  }
  Json tokens(const Json& body) const { return post(server_->port(), "/tokenize", body).json()["tokens"]; }

  TempDir dir_;
  std::unique_ptr<TinyServer> server_;
};

TEST_F(ServeVllm, TheFinalMessageGoesOn) {
  const std::string prompt = "user: Tell.\nassistant: Once upon a";
  const Json messages = chat_body()["messages"];
  EXPECT_EQ(tokens({{"messages", messages}, {"continue_final_message", true}}), tokens({{"prompt", prompt}}));
  EXPECT_EQ(tokens({{"messages", messages}, {"add_generation_prompt", false}}), tokens({{"prompt", prompt + "\n"}}));
  EXPECT_EQ(tokens({{"messages", messages}, {"chat_template", nullptr}, {"mm_processor_kwargs", Json::object()}}),
            tokens({{"prompt", prompt + "\nassistant:"}}));

  const std::string reply = choice(chat_body(R"({"continue_final_message": true})"))["message"]["content"];
  Json text = text_body();
  text["prompt"] = prompt;
  EXPECT_EQ(reply, choice(text)["text"]);
  EXPECT_EQ(reply.substr(0, 5), " time");  // with its first space, which a reply of its own would not have
  EXPECT_EQ(choice(chat_body(R"({"continue_final_message": true, "echo": true})"))["message"]["content"],
            "Once upon a" + reply);
  std::string streamed;
  for (const Json& chunk : chunks(chat_body(R"({"continue_final_message": true, "echo": true})")))
    streamed += chunk["choices"][0]["delta"].value("content", "");
  EXPECT_EQ(streamed, "Once upon a" + reply);

  EXPECT_EQ(refused(chat_body(R"({"continue_final_message": true, "add_generation_prompt": true})")),
            "continue_final_message");
  const Json both = {{"messages", messages}, {"continue_final_message", true}, {"add_generation_prompt", true}};
  EXPECT_EQ(post(server_->port(), "/tokenize", both).json()["error"]["param"], "continue_final_message");
}

TEST_F(ServeVllm, ChoicesSayWhichStopEndedThem) {
  for (const Json& body : {text_body(), chat_body(R"({"continue_final_message": true})")}) {
    const auto reason = [&](const char* name, const Json& value) {
      Json one = body;
      one[name] = value;
      const Json whole = choice(one);
      EXPECT_EQ(chunks(one).back()["choices"][0].at("stop_reason"), whole.at("stop_reason"));
      return whole["stop_reason"];
    };
    EXPECT_EQ(reason("stop", Json::array({"zzz", " there"})), " there");
    EXPECT_EQ(reason("stop_token_ids", Json::array({432})), 432);  // ","
    EXPECT_TRUE(reason("max_tokens", 2).is_null());
  }
}

TEST_F(ServeVllm, BadWordsDoNotCome) {
  const std::string free = choice(text_body())["text"];
  EXPECT_THAT(free, HasSubstr("Lily"));
  for (const char* words : {R"({"bad_words": ["Lily"]})", R"({"bad_words": ["girl", " little"]})"}) {
    const Json body = text_body(words);
    const std::string text = choice(body)["text"];
    for (const Json& word : body["bad_words"]) EXPECT_THAT(text, Not(HasSubstr(word.get<std::string>())));
    EXPECT_EQ(choice(body)["text"], text);
  }
  EXPECT_EQ(choice(text_body(R"({"bad_words": ["xyzzy"]})"))["text"], free);
  EXPECT_EQ(refused(text_body(R"({"bad_words": [""]})")), "bad_words");
  EXPECT_EQ(refused(text_body(R"({"bad_words": " x"})")), "bad_words");
}

TEST_F(ServeVllm, PromptLogprobsAreThoseOfEcho) {
  const Json ids = tokens({{"prompt", "Once upon a time"}});
  const Json echoed = choice(text_body(R"({"echo": true, "logprobs": 2, "max_tokens": 1})"))["logprobs"];
  const auto check = [&](const Json& list, std::size_t most) {
    ASSERT_EQ(list.size(), ids.size());
    EXPECT_TRUE(list[0].is_null());
    for (std::size_t i = 1; i < ids.size(); ++i) {
      const Json& own = list[i].at(ids[i].dump());
      EXPECT_EQ(own["logprob"], echoed["token_logprobs"][i]);
      EXPECT_EQ(own["decoded_token"], echoed["tokens"][i]);
      EXPECT_GE(own["rank"].get<int>(), 1);
      EXPECT_EQ(list[i].size(), most + (own["rank"].get<std::size_t>() > most));
      for (const auto& [id, entry] : list[i].items()) EXPECT_EQ(entry.size(), 3u) << id;
    }
  };
  check(choice(text_body(R"({"prompt_logprobs": 3})"))["prompt_logprobs"], 3);
  check(choice(text_body(R"({"prompt_logprobs": 0})"))["prompt_logprobs"], 0);
  const Json two = answer(text_body(R"({"prompt_logprobs": 1, "n": 2})"));
  for (const Json& one : two["choices"]) check(one["prompt_logprobs"], 1);
  // Beside an echo each has its own count.
  const Json both = choice(text_body(R"({"prompt_logprobs": 5, "echo": true, "logprobs": 2, "max_tokens": 1})"));
  check(both["prompt_logprobs"], 5);
  EXPECT_EQ(both["logprobs"], echoed);

  const Json chat = answer(chat_body(R"({"prompt_logprobs": 1})"));
  EXPECT_EQ(chat["prompt_logprobs"].size(), chat["usage"]["prompt_tokens"].get<std::size_t>());
  EXPECT_FALSE(chat["choices"][0].contains("prompt_logprobs"));
  EXPECT_TRUE(chat["choices"][0]["logprobs"].is_null());
  EXPECT_FALSE(answer(chat_body()).contains("prompt_logprobs"));
  EXPECT_EQ(refused(text_body(R"({"prompt_logprobs": 1, "stream": true})")), "prompt_logprobs");
  EXPECT_EQ(refused(chat_body(R"({"prompt_logprobs": -1})")), "prompt_logprobs");
}

TEST_F(ServeVllm, TokensMayBeShownAsIds) {
  for (const Json& body : {text_body(R"({"return_token_ids": true, "n": 2, "stop": "girl"})"),
                           chat_body(R"({"return_token_ids": true, "n": 2})")}) {
    const bool chat = !body.contains("prompt");
    const Json prompt = chat ? tokens({{"messages", body["messages"]}}) : tokens({{"prompt", body["prompt"]}});
    const Json whole = answer(body);
    std::size_t count = 0;
    for (const Json& one : whole["choices"]) {
      count += one["token_ids"].size();
      EXPECT_EQ((chat ? whole : one)["prompt_token_ids"], prompt);
    }
    EXPECT_EQ(count, whole["usage"]["completion_tokens"].get<std::size_t>());
    Json streamed = Json::array({Json::array(), Json::array()});
    std::size_t prompts = 0;
    for (const Json& chunk : chunks(body)) {
      const Json& one = chunk["choices"][0];
      for (const Json& id : one.value("token_ids", Json::array()))
        streamed[one["index"].get<std::size_t>()].push_back(id);
      if (const Json& at = chat ? chunk : one; at.contains("prompt_token_ids")) {
        EXPECT_EQ(at["prompt_token_ids"], prompt);
        ++prompts;
      }
    }
    EXPECT_EQ(prompts, 2u);  // once for each choice
    EXPECT_EQ(streamed[0], whole["choices"][0]["token_ids"]);
    EXPECT_EQ(streamed[1], whole["choices"][1]["token_ids"]);
  }
  const Json named = choice(text_body(R"({"return_tokens_as_token_ids": true, "logprobs": 1, "max_tokens": 2,
                                          "return_token_ids": true})"));
  const std::string first = "token_id:" + named["token_ids"][0].dump();
  EXPECT_EQ(named["logprobs"]["tokens"][0], first);
  EXPECT_TRUE(named["logprobs"]["top_logprobs"][0].contains(first));
  const Json chat = choice(chat_body(R"({"return_tokens_as_token_ids": true, "logprobs": true, "top_logprobs": 1})"));
  EXPECT_THAT(chat["logprobs"]["content"][0]["token"].get<std::string>(), testing::StartsWith("token_id:"));
  EXPECT_FALSE(answer(text_body()).dump().contains("token_ids"));
}

TEST_F(ServeVllm, ALongPromptMayBeCutAtItsBeginning) {
  Json ids = tokens({{"prompt", "Once upon a time"}});
  ids.erase(ids.begin(), ids.end() - 2);
  const Json cut = answer(text_body(R"({"truncate_prompt_tokens": 2})"));
  EXPECT_EQ(cut["usage"]["prompt_tokens"], 2);
  Json same = text_body();
  same["prompt"] = ids;
  EXPECT_EQ(cut["choices"][0]["text"], choice(same)["text"]);
  Json long_prompt = text_body(R"({"truncate_prompt_tokens": -1})");
  long_prompt["prompt"] = Json(std::vector<int>(600, 403));
  EXPECT_EQ(answer(long_prompt)["usage"]["prompt_tokens"], 512 - 24);
  EXPECT_EQ(answer(text_body(R"({"add_special_tokens": false})"))["usage"]["prompt_tokens"].get<std::size_t>() + 1,
            tokens({{"prompt", "Once upon a time"}}).size());
}

}  // namespace
}  // namespace tenon::e2e
