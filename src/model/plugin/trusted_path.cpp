#include "model/plugin/trusted_path.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <set>

namespace tenon::model {
namespace {

namespace fs = std::filesystem;

Status check_mode(const fs::path& path, bool sticky_suffices) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return fail(ErrorCode::kPermissionDenied, "cannot look at " + path.string() + ": " + std::strerror(errno));
  }
  if ((info.st_mode & S_IWOTH) == 0 || (sticky_suffices && (info.st_mode & S_ISVTX) != 0)) return {};
  return fail(ErrorCode::kPermissionDenied, path.string() +
                                                " is writable by everybody, who could thus choose the code that Tenon "
                                                "runs: `chmod o-w` it");
}

// `seen` ends the loops that links can make.
Status check(const fs::path& canonical_path, std::set<fs::path>& seen) {
  if (!seen.insert(canonical_path).second) return {};
  TENON_TRY(check_mode(canonical_path, false));
  for (fs::path above = canonical_path.parent_path();; above = above.parent_path()) {
    TENON_TRY(check_mode(above, true));
    if (above == above.root_path()) break;
  }
  std::error_code error;
  if (!fs::is_directory(canonical_path, error)) return {};
  for (auto it = fs::recursive_directory_iterator(canonical_path, error); it != fs::recursive_directory_iterator();
       it.increment(error)) {
    if (error) break;
    if (!it->exists(error)) continue;  // a link to nowhere
    if (it->is_symlink(error)) {
      TENON_TRY(check(fs::canonical(it->path(), error), seen));  // whoever may replace what it leads to, too
    } else {
      TENON_TRY(check_mode(it->path(), false));
    }
  }
  if (error) {
    return fail(ErrorCode::kPermissionDenied, "cannot read " + canonical_path.string() + ": " + error.message());
  }
  return {};
}

}  // namespace

Status check_trusted(const fs::path& canonical_path) {
  std::set<fs::path> seen;
  return check(canonical_path, seen);
}

}  // namespace tenon::model
