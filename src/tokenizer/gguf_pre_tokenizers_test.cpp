// Which pre-tokenizer the published GGUF files of each family name, and how each of those cuts a text into words.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tokenizer/test_data.h"
#include "tokenizer/tokenizer.h"

namespace tenon::tokenizer {
namespace {

using Ids = std::vector<std::int32_t>;
using Words = std::vector<std::string>;

/// As GPT-2 spells it: printable bytes as they are, the others by the code points from U+0100 on, in order.
std::string spell(std::string_view text) {
  std::string spelled;
  for (const char c : text) {
    int code_point = 0x100;
    for (int byte = 0; byte <= static_cast<unsigned char>(c); ++byte) {
      const bool prints = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      if (byte == static_cast<unsigned char>(c)) {
        if (prints) code_point = byte;
      } else if (!prints) {
        ++code_point;
      }
    }
    if (code_point < 0x80) {
      spelled += static_cast<char>(code_point);
    } else {
      spelled += static_cast<char>(0xC0 | (code_point >> 6));
      spelled += static_cast<char>(0x80 | (code_point & 0x3F));
    }
  }
  return spelled;
}

/// What a conversion writes of a vocabulary that has every piece of `text`, so that each of its words is one token;
/// token 0 is bos.
Json metadata_for(const std::string& pre, const std::string& text) {
  std::vector<std::string> tokens = {"<bos>"};
  std::set<std::string> known;
  Json merges = Json::array();
  for (std::size_t size = 1; size <= text.size(); ++size) {
    for (std::size_t begin = 0; begin + size <= text.size(); ++begin) {
      const std::string piece = text.substr(begin, size);
      if (!known.insert(piece).second) continue;
      tokens.push_back(spell(piece));
      for (std::size_t left = 1; left < size; ++left) {
        merges.push_back(spell(piece.substr(0, left)) + " " + spell(piece.substr(left)));
      }
    }
  }
  std::vector<int> types(tokens.size(), 1);
  types[0] = 3;
  return {{"tokenizer.ggml.model", "gpt2"},     {"tokenizer.ggml.pre", pre},       {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.token_type", types}, {"tokenizer.ggml.merges", merges}, {"tokenizer.ggml.bos_token_id", 0}};
}

Words words(const Tokenizer& tokenizer, const std::string& text) {
  const Ids ids = tokenizer.encode(text, false).value();
  Words words;
  for (const auto id : ids) words.push_back(token_bytes(tokenizer, id));
  return words;
}

/// A family's published files: the value of "tokenizer.ggml.pre", or in angle brackets a model that has none.
struct Published {
  const char* family;
  const char* example;
  const char* pre;
};

// By llama.cpp's conversion, which takes the name from the ids of a given text, or by the metadata of such files.
constexpr Published kPublished[] = {
    {"llama", "meta-llama/Llama-2-7b-hf", "<llama>"},
    {"llama", "meta-llama/Llama-3.2-1B-Instruct", "llama-bpe"},
    {"llama", "HuggingFaceTB/SmolLM2-135M-Instruct", "smollm"},
    {"llama", "deepseek-ai/deepseek-llm-7b-base", "deepseek-llm"},
    {"llama", "deepseek-ai/deepseek-coder-6.7b-base", "deepseek-coder"},
    {"llama", "tiiuae/Falcon3-7B-Base", "falcon3"},
    {"qwen2", "Qwen/Qwen2.5-0.5B-Instruct", "qwen2"},
    {"qwen2", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "deepseek-r1-qwen"},
    {"gemma2", "google/gemma-2-2b-it", "<llama>"},
    {"gemma3", "google/gemma-3-1b-it", "<llama>"},
    {"olmo", "allenai/OLMo-1B-0724-hf", "olmo"},
    {"olmo2", "allenai/OLMo-2-0425-1B", "dbrx"},
    {"olmo3", "allenai/Olmo-3-7B-Instruct", "dbrx"},
    {"exaone4", "LGAI-EXAONE/EXAONE-4.0-1.2B", "exaone4"},
    {"mixtral", "mistralai/Mixtral-8x7B-v0.1", "<llama>"},
    {"mistral", "mistralai/Mistral-7B-Instruct-v0.3", "<llama>"},
    {"mistral", "mistralai/Mistral-Nemo-Instruct-2407", "tekken"},
    {"qwen3", "Qwen/Qwen3-0.6B", "qwen2"},
    {"qwen3_moe", "Qwen/Qwen3-30B-A3B", "qwen2"},
    {"granite", "ibm-granite/granite-3.3-2b-instruct", "refact"},
    {"granitemoe", "ibm-granite/granite-3.1-1b-a400m-instruct", "refact"},
    {"gpt_oss", "openai/gpt-oss-20b", "gpt-4o"},
    {"bert", "sentence-transformers/all-MiniLM-L6-v2", "<bert>"},
    {"mpnet", "sentence-transformers/all-mpnet-base-v2", "<none>"},
    {"smollm3", "HuggingFaceTB/SmolLM3-3B", "smaug-bpe"},
    {"phi3", "microsoft/Phi-3-mini-4k-instruct", "<llama>"},
    {"phi3", "microsoft/phi-4", "dbrx"},
    {"phi3", "microsoft/Phi-4-mini-instruct", "gpt-4o"},
    {"deepseek_v2", "deepseek-ai/DeepSeek-V2-Lite", "deepseek-llm"},
    {"deepseek_v3", "deepseek-ai/DeepSeek-V3", "deepseek-v3"},
    {"starcoder2", "bigcode/starcoder2-3b", "starcoder"},
    {"gpt_neox", "EleutherAI/pythia-160m", "olmo"},
    {"cohere", "CohereLabs/c4ai-command-r-v01", "command-r"},
    {"llama4", "meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama4"},
    {"lfm2", "LiquidAI/LFM2-1.2B", "lfm2"},
};

TEST(GgufPreTokenizersTest, PublishedFilesOfEachFamilyAreRead) {
  std::set<std::string> families;
  for (const auto& [family, example, pre] : kPublished) {
    SCOPED_TRACE(std::string(family) + ": " + example);
    families.insert(family);
    if (*pre == '<') continue;  // SentencePiece and WordPiece have no pre-tokenizer to name
    const auto made = Tokenizer::from_gguf(metadata_for(pre, "ab 12"));
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ((*made)->decode((*made)->encode("ab 12", false).value(), false).value(), "ab 12");
  }
  // A family that is added says here what its files name.
  std::ifstream registry(test::source_dir() / "src/architectures/registry.def");
  ASSERT_TRUE(registry);
  for (std::string line; std::getline(registry, line);) {
    const std::string begin = "ARCHITECTURE(";
    if (!line.starts_with(begin)) continue;
    const std::string family = line.substr(begin.size(), line.find(')') - begin.size());
    EXPECT_TRUE(families.contains(family)) << family;
  }
}

struct Cut {
  std::vector<const char*> names;
  Words words;  ///< of kText
  bool ignore_merges, add_bos;
};

constexpr const char* kText = "it's 1234 aB中, \n";

// The words are those that Hugging Face's library makes with the pre-tokenizers of these models' tokenizer.json.
TEST(GgufPreTokenizersTest, Words) {
  const Words llama3 = {"it", "'s", " ", "123", "4", " aB中", ",", " \n"};
  const Words qwen2 = {"it", "'s", " ", "1", "2", "3", "4", " aB中", ",", " \n"};
  const Words gpt2 = {"it", "'s", " 1234", " aB中", ",", " \n"};
  const Words o200k = {"it's", " ", "123", "4", " a", "B中", ",", " \n"};
  const Words deepseek = {"it", "'", "s", " ", "1", "2", "3", "4", " aB", "中", ",", " ", "\n"};
  const std::vector<Cut> cuts = {
      {{"gpt-2", "exaone4", "olmo", "mpt"}, gpt2, false, false},
      {{"smollm", "refact", "starcoder", "minerva-7b"}, qwen2, false, false},
      {{"command-r"}, qwen2, false, true},
      {{"llama-bpe", "lfm2", "falcon3", "pixtral"}, llama3, true, true},
      {{"smaug-bpe"}, llama3, true, false},
      {{"dbrx", "glm4", "chatglm-bpe"}, llama3, false, false},
      {{"qwen2", "deepseek-r1-qwen"}, qwen2, false, false},
      {{"gpt-4o", "llama4"}, o200k, true, false},
      {{"tekken"}, {"it", "'s", " ", "1", "2", "3", "4", " a", "B中", ",", " \n"}, true, true},
      {{"deepseek-llm", "deepseek-coder"}, deepseek, false, true},
      {{"deepseek-v3"}, {"it", "'s", " ", "123", "4", " aB", "中", ",", " \n"}, false, true},
  };
  for (const Cut& cut : cuts) {
    for (const char* name : cut.names) {
      SCOPED_TRACE(name);
      const auto made = Tokenizer::from_gguf(metadata_for(name, kText));
      ASSERT_TRUE(made) << made.error().message;
      EXPECT_EQ(words(**made, kText), cut.words);
      EXPECT_EQ((*made)->encode("", true).value(), cut.add_bos ? Ids{0} : Ids{});
      // A word that is a token, but that no merges make.
      Json metadata = metadata_for(name, "it");
      metadata["tokenizer.ggml.merges"] = Json::array();
      EXPECT_EQ(words(*Tokenizer::from_gguf(metadata).value(), "it"),
                cut.ignore_merges ? Words{"it"} : Words({"i", "t"}));
    }
  }
}

// The two of DeepSeek differ by which letters there are. Its marks, from ':' to '~', have Latin letters among them.
TEST(GgufPreTokenizersTest, WordsOfDeepseek) {
  const auto cut = [](const char* name, const std::string& text) {
    return words(*Tokenizer::from_gguf(metadata_for(name, text)).value(), text);
  };
  EXPECT_EQ(cut("deepseek-llm", "abשa ש1"), (Words{"ab", "ש", "a", " ש", "1"}));
  EXPECT_EQ(cut("deepseek-coder", "abשa ש1"), (Words{"abשa", " ש", "1"}));
  EXPECT_EQ(cut("deepseek-llm", "Ωdé a  "), (Words{"Ω", "d", "é", " a", "  "}));
  EXPECT_EQ(cut("deepseek-llm", "가、a\r\n"), (Words{"가", "、", "a", "\r", "\n"}));
}

TEST(GgufPreTokenizersTest, ComposedCharacters) {
  const std::string composed = "é", apart = "e\u0301";
  for (const char* name : {"olmo", "mpt", "qwen2"}) {
    const auto tokenizer = Tokenizer::from_gguf(metadata_for(name, composed)).value();
    EXPECT_EQ(words(*tokenizer, apart), Words{composed}) << name;
  }
}

}  // namespace
}  // namespace tenon::tokenizer
