// What can go wrong before the first request: one sentence each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

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

TEST(CommandLine, AnAddressOfAnotherMachine) {
  EXPECT_THAT(failure(model_dir(), {"--host", "192.0.2.1"}), HasSubstr("192.0.2.1:0 is no address of this machine"));
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

TEST(CommandLine, APromptIsText) {
  for (const char* option : {"--prompt", "--system"}) {
    const Finished end = run({"generate", model_dir().string(), "-p", "Once", option, "caf\xc3"});
    EXPECT_EQ(end.status, 2) << option;
    EXPECT_THAT(end.err, HasSubstr(std::string(option) + ": must be valid UTF-8"));
  }
  EXPECT_EQ(run({"encode", model_dir().string(), "-t", "caf\xc3"}).status, 2);
}

// Status 2 before anything is loaded, for the model is not there; what is said.
std::string usage(const std::vector<std::string>& words) {
  const Finished end = run(words);
  EXPECT_EQ(end.status, 2) << end.out << end.err;
  EXPECT_EQ(end.out, "");
  return end.err;
}

TEST(CommandLine, ValuesOfOptionsAreRefusedInWords) {
  const auto generate = [](const char* option, const char* value) {
    return usage({"generate", "/no/model", "-p", "x", option, value});
  };
  EXPECT_THAT(generate("-n", "0"), HasSubstr("--max-tokens: must be a whole number of at least 1, not 0"));
  EXPECT_THAT(generate("-n", "500000000000000000000"),
              HasSubstr("must be a whole number from 1 to 2147483647, not 500000000000000000000"));
  EXPECT_THAT(generate("-n", "2.5"), HasSubstr("must be a whole number of at least 1, not 2.5"));
  EXPECT_THAT(generate("-n", ""), HasSubstr("not empty"));
  EXPECT_THAT(generate("--top-k", "-5"), HasSubstr("--top-k: must be a whole number of at least 0, not -5"));
  EXPECT_THAT(generate("--seed", "-1"), HasSubstr("--seed: must be a whole number of at least 0, not -1"));
  EXPECT_THAT(generate("--temperature", "3"), HasSubstr("--temperature: must be a number from 0 to 2, not 3"));
  EXPECT_THAT(generate("--top-p", "nan"), HasSubstr("--top-p: must be a number from 0 to 1, not nan"));
  EXPECT_THAT(generate("--threads", "2000"), HasSubstr("--threads: must be a whole number from 1 to 1024, not 2000"));
  EXPECT_THAT(generate("--kv-cache-memory", "lots"), HasSubstr("'lots' is not an amount of memory"));
  EXPECT_THAT(generate("--kv-cache-dtype", "fp8"), HasSubstr("must be bfloat16 or float32, not fp8"));
  EXPECT_THAT(usage({"bench", "/no/model", "--batch", "0"}), HasSubstr("must be a whole number of at least 1, not 0"));
  const auto serve = [](const char* option, const char* value) { return usage({"serve", "/no/model", option, value}); };
  EXPECT_THAT(serve("--task", "frob"), HasSubstr("--task: must be auto, embed or generate, not frob"));
  EXPECT_THAT(serve("--port", "99999"), HasSubstr("--port: must be a whole number from 0 to 65535, not 99999"));
  EXPECT_THAT(serve("--host", ""), HasSubstr("--host: must not be empty"));
  EXPECT_THAT(serve("--tool-call-parser", "hermess"), AllOf(HasSubstr("not hermess"), HasSubstr("none, hermes,")));
  EXPECT_THAT(serve("--reasoning-parser", "x"), HasSubstr("must be auto, none, qwen3 or harmony, not x"));
}

TEST(CommandLine, AnUnknownCommand) {
  EXPECT_THAT(usage({"frob"}), AllOf(HasSubstr("there is no command 'frob'; there are serve, generate"),
                                     testing::Not(HasSubstr("did you mean"))));
  EXPECT_THAT(usage({"server", "x"}), HasSubstr("did you mean serve?"));
}

TEST(CommandLine, TheLineToTryIsOneThatWorks) {
  TinyServer plain(false, {}, "it's \"tiny\"");
  EXPECT_THAT(plain.process().out(),
              AllOf(HasSubstr(R"(-d '{"model": "it'\''s \"tiny\"", )"), testing::Not(HasSubstr("Authorization"))));
  TinyServer locked(false, {"--api-key", "secret"});
  EXPECT_THAT(locked.process().out(),
              AllOf(HasSubstr("-H 'Authorization: Bearer YOUR_KEY'"), testing::Not(HasSubstr("secret"))));
}

TEST(CommandLine, AnAddressOfIpv6StandsInBrackets) {
  Process process({"serve", model_dir().string(), "--host", "::1", "--port", "0", "--threads", "1"});
  while (!process.ended() && process.out().find("Try:") == std::string::npos) usleep(5000);
  if (process.ended()) GTEST_SKIP() << "this machine has no IPv6: " << process.err();
  EXPECT_THAT(process.out(), AllOf(HasSubstr("at http://[::1]:"), HasSubstr("curl http://[::1]:")));
}

TEST(CommandLine, ADirectoryThatIsNotThere) {
  EXPECT_THAT(failure("/no/such/directory"), HasSubstr("/no/such/directory"));
}

TEST_F(BadModel, UnknownArchitecture) {
  edit_config("architectures", Json::array({"LlamaForCausalLN"}));
  EXPECT_THAT(failure(model()), AllOf(HasSubstr("LlamaForCausalLN"), HasSubstr("LlamaForCausalLM")));
}

TEST_F(BadModel, NamesThatWouldCommandTheTerminal) {
  edit_config("evil\x1b[2J\r", 1);
  EXPECT_THAT(failure(model()), HasSubstr("config field evil?[2J? is 1"));
}

// Text files are looked at before the weights are packed, which takes minutes of a large model.
TEST_F(BadModel, NoTokenizer) {
  fs::remove(model() / "tokenizer.json");
  EXPECT_THAT(failure(model()), HasSubstr("there is no tokenizer; put the model's tokenizer.json"));
  write("tokenizer.json", "");
  EXPECT_THAT(failure(model()), HasSubstr("tokenizer.json is empty"));
}

TEST_F(BadModel, NoTokensToEndWith) {
  write("generation_config.json", R"({"eos_token_id": "x"})");
  EXPECT_THAT(failure(model()), HasSubstr("generation_config.json is \"x\", but must be a token id"));
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
  EXPECT_THAT(failure(model_dir(), {"--max-length", "1"}), HasSubstr("--max-length must be at least 2"));
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
  EXPECT_THAT(refused.body, HasSubstr("maximum context length is " + std::to_string(length)));
  EXPECT_EQ(refused.json()["error"]["code"], "context_length_exceeded");
  body = {{"model", "tiny"}, {"prompt", {1}}, {"max_tokens", 1000}, {"ignore_eos", true}};
  EXPECT_EQ(post(server.port(), "/v1/completions", body).json()["usage"]["total_tokens"], length);
  EXPECT_EQ(request(server.port(), "GET", "/tokenizer_info").json()["model_max_length"], length);
}

TEST(CommandLine, TooLittleMemoryForTheCache) {
  EXPECT_THAT(failure(model_dir(), {"--kv-cache-memory", "1K"}), HasSubstr("--kv-cache-memory"));
}

}  // namespace
}  // namespace tenon::e2e
