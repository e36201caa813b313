// hub/names.h: no file name from the hub leads out of the cache.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "hub/cache.h"
#include "hub/names.h"

namespace {

void check_inside(std::string_view name) {
  const std::filesystem::path root = "/cache/snapshots/x";
  const auto relative = (root / name).lexically_normal().lexically_relative(root);
  TENON_CHECK(!relative.empty() && *relative.begin() != "..");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (hub::is_safe_file_name(text)) {
    check_inside(text);
    for (const std::string& part : hub::gguf_parts(text)) check_inside(part);
  }
  if (const auto repo = hub::parse_repo(text)) {
    check_inside(repo->repo);
    if (!repo->gguf_file.empty()) check_inside(repo->gguf_file);
  }
  if (const std::string etag = hub::etag_of_header(text); !etag.empty()) {
    check_inside(etag);
    TENON_CHECK(etag.find('/') == etag.npos);
  }
  if (const auto shards = hub::shards_of_index(text, "input")) {
    for (const std::string& shard : *shards) check_inside(shard);
  }
  std::vector<std::string> lines(1);
  for (const char c : text) {
    if (c == '\n')
      lines.emplace_back();
    else
      lines.back() += c;
  }
  if (const auto choice = hub::choose_files("org/name", lines, "")) {
    for (const std::string& file : choice->files) check_inside(file);
  }
  return 0;
}
