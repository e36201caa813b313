// llama.cpp's notation of grammars (XGrammar's and so vLLM's "grammar" is the same) -> Lark.
// https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <map>
#include <optional>

#include "base/json.h"
#include "grammar/lark.h"

namespace tenon::grammar {
namespace {

void append_utf8(std::string& out, std::uint32_t code_point) {
  const auto byte = [&](std::uint32_t b) { out += static_cast<char>(b); };
  if (code_point < 0x80) return byte(code_point);
  if (code_point < 0x800) {
    byte(0xC0 | code_point >> 6);
  } else if (code_point < 0x10000) {
    byte(0xE0 | code_point >> 12);
    byte(0x80 | (code_point >> 6 & 0x3F));
  } else {
    byte(0xF0 | code_point >> 18);
    byte(0x80 | (code_point >> 12 & 0x3F));
    byte(0x80 | (code_point >> 6 & 0x3F));
  }
  byte(0x80 | (code_point & 0x3F));
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<std::string> lark() {
    std::string out;
    for (skip(); !at_end(); skip()) {
      const auto name = identifier();
      if (!name || !take("::=")) return wrong("a rule must be: name ::= alternatives");
      defined_[std::string(*name)] = true;
      out.append(rule_name(*name)).append(": ");
      TENON_TRY(alternatives(out, 0));
      out += "\n";
    }
    if (!defined_["root"]) return invalid("the grammar has no rule 'root'");
    for (const auto& [name, defined] : defined_) {
      if (!defined) return invalid(std::string("the grammar has no rule '").append(name) + "'");
    }
    return out;
  }

 private:
  static constexpr int kMaxNesting = 100;

  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(std::string_view mark) {
    skip();
    if (!text_.substr(at_).starts_with(mark)) return false;
    at_ += mark.size();
    return true;
  }
  void skip() {
    while (!at_end()) {
      if (peek() == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (std::isspace(static_cast<unsigned char>(peek()))) {
        ++at_;
      } else {
        return;
      }
    }
  }
  std::unexpected<Error> wrong(const std::string& what) const {
    std::size_t line = 1;
    for (const char c : text_.substr(0, at_)) line += c == '\n';
    return invalid(std::string("line ").append(std::to_string(line)).append(" of the grammar: ").append(what));
  }

  std::optional<std::string_view> identifier() {
    skip();
    const std::size_t begin = at_;
    while (!at_end() && (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '-' || peek() == '_')) ++at_;
    return at_ == begin ? std::nullopt : std::optional(text_.substr(begin, at_ - begin));
  }
  // Lark's rules have lower-case names, and "start" is its root.
  std::string rule_name(std::string_view name) {
    if (name == "root") return "start";
    const auto [it, is_new] = numbers_.try_emplace(std::string(name), numbers_.size());
    return std::string("r").append(std::to_string(it->second));
  }

  Status alternatives(std::string& out, int depth) {
    if (depth > kMaxNesting) return wrong("groups are nested more than 100 deep");
    do {
      TENON_TRY(sequence(out, depth));
    } while (take("|") && (out += "| ", true));
    return {};
  }
  Status sequence(std::string& out, int depth) {
    bool any = false;
    for (;; any = true) {
      skip();
      const std::size_t before = at_;
      const char c = peek();
      if (at_end() || c == '|' || c == ')') break;
      if (c == '"') {
        TENON_TRY(string(out));
      } else if (c == '[') {
        TENON_TRY(char_class(out));
      } else if (c == '.') {
        ++at_;
        out += "/(?s:.)/";
      } else if (c == '(') {
        ++at_;
        out += "(";
        TENON_TRY(alternatives(out, depth + 1));
        if (!take(")")) return wrong("a ')' is missing");
        out += ")";
      } else if (const auto name = identifier()) {
        if (take("::=")) {  // the next rule begins
          at_ = before;
          break;
        }
        defined_.try_emplace(std::string(*name), false);
        out += rule_name(*name);
      } else {
        return wrong(std::string("there must be no '").append(1, c).append("' here"));
      }
      TENON_TRY(repetition(out));
      out += " ";
    }
    if (!any) out += "\"\" ";
    return {};
  }
  Status repetition(std::string& out) {
    if (peek() == '*' || peek() == '+' || peek() == '?') {
      out += text_[at_++];
    } else if (peek() == '{') {
      const std::size_t end = text_.find('}', at_);
      const std::string_view range = text_.substr(at_, end == std::string_view::npos ? 0 : end - at_ + 1);
      if (range.empty() || range.size() > 24 || range.find_first_not_of("0123456789,{}") != std::string_view::npos) {
        return wrong("a repetition must be {n}, {n,} or {n,m}");
      }
      out += range;
      at_ += range.size();
    }
    return {};
  }

  // One character of a string or class, escapes resolved.
  Result<std::uint32_t> character() {
    const auto hex = [&](std::size_t digits) -> Result<std::uint32_t> {
      std::uint32_t value = 0;
      for (std::size_t i = 0; i < digits; ++i) {
        const char c = peek();
        if (!std::isxdigit(static_cast<unsigned char>(c))) return wrong("an escape needs more hexadecimal digits");
        value = value * 16 + static_cast<std::uint32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
        ++at_;
      }
      if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return wrong("an escape is no character");
      return value;
    };
    if (peek() != '\\') {
      const auto lead = static_cast<unsigned char>(text_[at_++]);
      if (lead < 0x80) return lead;
      std::uint32_t value = lead & (lead >= 0xF0 ? 0x07 : lead >= 0xE0 ? 0x0F : 0x1F);
      while (!at_end() && (static_cast<unsigned char>(peek()) & 0xC0) == 0x80) {
        value = value << 6 | (static_cast<std::uint32_t>(text_[at_++]) & 0x3F);
      }
      return value;
    }
    ++at_;
    if (at_end()) return wrong("an escape is cut off");
    switch (const char c = text_[at_++]) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return hex(2);
      case 'u':
        return hex(4);
      case 'U':
        return hex(8);
      default:
        return static_cast<unsigned char>(c);
    }
  }
  Status string(std::string& out) {
    std::string text;
    ++at_;
    while (!at_end() && peek() != '"') {
      TENON_ASSIGN(const std::uint32_t code_point, character());
      append_utf8(text, code_point);
    }
    if (at_end()) return wrong("a string has no end");
    ++at_;
    out += Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
    return {};
  }
  Status char_class(std::string& out) {
    const auto put = [&](std::uint32_t code_point) {
      char escaped[16];
      std::snprintf(escaped, sizeof escaped, "\\x{%X}", code_point);
      out += escaped;
    };
    ++at_;
    out += "/[";
    if (peek() == '^') out += text_[at_++];
    bool any = false;
    for (; !at_end() && peek() != ']'; any = true) {
      if (peek() == '-') {  // between two characters; else it is one
        const bool range = any && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
        ++at_;
        range ? void(out += '-') : put('-');
        continue;
      }
      TENON_ASSIGN(const std::uint32_t code_point, character());
      put(code_point);
    }
    if (at_end() || !any) return wrong("a class of characters has no end, or is empty");
    ++at_;
    out += "]/";
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::map<std::string, std::size_t> numbers_;
  std::map<std::string, bool> defined_ = {{"root", false}};  ///< names used so far; whether they have a rule
};

}  // namespace

Result<std::string> lark_of_gbnf(std::string_view gbnf) { return Reader(gbnf).lark(); }

bool is_gbnf(std::string_view grammar) {
  char inside = '\0';
  for (std::size_t i = 0; i < grammar.size(); ++i) {
    const char c = grammar[i];
    if (inside != '\0') {
      if (c == '\\' && inside != '\n') ++i;
      if (c == inside) inside = '\0';
    } else if (c == '"') {
      inside = '"';
    } else if (c == '[') {
      inside = ']';
    } else if (c == '#') {
      inside = '\n';
    } else if (grammar.substr(i).starts_with("::=")) {
      return true;
    }
  }
  return false;
}

}  // namespace tenon::grammar
