#include "server/responses_input.h"

#include <algorithm>
#include <set>
#include <string>

#include "server/fields.h"

namespace tenon::server {
namespace {

const Json& member(const Json& object, const char* name) {
  static const Json null;
  const auto it = object.find(name);
  return it == object.end() ? null : *it;
}

bool is_text(const Json& value) { return value.is_string() && !value.get_ref<const std::string&>().empty(); }

// Texts of a list of {"type", "text"}.
std::string joined(const Json& parts) {
  std::string out;
  for (const Json& part : parts) {
    if (part.is_object() && member(part, "text").is_string()) {
      out += (out.empty() ? "" : "\n") + part["text"].get<std::string>();
    }
  }
  return out;
}

class InputReader {
 public:
  explicit InputReader(const Json& instructions) {
    if (!instructions.is_null()) messages_.push_back({{"role", "system"}, {"content", instructions}});
  }

  Status read(const Json& item, std::size_t index) {
    name_ = "input[" + std::to_string(index) + "]";
    if (!item.is_object()) return wrong(name_.c_str(), "must be an object");
    const Json& type = member(item, "type");
    if (type == "message" || (type.is_null() && item.contains("role"))) return message(item);
    if (type == "function_call") return call(item);
    if (type == "function_call_output") return output(item);
    if (type == "reasoning") return reasoning(item);
    if (type == "item_reference" || (type.is_null() && item.contains("id"))) {
      return unsupported("'" + name_ +
                             "' refers to an item by its id, but nothing is stored here: send the item itself (clients "
                             "do so with \"store\": false)",
                         name_);
    }
    if (!type.is_string()) return wrong(name_.c_str(), "must have a 'type' or a 'role'");
    return unsupported("'" + name_ + "' is an item of type '" + type.get<std::string>() +
                           "', which is not supported; message, function_call, function_call_output and reasoning are",
                       name_);
  }

  Json take() { return std::move(messages_); }

 private:
  // A text, or parts of text as a chat has them.
  Result<Json> content_of(const Json& value, const char* what) const {
    if (value.is_string()) return value;
    if (!value.is_array()) return wrong(name_.c_str(), what + std::string(" must be a string or an array of parts"));
    Json out = Json::array();
    for (const Json& part : value) {
      const Json& type = part.is_object() ? member(part, "type") : part;
      if (!part.is_object() || !type.is_string()) return wrong(name_.c_str(), "has a content part without a 'type'");
      if (type != "input_text" && type != "output_text" && type != "text") {
        return unsupported("'" + name_ + "' has a content part of type '" + type.get<std::string>() +
                               "', which is not supported by this model; input_text and output_text are",
                           name_);
      }
      if (!member(part, "text").is_string()) return wrong(name_.c_str(), "has a part whose 'text' is not a string");
      out.push_back({{"type", "text"}, {"text", part["text"]}});
    }
    return out;
  }

  Status message(const Json& item) {
    const Json& role = member(item, "role");
    constexpr std::string_view kRoles[] = {"user", "assistant", "system", "developer"};
    if (!role.is_string() || std::ranges::find(kRoles, role.get_ref<const std::string&>()) == std::end(kRoles)) {
      return wrong(name_.c_str(), "must have the 'role' user, assistant, system or developer");
    }
    TENON_ASSIGN(Json content, content_of(member(item, "content"), "has a 'content' that"));
    if (role != "assistant") {
      messages_.push_back({{"role", role == "user" ? "user" : "system"}, {"content", std::move(content)}});
      is_said_ = false;
      return {};
    }
    if (!is_said_ || says_something_) begin_said();
    messages_.back()["content"] = std::move(content);
    says_something_ = true;
    return {};
  }

  Status reasoning(const Json& item) {
    std::string text = joined(member(item, "content"));
    if (text.empty()) text = joined(member(item, "summary"));
    if (text.empty() && is_text(member(item, "encrypted_content"))) {
      return unsupported(
          "'" + name_ + "' is reasoning whose text is encrypted, which only its maker can read: leave it out", name_);
    }
    if (text.empty()) return {};
    if (!is_said_ || says_something_) begin_said();
    Json& so_far = messages_.back()["reasoning_content"];
    so_far = so_far.is_string() ? so_far.get<std::string>() + "\n" + text : text;
    return {};
  }

  Status call(const Json& item) {
    for (const char* needed : {"call_id", "name"}) {
      if (!is_text(member(item, needed))) return wrong(name_.c_str(), "must have a '" + std::string(needed) + "'");
    }
    if (!member(item, "arguments").is_string()) {
      return wrong(name_.c_str(), "must have 'arguments', the text of a JSON object");
    }
    if (!is_said_) begin_said();
    Json& message = messages_.back();
    if (!message.contains("tool_calls")) message["tool_calls"] = Json::array();
    if (message["content"] == "") message["content"] = nullptr;
    message["tool_calls"].push_back({{"id", item["call_id"]},
                                     {"type", "function"},
                                     {"function", {{"name", item["name"]}, {"arguments", item["arguments"]}}}});
    says_something_ = true;
    calls_.insert(item["call_id"].get<std::string>());
    return {};
  }

  Status output(const Json& item) {
    const Json& id = member(item, "call_id");
    if (!is_text(id)) return wrong(name_.c_str(), "must have a 'call_id'");
    if (!calls_.contains(id.get<std::string>())) {
      return wrong(name_.c_str(), "has the 'call_id' " + id.dump(-1, ' ', false, Json::error_handler_t::replace) +
                                      ", but no function_call before it has: nothing is stored here, so send the call "
                                      "too");
    }
    TENON_ASSIGN(Json content, content_of(member(item, "output"), "has an 'output' that"));
    messages_.push_back({{"role", "tool"}, {"tool_call_id", id}, {"content", std::move(content)}});
    is_said_ = false;
    return {};
  }

  void begin_said() {
    messages_.push_back({{"role", "assistant"}, {"content", ""}});
    is_said_ = true;
    says_something_ = false;
  }

  Json messages_ = Json::array();
  std::string name_;
  std::set<std::string> calls_;
  bool is_said_ = false;         ///< the last message is the model's, and more of what it said may follow
  bool says_something_ = false;  ///< it has more than reasoning
};

}  // namespace

Result<Json> messages_of_input(const Json& input, const Json& instructions) {
  InputReader reader(instructions);
  if (input.is_string()) {
    TENON_TRY(reader.read({{"role", "user"}, {"content", input}}, 0));
    return reader.take();
  }
  if (!input.is_array()) return wrong("input", "must be a string or an array of items");
  for (std::size_t i = 0; i < input.size(); ++i) TENON_TRY(reader.read(input[i], i));
  Json messages = reader.take();
  if (messages.empty()) return wrong("input", "must have at least one message");
  return messages;
}

}  // namespace tenon::server
