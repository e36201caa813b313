#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace tenon {

void check_failed(const char* condition, const std::string& message, std::source_location where) {
  std::fprintf(stderr, "%s:%u: in %s: check failed: %s%s%s\n", where.file_name(), static_cast<unsigned>(where.line()),
               where.function_name(), condition, message.empty() ? "" : ": ", message.c_str());
  std::abort();
}

}  // namespace tenon
