// loader/prepare.h: the files beside a checkpoint's weights are a configuration, a graph and what the text side needs,
// or an error that says why. The input is the files one after the other, each after a line "== NAME".
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/json.h"
#include "prepared_model.h"
#include "temporary_files.h"

namespace {

using namespace tenon;

constexpr std::array<std::string_view, 10> kFiles = {"config.json",
                                                     "tokenizer_config.json",
                                                     "special_tokens_map.json",
                                                     "chat_template.json",
                                                     "generation_config.json",
                                                     "modules.json",
                                                     "1_Pooling/config.json",
                                                     "sentence_bert_config.json",
                                                     "tensors.json",
                                                     "model.safetensors.index.json"};

std::map<std::string_view, std::string_view> files_of(std::string_view text) {
  constexpr std::string_view kMark = "== ";
  std::map<std::string_view, std::string_view> files;
  while (text.starts_with(kMark)) {
    const std::size_t line = std::min(text.find('\n'), text.size());
    const std::string_view name = text.substr(kMark.size(), line - kMark.size());
    const std::size_t next = std::min(text.find("\n== ", line), text.size());
    const std::string_view content = text.substr(std::min(line + 1, next), next - std::min(line + 1, next));
    for (const std::string_view known : kFiles) {
      if (name == known) files[known] = content;
    }
    text.remove_prefix(std::min(next + 1, text.size()));
  }
  return files;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::TemporaryDirectory directory;
  spdlog::set_level(spdlog::level::off);
  const auto files = files_of({reinterpret_cast<const char*>(data), size});
  const auto config = files.find("config.json");
  if (config == files.end()) return 0;
  if (const auto json = parse_json(config->second, "config"); json && fuzz::has_many_parts(*json)) return 0;
  for (const std::string_view name : kFiles) {
    if (const auto file = files.find(name); file != files.end()) {
      directory.write(name, file->second);
    } else {
      directory.remove(name);
    }
  }
  loader::LoadOptions options;
  options.model = directory.path("");
  const auto prepared = loader::prepare(options, false);
  prepared ? fuzz::check_prepared(*prepared) : fuzz::check_error(prepared.error());
  return 0;
}
