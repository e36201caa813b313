// A SafeTensors checkpoint: one file, or the shards of a directory.
#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>

#include "weights/mapped_checkpoint.h"
#include "weights/safetensors_header.h"

namespace tenon::weights {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

/// Shard file -> the tensors that the index says it holds. Ordered, so that shards are opened in order.
using ShardMap = std::map<std::string, std::vector<std::string>>;

Status add_file(MappedCheckpoint& checkpoint, const std::string& path) {
  TENON_ASSIGN(auto file, MappedFile::open(path));
  TENON_ASSIGN(const auto tensors, parse_safetensors(file->bytes(), path));
  return checkpoint.add(std::move(file), tensors);
}

bool plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

// nlohmann's ordered objects look keys up one by one, and an index may name 100,000 tensors; hence simdjson.
Result<ShardMap> read_index(const std::string& path) {
  constexpr std::size_t kMaxIndexBytes = std::size_t{256} << 20;
  TENON_ASSIGN(const std::string text, read_file(path, kMaxIndexBytes));
  const simdjson::padded_string padded(text);
  simdjson::dom::parser parser;
  simdjson::dom::object weight_map;
  constexpr std::size_t kMaxDepth = 32;
  auto error = parser.allocate(std::max<std::size_t>(padded.size(), 64), kMaxDepth);
  if (!error) error = parser.parse(padded)["weight_map"].get(weight_map);
  if (error) {
    return invalid(path +
                   ": needs an object \"weight_map\" of tensor names and files: " + simdjson::error_message(error));
  }
  ShardMap shards;
  for (const auto [name, value] : weight_map) {
    std::string_view file;
    if (value.get(file)) return invalid(path + ": the file of the tensor " + shown(name) + " is not a string");
    if (!plain_file_name(file)) {
      return invalid(path + ": the file " + shown(file) + " of the tensor " + shown(name) +
                     " is not a plain file name");
    }
    shards[std::string(file)].emplace_back(name);
  }
  if (shards.empty()) return invalid(path + ": its weight_map is empty");
  return shards;
}

Status add_shards(MappedCheckpoint& checkpoint, const std::string& directory) {
  const std::string index = directory + "/" + kIndex;
  TENON_ASSIGN(const ShardMap shards, read_index(index));
  for (const auto& [file, tensors] : shards) {
    const std::string path = directory + "/" + file;
    if (std::error_code ignored; !fs::exists(path, ignored)) {
      return fail(ErrorCode::kNotFound, path + ": this shard is missing; it holds " + std::to_string(tensors.size()) +
                                            " tensors, " + shown(tensors.front()) + " among them; download it again");
    }
    TENON_TRY(add_file(checkpoint, path));
    for (const std::string& name : tensors) {
      if (!checkpoint.find(name)) {
        return invalid(index + ": the tensor " + shown(name) + " should be in " + file + ", which lacks it");
      }
      if (checkpoint.file_of(name) != file) {
        return invalid(index + ": the tensor " + shown(name) + " is listed twice, for " + checkpoint.file_of(name) +
                       " and for " + file);
      }
    }
  }
  return {};
}

// Why a directory has no weights for us, with what lies there instead.
Error no_weights(const std::string& directory) {
  std::string found;
  int more = 0;
  bool pickled = false;
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    if (name.ends_with(".bin") || name.ends_with(".pth") || name.ends_with(".pt")) pickled = true;
    if (!name.ends_with(".safetensors") && !name.ends_with(".gguf") && !name.ends_with(".bin")) continue;
    if (found.size() > 200)
      ++more;
    else
      found += (found.empty() ? "" : ", ") + name;
  }
  if (more > 0) found += " and " + std::to_string(more) + " more";
  std::string message = directory + ": has neither " + kSingle + " nor " + kIndex;
  if (!found.empty()) message += " (it has " + found + ")";
  if (pickled) message += "; Tenon reads SafeTensors and GGUF, not PyTorch's .bin: convert them first";
  return {ErrorCode::kNotFound, message};
}

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_safetensors(const std::string& path) {
  auto checkpoint = std::make_unique<MappedCheckpoint>(Format::kSafetensors);
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    TENON_TRY(add_file(*checkpoint, path));
  } else if (fs::exists(path + "/" + kSingle, ignored)) {
    TENON_TRY(add_file(*checkpoint, path + "/" + kSingle));
  } else if (fs::exists(path + "/" + kIndex, ignored)) {
    TENON_TRY(add_shards(*checkpoint, path));
  } else {
    return std::unexpected(no_weights(path));
  }
  return checkpoint;
}

Result<Json> safetensors_metadata(const std::string& path) {
  TENON_ASSIGN(const auto file, MappedFile::open(path));
  TENON_TRY(parse_safetensors(file->bytes(), path));  // the header's size is within the file
  std::uint64_t size = 0;
  std::memcpy(&size, file->bytes().data(), sizeof size);
  const std::string_view header(reinterpret_cast<const char*>(file->bytes().data()) + sizeof size, size);
  TENON_ASSIGN(Json json, parse_json(header, path));
  const auto it = json.find("__metadata__");
  return it != json.end() && it->is_object() ? std::move(*it) : Json::object();
}

}  // namespace tenon::weights
