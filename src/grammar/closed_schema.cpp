#include "grammar/closed_schema.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace tenon::grammar {
namespace {

using Names = std::initializer_list<const char*>;

bool has_any(const Json& schema, Names names) {
  return std::ranges::any_of(names, [&](const char* name) { return schema.contains(name); });
}

// Calls f for each schema directly within `schema`.
template <class J, class F>
void each_within(J& schema, F f) {
  for (const char* name : {"items", "additionalProperties", "contains", "additionalItems", "unevaluatedItems", "not",
                           "if", "then", "else", "propertyNames", "unevaluatedProperties"}) {
    if (const auto one = schema.find(name); one != schema.end()) f(*one);
  }
  for (const char* name : {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "anyOf",
                           "oneOf", "allOf", "prefixItems", "items"}) {
    const auto many = schema.find(name);
    const bool lists = std::string_view(name) != "items" || (many != schema.end() && many->is_array());
    if (many == schema.end() || !many->is_structured() || !lists) continue;
    for (auto& one : *many) f(one);
  }
}

// Whether two schemas are about the same value somewhere.
bool is_composed(const Json& schema) {
  if (!schema.is_object()) return false;
  const auto all = schema.find("allOf");
  const bool several = all != schema.end() && (!all->is_array() || all->size() != 1);
  const std::array applied = {schema.contains("properties"), schema.contains("anyOf"), schema.contains("oneOf"),
                              schema.contains("allOf"), schema.contains("$ref")};
  if (several || std::ranges::count(applied, true) > 1) return true;
  if (has_any(schema, {"if", "not", "dependentSchemas", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"}))
    return true;
  bool within = false;
  each_within(schema, [&](const Json& one) { within = within || is_composed(one); });
  return within;
}

bool may_be_closed(const Json& schema) {
  const auto properties = schema.find("properties");
  if (properties == schema.end() || !properties->is_object()) return false;
  if (has_any(schema, {"additionalProperties", "patternProperties", "propertyNames", "minProperties", "dependencies",
                       "dependentRequired"}))
    return false;
  const auto required = schema.find("required");
  return required == schema.end() || !required->is_array() || std::ranges::all_of(*required, [&](const Json& name) {
           return name.is_string() && properties->contains(name.get_ref<const std::string&>());
         });
}

void close(Json& schema) {
  if (!schema.is_object()) return;
  each_within(schema, close);
  if (may_be_closed(schema)) schema["additionalProperties"] = false;
}

}  // namespace

Json closed_schema(Json schema) {
  if (!is_composed(schema)) close(schema);
  return schema;
}

}  // namespace tenon::grammar
