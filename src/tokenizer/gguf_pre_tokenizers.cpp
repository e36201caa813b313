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

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json sequence(std::vector<Json> steps) { return {{"type", "Sequence"}, {"pretokenizers", Json(std::move(steps))}}; }

Json split(const char* expression) {
  return {{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}};
}

Json split_then_bytes(const char* expression) { return sequence({split(expression), byte_level(false)}); }

struct Entry {
  std::vector<std::string_view> names;
  GgufPreTokenizer (*make)();
};

const std::vector<Entry>& entries() {
  static const std::vector<Entry> table = {
      {{"default", "gpt-2", "phi-2", "mpt", "olmo"},
       [] { return GgufPreTokenizer{nullptr, byte_level(true), false, false}; }},
      {{"smollm", "starcoder", "refact"},
       [] {
         Json digits = {{"type", "Digits"}, {"individual_digits", true}};
         return GgufPreTokenizer{nullptr, sequence({digits, byte_level(true)}), false, false};
       }},
      {{"llama-bpe", "llama3", "llama-v3"},
       [] { return GgufPreTokenizer{nullptr, split_then_bytes(kLlama3), true, true}; }},
      {{"dbrx", "smaug-bpe"}, [] { return GgufPreTokenizer{nullptr, split_then_bytes(kLlama3), false, false}; }},
      {{"qwen2"}, [] { return GgufPreTokenizer{{{"type", "NFC"}}, split_then_bytes(kQwen2), false, false}; }},
      {{"deepseek-r1-qwen"}, [] { return GgufPreTokenizer{nullptr, split_then_bytes(kQwen2), false, false}; }},
      {{"gpt-4o", "llama4"}, [] { return GgufPreTokenizer{nullptr, split_then_bytes(kO200k), true, false}; }},
      {{"tekken"}, [] { return GgufPreTokenizer{nullptr, split_then_bytes(kTekken), true, true}; }},
      {{"deepseek-v3"},
       [] {
         std::vector<Json> steps;
         for (const char* expression : kDeepseekV3) steps.push_back(split(expression));
         steps.push_back(byte_level(false));
         return GgufPreTokenizer{nullptr, sequence(std::move(steps)), false, true};
       }},
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
