// The name of Tenon's JSON type without the type, for headers that many files include: nlohmann's own header takes a
// compiler longer than all else that an architecture's file needs.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace tenon {

using Json = nlohmann::ordered_json;

}  // namespace tenon
