#include "base/memory.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string>
#include <string_view>

namespace tenon {
namespace {

namespace fs = std::filesystem;

// A file of one number. SIZE_MAX: there is none, as in "max".
std::size_t number_in(const fs::path& path) {
  std::ifstream in(path);
  std::size_t value = 0;
  return in >> value ? value : SIZE_MAX;
}

// The number of the first of these keys that a file of lines "key number" has; 0: none.
std::size_t number_of(const fs::path& path, std::initializer_list<std::string_view> keys) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string key;
    std::size_t value = 0;
    if (words >> key >> value && std::ranges::find(keys, key) != keys.end()) return value;
  }
  return 0;
}

// The file names of a version of cgroups. v1 counts a group's children only under "total_…".
struct Version {
  const char* limit;
  const char* used;
  std::string_view active, inactive;
};
constexpr Version kV1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file", "total_inactive_file"};
constexpr Version kV2 = {"memory.max", "memory.current", "active_file", "inactive_file"};

std::size_t headroom(const fs::path& group, const Version& version) {
  const std::size_t limit = number_in(group / version.limit), used = number_in(group / version.used);
  if (limit == SIZE_MAX || used == SIZE_MAX) return SIZE_MAX;
  const fs::path stat = group / "memory.stat";
  const std::size_t cache = number_of(stat, {version.active}) + number_of(stat, {version.inactive});
  const std::size_t held = used - std::min(used, cache);
  return limit - std::min(limit, held);
}

// From a group up to the mount point. A container may see the path of its host; then only the mount point is there.
std::size_t headroom_up(const fs::path& mount, const std::string& group, const Version& version) {
  std::size_t least = headroom(mount, version);
  fs::path path = mount;
  for (const fs::path& part : fs::path(group).relative_path()) {
    if (part == "..") break;
    path /= part;
    least = std::min(least, headroom(path, version));
  }
  return least;
}

// What the limits of the process itself (ulimit -v and -d) still allow.
std::size_t headroom_of_process(const fs::path& process) {
  std::size_t least = SIZE_MAX;
  std::ifstream limits(process / "limits");  // "Max address space  SOFT  HARD  bytes": three words, then two numbers
  for (std::string line; std::getline(limits, line);) {
    const bool addresses = line.starts_with("Max address space "), data = line.starts_with("Max data size ");
    if (!addresses && !data) continue;
    std::istringstream words(line);
    std::string word;
    std::size_t limit = 0;
    if (!(words >> word >> word >> word >> limit)) continue;  // "unlimited"
    const std::size_t used = number_of(process / "status", {addresses ? "VmSize:" : "VmData:"}) * 1024;
    least = std::min(least, limit - std::min(limit, used));
  }
  return least;
}

}  // namespace

std::size_t available_memory(const fs::path& root) {
  std::size_t available = headroom_of_process(root / "proc/self");
  if (const std::size_t kilobytes = number_of(root / "proc/meminfo", {"MemAvailable:"})) {
    available = std::min(available, kilobytes * 1024);
  }
  const fs::path mount = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "0::/path" of v2, "4:memory:/path" of v1
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const std::string controllers = std::string(",").append(line, first + 1, second - first - 1).append(",");
    const std::string group = line.substr(second + 1);
    if (controllers == ",,") available = std::min(available, headroom_up(mount, group, kV2));
    if (controllers.find(",memory,") != controllers.npos) {
      available = std::min(available, headroom_up(mount / "memory", group, kV1));
    }
  }
  return available;
}

}  // namespace tenon
