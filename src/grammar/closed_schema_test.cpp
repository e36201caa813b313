#include "grammar/closed_schema.h"

#include <gtest/gtest.h>

namespace tenon::grammar {
namespace {

Json closed(const char* schema) { return closed_schema(Json::parse(schema)); }

TEST(ClosedSchema, ObjectsThatSayNothingOfOtherKeysHaveNone) {
  EXPECT_EQ(
      closed(R"({"type": "object", "properties": {"a": {"type": "object", "properties": {}}}, "required": ["a"]})"),
      Json::parse(R"({"type": "object", "properties": {"a": {"type": "object", "properties": {},
              "additionalProperties": false}}, "required": ["a"], "additionalProperties": false})"));
  EXPECT_EQ(closed(R"({"type": "array", "items": {"properties": {"a": {}}}})"),
            Json::parse(R"({"type": "array", "items": {"properties": {"a": {}}, "additionalProperties": false}})"));
  // As pydantic writes an optional model, and its first version a field with a title of its own.
  EXPECT_EQ(closed(R"({"properties": {"x": {"anyOf": [{"$ref": "#/$defs/X"}, {"type": "null"}]}},
                       "$defs": {"X": {"properties": {"b": {"allOf": [{"$ref": "#/$defs/Y"}]}}}, "Y": {"enum": [1]}}})"),
            Json::parse(R"({"properties": {"x": {"anyOf": [{"$ref": "#/$defs/X"}, {"type": "null"}]}},
                       "$defs": {"X": {"properties": {"b": {"allOf": [{"$ref": "#/$defs/Y"}]}},
                       "additionalProperties": false}, "Y": {"enum": [1]}}, "additionalProperties": false})"));
}

TEST(ClosedSchema, WhatSaysSomethingOfThemStays) {
  for (const char* schema : {
           R"({"type": "object"})",
           R"(true)",
           R"({"properties": {"a": {}}, "additionalProperties": true})",
           R"({"properties": {"a": {}}, "additionalProperties": {"type": "string"}})",
           R"({"properties": {"a": {}}, "patternProperties": {"^x": {}}})",
           R"({"properties": {"a": {}}, "minProperties": 2})",
           R"({"properties": {"a": {}}, "required": ["b"]})",
           R"({"enum": [{"properties": {"a": 1}}]})",
           R"({"default": {"properties": {"a": 1}}})",
       }) {
    EXPECT_EQ(closed(schema), Json::parse(schema));
  }
}

TEST(ClosedSchema, SchemasOfSeveralPartsStay) {
  for (
      const char* schema : {
          R"({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]})",
          R"({"properties": {"a": {}}, "anyOf": [{"properties": {"b": {}}}, {"properties": {"c": {}}}]})",
          R"({"properties": {"x": {"$ref": "#/$defs/X", "properties": {"b": {}}}}, "$defs": {"X": {"properties": {}}}})",
          R"({"properties": {"a": {}}, "if": {"properties": {"a": {"const": 1}}}, "then": {"properties": {"b": {}}}})",
          R"({"properties": {"a": {"properties": {}}}, "unevaluatedProperties": false})",
      }) {
    EXPECT_EQ(closed(schema), Json::parse(schema));
  }
}

}  // namespace
}  // namespace tenon::grammar
