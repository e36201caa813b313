#include "tokenizer/gguf_tokenizer.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "tokenizer/gguf_merges.h"
#include "tokenizer/gguf_pre_tokenizers.h"

namespace tenon::tokenizer {
namespace {

// GGUF's token types that matter here; the others (normal, unknown, unused) are plain entries of the vocabulary.
constexpr int kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4;
constexpr std::string_view kSpace = "▁";  // how SentencePiece spells a space

const std::string kPrefix = "tokenizer.ggml.";

struct Metadata {
  std::vector<std::string> tokens;
  std::vector<int> types;
  const Json& json;

  const Json* find(const std::string& name) const {
    const auto it = json.find(kPrefix + name);
    return it == json.end() || it->is_null() ? nullptr : &*it;
  }
  int type(std::size_t id) const { return id < types.size() ? types[id] : kNormal; }
};

Result<bool> get_bool(const Metadata& metadata, const std::string& name, bool fallback) {
  const Json* value = metadata.find(name);
  if (!value) return fallback;
  if (!value->is_boolean()) return invalid("GGUF metadata: " + kPrefix + name + " must be a bool");
  return value->get<bool>();
}

/// The token id under `name`; nothing where the key is missing.
Result<std::optional<std::size_t>> get_id(const Metadata& metadata, const std::string& name) {
  const Json* value = metadata.find(name);
  if (!value) return std::nullopt;
  if (!value->is_number_integer()) return invalid("GGUF metadata: " + kPrefix + name + " must be an integer");
  const auto id = value->get<std::int64_t>();
  if (id < 0 || static_cast<std::size_t>(id) >= metadata.tokens.size()) {
    // Some files write -1 or 2^32-1 for "none".
    if (id == -1 || id == 0xFFFFFFFF) return std::nullopt;
    return invalid("GGUF metadata: " + kPrefix + name + " is " + std::to_string(id) + ", but there are only " +
                   std::to_string(metadata.tokens.size()) + " tokens");
  }
  return static_cast<std::size_t>(id);
}

Result<std::vector<std::string>> get_strings(const Json& json, const std::string& name) {
  const auto it = json.find(kPrefix + name);
  if (it == json.end() || !it->is_array()) {
    return invalid("GGUF metadata: " + kPrefix + name + " is missing or no array, so there is no tokenizer");
  }
  std::vector<std::string> strings;
  strings.reserve(it->size());
  for (const auto& item : *it) {
    if (!item.is_string()) return invalid("GGUF metadata: " + kPrefix + name + " holds something else than strings");
    strings.push_back(item.get_ref<const std::string&>());
  }
  return strings;
}

void append_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\', out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00", out += kHex[static_cast<unsigned char>(c) >> 4], out += kHex[c & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

/// Whether it is a token that text is cut at before all else, and whether it is a special one.
struct Added {
  bool added = false;
  bool special = false;
};

std::vector<Added> find_added_tokens(const Metadata& metadata, const std::vector<std::size_t>& marked) {
  std::vector<Added> found(metadata.tokens.size());
  for (std::size_t id = 0; id < found.size(); ++id) {
    const int type = metadata.type(id);
    const bool special = type == kControl || type == kUnknown;
    if (!metadata.tokens[id].empty()) found[id] = {special || type == kUserDefined, special};
  }
  // Old files mark none, and some name an ordinary token, such as a comma, as one of these: that one stays ordinary.
  for (const auto id : marked) {
    const std::string& token = metadata.tokens[id];
    if (token.starts_with('<') || token.starts_with('[')) found[id] = {true, true};
  }
  return found;
}

void append_added_tokens(std::string& out, const std::vector<std::string>& tokens, const std::vector<Added>& added) {
  out += "\"added_tokens\":[";
  bool first = true;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (!added[id].added) continue;
    out += first ? "{\"id\":" : ",{\"id\":";
    out += std::to_string(id) + ",\"content\":";
    append_string(out, tokens[id]);
    out += R"(,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":)";
    out += added[id].special ? "true}" : "false}";
    first = false;
  }
  out += ']';
}

