// from_gguf on metadata made from real tokenizer.json files, as conversion scripts make it.
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <map>
#include <set>
#include <unordered_map>

#include "tokenizer/gguf_merges.h"
#include "tokenizer/test_data.h"
#include "tokenizer/tokenizer.h"

namespace tenon::tokenizer {
namespace {

using Ids = std::vector<std::int32_t>;

struct GgufFacts {
  std::string pre;        ///< "" for SentencePiece
  bool add_space_prefix;  ///< SentencePiece only
  bool word_piece = false;
};

// (mistral-v3 is not among them: GGUF does not say that its texts begin with a space only at the very start.)
const std::map<std::string, GgufFacts>& facts() {
  static const std::map<std::string, GgufFacts> table = {
      {"smollm2", {"smollm", false}},
      {"smolvlm", {"smollm", false}},
      {"llama3.2", {"llama-bpe", false}},
      {"qwen2.5", {"qwen2", false}},
      {"qwen3", {"qwen2", false}},
      {"gpt2", {"gpt-2", false}},
      {"gpt-oss", {"gpt-4o", false}},
      {"deepseek-v3", {"deepseek-v3", false}},
      {"mistral-nemo", {"tekken", false}},
      {"phi-4", {"dbrx", false}},
      {"olmo", {"olmo", false}},
      {"olmo2", {"dbrx", false}},
      {"olmo3", {"dbrx", false}},
      {"granite-3", {"refact", false}},
      {"granite-4", {"dbrx", false}},
      {"deepseek-v2", {"deepseek-llm", false}},
      {"exaone4", {"exaone4", false}},
      {"lfm2", {"lfm2", false}},
      {"llama4", {"llama4", false}},
      {"gemma2", {"", false}},
      {"gemma3", {"", false}},
      {"llama2", {"", true}},
      {"mistral-v1", {"", true}},
      {"phi-3", {"", true}},
      {"tinystories-260k", {"", true}},
      {"bert-minilm", {"jina-v2-en", false, true}},
  };
  return table;
}

std::vector<std::pair<std::string, std::string>> merges_of(const nlohmann::json& json) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (const auto& merge : json["model"]["merges"]) {
    if (merge.is_array()) {
      merges.emplace_back(merge[0], merge[1]);
    } else {
      const std::string text = merge;
      const auto space = text.find(' ');
      merges.emplace_back(text.substr(0, space), text.substr(space + 1));
    }
  }
  return merges;
}

/// What a conversion of BERT's tokenizer writes: words begin with ▁, and what continues one has no ##.
Json word_piece_metadata(const nlohmann::json& json) {
  std::vector<std::string> tokens(json["model"]["vocab"].size());
  std::vector<int> types(tokens.size(), 1);
  for (const auto& token : json["added_tokens"]) types[token["id"].get<std::size_t>()] = 3;
  for (const auto& [token, id] : json["model"]["vocab"].items()) {
    const std::string word = token.starts_with("##") ? token.substr(2) : std::string("▁") + token;
    tokens[id] = types[id] == 3 ? token : word;
  }
  return {{"general.architecture", "any"},
          {"tokenizer.ggml.model", "bert"},
          {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.cls_token_id", json["model"]["vocab"]["[CLS]"]},
          {"tokenizer.ggml.seperator_token_id", json["model"]["vocab"]["[SEP]"]},
          {"tokenizer.ggml.unknown_token_id", json["model"]["vocab"]["[UNK]"]}};
}

/// What a conversion of `json` writes. A piece's score is the rank of the first merge that makes it, negated.
Json metadata_of(const nlohmann::json& json, const GgufFacts& facts) {
  if (facts.word_piece) return word_piece_metadata(json);
  const bool sentencepiece = facts.pre.empty();
  std::vector<std::string> tokens;
  std::vector<int> types;
  const auto put = [&](const std::string& token, std::size_t id, int type) {
    if (id >= tokens.size()) tokens.resize(id + 1), types.resize(id + 1, 5);
    tokens[id] = token;
    types[id] = type;
  };
  for (const auto& [token, id] : json["model"]["vocab"].items()) {
    put(token, id, token.size() == 6 && token.starts_with("<0x") && token.ends_with('>') ? 6 : 1);
  }
  for (const auto& token : json["added_tokens"]) {
    std::string content;
    for (const char c : token["content"].get<std::string>()) {
      content += c;
      if (sentencepiece && !token["special"] && content.ends_with("▁")) {
        content.resize(content.size() - 3);
        content.push_back(' ');
      }
    }
    put(content, token["id"], token["special"] ? 3 : 4);
  }
  Json metadata = {{"general.architecture", "any"},
                   {"tokenizer.ggml.model", sentencepiece ? "llama" : "gpt2"},
                   {"tokenizer.ggml.tokens", tokens},
                   {"tokenizer.ggml.token_type", types}};
  const auto merges = merges_of(json);
  if (sentencepiece) {
    std::unordered_map<std::string, double> scores;
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      scores.emplace(merges[rank].first + merges[rank].second, -static_cast<double>(rank));
    }
    Json& list = metadata["tokenizer.ggml.scores"];
    for (std::size_t id = 0; id < tokens.size(); ++id) {
      const auto score = scores.find(tokens[id]);
      list.push_back(score == scores.end() || types[id] != 1 ? -1000.0 : score->second);
    }
  }
  if (sentencepiece) {
    metadata["tokenizer.ggml.add_space_prefix"] = facts.add_space_prefix;
    metadata["tokenizer.ggml.unknown_token_id"] = json["model"]["vocab"]["<unk>"];
  } else {
    metadata["tokenizer.ggml.pre"] = facts.pre;
    Json& list = metadata["tokenizer.ggml.merges"];
    for (const auto& [left, right] : merges) list.push_back(left + " " + right);
  }
  return metadata;
}

class GgufTest : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(GgufTest, SameIdsAsTokenizerJson) {
  const std::string name = GetParam().filename();
  if (!facts().contains(name)) GTEST_SKIP() << "skipped: no GGUF tokenizer is like " << name;
  if (!test::is_there(GetParam())) GTEST_SKIP() << "skipped: " << GetParam() << " is not there";
  const Json golden = test::load(GetParam() / "golden.json");
  const auto json = nlohmann::json::parse(test::decompress(GetParam() / "tokenizer.json.xz"));
  Json metadata = metadata_of(json, facts().at(name));
  const Ids prefix = golden["special_prefix"], suffix = golden["special_suffix"];
  metadata["tokenizer.ggml.add_bos_token"] = !prefix.empty();
  if (!prefix.empty()) metadata["tokenizer.ggml.bos_token_id"] = prefix[0];

