#pragma once

#include <string>

#include "base/result.h"
#include "model/architecture.h"

namespace tenon::model {

struct OpenedPlugin {
  const char* family = nullptr;
  const Architecture* architecture = nullptr;
};

/// Reads the ABI out of the file without loading it; an error unless it is exactly this program's.
Status check_abi(const std::string& library);

/// Loads the library and asks for its architecture, which must be complete.
Result<OpenedPlugin> open_plugin(const std::string& library);

/// open_plugin in a child process that may take ten seconds, so that whatever happens there is an error here.
Status probe_plugin(const std::string& library);

}  // namespace tenon::model
