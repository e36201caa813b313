// Where the headers and sources are that plug-ins are built from.
#pragma once

#include <string>

#include "base/result.h"

namespace tenon::model {

/// Directories beside the program, the same in an installed prefix and in the build tree.
struct SdkLocation {
  std::string include;        ///< ../include/tenon: has model/sdk.h
  std::string cmake;          ///< ../lib/cmake/tenon: has tenonConfig.cmake
  std::string architectures;  ///< ../share/tenon/architectures: the sources of the built-in families
};

/// An error if the headers are not there, or are those of another build.
Result<SdkLocation> find_sdk();

}  // namespace tenon::model
