// Which keys the objects of a generated reply may have.
#pragma once

#include "base/json.h"

namespace tenon::grammar {

/// The schema with "additionalProperties": false in every object that has "properties" and says nothing of others: JSON
/// Schema allows any others there, and a model that may invent keys does so until it is cut. What follows the result
/// follows the schema. A schema that puts parts together (allOf, $ref beside properties, if, …) is left as it is: a
/// part that is closed would refuse what the other parts have.
Json closed_schema(Json schema);

}  // namespace tenon::grammar