/// What is put around a text: bos and eos, where they are asked for.
Json post_processor(const Metadata& metadata, std::optional<std::size_t> bos, std::optional<std::size_t> eos) {
  if (!bos && !eos) return nullptr;
  Json single = Json::array(), pair = Json::array(), tokens = Json::object();
  const auto add = [&](std::optional<std::size_t> id, int type) {
    if (!id) return;
    const std::string& token = metadata.tokens[*id];
    const Json item = {{"SpecialToken", {{"id", token}, {"type_id", type}}}};
    if (type == 0) single.push_back(item);
    pair.push_back(item);
    tokens[token] = {{"id", token}, {"ids", {*id}}, {"tokens", {token}}};
  };
  for (int type = 0; type < 2; ++type) {
    add(bos, type);
    const Json sequence = {{"Sequence", {{"id", type == 0 ? "A" : "B"}, {"type_id", type}}}};
    if (type == 0) single.push_back(sequence);
    pair.push_back(sequence);
    add(eos, type);
  }
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

/// How text becomes pieces and pieces become text again: what differs between the two kinds of BPE.
struct Kind {
  bool add_bos;
  bool byte_fallback;
  bool ignore_merges;
  Json unk_token;
  Json normalizer;
  Json pre_tokenizer;
  Json decoder;
};

Result<Kind> sentencepiece(const Metadata& metadata) {
  TENON_ASSIGN(const bool space_prefix, get_bool(metadata, "add_space_prefix", true));
  TENON_ASSIGN(const auto unknown, get_id(metadata, "unknown_token_id"));
  const Json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpace}};
  Json decoders = Json::array({{{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}},
                               {{"type", "ByteFallback"}},
                               {{"type", "Fuse"}}});
  Json normalizer = replace;
  if (space_prefix) {
    // As the tokenizer.json of Llama 2, Mistral 7B and Phi-3 has it; llama.cpp too begins each text between special
    // tokens with a space.
    normalizer = {{"type", "Sequence"},
                  {"normalizers", Json::array({{{"type", "Prepend"}, {"prepend", kSpace}}, replace})}};
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return Kind{.add_bos = true,
              .byte_fallback = true,
              .ignore_merges = false,
              .unk_token = metadata.tokens.empty() ? Json() : Json(metadata.tokens[unknown.value_or(0)]),
              .normalizer = normalizer,
              .pre_tokenizer = nullptr,
              .decoder = {{"type", "Sequence"}, {"decoders", decoders}}};
}

Result<Kind> byte_level(const Metadata& metadata) {
  const Json* name = metadata.find("pre");
  if (name && !name->is_string()) return invalid("GGUF metadata: " + kPrefix + "pre must be a string");
  if (!name) {
    TENON_LOG_WARN(
        "the GGUF file does not say {}pre: its texts are cut into words as GPT-2's are (\"default\"), which "
        "is wrong for many models; convert it anew",
        kPrefix);
  }
  TENON_ASSIGN(const auto pre, gguf_pre_tokenizer(name ? name->get<std::string>() : "default"));
  return Kind{
      .add_bos = pre.add_bos,
      .byte_fallback = false,
      .ignore_merges = pre.ignore_merges,
      .unk_token = nullptr,
      .normalizer = pre.normalizer,
      .pre_tokenizer = pre.pre_tokenizer,
      .decoder = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}}};
}

/// SentencePiece's user-defined runs of spaces are spelled with spaces in GGUF; its vocabulary spells them otherwise.
void respell_spaces(std::vector<std::string>& tokens, const std::vector<int>& types) {
  for (std::size_t id = 0; id < std::min(tokens.size(), types.size()); ++id) {
    std::string& token = tokens[id];
    if (types[id] != kUserDefined || token.empty() || token.find_first_not_of(' ') != std::string::npos) continue;
    std::string spelled;
    for (std::size_t i = 0; i < token.size(); ++i) spelled += kSpace;
    token = spelled;
  }
}

