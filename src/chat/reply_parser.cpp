#include "chat/reply_parser.h"

#include <algorithm>
#include <array>
#include <utility>

#include "chat/call_parsers.h"
#include "chat/markers.h"
#include "chat/reply_parts.h"

namespace tenon::chat {
namespace {

using Kind = ReplyPart::Kind;

// Text without the whitespace at its beginning and end: what ends the text so far is held back.
class Trimmer {
 public:
  std::string push(std::string_view text) {
    if (!begun_) {
      const std::size_t begin = text.find_first_not_of(kWhitespace);
      if (begin == std::string_view::npos) return {};
      text.remove_prefix(begin);
      begun_ = true;
    }
    const std::size_t last = text.find_last_not_of(kWhitespace);
    if (last == std::string_view::npos) {
      held_ += text;
      return {};
    }
    std::string out = std::exchange(held_, std::string(text.substr(last + 1)));
    return out.append(text.substr(0, last + 1));
  }
  void reset() { begun_ = false, held_.clear(); }

 private:
  bool begun_ = false;
  std::string held_;
};

// Everything is content.
class Plain final : public ReplyParser {
 public:
  void push(std::string_view text, ReplyParts& out) override { add(out, Kind::kContent, text); }
  void finish(ReplyParts&) override {}
};

// <think>…</think> at the beginning, then what `rest` makes of the reply.
class Thinking final : public ReplyParser {
 public:
  Thinking(bool begun, std::unique_ptr<ReplyParser> rest)
      : state_(begun ? State::kThinking : State::kBegin), rest_(std::move(rest)) {}

  void push(std::string_view text, ReplyParts& out) override {
    if (state_ == State::kDone) return pass(text, out);
    held_ += text;
    if (state_ == State::kBegin && !begin(out)) return;
    if (state_ == State::kThinking) think(out);
  }
  void finish(ReplyParts& out) override {
    if (state_ == State::kBegin) pass(std::exchange(held_, {}), out);
    if (state_ == State::kThinking) add(out, Kind::kReasoning, reasoning_.push(std::exchange(held_, {})));
    rest_->finish(out);
  }

 private:
  enum class State { kBegin, kThinking, kDone };
  static constexpr std::string_view kOpen = "<think>", kClose = "</think>";

  // False: it is not yet clear whether the reply begins with reasoning.
  bool begin(ReplyParts& out) {
    const std::size_t first = std::min(held_.find_first_not_of(kWhitespace), held_.size());
    const std::string_view text = std::string_view(held_).substr(first);
    if (text.starts_with(kOpen)) {
      held_.erase(0, first + kOpen.size());
      state_ = State::kThinking;
      return true;
    }
    if (kOpen.starts_with(text)) return false;
    state_ = State::kDone;
    pass(std::exchange(held_, {}), out);
    return true;
  }
  void think(ReplyParts& out) {
    const std::size_t at = held_.find(kClose);
    const std::size_t shown = at != std::string::npos ? at : held_.size() - begun_marker(held_, {kClose});
    add(out, Kind::kReasoning, reasoning_.push(std::string_view(held_).substr(0, shown)));
    held_.erase(0, shown);
    if (at == std::string::npos) return;
    held_.erase(0, kClose.size());
    state_ = State::kDone;
    after_ = true;
    pass(std::exchange(held_, {}), out);
  }
  void pass(std::string_view text, ReplyParts& out) {
    if (after_) {  // the empty lines between reasoning and content belong to neither
      text.remove_prefix(std::min(text.find_first_not_of(kWhitespace), text.size()));
      if (text.empty()) return;
      after_ = false;
    }
    rest_->push(text, out);
  }

  State state_;
  bool after_ = false;
  std::string held_;
  Trimmer reasoning_;
  const std::unique_ptr<ReplyParser> rest_;
};

// gpt-oss: messages of a header (<|channel|>analysis, commentary or final; a recipient "to=functions.f") and a body.
class Harmony final : public ReplyParser {
 public:
  explicit Harmony(bool in_header) : in_header_(in_header), begun_(!in_header) {}

  void push(std::string_view text, ReplyParts& out) override {
    held_ += text;
    for (;;) {
      if (in_header_) {
        const std::size_t at = held_.find(kMessage);
        if (at == std::string::npos) return;
        begin_body(std::string_view(held_).substr(0, at), out);
        held_.erase(0, at + kMessage.size());
        in_header_ = false;
      }
      const Marker end = find_marker(held_, {kEnd, kCall, kReturn, kStart});
      if (end.text.empty()) break;
      body(std::string_view(held_).substr(0, end.at), out);
      end_body(out);
      held_.erase(0, end.at + end.text.size());
      in_header_ = true;
    }
    const std::size_t shown = held_.size() - begun_marker(held_, {kEnd, kCall, kReturn, kStart});
    body(std::string_view(held_).substr(0, shown), out);
    held_.erase(0, shown);
  }
  void finish(ReplyParts& out) override {
    if (in_header_) {
      // A reply without any channel is content; after a message, a header without a body says nothing.
      if (!begun_) add(out, Kind::kContent, held_);
    } else {
      body(held_, out);
      end_body(out);
    }
    held_.clear();
  }

