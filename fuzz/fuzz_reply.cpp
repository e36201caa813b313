// chat/reply_parser.h: a reply is the same content, reasoning and calls however it is cut, and a call that is given out
// whole has a name and a JSON object. The first byte chooses the format.
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "base/check.h"
#include "chat/json_text.h"
#include "chat/reply_parser.h"

namespace {

using namespace tenon;
using chat::ReplyPart;
using Kind = ReplyPart::Kind;

const chat::ReplyFormat kFormats[] = {{"hermes", ""},         {"hermes", "qwen3"},  {"llama3_json", ""},
                                      {"mistral", ""},        {"mistral", "qwen3"}, {"gemma", ""},
                                      {"harmony", "harmony"}, {"", "qwen3"}};
constexpr std::uint8_t kInPieces = 16, kBegun = 32;  // of the first byte

// Neighbours of one kind are one text, and a call has its arguments.
void join(chat::ReplyParts& all, const chat::ReplyParts& more) {
  for (const ReplyPart& part : more) {
    const bool goes_on =
        !all.empty() && part.kind != Kind::kToolCall &&
        (all.back().kind == part.kind || (part.kind == Kind::kArguments && all.back().kind == Kind::kToolCall));
    if (goes_on) {
      all.back().text += part.text;
    } else {
      all.push_back(part);
    }
  }
}

// The parts of a reply whose first piece is `first` bytes long and each other one `next`.
chat::ReplyParts parse(std::uint8_t choice, std::string_view reply, std::size_t first, std::size_t next) {
  const chat::CallOptions calls{{"f", "get"}, (choice & kInPieces) != 0};
  const auto parser =
      chat::make_reply_parser(kFormats[choice % std::size(kFormats)], calls, choice & kBegun ? "<think>\n" : "");
  chat::ReplyParts all, parts;
  for (std::size_t at = 0, size = first; at < reply.size(); at += size, size = next) {
    parser->push(reply.substr(at, size), parts);
    join(all, parts);
    parts.clear();
  }
  parser->finish(parts);
  join(all, parts);
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 4096) return 0;
  const std::uint8_t choice = data[0];
  const std::string reply(reinterpret_cast<const char*>(data) + 1, size - 1);
  const chat::ReplyParts whole = parse(choice, reply, reply.size(), 1);
  TENON_CHECK(parse(choice, reply, 1, 1) == whole, "byte by byte");
  TENON_CHECK(parse(choice, reply, 3, 5) == whole, "in pieces of five bytes");
  // Cutting at every position costs the square of the length.
  for (std::size_t first = 1; first < reply.size() && reply.size() <= 128; ++first) {
    TENON_CHECK(parse(choice, reply, first, reply.size()) == whole, "after byte " + std::to_string(first));
  }
  const bool harmony = kFormats[choice % std::size(kFormats)].tools == "harmony";
  for (const ReplyPart& part : whole) {
    TENON_CHECK(part.kind != Kind::kArguments, "arguments without a call");
    if (part.kind != Kind::kToolCall) {
      TENON_CHECK(part.name.empty() && !part.text.empty());
      continue;
    }
    TENON_CHECK(!part.name.empty());
    if ((choice & kInPieces) != 0 || harmony) continue;  // such calls may break off
    const auto arguments = chat::json_of(part.text);
    TENON_CHECK(arguments && arguments->is_object(), "arguments that are no object: " + part.text);
  }
  chat::format_of_template(reply);
  return 0;
}
