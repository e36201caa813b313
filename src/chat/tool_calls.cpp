#include "chat/tool_calls.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "chat/markers.h"

namespace tenon::chat {
namespace {

constexpr int kMaxDepth = 64;

std::optional<Json> parsed(std::string_view text) {
  auto json = parse_json(text, "a tool call", {.max_bytes = text.size(), .max_depth = kMaxDepth});
  return json ? std::optional(std::move(*json)) : std::nullopt;
}

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// What a call may have beside its name and arguments.
bool is_envelope(std::string_view key) { return key == "name" || key == "type" || key == "id"; }

std::optional<ReplyPart> call_of(const Json& json, bool needs_arguments = false) {
  if (!json.is_object()) return std::nullopt;
  const auto name = json.find("name");
  if (name == json.end() || !name->is_string() || name->get_ref<const std::string&>().empty()) return std::nullopt;
  auto arguments = json.find("arguments");
  if (arguments == json.end()) arguments = json.find("parameters");
  if (arguments == json.end()) {  // {"name": "Bob", "age": 3} would lose its age
    if (needs_arguments) return std::nullopt;
    for (const auto& [key, value] : json.items()) {
      if (!is_envelope(key)) return std::nullopt;
    }
  }
  Json object = arguments == json.end() || arguments->is_null() ? Json::object() : *arguments;
  if (object.is_string()) {
    auto inner = parsed(object.get_ref<const std::string&>());
    if (!inner) return std::nullopt;
    object = std::move(*inner);
  }
  if (!object.is_object()) return std::nullopt;
  return ReplyPart{ReplyPart::Kind::kToolCall, dumped(object), name->get<std::string>()};
}

// The end of the JSON object that `text` begins with; 0: there is none.
std::size_t object_end(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return i + 1;
    }
  }
  return 0;
}

// FunctionGemma's notation: like JSON, with bare keys and with strings between <escape> marks.
class GemmaReader {
 public:
  explicit GemmaReader(std::string_view text) : text_(text) {}

  std::optional<Json> object(int depth = 0) {
    if (depth > kMaxDepth || !take("{")) return std::nullopt;
    Json out = Json::object();
    if (take("}")) return out;
    do {
      std::string key;
      if (take(kEscape)) {
        const auto text = until(kEscape);
        if (!text) return std::nullopt;
        key = *text;
      } else {
        key = std::string(word(":"));
      }
      if (key.empty() || !take(":")) return std::nullopt;
      auto value = read(depth + 1);
      if (!value) return std::nullopt;
      out[key] = std::move(*value);
    } while (take(","));
    return take("}") ? std::optional(std::move(out)) : std::nullopt;
  }
  bool at_end() {
    skip();
    return at_ == text_.size();
  }

 private:
  static constexpr std::string_view kEscape = "<escape>";

  std::optional<Json> read(int depth) {
    if (depth > kMaxDepth) return std::nullopt;
    skip();
    if (text_.substr(at_).starts_with('{')) return object(depth);
    if (take("[")) {
      Json out = Json::array();
      if (take("]")) return out;
      do {
        auto value = read(depth + 1);
        if (!value) return std::nullopt;
        out.push_back(std::move(*value));
      } while (take(","));
      return take("]") ? std::optional(std::move(out)) : std::nullopt;
    }
    if (take(kEscape)) {
      const auto text = until(kEscape);
      return text ? std::optional(Json(*text)) : std::nullopt;
    }
    return parsed(trimmed(word(",}]")));
  }
  std::optional<std::string> until(std::string_view mark) {
    const std::size_t end = text_.find(mark, at_);
    if (end == std::string_view::npos) return std::nullopt;
    std::string out(text_.substr(at_, end - at_));
    at_ = end + mark.size();
    return out;
  }
  std::string_view word(std::string_view ends) {
    skip();
    const std::size_t end = std::min(text_.find_first_of(ends, at_), text_.size());
    return text_.substr(std::exchange(at_, end), end - at_);
  }
  bool take(std::string_view mark) {
    skip();
    if (!text_.substr(at_).starts_with(mark)) return false;
    at_ += mark.size();
    return true;
  }
  void skip() { at_ = std::min(text_.find_first_not_of(kWhitespace, at_), text_.size()); }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<ReplyPart> json_call(std::string_view text) {
  const auto json = parsed(text);
  return json ? call_of(*json) : std::nullopt;
}

std::optional<ReplyParts> llama3_calls(std::string_view text, const std::vector<std::string>& names, bool marked) {
  ReplyParts out;
  for (text = trimmed(text); !text.empty(); text = trimmed(text)) {
    const std::size_t end = object_end(text);
    if (end == 0) return std::nullopt;
    const auto json = parsed(text.substr(0, end));
    auto call = json ? call_of(*json, !marked) : std::nullopt;
    if (!call || (!marked && std::ranges::find(names, call->name) == names.end())) return std::nullopt;
    out.push_back(std::move(*call));
    text = trimmed(text.substr(end));
    if (text.empty()) break;
    if (text.front() != ';') return std::nullopt;
    text.remove_prefix(1);
  }
  return out.empty() ? std::nullopt : std::optional(std::move(out));
}

std::optional<ReplyParts> mistral_calls(std::string_view text) {
  constexpr std::string_view kCalls = "[TOOL_CALLS]", kArguments = "[ARGS]", kCallId = "[CALL_ID]";
  ReplyParts out;
  text = trimmed(text);
  if (text.starts_with('[') && !text.starts_with(kCalls)) {
    const auto list = parsed(text);
    if (!list || !list->is_array()) return std::nullopt;
    for (const Json& item : *list) {
      auto call = call_of(item);
      if (!call) return std::nullopt;
      out.push_back(std::move(*call));
    }
    return out.empty() ? std::nullopt : std::optional(std::move(out));
  }
  while (!text.empty()) {
    const std::size_t brace = text.find('{');
    if (brace == std::string_view::npos) return std::nullopt;
    std::string_view name = text.substr(0, brace);
    name = name.substr(0, name.find(kArguments));
    name = trimmed(name.substr(0, name.find(kCallId)));
    const std::size_t end = object_end(text.substr(brace));
    const auto arguments = parsed(text.substr(brace, end));
    if (name.empty() || end == 0 || !arguments) return std::nullopt;
    out.push_back({ReplyPart::Kind::kToolCall, dumped(*arguments), std::string(name)});
    text = trimmed(text.substr(brace + end));
    if (text.empty()) break;
    if (!text.starts_with(kCalls)) return std::nullopt;
    text = trimmed(text.substr(kCalls.size()));
  }
  return out.empty() ? std::nullopt : std::optional(std::move(out));
}

std::optional<ReplyPart> gemma_call(std::string_view text) {
  constexpr std::string_view kCall = "call:";
  text = trimmed(text);
  const std::size_t brace = text.find('{');
  if (!text.starts_with(kCall) || brace == std::string_view::npos) return std::nullopt;
  const std::string_view name = trimmed(text.substr(kCall.size(), brace - kCall.size()));
  GemmaReader reader(text.substr(brace));
  const auto arguments = reader.object();
  if (name.empty() || !arguments || !reader.at_end()) return std::nullopt;
  return ReplyPart{ReplyPart::Kind::kToolCall, dumped(*arguments), std::string(name)};
}

}  // namespace tenon::chat
