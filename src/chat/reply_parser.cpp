#include "chat/reply_parser.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <utility>

#include "chat/markers.h"
#include "chat/tool_calls.h"

namespace tenon::chat {
namespace {

using Kind = ReplyPart::Kind;

void add(ReplyParts& out, Kind kind, std::string_view text) {
  if (text.empty()) return;
  if (!out.empty() && out.back().kind == kind) {
    out.back().text += text;
  } else {
    out.push_back({kind, std::string(text)});
  }
}

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
  /// What is held back, where something is to follow it.
  std::string take() { return std::exchange(held_, {}); }
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

// Calls between two markers; each is whole when its end comes. Whitespace around them is no content.
class Bracketed final : public ReplyParser {
 public:
  using Read = std::optional<ReplyPart> (*)(std::string_view);
  Bracketed(std::string_view open, std::string_view close, Read read) : open_(open), close_(close), read_(read) {}

  void push(std::string_view text, ReplyParts& out) override {
    held_ += text;
    for (;;) {
      const std::string_view wanted = inside_ ? close_ : open_;
      const std::size_t at = held_.find(wanted, searched_);
      if (at == std::string::npos) break;
      if (inside_) {
        end_call(std::string_view(held_).substr(0, at), true, out);
      } else {
        content(std::string_view(held_).substr(0, at), out);
      }
      held_.erase(0, at + wanted.size());
      searched_ = 0;
      inside_ = !inside_;
    }
    if (inside_) {
      searched_ = held_.size() - std::min(held_.size(), close_.size() - 1);  // long arguments are searched once
    } else {
      const std::size_t shown = held_.size() - begun_marker(held_, {open_});
      content(std::string_view(held_).substr(0, shown), out);
      held_.erase(0, shown);
    }
  }
  void finish(ReplyParts& out) override {
    if (inside_) {
      end_call(held_, false, out);
    } else {
      content(held_, out);
      if (!called_) add(out, Kind::kContent, std::exchange(space_, {}));
    }
    held_.clear();
  }

 private:
  void content(std::string_view text, ReplyParts& out) {
    const std::size_t last = text.find_last_not_of(kWhitespace);
    if (last == std::string_view::npos) {
      space_ += text;
      return;
    }
    add(out, Kind::kContent, std::exchange(space_, std::string(text.substr(last + 1))));
    add(out, Kind::kContent, text.substr(0, last + 1));
  }
  void end_call(std::string_view text, bool closed, ReplyParts& out) {
    if (auto call = read_(trimmed(text))) {
      out.push_back(std::move(*call));
      space_.clear();
      called_ = true;
      return;
    }
    add(out, Kind::kContent, std::exchange(space_, {}));
    add(out, Kind::kContent, std::string(open_).append(text));
    if (closed) add(out, Kind::kContent, close_);
  }

  const std::string_view open_, close_;
  const Read read_;
  std::string held_, space_;
  std::size_t searched_ = 0;
  bool inside_ = false, called_ = false;
};

// Calls that take the rest of the reply, from a marker on, or the whole of it (no marker) if it begins with '{'.
class ToTheEnd final : public ReplyParser {
 public:
  using Read = std::function<std::optional<ReplyParts>(std::string_view text, bool marked)>;
  ToTheEnd(std::string_view marker, Read read, bool bare_object)
      : marker_(marker), read_(std::move(read)), bare_object_(bare_object) {}

