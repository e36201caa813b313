// One answer per request, bitwise: alone, among 64, in any chunks, with any number of threads. For every weight format.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>

#include "gguf_writer.h"
#include "verify/conformance/random_rows.h"
#include "verify/runner.h"

namespace tenon::golden {
namespace {

using namespace verify;

namespace fs = std::filesystem;

// A small Llama in GGUF, all of whose matrices have one type: the shapes make whole blocks of 256.
class Invariance : public testing::TestWithParam<const char*> {};

std::string write_gguf(const std::string& format);

std::vector<Ids> random_prompts(int vocab) {
  std::mt19937 random(7);
  std::vector<Ids> prompts(64);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    prompts[i].resize(i == 0 ? 150 : 1 + random() % 90);
    for (auto& id : prompts[i]) id = static_cast<std::int32_t>(random() % static_cast<unsigned>(vocab));
  }
  return prompts;
}

TEST_P(Invariance, AloneInABatchInChunksAndWithAnyThreads) {
  const std::string path = write_gguf(GetParam());
  const std::string encoding = std::strcmp(GetParam(), "F32") == 0 ? "float32" : "";
  std::vector<Logits> expected;
  std::vector<Ids> prompts;
  for (const int threads : {1, 2, 4}) {
    auto runner = Runner::load({.model = path, .quantization_encoding = encoding}, threads);
    ASSERT_TRUE(runner) << runner.error().message;
    if (expected.empty()) {
      prompts = random_prompts(static_cast<int>((*runner)->vocab()));
      for (const Ids& ids : prompts) expected.push_back((*runner)->run(ids, 512));
      for (const float x : expected[0]) ASSERT_TRUE(std::isfinite(x));
      EXPECT_NE(expected[0], expected[1]);
    }
    for (const int chunk : {1, 7, 64, 512}) {
      EXPECT_TRUE((*runner)->run(prompts[0], chunk) == expected[0])
          << "alone, chunks of " << chunk << ", threads " << threads;
    }
    EXPECT_TRUE((*runner)->run(prompts, 512) == expected) << "64 together, threads " << threads;
    EXPECT_TRUE((*runner)->run(prompts, 7) == expected) << "64 together in chunks of 7, threads " << threads;
  }
  fs::remove(path);
}

TEST_P(Invariance, WhileWeightsAreStillBeingPacked) {
  const std::string path = write_gguf(GetParam());
  const std::string encoding = std::strcmp(GetParam(), "F32") == 0 ? "float32" : "";
  const auto packed = Runner::load({.model = path, .quantization_encoding = encoding}, 2);
  ASSERT_TRUE(packed) << packed.error().message;
  const std::vector<Ids> prompts = random_prompts(static_cast<int>((*packed)->vocab()));
  const std::vector<Logits> expected = (*packed)->run(prompts, 512);
  const auto later = Runner::load({.model = path, .quantization_encoding = encoding, .pack_later = true}, 2);
  ASSERT_TRUE(later) << later.error().message;
  runtime::Executable& executable = *(*later)->model().executable;
  ThreadPool pool(2);
  EXPECT_GT(executable.unpacked_bytes(), 0);
  for (; executable.unpacked_bytes() > 0; executable.pack_more(pool)) {
    EXPECT_TRUE((*later)->run(prompts, 512) == expected) << executable.unpacked_bytes() << " bytes to be packed";
  }
  EXPECT_TRUE((*later)->run(prompts, 512) == expected);
  fs::remove(path);
}

INSTANTIATE_TEST_SUITE_P(Formats, Invariance,
                         testing::Values("F32", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K",
                                         "MXFP4"),
                         [](const auto& test) { return std::string(test.param); });

constexpr int kHidden = 256, kIntermediate = 512, kHeads = 4, kKvHeads = 2, kLayers = 2, kVocab = 320;

std::string write_gguf(const std::string& format) {
  std::mt19937 random(3);
  GgufWriter gguf("llama");
  gguf.u32("llama.block_count", kLayers), gguf.u32("llama.context_length", 512);
  gguf.u32("llama.embedding_length", kHidden), gguf.u32("llama.feed_forward_length", kIntermediate);
  gguf.u32("llama.attention.head_count", kHeads), gguf.u32("llama.attention.head_count_kv", kKvHeads);
  gguf.u32("llama.vocab_size", kVocab);
  gguf.f32("llama.rope.freq_base", 10000), gguf.f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  const auto matrix = [&](const std::string& name, std::int64_t k, std::int64_t n) {
    const tensor::DType dtype = *tensor::dtype_from_name(format);
    gguf.tensor(name, {n, k}, dtype, random_rows(dtype, n * k, random));
  };
  const auto norm = [&](const std::string& name) {
    gguf.tensor(name, {kHidden}, tensor::DType::kF32, random_rows(tensor::DType::kF32, kHidden, random));
  };
  constexpr int kHead = kHidden / kHeads;
  matrix("token_embd.weight", kHidden, kVocab);
  norm("output_norm.weight");
  matrix("output.weight", kHidden, kVocab);
  for (int l = 0; l < kLayers; ++l) {
    const std::string b = "blk." + std::to_string(l) + ".";
    norm(b + "attn_norm.weight"), norm(b + "ffn_norm.weight");
    matrix(b + "attn_q.weight", kHidden, kHeads * kHead), matrix(b + "attn_k.weight", kHidden, kKvHeads * kHead);
    matrix(b + "attn_v.weight", kHidden, kKvHeads * kHead), matrix(b + "attn_output.weight", kHeads * kHead, kHidden);
    matrix(b + "ffn_gate.weight", kHidden, kIntermediate), matrix(b + "ffn_up.weight", kHidden, kIntermediate);
    matrix(b + "ffn_down.weight", kIntermediate, kHidden);
  }
  const std::string path = testing::TempDir() + "/tenon_invariance_" + format + ".gguf";
  gguf.write(path);
  return path;
}

}  // namespace
}  // namespace tenon::golden
