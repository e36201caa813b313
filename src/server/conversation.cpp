#include "server/conversation.h"

#include <algorithm>

#include "server/fields.h"
#include "server/harmony_history.h"
#include "server/openai.h"
#include "server/structured.h"

namespace tenon::server {
namespace {

constexpr std::size_t kMaxTools = 256;

Status check_content(const Json& content) {
  if (content.is_string() || content.is_null()) return {};
  if (!content.is_array()) return wrong("messages", "has a 'content' that is neither a string nor an array of parts");
  for (const Json& part : content) {
    const auto type = part.is_object() ? part.find("type") : part.end();
    if (!part.is_object() || type == part.end() || !type->is_string()) {
      return wrong("messages", "has a content part without a 'type'");
    }
    if (*type == "refusal" && part.contains("refusal") && part["refusal"].is_string()) continue;
    if (*type != "text")
      return unsupported(
          "content parts of type '" + type->get<std::string>() + "' are not supported by this model; only 'text' is",
          "messages");
    if (!part.contains("text") || !part["text"].is_string()) {
      return wrong("messages", "has a text part whose 'text' is not a string");
    }
  }
  return {};
}

// OpenAI's clients send back a call's arguments as text; templates want the object.
Status read_arguments(Json& message) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || calls->is_null()) return {};
  if (!calls->is_array()) return wrong("messages", "has 'tool_calls' that are no array");
  for (Json& call : *calls) {
    const auto function = call.is_object() ? call.find("function") : call.end();
    if (!call.is_object() || function == call.end() || !function->is_object() || !function->contains("name") ||
        !(*function)["name"].is_string()) {
      return wrong("messages", "has a tool call without a 'function' that has a 'name'");
    }
    if (!function->contains("arguments") || !(*function)["arguments"].is_string()) continue;
    Json& arguments = (*function)["arguments"];
    const std::string text = arguments.get<std::string>();
    auto object = parse_json(text.empty() ? "{}" : text, "a tool call's arguments", {.max_depth = 64});
    if (!object || !object->is_object()) {
      return wrong("messages", "has a tool call whose 'arguments' are no JSON object");
    }
    arguments = std::move(*object);
  }
  return {};
}

// Parts of text become one string, with line breaks between them as in vLLM: the text models' templates take nothing
// else. So does no content at all, but beside tool calls, where templates ask for null. What an assistant refused is
// what it said.
Json flattened(const Json& messages) {
  Json out = messages;
  for (Json& message : out) {
    // Null or an empty list is what clients send for none, and gpt-oss's template takes it for calls.
    if (const auto calls = message.find("tool_calls"); calls != message.end() && calls->empty()) message.erase(calls);
    const auto content = message.find("content");
    if (content == message.end()) continue;
    if (content->is_null() && !has_calls(message)) {
      const Json refusal = message.value("refusal", Json());
      *content = refusal.is_string() ? refusal : Json("");
    }
    if (!content->is_array()) continue;
    std::string text;
    for (const Json& part : *content)
      text += (&part == &content->front() ? "" : "\n") + part[part["type"]].get<std::string>();
    *content = text;
  }
  return out;
}

// Calls as the model wrote them (Hermes), for a template that does not.
void write_calls(Json& message) {
  if (!has_calls(message)) return;
  const Json content = message.value("content", Json());
  std::string text = content.is_string() ? content.get<std::string>() : "";
  for (const Json& call : message["tool_calls"]) {
    const Json written = {{"name", call["function"]["name"]},
                          {"arguments", call["function"].value("arguments", Json::object())}};
    text += (text.empty() ? "<tool_call>\n" : "\n<tool_call>\n") + written.dump() + "\n</tool_call>";
  }
  message["content"] = std::move(text);
  message.erase("tool_calls");
}

Status parse_messages(Fields& fields, chat::RenderInput& out) {
  const Json* messages = fields.find("messages");
  if (!messages) return wrong("messages", "is required");
  if (!messages->is_array() || messages->empty()) return wrong("messages", "must be an array of at least one message");
  for (const Json& message : *messages) {
    if (!message.is_object()) return wrong("messages", "must hold objects");
    const auto role = message.find("role");
    if (role == message.end() || !role->is_string()) return wrong("messages", "has a message without a 'role'");
    if (const auto call = message.find("function_call"); call != message.end() && !call->is_null()) {
      return unsupported("'messages' has a 'function_call', which no template shows: send it as 'tool_calls'",
                         "messages");
    }
    if (message.contains("content")) {
      if (message["content"].is_null() && *role != "assistant") {
        return wrong("messages", "has a message of the role " + role->dump() + " whose 'content' is null");
      }
      TENON_TRY(check_content(message["content"]));
    } else if (!message.contains("tool_calls")) {
      return wrong("messages", "has a message without 'content'");
    }
  }
  out.messages = flattened(*messages);
  for (Json& message : out.messages) TENON_TRY(read_arguments(message));
  return {};
}

