// SHA-256, for names of cached files.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tenon {

/// 64 hex digits.
std::string sha256(std::string_view bytes);

/// Two lower-case digits a byte.
std::string hex(std::span<const unsigned char> bytes);

}  // namespace tenon
