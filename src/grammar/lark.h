// Other languages as Lark: expressions to be parts of a larger grammar, and whole grammars.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "grammar/grammar.h"

namespace tenon::grammar {

/// A source as one Lark expression.
std::string lark_expression(const Source& source);

/// A JSON schema (the text of one that is valid JSON) as a Lark expression, with the same options as
/// Kind::kJsonSchema.
std::string lark_json(std::string_view schema);

/// A grammar in the notation of llama.cpp and XGrammar (name ::= …, the first rule is "root") as Lark. Errors say in
/// which line.
Result<std::string> lark_of_gbnf(std::string_view gbnf);

/// Whether it is such a grammar: it has a "::=" outside of strings, classes and comments.
bool is_gbnf(std::string_view grammar);

}  // namespace tenon::grammar