Status check_tools(const Json& tools) {
  if (!tools.is_array()) return wrong("tools", "must be an array");
  if (tools.size() > kMaxTools) return wrong("tools", "may hold at most 256 tools");
  for (const Json& tool : tools) {
    const auto function = tool.is_object() ? tool.find("function") : tool.end();
    if (!tool.is_object() || tool.value("type", Json()) != "function" || function == tool.end() ||
        !function->is_object()) {
      return wrong("tools", "must hold objects with \"type\": \"function\" and a 'function'");
    }
    const auto name = function->find("name");
    if (name == function->end() || !name->is_string() || name->get_ref<const std::string&>().empty()) {
      return wrong("tools", "has a function without a 'name'");
    }
    const auto parameters = function->find("parameters");
    if (parameters != function->end() && !parameters->is_null() && !parameters->is_object()) {
      return wrong("tools", "has a function whose 'parameters' are no JSON schema");
    }
    const auto strict = function->find("strict");
    if (strict != function->end() && !strict->is_null() && !strict->is_boolean()) {
      return wrong("tools", "has a function whose 'strict' is neither true nor false");
    }
  }
  return {};
}

void show_tools(const Json& tools, const chat::ReplyFormat& format, chat::RenderInput& out) {
  out.tools = tools;
  if (format.tools != "harmony") return;
  // Its template adds a tool's description to text, which fails without one.
  for (Json& tool : out.tools) {
    if (Json& description = tool["function"]["description"]; description.is_null()) description = "";
  }
}

bool is_strict(const Json& tool) { return tool["function"].value("strict", Json()) == true; }

// "tool_choice" where it names a function: the tool of that name.
Result<Json> named_tool(const Json& choice, const Json* tools) {
  const auto function = choice.find("function");
  if (!choice.is_object() || choice.value("type", Json()) != "function" || function == choice.end() ||
      !function->is_object() || !function->value("name", Json()).is_string()) {
    return wrong("tool_choice", "must name a function as {\"type\": \"function\", \"function\": {\"name\": …}} does");
  }
  for (const Json& tool : tools ? *tools : Json::array()) {
    if (tool["function"]["name"] == (*function)["name"]) return tool;
  }
  return wrong("tool_choice", "names the function " + (*function)["name"].dump() + ", which is not among 'tools'");
}

// "tool_choice" of the type allowed_tools: a mode, and those of `tools` that may be called in it.
struct AllowedTools {
  Json mode, tools = Json::array();
};

Result<AllowedTools> allowed_tools(const Json& choice, const Json& tools) {
  const Json allowed = choice.value("allowed_tools", Json());
  if (!allowed.is_object() || !allowed.value("tools", Json()).is_array() ||
      (allowed.value("mode", Json()) != "auto" && allowed.value("mode", Json()) != "required")) {
    return wrong("tool_choice",
                 "must be {\"type\": \"allowed_tools\", \"allowed_tools\": {\"mode\": \"auto\" or "
                 "\"required\", \"tools\": […]}} where its type is allowed_tools");
  }
  AllowedTools out{.mode = allowed["mode"]};
  std::vector<Json> names;
  for (const Json& tool : allowed["tools"]) {
    TENON_ASSIGN(const Json found, named_tool(tool, &tools));
    names.push_back(found["function"]["name"]);
  }
  if (names.empty()) return wrong("tool_choice", "allows no tool: \"none\" says so");
  for (const Json& tool : tools) {
    if (std::ranges::find(names, tool["function"]["name"]) != names.end()) out.tools.push_back(tool);
  }
  return out;
}

// Calls that must follow a grammar: those that are forced, those of strict tools, those beside structured content.
Status constrain_calls(const Json& tools, const Json* choice, ParsedRequest& out) {
  Json rules = tools;
  if (out.tool_choice == ToolChoice::kAuto) {
    const bool strict = std::ranges::any_of(tools, is_strict);
    if (!strict && !out.structure) return {};
    if (!chat::can_follow_rules(out.format)) {
      return strict ? unsupported(
                          "'strict' tools are not supported in the notation of this model unless 'tool_choice' "
                          "forces a call",
                          "tools")
                    : unsupported("'tools' cannot be used together with '" + out.structure->param +
                                      "' in the notation of this model",
                                  "tools");
    }
    for (Json& tool : rules) {
      if (!is_strict(tool)) tool["function"]["parameters"] = {{"type", "object"}};
    }
  } else {
    if (out.structure && out.structure->param != "response_format") {
      return wrong("tool_choice", "cannot force a call together with '" + out.structure->param + "'");
    }
    out.format = chat::forced_format(out.format);
    if (out.tool_choice == ToolChoice::kNamed) {
      TENON_ASSIGN(Json tool, named_tool(*choice, &tools));
      rules = Json::array({std::move(tool)});
    }
  }
  const bool beside_json = out.tool_choice == ToolChoice::kAuto && out.structure &&
                           out.structure->kind == grammar::Kind::kJsonSchema && chat::calls_look_like_json(out.format);
  TENON_ASSIGN(out.call_rules, call_rules(rules, beside_json));
  return {};
}

}  // namespace

