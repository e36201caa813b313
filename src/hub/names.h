// Names that come from users and from the hub, checked before they become paths or URLs; and which files a model needs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tenon::hub {

inline constexpr const char* kSingle = "model.safetensors";
inline constexpr const char* kIndex = "model.safetensors.index.json";
inline constexpr const char* kModules = "modules.json";

/// A request's repo and, for "org/name/file.gguf", the file.
struct RepoName {
  std::string repo;
  std::string gguf_file;
};
Result<RepoName> parse_repo(std::string_view text);

Status check_revision(const std::string& revision);
bool is_commit(std::string_view text);  ///< 40 lower-case hex digits
bool is_hex(std::string_view text);

/// Whether a file name from the hub stays inside the directory that it is put into.
bool is_safe_file_name(std::string_view name);

/// A name from outside, for a message: without control characters, and not endless.
std::string shown(std::string_view name);
std::string in_quotes(std::string_view name);
std::string list(const std::vector<std::string>& names);  ///< "a, b": the first dozen

/// What to download, in two steps: which shards and modules there are is known when their lists are here.
struct FileChoice {
  std::vector<std::string> files;  ///< configuration, tokenizer, index; with a single weights file, that too
  std::string index;               ///< the index whose shards are to be added; empty if none
  std::string modules;             ///< the list of modules whose configs are to be added; empty if none
  std::string gguf;                ///< the GGUF file to open; empty for SafeTensors
};

/// Chooses from all file names of a repo. `gguf_file` empty: SafeTensors. Errors list what there is instead.
Result<FileChoice> choose_files(const std::string& repo, const std::vector<std::string>& all,
                                const std::string& gguf_file);

/// The shards that the text of a model.safetensors.index.json names, each once, in order.
Result<std::vector<std::string>> shards_of_index(std::string_view text, const std::string& where);

/// A file "1_Pooling/config.json" of sentence-transformers.
struct ModuleConfig {
  std::string file;
  bool needed;  ///< the loader reads it
};
/// The config.json of each folder that the text of a modules.json names, whether there is such a file or not. What is
/// wrong with the text is for the loader to say.
std::vector<ModuleConfig> configs_of_modules(std::string_view text);

/// All files of a split GGUF ("x-00001-of-00003.gguf"), or `file` alone.
std::vector<std::string> gguf_parts(const std::string& file);

}  // namespace tenon::hub
