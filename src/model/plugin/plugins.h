// Architectures of the user's own, from outside the program.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace tenon::model {

/// Adds what --custom-architectures names to the registry: a folder of sources, a folder with a CMakeLists.txt, or a
/// .so. Each is built, tried in a child process (a crash or an endless loop there becomes an error), checked for its
/// ABI and loaded for good. A path that was loaded before is skipped. Call it before there are threads.
Status load_plugins(const std::vector<std::string>& paths);

}  // namespace tenon::model