Result<chat::RenderInput> parse_conversation(Fields& fields, const chat::ReplyFormat& format) {
  chat::RenderInput input;
  TENON_TRY(parse_messages(fields, input));
  if (format.calls_in_content) {
    for (Json& message : input.messages) write_calls(message);
  }
  if (format.tools == "harmony") {
    input.messages = harmony_history(input.messages);
  } else {
    // OpenAI's newer name of the role; templates leave out messages whose role they do not know, and say nothing.
    for (Json& message : input.messages) {
      if (message["role"] == "developer") message["role"] = "system";
    }
  }
  TENON_TRY(fields.boolean("continue_final_message", input.continue_final_message));
  input.add_generation_prompt = !input.continue_final_message;
  TENON_TRY(fields.boolean("add_generation_prompt", input.add_generation_prompt));
  if (input.continue_final_message && input.add_generation_prompt) {
    return wrong("continue_final_message", "cannot be true together with 'add_generation_prompt'");
  }
  if (const Json* source = fields.find("chat_template"); source && *source != "") {
    return unsupported("'chat_template' of a request is not used: the server can be started with --chat-template FILE",
                       "chat_template");
  }
  if (const Json* kwargs = fields.find("chat_template_kwargs")) {
    if (!kwargs->is_object()) return wrong("chat_template_kwargs", "must be an object");
    input.kwargs = *kwargs;
  }
  return input;
}

Status parse_tool_list(Fields& fields, const chat::ReplyFormat& format, chat::RenderInput& out) {
  const Json* tools = fields.find("tools");
  if (!tools || (tools->is_array() && tools->empty())) return {};
  TENON_TRY(check_tools(*tools));
  show_tools(*tools, format, out);
  return {};
}

Status parse_tools(Fields& fields, ParsedRequest& out, chat::RenderInput& input) {
  const Json* tools = fields.find("tools");
  const bool any = tools && !(tools->is_array() && tools->empty());
  if (any) TENON_TRY(check_tools(*tools));
  TENON_TRY(fields.boolean("parallel_tool_calls", out.parallel_tool_calls));
  const Json* choice = fields.find("tool_choice");
  AllowedTools allowed;  // the others are not shown to the model at all
  if (choice && choice->is_object() && choice->value("type", Json()) == "allowed_tools") {
    if (!any) return wrong("tool_choice", "may be " + choice->dump() + " only with 'tools'");
    TENON_ASSIGN(allowed, allowed_tools(*choice, *tools));
    tools = &allowed.tools, choice = &allowed.mode;
  }
  if (choice && *choice == "required") out.tool_choice = ToolChoice::kRequired;
  if (choice && choice->is_object()) {
    out.tool_choice = ToolChoice::kNamed;
    TENON_TRY(named_tool(*choice, any ? tools : nullptr));
  }
  if (choice && out.tool_choice == ToolChoice::kAuto && *choice != "none" && *choice != "auto") {
    return wrong("tool_choice", "must be \"none\", \"auto\", \"required\" or an object that names a function");
  }
  if (!any) {
    if (choice && *choice != "none" && *choice != "auto") {
      return wrong("tool_choice", "may be " + choice->dump() + " only with 'tools'");
    }
    return {};
  }
  if (choice && *choice == "none") return {};
  if (out.format.tools.empty()) {
    return unsupported(
        "'tools' cannot be used: the chat template does not show them, or does not say how this model writes calls; "
        "the "
        "server can be started with --tool-call-parser",
        "tools");
  }
  for (const Json& tool : *tools) out.tools.push_back(tool["function"]["name"]);
  show_tools(*tools, out.format, input);
  return constrain_calls(*tools, choice, out);
}

Status parse_effort(Fields& fields, bool is_read, bool reasons, chat::RenderInput& input) {
  const Json* effort = fields.find("reasoning_effort");
  if (!effort) return {};
  constexpr std::string_view kEfforts[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
  if (!effort->is_string() ||
      std::ranges::find(kEfforts, effort->get_ref<const std::string&>()) == std::end(kEfforts)) {
    return wrong("reasoning_effort", "must be none, minimal, low, medium, high, xhigh or max");
  }
  if (!is_read && !reasons && *effort == "none") return {};  // which is what it does
  if (!is_read) {
    return unsupported("'reasoning_effort' cannot be used: the chat template of this model does not read it",
                       "reasoning_effort");
  }
  if (!input.kwargs.emplace("reasoning_effort", Json(*effort)).second) {
    return wrong("reasoning_effort", "is also among 'chat_template_kwargs': give it once");
  }
  return {};
}

Status parse_documents(Fields& fields, bool are_read, chat::RenderInput& input) {
  const Json* documents = fields.find("documents");
  if (!documents || *documents == Json::array()) return {};
  const auto is_object = [](const Json& one) { return one.is_object(); };
  if (!documents->is_array() || !std::ranges::all_of(*documents, is_object))
    return wrong("documents", "must be an array of objects");
  if (!are_read) {
    return unsupported("'documents' cannot be used: the chat template of this model does not read them", "documents");
  }
  if (!input.kwargs.emplace("documents", Json(*documents)).second) {
    return wrong("documents", "is also among 'chat_template_kwargs': give it once");
  }
  return {};
}

}  // namespace tenon::server
