// A GGUF checkpoint: one file, or the files of a split one (NAME-00001-of-00003.gguf, …).
#include <cstdio>

#include "weights/gguf_file.h"
#include "weights/mapped_checkpoint.h"

namespace tenon::weights {
namespace {

constexpr std::uint64_t kMaxSplits = 1000;

std::uint64_t unsigned_of(const Json& metadata, const char* key, std::uint64_t otherwise) {
  const auto at = metadata.find(key);
  return at != metadata.end() && at->is_number_unsigned() ? at->get<std::uint64_t>() : otherwise;
}

// "-00001-of-00003.gguf"
std::string split_suffix(std::uint64_t number, std::uint64_t count) {
  char text[64];
  std::snprintf(text, sizeof text, "-%05llu-of-%05llu.gguf", static_cast<unsigned long long>(number + 1),
                static_cast<unsigned long long>(count));
  return text;
}

// The other files of a split model. llama.cpp numbers them from 0 in split.no, and from 1 in their names.
Status add_splits(MappedCheckpoint& checkpoint, const std::string& path, std::uint64_t number, std::uint64_t count,
                  std::uint64_t tensors) {
  const std::string suffix = split_suffix(number, count);
  if (count > kMaxSplits) return invalid(path + ": claims to be split into " + std::to_string(count) + " files");
  if (number != 0) {
    return invalid(path + ": this is file " + std::to_string(number + 1) + " of " + std::to_string(count) +
                   "; name the first one");
  }
  if (!path.ends_with(suffix)) {
    return invalid(path + ": the first of " + std::to_string(count) + " files must have a name that ends in " + suffix);
  }
  const std::string prefix = path.substr(0, path.size() - suffix.size());
  for (std::uint64_t i = 1; i < count; ++i) {
    const std::string next = prefix + split_suffix(i, count);
    auto opened = MappedFile::open(next);
    if (!opened)
      return wrap(opened.error(), "file " + std::to_string(i + 1) + " of the " + std::to_string(count) + " of " + path);
    TENON_ASSIGN(const GgufFile parsed, parse_gguf((*opened)->bytes(), next));
    if (unsigned_of(parsed.metadata, "split.no", 0) != i || unsigned_of(parsed.metadata, "split.count", 0) != count) {
      return invalid(next + ": says of itself that it is another file of a split model, not number " +
                     std::to_string(i + 1) + " of " + std::to_string(count));
    }
    TENON_TRY(checkpoint.add(std::move(*opened), parsed.tensors));
  }
  if (tensors != 0 && tensors != checkpoint.names().size()) {
    return invalid(path + ": split.tensors.count is " + std::to_string(tensors) + ", but its files hold " +
                   std::to_string(checkpoint.names().size()) + " tensors");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_gguf(const std::string& path) {
  TENON_ASSIGN(auto file, MappedFile::open(path));
  TENON_ASSIGN(GgufFile parsed, parse_gguf(file->bytes(), path));
  auto checkpoint = std::make_unique<MappedCheckpoint>(Format::kGguf);
  TENON_TRY(checkpoint->add(std::move(file), parsed.tensors));
  const std::uint64_t count = unsigned_of(parsed.metadata, "split.count", 1);
  if (count > 1) {
    const std::uint64_t number = unsigned_of(parsed.metadata, "split.no", 0);
    std::uint64_t tensors = 0;
    if (const auto at = parsed.metadata.find("split.tensors.count");
        at != parsed.metadata.end() && at->is_number_integer()) {
      tensors = static_cast<std::uint64_t>(at->get<std::int64_t>());  // written as an int32
    }
    TENON_TRY(add_splits(*checkpoint, path, number, count, tensors));
  }
  checkpoint->set_metadata(std::move(parsed.metadata));
  return checkpoint;
}

}  // namespace tenon::weights
