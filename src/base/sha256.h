// SHA-256, for names of cached files.
#pragma once

#include <string>
#include <string_view>

namespace tenon {

/// 64 hex digits.
std::string sha256(std::string_view bytes);

}  // namespace tenon
