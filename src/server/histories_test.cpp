// A conversation with a call, as OpenAI's clients send it back, in every chat template that shows tools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "base/file.h"
#include "chat/chat_template.h"
#include "chat/whole_prompt.h"
#include "server/openai.h"

namespace tenon::server {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> templates_with_tools() {
  std::vector<std::string> paths;
  const char* shared = std::getenv("TENON_SHARED_DIR");
  for (const std::string& folder :
       {std::string(TENON_SOURCE_DIR "/src/chat/testdata"),
        std::string(shared == nullptr ? TENON_SOURCE_DIR "/../shared" : shared) + "/tokenizers"}) {
    std::error_code none;
    for (const auto& entry : fs::recursive_directory_iterator(folder, none)) {
      if (entry.path().extension() != ".jinja") continue;
      if (!chat::format_of_template(*read_file(entry.path().string())).tools.empty()) paths.push_back(entry.path());
    }
  }
  std::ranges::sort(paths);
  return paths;
}

TEST(Histories, OfCallsAreTakenByEveryTemplateThatShowsTools) {
  const std::vector<std::string> paths = templates_with_tools();
  ASSERT_GE(paths.size(), 9u);
  for (const std::string& path : paths) {
    const std::string source = *read_file(path);
    const chat::ReplyFormat format = chat::format_of_template(source);
    for (const char* content : {"absent", "null", "\"\"", "\"I say this.\""}) {
      Json body = Json::parse(R"({"model": "m", "messages": [{"role": "user", "content": "the question"},
        {"role": "assistant", "content": null, "reasoning_content": "thought", "tool_calls": [
          {"id": "abcdefgh1", "type": "function", "function": {"name": "the_function", "arguments": "{\"x\": 17}"}}]},
        {"role": "tool", "tool_call_id": "abcdefgh1", "content": "the output"}],
        "tools": [{"type": "function", "function": {"name": "the_function", "description": "d", "parameters":
          {"type": "object", "properties": {"x": {"type": "integer", "description": "d"}}}}}]})");
      if (std::string_view(content) == "absent") {
        body["messages"][1].erase("content");
      } else {
        body["messages"][1]["content"] = Json::parse(content);
      }
      const auto parsed = parse_chat_request(body, {}, format);
      ASSERT_TRUE(parsed) << path << ": " << parsed.error().message;
      const auto chat_template = chat::ChatTemplate::create(source, {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
      ASSERT_TRUE(chat_template) << path << ": " << chat_template.error().message;
      const auto text = chat::render_whole(**chat_template, std::get<chat::RenderInput>(parsed->prompts[0].value), 0);
      EXPECT_TRUE(text) << path << ", " << content << ": " << text.error().message;
      if (!text) continue;
      EXPECT_THAT(*text, testing::HasSubstr("the question")) << path;
      EXPECT_THAT(*text, testing::HasSubstr("17")) << path << ", " << content;
      EXPECT_THAT(*text, testing::HasSubstr("the output")) << path;
    }
  }
}

}  // namespace
}  // namespace tenon::server