 private:
  static constexpr std::string_view kMessage = "<|message|>", kEnd = "<|end|>", kCall = "<|call|>",
                                    kReturn = "<|return|>", kStart = "<|start|>";

  void begin_body(std::string_view header, ReplyParts& out) {
    constexpr std::string_view kTo = "to=functions.";
    begun_ = true;
    kind_ = header.find("analysis") != std::string_view::npos ? Kind::kReasoning : Kind::kContent;
    const std::size_t at = header.find(kTo);
    if (at == std::string_view::npos) return;
    std::string_view name = header.substr(at + kTo.size());
    name = name.substr(0, name.find_first_of(" \t\r\n<"));
    if (name.empty()) return;
    kind_ = Kind::kArguments;
    arguments_.reset();
    any_arguments_ = false;
    out.push_back({Kind::kToolCall, "", std::string(name)});
  }
  void body(std::string_view text, ReplyParts& out) {
    if (kind_ != Kind::kArguments) return add(out, kind_, text);
    const std::string arguments = arguments_.push(text);
    any_arguments_ = any_arguments_ || !arguments.empty();
    add(out, kind_, arguments);
  }
  // Arguments that max_tokens has cut stay as they are, as in vLLM: the finish reason says so.
  void end_body(ReplyParts& out) {
    if (kind_ == Kind::kArguments && !any_arguments_) add(out, kind_, "{}");
    kind_ = Kind::kContent;
  }

  std::string held_;
  Trimmer arguments_;
  Kind kind_ = Kind::kContent;
  bool in_header_, begun_, any_arguments_ = false;
};

constexpr std::array kToolFormats = {"hermes", "llama3_json", "mistral", "gemma", "harmony"};
constexpr std::array kReasoningFormats = {"qwen3", "harmony"};

std::unique_ptr<ReplyParser> tool_parser(const std::string& format, const CallOptions& calls) {
  if (calls.names.empty()) return std::make_unique<Plain>();
  if (format == "hermes") {
    return bracketed_calls("<tool_call>", "</tool_call>", [calls] { return json_call(calls, true); });
  }
  if (format == "gemma") return bracketed_calls("<start_function_call>", "<end_function_call>", gemma_call);
  if (format == "llama3_json") return llama3_calls(calls);
  if (format == "mistral") return mistral_calls(calls);
  return std::make_unique<Plain>();
}

}  // namespace

bool ReplyFormat::needs_special_tokens() const {
  return tools == "mistral" || tools == "gemma" || tools == "llama3_json" || tools == "harmony" ||
         reasoning == "harmony";
}

bool is_tool_format(std::string_view name) { return std::ranges::find(kToolFormats, name) != kToolFormats.end(); }
bool is_reasoning_format(std::string_view name) {
  return std::ranges::find(kReasoningFormats, name) != kReasoningFormats.end();
}

ReplyFormat format_of_template(std::string_view source) {
  const auto has = [&](std::string_view text) { return source.find(text) != std::string_view::npos; };
  if (has("<|channel|>")) return {.tools = "harmony", .reasoning = "harmony"};
  ReplyFormat format;
  if (has("<tool_call>")) {
    format.tools = "hermes";
    format.calls_in_content = !has("tool_calls");
  } else if (has("[TOOL_CALLS]")) {
    format.tools = "mistral";
  } else if (has("<start_function_call>")) {
    format.tools = "gemma";
  } else if (has("<|python_tag|>") || has(R"({"name": function name, "parameters")")) {
    format.tools = "llama3_json";
  }
  if (has("</think>")) format.reasoning = "qwen3";
  return format;
}

bool begins_in_thought(std::string_view prompt, std::string_view continued) {
  const std::size_t open = continued.rfind("<think>");
  if (open != std::string_view::npos && !continued.substr(open).contains("</think>")) return true;
  return trimmed(prompt).ends_with("<think>");
}

std::unique_ptr<ReplyParser> make_reply_parser(const ReplyFormat& format, const CallOptions& calls,
                                               std::string_view prompt, std::string_view continued) {
  if (format.reasoning == "harmony" || format.tools == "harmony") {
    return std::make_unique<Harmony>(continued.empty());
  }
  auto rest = tool_parser(format.tools, calls);
  if (format.reasoning != "qwen3") return rest;
  return std::make_unique<Thinking>(begins_in_thought(prompt, continued), std::move(rest));
}

}  // namespace tenon::chat
