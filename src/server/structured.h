// Structured output: what a body says about the form of its reply, and the grammar that it makes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "chat/reply_grammar.h"
#include "generate/generator.h"
#include "grammar/grammar.h"

namespace tenon::server {

class Fields;
struct ParsedRequest;

/// "response_format" of OpenAI, "structured_outputs" of vLLM or one of its older "guided_…": at most one of them.
Status parse_structure(Fields& fields, std::optional<grammar::Source>& out);

/// The tools' names and argument schemas as rules of a grammar. `whole`: of calls that are JSON as a whole.
Result<std::vector<chat::CallRule>> call_rules(const Json& tools, bool whole = false);

/// The grammar of a reply to this prompt; none: any text will do.
Result<std::optional<grammar::Source>> reply_source(const ParsedRequest& request, const generate::EncodedPrompt& prompt,
                                                    const generate::Generator& generator);

}  // namespace tenon::server
