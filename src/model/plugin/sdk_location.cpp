#include "model/plugin/sdk_location.h"

#include <filesystem>

#include "base/file.h"
#include "model/plugin/abi.h"

namespace tenon::model {

namespace fs = std::filesystem;

Result<SdkLocation> find_sdk() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return fail(ErrorCode::kInternal, "cannot find Tenon's own program: " + error.message());
  const fs::path root = program.parent_path().parent_path();
  const SdkLocation sdk{.include = (root / "include" / "tenon").string(),
                        .cmake = (root / "lib" / "cmake" / "tenon").string(),
                        .architectures = (root / "share" / "tenon" / "architectures").string()};
  const auto header = read_file(sdk.include + "/tenon_sdk.h", 1 << 16);
  if (!header) {
    return fail(ErrorCode::kNotFound, "the headers to compile an architecture with are not in " + sdk.include +
                                          ": install Tenon with `cmake --install`, or give a ready .so");
  }
  if (header->find("\"" TENON_SDK_HASH "\"") == std::string::npos) {
    return invalid("the headers in " + sdk.include +
                   " belong to another build of Tenon than this program: install both from the same build");
  }
  return sdk;
}

}  // namespace tenon::model
