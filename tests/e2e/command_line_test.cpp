// What can go wrong before the first request: one sentence each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdlib.h>

#include <algorithm>
#include <fstream>

#include "base/json.h"
#include "server_process.h"

namespace tenon::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

// Serving `model` must end with status 1 and one line on stderr, which is returned.
std::string failure(const fs::path& model, const std::vector<std::string>& more = {}, const std::string& port = "0") {
  std::vector<std::string> arguments = {"serve", model.string(), "--port", port, "--threads", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Finished end = run(arguments);
  EXPECT_EQ(end.status, 1) << end.out << end.err;
  std::string sentence;
  const auto at = end.err.find("tenon: ");
  EXPECT_NE(at, std::string::npos) << end.err;
  if (at != std::string::npos) sentence = end.err.substr(at);
  EXPECT_EQ(std::count(sentence.begin(), sentence.end(), '\n'), 1) << sentence;
  EXPECT_EQ(end.out, "");
  return sentence;
}

class BadModel : public testing::Test {
 protected:
  void SetUp() override { copy_model(model()); }
  const fs::path& model() const { return dir_.path(); }
  void edit_config(const char* name, const Json& value) {
    Json config = *read_json_file((model() / "config.json").string());
    config[name] = value;
    write("config.json", config.dump());
  }
  void write(const char* name, const std::string& text) { std::ofstream(model() / name, std::ios::binary) << text; }

 private:
  TempDir dir_;
};

TEST(CommandLine, APortInUse) {
  TinyServer server;
  const std::string port = std::to_string(server.port());
  EXPECT_THAT(failure(model_dir(), {}, port), AllOf(HasSubstr("in use"), HasSubstr(port)));
}

TEST(CommandLine, AnUnknownHost) {
  EXPECT_THAT(failure(model_dir(), {"--host", "no such host"}), HasSubstr("no such host"));
}

TEST(CommandLine, Usage) {
  EXPECT_EQ(run({}).status, 2);
  EXPECT_EQ(run({"serve"}).status, 2);
  EXPECT_EQ(run({"serve", "x", "--no-such-option"}).status, 2);
  EXPECT_EQ(run({"serve", "x", "--port", "99999"}).status, 2);
  EXPECT_EQ(run({"--help"}).status, 0);
  const Finished version = run({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_NE(version.out, "");
}

TEST(CommandLine, ADirectoryThatIsNotThere) {
  EXPECT_THAT(failure("/no/such/directory"), HasSubstr("/no/such/directory"));
}

TEST_F(BadModel, UnknownArchitecture) {
  edit_config("architectures", Json::array({"LlamaForCausalLN"}));
  EXPECT_THAT(failure(model()), AllOf(HasSubstr("LlamaForCausalLN"), HasSubstr("LlamaForCausalLM")));
}

TEST_F(BadModel, NoTokenizer) {
  fs::remove(model() / "tokenizer.json");
  EXPECT_THAT(failure(model()), HasSubstr("tokenizer"));
}

TEST_F(BadModel, NoConfig) {
  fs::remove(model() / "config.json");
  EXPECT_THAT(failure(model()), HasSubstr("config.json"));
}

TEST_F(BadModel, NoWeights) {
  fs::remove(model() / "model.safetensors");
  EXPECT_THAT(failure(model()), HasSubstr("safetensors"));
}

TEST_F(BadModel, TruncatedWeights) {
  for (const std::uintmax_t size : {500'000u, 100u, 7u, 0u}) {
    fs::resize_file(model() / "model.safetensors", size);
    EXPECT_THAT(failure(model()), HasSubstr("model.safetensors")) << size;
  }
}

TEST_F(BadModel, WeightsOfOtherShapes) {
  edit_config("hidden_size", 128);
  EXPECT_THAT(failure(model()), HasSubstr("128"));
}

TEST_F(BadModel, BrokenJson) {
  write("config.json", "{\"architectures\": [");
  EXPECT_THAT(failure(model()), AllOf(HasSubstr("config.json"), HasSubstr("line 1")));
}

TEST_F(BadModel, ABrokenChatTemplate) {
  write("chat_template.jinja", "{% for m in messages %}{{ m.content }}");
  EXPECT_THAT(failure(model()), HasSubstr("template"));
}

TEST_F(BadModel, AGenerationConfigOutOfRange) {
  write("generation_config.json", R"({"temperature": -3})");
  EXPECT_THAT(failure(model()), AllOf(HasSubstr("temperature"), HasSubstr("--generation-config none")));
}

TEST_F(BadModel, TheGenerationConfigMakesDefaults) {
  write("generation_config.json", R"({"temperature": 0.25, "top_k": 7, "eos_token_id": 2})");
  for (const bool used : {true, false}) {
    TinyServer server(model(), {"--generation-config", used ? "auto" : "none"});
    const Json shown = request(server.port(), "GET", "/v1/models/tiny").json()["default_sampling_params"];
    EXPECT_EQ(shown, used ? Json({{"temperature", 0.25}, {"top_k", 7}}) : Json::object());
    EXPECT_EQ(server.process().err().find("\"top_k\":7") != std::string::npos, used);
  }
}

TEST(CommandLine, UnknownParsers) {
  EXPECT_THAT(failure(model_dir(), {"--tool-call-parser", "hermess"}),
              AllOf(HasSubstr("'hermess'"), HasSubstr("hermes")));
  EXPECT_THAT(failure(model_dir(), {"--reasoning-parser", "x"}), HasSubstr("qwen3"));
}

TEST_F(BadModel, ATemplateThatBeginsToThinkMakesReasoning) {
  write("chat_template.jinja", "{{ bos_token }}{{ messages[0]['content'] }}{# </think> #}<think>");
  TinyServer server(model(), {});
  const Json body = {{"model", "tiny"},
                     {"messages", Json::array({{{"role", "user"}, {"content", "Once upon a time"}}})},
                     {"temperature", 0},
                     {"max_tokens", 12}};
  const Json message = post(server.port(), "/v1/chat/completions", body).json()["choices"][0]["message"];
  EXPECT_EQ(message["content"], "");
  EXPECT_GT(message["reasoning_content"].get<std::string>().size(), 12u);
}

TEST(CommandLine, AContextLongerThanTheModels) {
  EXPECT_THAT(failure(model_dir(), {"--max-length", "100000"}), AllOf(HasSubstr("100000"), HasSubstr("512")));
}

// An option that may be repeated takes one value each time: the model may follow it.
TEST(CommandLine, TheModelMayFollowAnyOption) {
  const std::string none = "/no/such/model";
  const std::vector<std::vector<std::string>> commands = {
      {"serve", "--port", "0", "--api-key", "secret", none},
      {"serve", "--port", "0", "--api-key", "one", "--api-key", "two", none},
      {"serve", "--port", "0", "--allowed-origins", "*", none},
      {"encode", "--text", "a", none},
      {"bench", "--batch", "1,2", none}};
  for (const auto& command : commands) {
    const Finished end = run(command);
    EXPECT_EQ(end.status, 1) << end.err;
    EXPECT_THAT(end.err, AllOf(HasSubstr(none), testing::Not(HasSubstr("required"))));
  }
}

TEST(CommandLine, AnEmptyKeyIsRefused) {
  EXPECT_THAT(failure(model_dir(), {"--api-key", ""}), HasSubstr("the API key (--api-key or TENON_API_KEY) is empty"));
  EXPECT_THAT(failure(model_dir(), {"--api-key", "one", "--api-key", ""}), HasSubstr("is empty"));
  setenv("TENON_API_KEY", "", 1);
  EXPECT_THAT(failure(model_dir()), HasSubstr("is empty"));
  setenv("TENON_API_KEY", "of the environment", 1);
  TinyServer server;
  unsetenv("TENON_API_KEY");
  EXPECT_EQ(request(server.port(), "GET", "/v1/models").status, 401);
}

TEST(CommandLine, TheContextIsNoLongerThanTheCache) {
  TinyServer server(false, {"--kv-cache-memory", "200K"});
  const auto length = request(server.port(), "GET", "/v1/models").json()["data"][0]["max_model_len"].get<int>();
  EXPECT_LT(length, 512);
  EXPECT_EQ(length % 64, 0);
  EXPECT_THAT(server.process().err(),
              HasSubstr("the KV cache holds " + std::to_string(length) +
                        " tokens: the context is cut to that, from 512; --kv-cache-memory 1MiB"));
  Json body = {{"model", "tiny"}, {"prompt", Json(length, 5)}, {"max_tokens", 1}};
  const HttpReply refused = post(server.port(), "/v1/completions", body);
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr("the context holds " + std::to_string(length)));
  body = {{"model", "tiny"}, {"prompt", {1}}, {"max_tokens", 1000}, {"ignore_eos", true}};
  EXPECT_EQ(post(server.port(), "/v1/completions", body).json()["usage"]["total_tokens"], length);
  EXPECT_EQ(request(server.port(), "GET", "/tokenizer_info").json()["model_max_length"], length);
}

TEST(CommandLine, TooLittleMemoryForTheCache) {
  EXPECT_THAT(failure(model_dir(), {"--kv-cache-memory", "1K"}), HasSubstr("--kv-cache-memory"));
  EXPECT_THAT(failure(model_dir(), {"--kv-cache-memory", "lots"}), HasSubstr("'lots'"));
}

}  // namespace
}  // namespace tenon::e2e
