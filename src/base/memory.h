// How much memory this process can still take.
#pragma once

#include <cstddef>
#include <filesystem>

namespace tenon {

/// Bytes: the least of the machine's MemAvailable, of what the process's own limits (ulimit -v, -d) leave of its
/// addresses, and of what its cgroups (v1 or v2, each one up to the root) still allow. Page cache that a cgroup is
/// charged for counts as free, as it does in MemAvailable: the kernel takes it back. `root` is where proc and
/// sys/fs/cgroup are.
std::size_t available_memory(const std::filesystem::path& root = "/");

}  // namespace tenon
