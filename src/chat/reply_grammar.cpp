#include "chat/reply_grammar.h"

#include "base/json.h"
#include "chat/markers.h"

namespace tenon::chat {
namespace {

std::string quoted_json(std::string_view text) {
  return Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_special(const std::string& marker_rule) { return marker_rule.starts_with('<'); }

// Any text. Special tokens are no part of it.
constexpr const char* kAnyText = "/(?s:.*)/";

// A terminal of any text without a marker.
std::string text_without(std::string_view marker, const std::string& rule) {
  if (is_special(rule)) return kAnyText;
  std::string escaped;
  for (const char c : marker) {
    if (std::string_view("\\/[](){}|.*+?^$").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return std::string(kAnyText) + " & ~/(?s:.*)" + escaped + "(?s:.*)/";
}

// A rule of any text up to a marker, and the marker. The lexer takes the longest text unless a rule has a suffix.
std::string text_until(const char* name, const std::string& marker_rule) {
  if (is_special(marker_rule)) return std::string(name) + ": " + kAnyText + " " + marker_rule + "\n";
  return std::string(name) + "[suffix=" + marker_rule + "]: " + kAnyText + "\n";
}

// How a format writes calls: the rules "call", "calls" (a whole reply) and, of replies that may have some, "before"
// (text up to a call), "TEXT" and "free" (a whole reply).
class Notation {
 public:
  Notation(const ReplyFormat& format, const MarkerRule& marker) : tools_(format.tools), marker_(marker) {}

  std::string call(const CallRule& rule) const {
    if (!rule.whole.empty()) return rule.whole;
    const std::string name = quoted_json(rule.name);
    if (tools_ == "hermes") {
      return lark_string("\n{\"name\": " + name + ", \"arguments\": ") + " " + rule.arguments + " " +
             lark_string("}\n") + " " + marker_("</tool_call>");
    }
    if (tools_ == "harmony") {
      return marker_("<|channel|>") + " " + lark_string("commentary to=functions." + rule.name + " ") + " " +
             marker_("<|constrain|>") + " \"json\" " + marker_("<|message|>") + " " + rule.arguments;
    }
    const char* key = tools_ == "llama3_json" ? "parameters" : "arguments";
    return lark_string("{\"name\": " + name + ", \"" + key + "\": ") + " " + rule.arguments + " \"}\"";
  }
  std::string calls(bool several) const {
    if (tools_ == "hermes") {
      const std::string open = marker_("<tool_call>");
      return "calls: " + open + " call" + (several ? " (\"\\n\" " + open + " call)*\n" : "\n");
    }
    if (tools_ == "mistral") return "calls: " + marker_("[TOOL_CALLS]") + " list\n" + list(several);
    // In harmony a call ends the reply.
    return several && tools_ != "harmony" ? "calls: call (\"; \" call)*\n" : "calls: call\n";
  }
  std::string free_reply(bool several) const {
    if (tools_ == "hermes" || tools_ == "mistral") {
      const char* name = tools_ == "hermes" ? "<tool_call>" : "[TOOL_CALLS]";
      const std::string open = marker_(name);
      const bool repeats = several && tools_ == "hermes";
      return text_until("before", open) + "TEXT: " + text_without(name, open) + "\n" +
             (tools_ == "mistral" ? "free: before list | TEXT\n" + list(several)
                                  : std::string("free: (before call)") + (repeats ? "* TEXT\n" : "? TEXT\n"));
    }
    // A reply that begins with an object is a call.
    const std::string tag = marker_("<|python_tag|>");
    const std::string text = R"(/(\s*[^{\s](?s:.*))?/)";
    const std::string no_tag = is_special(tag) ? "" : R"( & ~/(?s:.*)<\|python_tag\|>(?s:.*)/)";
    return calls(several) + "TEXT: " + text + no_tag + "\nfree: " + (is_special(tag) ? tag + "? " : "") +
           "calls | TEXT\n";
  }

 private:
  static std::string list(bool several) {
    return std::string(R"(list: " "? "[" call )") + (several ? R"((", " call)* )" : "") + "\"]\"\n";
  }

  const std::string& tools_;
  const MarkerRule& marker_;
};

// The rule "start" of reasoning and the rule "reply".
std::string frame(const ReplyFormat& format, std::string_view prompt, std::string_view continued,
                  const MarkerRule& marker) {
  if (format.reasoning == "harmony" || format.tools == "harmony") {
    if (!continued.empty()) return "start: reply\n";
    const auto message = [&](const char* channel) {
      return marker("<|channel|>") + " \"" + channel + "\" " + marker("<|message|>") + " /(?s:.*)/ " +
             marker("<|end|>") + " " + marker("<|start|>") + " \"assistant\"";
    };
    return "start: thought? reply\nthought: " + message("analysis") + "\n";
  }
  if (format.reasoning != "qwen3") return "start: reply\n";
  const bool begun = begins_in_thought(prompt, continued);
  return (begun ? "start: thought space reply\n" : "start: (" + marker("<think>") + " thought space)? reply\n") +
         text_until("thought", marker("</think>")) + "space: /[\\n ]{0,4}/\n";
}

}  // namespace

std::string lark_string(std::string_view text) { return quoted_json(text); }

ReplyFormat forced_format(const ReplyFormat& format) {
  ReplyFormat out = format;
  if (out.tools == "gemma") out.tools = "llama3_json";
  return out;
}

bool can_follow_rules(const ReplyFormat& format) { return format.tools != "gemma"; }

bool calls_look_like_json(const ReplyFormat& format) { return format.tools == "llama3_json"; }

std::string reply_grammar(const ReplyFormat& format, std::string_view prompt, const ReplyRules& rules,
                          const MarkerRule& marker) {
  const bool harmony = format.reasoning == "harmony" || format.tools == "harmony";
  const std::string final =
      harmony && rules.continued.empty() ? marker("<|channel|>") + " \"final\" " + marker("<|message|>") + " " : "";
  const Notation notation(format, marker);
  std::string out = frame(format, prompt, rules.continued, marker);
  if (!rules.content.empty()) out += "content: " + rules.content + "\n";
  if (rules.calls.empty()) return out + "reply: " + final + "content\n";
  if (rules.must_call) {
    out += "reply: calls\n" + notation.calls(rules.several);
  } else if (!rules.content.empty()) {
    out += "reply: calls | " + final + "content\n" + notation.calls(rules.several);
  } else if (harmony) {
    out += "reply: calls | " + final + kAnyText + "\n" + notation.calls(false);
  } else {
    out += "reply: free\n" + notation.free_reply(rules.several);
  }
  out += "call:";
  for (std::size_t i = 0; i < rules.calls.size(); ++i) out += (i ? " | call_" : " call_") + std::to_string(i);
  out += "\n";
  for (std::size_t i = 0; i < rules.calls.size(); ++i) {
    out += "call_" + std::to_string(i) + ": " + notation.call(rules.calls[i]) + "\n";
  }
  return out;
}

}  // namespace tenon::chat
