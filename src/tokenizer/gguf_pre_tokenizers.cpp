#include "tokenizer/gguf_pre_tokenizers.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace tenon::tokenizer {
namespace {

// The expressions as they stand in the tokenizer.json files of the models named.
constexpr const char* kLlama3 =  // meta-llama/Llama-3.2-1B, microsoft/phi-4
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?)"
    R"([^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =  // Qwen/Qwen2.5-0.5B
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kO200k =  // openai/gpt-oss-20b
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken =  // mistralai/Mistral-Nemo-Instruct-2407
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::array kDeepseekV3 = {
    // deepseek-ai/DeepSeek-V3
    R"(\p{N}{1,3})", "[一-龥\u3040-ゟ゠-ヿ]+",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
    "\r\n"
    R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
    "\r\n"
    R"(]*|\s*[)"
    "\r\n"
    R"(]+|\s+(?!\S)|\s+)"};

// Letters of scripts with capitals, as DeepSeek lists them, and the space before.
constexpr const char* kCasedLetters =
    R"(\s?[A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293}\x{295}-\x{2af})"
    R"(\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1})"
    R"(\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5})"
    R"(\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a})"
    R"(\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b})"
    R"(\x{1f5d}\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc})"
    R"(\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}\x{2102}\x{2107})"
    R"(\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124}\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134})"
    R"(\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4})"
    R"(\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f}\x{a771}-\x{a787})"
    R"(\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a})"
    R"(\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2})"
    R"(\x{118a0}-\x{118df}\x{1e900}-\x{1e943}]+)";
constexpr const char* kHanAndHangul = R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)";
constexpr std::array kDeepseekLlm = {
    // deepseek-ai/deepseek-llm-7b-base, deepseek-ai/DeepSeek-V2-Lite
    "[\r\n]", kCasedLetters, R"(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+)",
    R"(\s+$)", kHanAndHangul};
constexpr std::array kDeepseekCoder = {
    // deepseek-ai/deepseek-coder-6.7b-base
    "[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kHanAndHangul};

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json sequence(std::vector<Json> steps) { return {{"type", "Sequence"}, {"pretokenizers", Json(std::move(steps))}}; }

Json split(const char* expression) {
  return {{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}};
}

Json split_then_bytes(const char* expression) { return sequence({split(expression), byte_level(false)}); }

Json digits() { return {{"type", "Digits"}, {"individual_digits", true}}; }

/// `expressions` in turn, each cutting the pieces that those before it made; then `last`.
template <std::size_t kCount>
Json split_in_turn(const std::array<const char*, kCount>& expressions, std::vector<Json> last) {
  std::vector<Json> steps;
  for (const char* expression : expressions) steps.push_back(split(expression));
  steps.insert(steps.end(), last.begin(), last.end());
  return sequence(std::move(steps));
}

struct Entry {
  std::vector<std::string_view> names;
  GgufPreTokenizer (*make)();
};

// The names that llama.cpp's conversion writes, together where it reads them alike. Where the tokenizer.json of the
// models says more than llama.cpp takes from the name (an NFC normalizer, words taken whole), so does this table.
const std::vector<Entry>& entries() {
  static const std::vector<Entry> table = {
      {{"default", "gpt-2", "phi-2", "exaone4", "mellum", "a.x-4.0", "trillion"},
       [] { return GgufPreTokenizer{nullptr, byte_level(true), false, false}; }},
      {{"olmo", "mpt"},  // both are GPT-NeoX's tokenizer
       [] { return GgufPreTokenizer{{{"type", "NFC"}}, byte_level(true), false, false}; }},
      {{"smollm", "starcoder", "refact", "minerva-7b"},  // Granite 3 is "refact"
       [] { return GgufPreTokenizer{nullptr, sequence({digits(), byte_level(true)}), false, false}; }},
      {{"command-r"},  // CohereForAI/c4ai-command-r-v01, by transformers' CohereTokenizer
       [] { return GgufPreTokenizer{{{"type", "NFC"}}, sequence({digits(), byte_level(true)}), false, true}; }},
      {{"llama-bpe", "llama3", "llama-v3", "lfm2", "falcon3", "pixtral", "midm-2.0"},
       [] { return GgufPreTokenizer{nullptr, split_then_bytes(kLlama3), true, true}; }},
      {{"smaug-bpe"},  // Llama 3's tokenizer where it begins no text with bos: SmolLM3
       [] { return GgufPreTokenizer{nullptr, split_then_bytes(kLlama3), true, false}; }},
      {{"dbrx", "glm4", "chatglm-bpe"},  // "dbrx" are Phi-4 and OLMo 2 and 3
       [] { return GgufPreTokenizer{nullptr, split_then_bytes(kLlama3), false, false}; }},
      {{"qwen2"}, [] { return GgufPreTokenizer{{{"type", "NFC"}}, split_then_bytes(kQwen2), false, false}; }},
      {{"deepseek-r1-qwen", "megrez"},
       [] { return GgufPreTokenizer{nullptr, split_then_bytes(kQwen2), false, false}; }},
      {{"gpt-4o", "llama4"}, [] { return GgufPreTokenizer{nullptr, split_then_bytes(kO200k), true, false}; }},
      {{"tekken"}, [] { return GgufPreTokenizer{nullptr, split_then_bytes(kTekken), true, true}; }},
      {{"deepseek-llm"},
       [] {
         return GgufPreTokenizer{nullptr, split_in_turn(kDeepseekLlm, {digits(), byte_level(false)}), false, true};
       }},
      {{"deepseek-coder"},
       [] {
         return GgufPreTokenizer{nullptr, split_in_turn(kDeepseekCoder, {digits(), byte_level(false)}), false, true};
       }},
      {{"deepseek-v3"},
       [] { return GgufPreTokenizer{nullptr, split_in_turn(kDeepseekV3, {byte_level(false)}), false, true}; }},
  };
  return table;
}

}  // namespace

Result<GgufPreTokenizer> gguf_pre_tokenizer(std::string_view name) {
  std::string known;
  for (const auto& entry : entries()) {
    if (std::find(entry.names.begin(), entry.names.end(), name) != entry.names.end()) return entry.make();
    for (const auto known_name : entry.names) known += (known.empty() ? "" : ", ") + std::string(known_name);
  }
  return unsupported("the GGUF file's pre-tokenizer '" + std::string(name) + "' is not known; known are " + known);
}

}  // namespace tenon::tokenizer