  const auto start = std::chrono::steady_clock::now();
  const auto made = Tokenizer::from_gguf(metadata);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(made) << made.error().message;
  const auto& tokenizer = **made;
  EXPECT_EQ(tokenizer.vocab_size(), golden["vocab_size_with_added"].get<std::int32_t>());
  std::set<std::string> wrong;
  for (const auto& item : golden["cases"]) {
    const std::string text = item["text"];
    const Ids ids = item["ids"];
    Ids special = prefix;
    special.insert(special.end(), ids.begin(), ids.end());
    special.insert(special.end(), suffix.begin(), suffix.end());
    if (item.contains("ids_special")) special = item["ids_special"].get<Ids>();
    if (name == "phi-3" && text.find("<|user|>\n") != text.npos) continue;  // GGUF does not say "rstrip"
    if (tokenizer.encode(text, false).value() != ids || tokenizer.encode(text, true).value() != special) {
      wrong.insert(text);
    }
  }
  for (const auto& item : golden["decode"]) {
    EXPECT_EQ(tokenizer.decode(item["ids"].get<Ids>(), false).value(), item["text"].get<std::string>());
  }
  std::printf("%zu texts, %zu wrong; built in %.3f s\n", golden["cases"].size(), wrong.size(), seconds.count());
  for (const auto& text : wrong) ADD_FAILURE() << Json(text);
}

// SmolLM3's files: Llama 3's tokenizer, whose conversion is named after another model where it adds no bos.
TEST(GgufTokenizerTest, SmaugIsLlama3WithoutBos) {
  const auto folder = test::shared_dir() / "llama3.2";
  if (!test::is_there(folder)) GTEST_SKIP() << "skipped: " << folder << " is not there";
  const auto json = nlohmann::json::parse(test::decompress(folder / "tokenizer.json.xz"));
  Json metadata = metadata_of(json, {"smaug-bpe", false});
  metadata["tokenizer.ggml.bos_token_id"] = 128000;
  const auto tokenizer = Tokenizer::from_gguf(metadata).value();
  for (const auto& item : test::load(folder / "golden.json")["cases"]) {
    EXPECT_EQ(tokenizer->encode(item["text"].get<std::string>(), true).value(), Ids(item["ids"])) << item["text"];
  }
}

Json small_sentencepiece() {
  return {{"tokenizer.ggml.model", "llama"},
          {"tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "<0x0A>", "<0xC3>", "<0xA9>", "▁", "a", "b", "ab", "▁ab"}},
          {"tokenizer.ggml.scores", {0, 0, 0, 0, 0, 0, -3, -4, -5, -1, -2}},
          {"tokenizer.ggml.token_type", {2, 3, 3, 6, 6, 6, 1, 1, 1, 1, 1}},
          {"tokenizer.ggml.bos_token_id", 1},
          {"tokenizer.ggml.eos_token_id", 2}};
}

Json small_byte_level() {
  return {{"tokenizer.ggml.model", "gpt2"},
          {"tokenizer.ggml.pre", "llama-bpe"},
          {"tokenizer.ggml.tokens", {"a", "b", "ab", "Ġ", "<end>", "é", "Ã", "©"}},
          {"tokenizer.ggml.token_type", {1, 1, 1, 1, 3, 4, 1, 1}},
          {"tokenizer.ggml.merges", {"a b"}},
          {"tokenizer.ggml.bos_token_id", 4},
          {"tokenizer.ggml.eos_token_id", 4294967295u}};
}

std::string error_of(const Json& metadata) {
  const auto made = Tokenizer::from_gguf(metadata);
  return made ? "no error" : made.error().message;
}

TEST(GgufTokenizerTest, SmallSentencepiece) {
  auto tokenizer = Tokenizer::from_gguf(small_sentencepiece()).value();
  EXPECT_EQ(tokenizer->encode("ab a\né<s>", true).value(), (Ids{1, 10, 6, 7, 3, 4, 5, 1}));  // bos by default
  EXPECT_EQ(tokenizer->decode(Ids{1, 10, 6, 7, 3, 4, 5}, true).value(), "ab a\né");
  EXPECT_TRUE(tokenizer->is_special(0));
  EXPECT_TRUE(tokenizer->is_byte(4));
  EXPECT_FALSE(tokenizer->is_byte(6));
  EXPECT_EQ(tokenizer->vocab_size(), 11);

  Json metadata = small_sentencepiece();
  metadata["tokenizer.ggml.add_bos_token"] = false;
  metadata["tokenizer.ggml.add_eos_token"] = true;
  metadata["tokenizer.ggml.add_space_prefix"] = false;
  tokenizer = Tokenizer::from_gguf(metadata).value();
  EXPECT_EQ(tokenizer->encode("ab ab", true).value(), (Ids{9, 10, 2}));
  EXPECT_EQ(tokenizer->decode(Ids{10, 9}, true).value(), " abab");
}

TEST(GgufTokenizerTest, SmallByteLevel) {
  auto tokenizer = Tokenizer::from_gguf(small_byte_level()).value();
  EXPECT_EQ(tokenizer->encode("abé ba<end>", true).value(), (Ids{4, 2, 5, 3, 1, 0, 4}));  // llama-bpe adds bos
  EXPECT_EQ(tokenizer->decode(Ids{2, 3, 6, 7, 4}, true).value(), "ab é");

  Json metadata = small_byte_level();
  metadata["tokenizer.ggml.pre"] = "gpt-2";
  metadata.erase("tokenizer.ggml.token_type");  // as in old files: what is named bos is special all the same
  tokenizer = Tokenizer::from_gguf(metadata).value();
  EXPECT_EQ(tokenizer->encode("a<end>", true).value(), (Ids{0, 4}));
  metadata["tokenizer.ggml.bos_token_id"] = 1;  // but an ordinary token stays one
  EXPECT_FALSE(Tokenizer::from_gguf(metadata).value()->is_special(1));
}

TEST(GgufTokenizerTest, SmallWordPiece) {
  Json metadata = {{"tokenizer.ggml.model", "bert"},
                   {"tokenizer.ggml.tokens", {"[UNK]", "[CLS]", "[SEP]", "▁a", "b", "▁b", "▁B"}},
                   {"tokenizer.ggml.token_type", {3, 3, 3, 1, 1, 1, 3}},
                   {"tokenizer.ggml.bos_token_id", 1},  // as in older files
                   {"tokenizer.ggml.eos_token_id", 2},
                   {"tokenizer.ggml.unknown_token_id", 0}};
  auto tokenizer = Tokenizer::from_gguf(metadata).value();
  EXPECT_EQ(tokenizer->encode("AB b[SEP]c", true).value(), (Ids{1, 3, 4, 5, 2, 0, 2}));
  EXPECT_EQ(tokenizer->decode(Ids{1, 3, 4, 5, 2}, true).value(), "ab b");

  metadata["tokenizer.ggml.token_type"][6] = 1;  // a vocabulary with capitals is one of texts with capitals
  tokenizer = Tokenizer::from_gguf(metadata).value();
  EXPECT_EQ(tokenizer->encode("ab B", false).value(), (Ids{3, 4, 6}));

  metadata["tokenizer.ggml.normalizer.lowercase"] = true;
  tokenizer = Tokenizer::from_gguf(metadata).value();
  EXPECT_EQ(tokenizer->encode("ab B", false).value(), (Ids{3, 4, 5}));

  metadata.erase("tokenizer.ggml.eos_token_id");
  EXPECT_NE(error_of(metadata).find("seperator_token_id or unknown_token_id is missing"), std::string::npos);
  metadata.erase("tokenizer.ggml.token_type");
  EXPECT_NE(error_of(metadata).find("token_type is missing"), std::string::npos);
}

TEST(GgufTokenizerTest, BadMetadata) {
  const auto with = [](Json metadata, const std::string& key, Json value) {
    metadata["tokenizer.ggml." + key] = std::move(value);
    return error_of(metadata);
  };
  const Json spm = small_sentencepiece(), bytes = small_byte_level();
  EXPECT_NE(error_of(Json::object()).find("has no tokenizer"), std::string::npos);
  EXPECT_NE(error_of(Json::array()).find("must be an object"), std::string::npos);
  EXPECT_NE(with(spm, "model", "t5").find("'t5' is not supported"), std::string::npos);
  EXPECT_NE(with(spm, "tokens", nullptr).find("tokens is missing"), std::string::npos);
  EXPECT_NE(with(spm, "tokens", {1, 2}).find("something else than strings"), std::string::npos);
  EXPECT_NE(with(spm, "scores", {1, 2}).find("scores must hold one number for each of the 11"), std::string::npos);
  EXPECT_NE(with(spm, "scores", nullptr).find("scores is missing"), std::string::npos);
  EXPECT_NE(with(spm, "token_type", {1}).find("token_type must hold one number"), std::string::npos);
  EXPECT_NE(with(spm, "bos_token_id", 11).find("is 11, but there are only 11 tokens"), std::string::npos);
  EXPECT_NE(with(spm, "bos_token_id", "1").find("must be an integer"), std::string::npos);
  EXPECT_NE(with(spm, "add_bos_token", 1).find("must be a bool"), std::string::npos);
  EXPECT_NE(with(bytes, "merges", nullptr).find("merges is missing"), std::string::npos);
  EXPECT_NE(with(bytes, "merges", {"a b", "a c"}).find("merges[1] is not two tokens"), std::string::npos);
  EXPECT_NE(with(bytes, "merges", {"ab"}).find("merges[0]"), std::string::npos);
  EXPECT_NE(with(bytes, "merges", {"b a"}), "no error");  // "ba" is no token
  EXPECT_NE(with(bytes, "pre", 1).find("must be a string"), std::string::npos);
  const std::string pre = with(bytes, "pre", "no-such");
  EXPECT_NE(pre.find("'no-such' is not known; known are default, gpt-2"), std::string::npos) << pre;
  Json broken = spm;
  broken["tokenizer.ggml.tokens"][7] = "\xff";
  EXPECT_NE(error_of(broken).find("not valid UTF-8"), std::string::npos);
  Json infinite = spm;
  infinite["tokenizer.ggml.scores"][7] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_NE(error_of(infinite).find("score of token 7 is not a number"), std::string::npos);
  Json endless = spm;
  endless["tokenizer.ggml.tokens"][7] = std::string(5000, 'a');
  EXPECT_NE(error_of(endless).find("token 7 is 5000 bytes long"), std::string::npos);
  Json doubled = spm;
  doubled["tokenizer.ggml.tokens"][8] = "a";
  EXPECT_EQ(Tokenizer::from_gguf(doubled).value()->token_to_id("a"), 7);
}

TEST(GgufMergesTest, BetterPiecesFirst) {
  const std::vector<std::string> tokens = {"a", "b", "c", "ab", "bc", "abc", "é", "éa"};
  const auto merges = reconstruct_merges(
      tokens, VocabularyIds(tokens), {{3, false, -2}, {4, false, -1}, {5, false, -3}, {6, false, -4}, {7, true, -9}});
  ASSERT_TRUE(merges);
  std::vector<std::string> text;
  for (const auto& [left, right] : *merges) text.push_back(tokens[left] + " " + tokens[right]);
  EXPECT_EQ(text, (std::vector<std::string>{"é a", "b c", "a b", "ab c", "a bc"}));
}

INSTANTIATE_TEST_SUITE_P(Real, GgufTest, testing::ValuesIn(test::golden_folders()),
                         [](const auto& folder) { return test::test_name(folder.param.filename()); });

}  // namespace
}  // namespace tenon::tokenizer
