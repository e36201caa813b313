// Exceptions of an architecture's own code, which may be a plug-in's.
#pragma once

#include <expected>

#include "base/result.h"
#include "model/architecture.h"

namespace tenon::model {

/// In a catch block: what was thrown, as an error that names the architecture.
std::unexpected<Error> thrown_by(const Architecture& architecture);

}  // namespace tenon::model
