#include "model/plugin/plugins.h"

#include <filesystem>
#include <set>

#include "model/plugin/build.h"
#include "model/plugin/open_plugin.h"
#include "model/plugin/trusted_path.h"
#include "model/registry.h"

namespace tenon::model {
namespace {

namespace fs = std::filesystem;

// "name.so", or "name.so.1", to which a link of the first name often leads.
bool is_library_name(const std::string& name) {
  return name.ends_with(".so") || name.find(".so.") != std::string::npos;
}

Result<std::string> library_of(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    if (is_library_name(path.filename().string())) return path.string();
    return invalid("custom architecture " + path.string() + " is neither a folder nor a .so: name the folder it is in");
  }
  if (!fs::is_directory(path, error)) {
    return invalid("custom architecture " + path.string() + " is neither a folder nor a .so");
  }
  if (fs::is_empty(path, error)) return invalid("custom architecture " + path.string() + " is an empty folder");
  TENON_ASSIGN(const SdkLocation sdk, find_sdk());
  return fs::exists(path / "CMakeLists.txt", error) ? build_cmake_project(path, sdk) : build_folder(path, sdk);
}

Result<OpenedPlugin> open_copy(const std::string& library) {
  TENON_ASSIGN(const fs::path cache, plugin_cache());
  TENON_ASSIGN(const std::string copy, keep_library(cache, library, fs::path(library).stem().string() + "-"));
  TENON_TRY(check_abi(copy));
  return open_plugin(copy);
}

Result<OpenedPlugin> open(const std::string& library, bool of_the_user) {
  TENON_TRY(check_abi(library));
  TENON_TRY(probe_plugin(library));
  // Who writes a library anew in its place (`cp`) ends the programs that run it: they run a copy. Where none can be
  // made, or where it needs libraries that lie beside it, it is run itself.
  if (of_the_user) {
    if (auto opened = open_copy(library)) return opened;
  }
  return open_plugin(library);
}

Status load_plugin(const fs::path& path) {
  TENON_TRY(check_trusted(path));
  TENON_ASSIGN(const std::string library, library_of(path));
  const auto opened = open(library, library == path);
  // Should the cache be at fault, as where a disk was full, the next try does not find it there again.
  std::error_code ignored;
  if (!opened && library != path) fs::remove(library, ignored);
  // A library in the cache does not say which of the user's folders it was made of.
  if (!opened)
    return library == path ? std::unexpected(opened.error())
                           : wrap(opened.error(), "custom architecture " + path.string());
  const OpenedPlugin& plugin = *opened;
  return register_architecture({plugin.family, plugin.architecture, path.string()});
}

}  // namespace

Status load_plugins(const std::vector<std::string>& paths) {
  static std::set<fs::path> loaded;
  for (const std::string& path : paths) {
    if (path.empty()) return invalid("--custom-architectures has no path: name a folder or a .so");
    std::error_code error;
    const fs::path canonical = fs::canonical(path, error);
    if (error) {
      return fail(ErrorCode::kNotFound, "custom architecture " + path + " cannot be found: " + error.message());
    }
    if (loaded.contains(canonical)) continue;
    TENON_TRY(load_plugin(canonical));
    loaded.insert(canonical);
  }
  return {};
}

}  // namespace tenon::model
