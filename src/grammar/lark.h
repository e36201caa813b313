// Other languages as Lark: expressions to be parts of a larger grammar, and whole grammars.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "grammar/grammar.h"

namespace tenon::grammar {

/// The text of a JSON schema with our options (white space between the parts of a value is bounded), which the client's
/// own ("x-guidance") do not override, without formats that JSON Schema does not define, and with integers for limits
/// that are written as floats ("minLength": 2.0). Refused: no JSON, no schema, a schema of which no value is one
/// (false), a regular expression of more than kMaxRegex bytes in it.
Result<std::string> bounded_schema(std::string_view schema);

/// Refused: more than kMaxRegex bytes.
Status check_regex(std::string_view regex);

/// A source as one Lark expression. What Compiler::compile refuses of its size is refused here too, with its `param`.
Result<std::string> lark_expression(const Source& source);

/// A grammar in the notation of llama.cpp and XGrammar (name ::= …, the first rule is "root") as Lark. Errors say in
/// which line.
Result<std::string> lark_of_gbnf(std::string_view gbnf);

/// Whether it is such a grammar: it has a "::=" outside of strings, classes and comments.
bool is_gbnf(std::string_view grammar);

}  // namespace tenon::grammar
