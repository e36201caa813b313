// Puts the pieces of a reply together.
#pragma once

#include <string>
#include <string_view>

#include "chat/reply_parser.h"

namespace tenon::chat {

/// Text of a kind that goes on.
inline void add(ReplyParts& out, ReplyPart::Kind kind, std::string_view text) {
  if (text.empty()) return;
  if (!out.empty() && out.back().kind == kind) {
    out.back().text += text;
  } else {
    out.push_back({kind, std::string(text)});
  }
}
inline void add_content(ReplyParts& out, std::string_view text) { add(out, ReplyPart::Kind::kContent, text); }

}  // namespace tenon::chat