Result<std::vector<MergePair>> merges_of(const Metadata& metadata, const VocabularyIds& ids, bool from_scores) {
  if (metadata.find("merges")) {
    TENON_ASSIGN(const auto merges, get_strings(metadata.json, "merges"));
    return parse_merges(merges, ids);
  }
  if (!from_scores) return invalid("GGUF metadata: " + kPrefix + "merges is missing, without which there is no BPE");
  const Json* scores = metadata.find("scores");
  if (!scores)
    return invalid("GGUF metadata: " + kPrefix + "scores is missing, without which there is no SentencePiece");
  if (!scores->is_array() || scores->size() != metadata.tokens.size()) {
    return invalid("GGUF metadata: " + kPrefix + "scores must hold one number for each of the " +
                   std::to_string(metadata.tokens.size()) + " tokens");
  }
  std::vector<MergePiece> pieces;
  for (std::size_t id = 0; id < metadata.tokens.size(); ++id) {
    const Json& score = (*scores)[id];
    if (!score.is_number()) return invalid("GGUF metadata: " + kPrefix + "scores holds something else than numbers");
    const int type = metadata.type(id);
    if (type != kNormal && type != kUserDefined) continue;
    pieces.push_back(
        {.id = static_cast<std::uint32_t>(id), .user_defined = type == kUserDefined, .score = score.get<double>()});
  }
  return reconstruct_merges(metadata.tokens, ids, pieces);
}

void append_vocabulary(std::string& out, const std::vector<std::string>& tokens, const VocabularyIds& ids) {
  out += ",\"vocab\":{";
  bool first = true;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (ids.find(tokens[id]) != id) continue;  // a second one of that spelling
    if (!first) out += ',';
    append_string(out, tokens[id]);
    out += ':' + std::to_string(id);
    first = false;
  }
  out += '}';
}

/// BERT's WordPiece. GGUF spells a token that begins a word with kSpace before it, and one that continues a word
/// without its "##". Older files do not say whether texts are lower-cased: they are where no token has a capital
/// letter.
Result<std::string> word_piece_json(Metadata metadata) {
  if (metadata.types.empty()) return invalid("GGUF metadata: " + kPrefix + "token_type is missing");
  bool capitals = false;
  for (std::size_t id = 0; id < metadata.tokens.size(); ++id) {
    std::string& token = metadata.tokens[id];
    if (metadata.type(id) == kControl) continue;
    if (token.starts_with(kSpace)) {
      token.erase(0, kSpace.size());
    } else {
      token.insert(0, "##");
    }
    const bool capital = std::ranges::any_of(token, [](char c) { return c >= 'A' && c <= 'Z'; });
    capitals = capitals || (metadata.type(id) == kNormal && capital);
  }
  TENON_ASSIGN(const bool lowercase, get_bool(metadata, "normalizer.lowercase", !capitals));
  // Older files call these two bos and eos.
  TENON_ASSIGN(const auto cls, get_id(metadata, metadata.find("cls_token_id") ? "cls_token_id" : "bos_token_id"));
  TENON_ASSIGN(const auto sep,
               get_id(metadata, metadata.find("seperator_token_id") ? "seperator_token_id" : "eos_token_id"));
  TENON_ASSIGN(const auto unknown, get_id(metadata, "unknown_token_id"));
  if (!cls || !sep || !unknown) {
    return invalid("GGUF metadata: " + kPrefix + "cls_token_id, seperator_token_id or unknown_token_id is missing");
  }
  const auto text = [](const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); };
  const Json normalizer = {{"type", "BertNormalizer"},
                           {"clean_text", true},
                           {"handle_chinese_chars", true},
                           {"strip_accents", nullptr},
                           {"lowercase", lowercase}};
  std::string out = R"({"version":"1.0","truncation":null,"padding":null,)";
  append_added_tokens(out, metadata.tokens, find_added_tokens(metadata, {}));
  out += ",\"normalizer\":" + text(normalizer) + R"(,"pre_tokenizer":{"type":"BertPreTokenizer"})";
  out += ",\"post_processor\":" + text(post_processor(metadata, cls, sep));
  out += R"(,"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},"model":{"type":"WordPiece","unk_token":)";
  append_string(out, metadata.tokens[*unknown]);
  out += R"(,"continuing_subword_prefix":"##","max_input_chars_per_word":100)";
  append_vocabulary(out, metadata.tokens, VocabularyIds(metadata.tokens));
  return out + "}}";
}

}  // namespace

