// TENON_CHECK: for bugs of our own, never for outside input. On in every build.
#pragma once

#include <source_location>
#include <string>

namespace tenon {

/// Prints the failed condition with its place and aborts.
[[noreturn]] void check_failed(const char* condition, const std::string& message, std::source_location where);

}  // namespace tenon

#define TENON_CHECK(condition, ...)                                                                     \
  do {                                                                                                  \
    if (!(condition)) [[unlikely]] {                                                                    \
      ::tenon::check_failed(#condition, ::std::string(__VA_ARGS__), ::std::source_location::current()); \
    }                                                                                                   \
  } while (false)
