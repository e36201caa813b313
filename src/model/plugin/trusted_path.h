#pragma once

#include <filesystem>

#include "base/result.h"

namespace tenon::model {

/// Refuses what others could have put code into: the file, or the folder with all that is in it, must not be writable
/// by everybody, nor may a folder above be (but for sticky ones such as /tmp, where nobody can replace what is
/// another's). The same holds for what links in the folder lead to.
Status check_trusted(const std::filesystem::path& canonical_path);

}  // namespace tenon::model