Result<std::string> gguf_tokenizer_json(const Json& json) {
  if (!json.is_object()) return invalid("GGUF metadata must be an object");
  Metadata metadata = {.tokens = {}, .types = {}, .json = json};
  const Json* model = metadata.find("model");
  if (!model || !model->is_string()) {
    return invalid("the GGUF file has no tokenizer: " + kPrefix + "model is missing from its metadata");
  }
  const bool is_sentencepiece = *model == "llama";
  if (!is_sentencepiece && *model != "gpt2" && *model != "bert") {
    return unsupported("the GGUF file's tokenizer model '" + model->get<std::string>() +
                       "' is not supported; 'llama', 'gpt2' and 'bert' are");
  }
  TENON_ASSIGN(metadata.tokens, get_strings(json, "tokens"));
  if (const Json* types = metadata.find("token_type")) {
    if (!types->is_array() || types->size() != metadata.tokens.size()) {
      return invalid("GGUF metadata: " + kPrefix + "token_type must hold one number for each of the " +
                     std::to_string(metadata.tokens.size()) + " tokens");
    }
    for (const auto& type : *types) {
      if (!type.is_number_integer()) return invalid("GGUF metadata: " + kPrefix + "token_type must hold integers");
      metadata.types.push_back(type.get<int>());
    }
  }
  if (*model == "bert") return word_piece_json(std::move(metadata));
  if (is_sentencepiece) respell_spaces(metadata.tokens, metadata.types);

  TENON_ASSIGN(const Kind kind, is_sentencepiece ? sentencepiece(metadata) : byte_level(metadata));
  TENON_ASSIGN(const bool add_bos, get_bool(metadata, "add_bos_token", kind.add_bos));
  TENON_ASSIGN(const bool add_eos, get_bool(metadata, "add_eos_token", false));
  std::vector<std::size_t> marked;
  for (const char* name : {"bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id", "unknown_token_id"}) {
    TENON_ASSIGN(const auto id, get_id(metadata, name));
    if (id) marked.push_back(*id);
  }
  TENON_ASSIGN(const auto bos, get_id(metadata, "bos_token_id"));
  TENON_ASSIGN(const auto eos, get_id(metadata, "eos_token_id"));

  const VocabularyIds ids(metadata.tokens);
  TENON_ASSIGN(const auto merges, merges_of(metadata, ids, is_sentencepiece));

  std::string out;
  out.reserve(metadata.tokens.size() * 64 + merges.size() * 32);
  out += R"({"version":"1.0","truncation":null,"padding":null,)";
  append_added_tokens(out, metadata.tokens, find_added_tokens(metadata, marked));
  out += ",\"normalizer\":" + kind.normalizer.dump() + ",\"pre_tokenizer\":" + kind.pre_tokenizer.dump();
  const Json post = post_processor(metadata, add_bos ? bos : std::nullopt, add_eos ? eos : std::nullopt);
  out += ",\"post_processor\":" + post.dump(-1, ' ', false, Json::error_handler_t::replace);
  out += ",\"decoder\":" + kind.decoder.dump();
  out += R"(,"model":{"type":"BPE","dropout":null,"continuing_subword_prefix":null,"end_of_word_suffix":null)";
  out += std::string(",\"fuse_unk\":") + (is_sentencepiece ? "true" : "false");
  out += std::string(",\"byte_fallback\":") + (kind.byte_fallback ? "true" : "false");
  out += std::string(",\"ignore_merges\":") + (kind.ignore_merges ? "true" : "false");
  out += ",\"unk_token\":" + kind.unk_token.dump(-1, ' ', false, Json::error_handler_t::replace);
  append_vocabulary(out, metadata.tokens, ids);
  out += ",\"merges\":[";
  bool first = true;
  for (const auto& merge : merges) {
    out += first ? "[" : ",[";
    append_string(out, metadata.tokens[merge.left]);
    out += ',';
    append_string(out, metadata.tokens[merge.right]);
    out += ']';
    first = false;
  }
  out += "]}}";
  return out;
}

}  // namespace tenon::tokenizer