  void push(std::string_view text, ReplyParts& out) override {
    held_ += text;
    if (inside_) return;
    if (bare_object_ && !begun_) {
      const std::size_t first = held_.find_first_not_of(kWhitespace);
      if (first == std::string::npos) return;
      begun_ = true;
      if (held_[first] == '{') {
        inside_ = true;
        return;
      }
    }
    if (const std::size_t at = held_.find(marker_); at != std::string::npos) {
      add(out, Kind::kContent, std::string_view(held_).substr(0, at));
      held_.erase(0, at + marker_.size());
      inside_ = marked_ = true;
      return;
    }
    const std::size_t shown = held_.size() - begun_marker(held_, {marker_});
    add(out, Kind::kContent, std::string_view(held_).substr(0, shown));
    held_.erase(0, shown);
  }
  void finish(ReplyParts& out) override {
    if (auto calls = inside_ ? read_(held_, marked_) : std::nullopt) {
      std::ranges::move(*calls, std::back_inserter(out));
    } else {
      if (marked_) add(out, Kind::kContent, marker_);
      add(out, Kind::kContent, held_);
    }
    held_.clear();
  }

 private:
  const std::string_view marker_;
  const Read read_;
  const bool bare_object_;
  std::string held_;
  bool begun_ = false, inside_ = false, marked_ = false;
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
  void push(std::string_view text, ReplyParts& out) override {
    held_ += text;
    for (;;) {
      if (in_header_) {
        const std::size_t at = held_.find(kMessage);
        if (at == std::string::npos) return;
        begin_body(std::string_view(held_).substr(0, at));
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

  void begin_body(std::string_view header) {
    constexpr std::string_view kTo = "to=functions.";
    begun_ = true;
    function_.clear();
    arguments_.clear();
    kind_ = header.find("analysis") != std::string_view::npos ? Kind::kReasoning : Kind::kContent;
    if (const std::size_t at = header.find(kTo); at != std::string_view::npos) {
      const std::string_view name = header.substr(at + kTo.size());
      function_ = name.substr(0, name.find_first_of(" \t\r\n<"));
      kind_ = Kind::kToolCall;
    }
  }
  void body(std::string_view text, ReplyParts& out) {
    if (kind_ == Kind::kToolCall) {
      arguments_ += text;
    } else {
      add(out, kind_, text);
    }
  }
  void end_body(ReplyParts& out) {
    if (kind_ != Kind::kToolCall) return;
    const std::string_view text = trimmed(arguments_);
    if (!function_.empty()) {
      out.push_back({Kind::kToolCall, text.empty() ? "{}" : std::string(text), function_});
    } else {
      add(out, Kind::kContent, arguments_);
    }
    kind_ = Kind::kContent;
  }

  std::string held_, function_, arguments_;
  Kind kind_ = Kind::kContent;
  bool in_header_ = true, begun_ = false;
};

constexpr std::array kToolFormats = {"hermes", "llama3_json", "mistral", "gemma", "harmony"};
constexpr std::array kReasoningFormats = {"qwen3", "harmony"};

std::unique_ptr<ReplyParser> tool_parser(const std::string& format, const std::vector<std::string>& tools) {
  if (tools.empty()) return std::make_unique<Plain>();
  if (format == "hermes") return std::make_unique<Bracketed>("<tool_call>", "</tool_call>", json_call);
  if (format == "gemma") {
    return std::make_unique<Bracketed>("<start_function_call>", "<end_function_call>", gemma_call);
  }
  if (format == "llama3_json") {
    const auto read = [tools](std::string_view text, bool marked) { return llama3_calls(text, tools, marked); };
    return std::make_unique<ToTheEnd>("<|python_tag|>", read, true);
  }
  if (format == "mistral") {
    const auto read = [](std::string_view text, bool) { return mistral_calls(text); };
    return std::make_unique<ToTheEnd>("[TOOL_CALLS]", read, false);
  }
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

std::unique_ptr<ReplyParser> make_reply_parser(const ReplyFormat& format, const std::vector<std::string>& tools,
                                               std::string_view prompt) {
  if (format.reasoning == "harmony" || format.tools == "harmony") return std::make_unique<Harmony>();
  auto rest = tool_parser(format.tools, tools);
  if (format.reasoning != "qwen3") return rest;
  const bool begun = trimmed(prompt).ends_with("<think>");
  return std::make_unique<Thinking>(begun, std::move(rest));
}

}  // namespace tenon::chat
