#include "scaffold/rename.h"

#include <cctype>
#include <filesystem>

#include "base/file.h"

namespace tenon::scaffold {
namespace {

namespace fs = std::filesystem;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Where `from` stands by itself, not within a longer word.
std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    const std::size_t end = at + from.size();
    const bool inside = (at > 0 && is_word(from.front()) && is_word(text[at - 1])) ||
                        (end < text.size() && is_word(from.back()) && is_word(text[end]));
    if (inside) {
      at = end;
    } else {
      text.replace(at, from.size(), to);
      at += to.size();
    }
  }
  return text;
}

// Replaces from `begin` to the next `close` after it.
void replace_until(std::string& text, const std::string& begin, char close, const std::string& with) {
  const std::size_t at = text.find(begin);
  if (at == std::string::npos) return;
  const std::size_t end = text.find(close, at + begin.size());
  if (end != std::string::npos) text.replace(at, end + 1 - at, with);
}

std::string renamed(std::string text, const Names& from, const Names& to) {
  text = replaced(std::move(text), from.class_name, to.class_name);
  text = replaced(std::move(text), "\"" + from.family + ".h\"", "\"" + to.family + ".h\"");
  text = replaced(std::move(text), "architectures::" + from.family, "architectures::" + to.family);
  text = replaced(std::move(text), from.family + "::Config", to.family + "::Config");
  text = replaced(std::move(text), "transformers/models/" + from.model_type + "/",
                  "transformers/models/" + to.model_type + "/");
  for (const std::string kind : {"modeling_", "configuration_"}) {
    text = replaced(std::move(text), kind + from.model_type + ".py", kind + to.model_type + ".py");
  }
  return text;
}

// The other classes that the donor runs are not the new one's.
void remove_also(std::string& text) {
  const std::size_t member = text.find(".also = {");
  if (member == std::string::npos) return;
  const std::size_t comma = text.rfind(',', member), end = text.find('}', member);
  if (comma != std::string::npos && end != std::string::npos) text.erase(comma, end + 1 - comma);
}

void mark_declaration(std::string& text, const Names& from, const Names& to) {
  remove_also(text);
  replace_until(text, ".example_repos = {", '}', ".example_repos = {/* TODO: its repositories on the hub */}");
  replace_until(text, ".architectures = {", '}',
                "/* TODO: what general.architecture of its GGUF files says; without such files delete .gguf, the kGguf "
                "adapter and their functions */\n      .architectures = {\"" +
                    to.family + "\"}");
  text = "// TODO: started from " + from.family +
         " by `tenon new`. Are its encodings, tool_parser, reasoning_parser and embedding (if any) this model's?\n" +
         text;
}

}  // namespace

Result<std::map<std::string, std::string>> renamed_sources(const std::string& directory, const Names& from,
                                                           const Names& to,
                                                           const std::vector<std::string>& differences) {
  const fs::path folder = fs::path(directory) / from.family;
  std::error_code error;
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool source = name.ends_with(".cpp") || name.ends_with(".h");
    if (!source || name.ends_with("_test.cpp") || !entry.is_regular_file()) continue;
    TENON_ASSIGN(const std::string text, read_file(entry.path().string()));
    files[name == from.family + ".h" ? to.family + ".h" : name] = renamed(text, from, to);
  }
  if (error || files.empty()) {
    return fail(ErrorCode::kNotFound, "the sources of " + from.family + " are not in " + folder.string() +
                                          ": install Tenon with `cmake --install`, or run it from its build tree");
  }
  const std::string python = "transformers/models/" + to.model_type + "/modeling_" + to.model_type + ".py";
  for (auto& [name, text] : files) {
    if (name == "arch.cpp") {
      mark_declaration(text, from, to);
    } else if (name == "model.cpp") {
      text = "// TODO: these are the equations of " + from.class_name + ". Compare forward() of each module in\n// " +
             python + ", and delete this.\n" + text;
    } else if (name == "weight_adapters.cpp") {
      text = "// TODO: these are the names of " + from.class_name +
             "'s tensors: `tenon inspect` on the checkpoint says which differ.\n" + text;
    } else if (name == to.family + ".h") {
      const std::size_t pragma = text.find("#pragma once");
      if (pragma != std::string::npos) text.erase(0, pragma);
      text = "// " + to.class_name + ". TODO: which models it is, in a line.\n" + text;
    } else if (name == "model_config.cpp") {
      std::string block = "// TODO: where config.json differs from what " + from.family + " reads (by `tenon new`).\n";
      for (const std::string& line : differences) block += "// " + line + "\n";
      if (differences.empty()) block = "// TODO: compare the defaults with transformers' configuration.\n";
      const std::size_t at = text.find("std::shared_ptr<model::ModelConfig> parse_config(");
      text.insert(at == std::string::npos ? 0 : at, block);
    }
  }
  return files;
}

}  // namespace tenon::scaffold
