// One answer per request, bitwise: alone, among 64, in any chunks, with any number of threads. For every weight format.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

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

INSTANTIATE_TEST_SUITE_P(Formats, Invariance,
                         testing::Values("F32", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"),
                         [](const auto& test) { return std::string(test.param); });

// -- a GGUF writer: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

constexpr int kHidden = 256, kIntermediate = 512, kHeads = 4, kKvHeads = 2, kLayers = 2, kVocab = 320;

struct Writer {
  std::string bytes;
  template <class T>
  void put(T x) {
    bytes.append(reinterpret_cast<const char*>(&x), sizeof x);
  }
  void text(const std::string& s) {
    put<std::uint64_t>(s.size());
    bytes += s;
  }
  void u32(const std::string& key, std::uint32_t x) { text(key), put<std::uint32_t>(4), put(x); }
  void f32(const std::string& key, float x) { text(key), put<std::uint32_t>(6), put(x); }
  void str(const std::string& key, const std::string& x) { text(key), put<std::uint32_t>(8), text(x); }
};

struct GgufType {
  tensor::DType dtype;
  std::uint32_t code;
};

GgufType type_of(const std::string& name) {
  const std::map<std::string, std::uint32_t> codes = {{"F32", 0},   {"Q4_0", 2}, {"Q4_1", 3},  {"Q5_0", 6},
                                                      {"Q5_1", 7},  {"Q8_0", 8}, {"Q4_K", 12}, {"Q5_K", 13},
                                                      {"Q6_K", 14}, {"BF16", 30}};
  return {*tensor::dtype_from_name(name), codes.at(name)};
}

std::string write_gguf(const std::string& format) {
  std::mt19937 random(3);
  const GgufType matrix = type_of(format);
  struct Entry {
    std::string name;
    std::vector<std::int64_t> dims;  // GGUF order: innermost first
    GgufType type;
  };
  std::vector<Entry> entries;
  const int head = kHidden / kHeads;
  const auto add = [&](const std::string& name, std::int64_t k, std::int64_t n) {
    entries.push_back({name, {k, n}, matrix});
  };
  const auto norm = [&](const std::string& name) { entries.push_back({name, {kHidden}, type_of("F32")}); };
  add("token_embd.weight", kHidden, kVocab);
  norm("output_norm.weight");
  add("output.weight", kHidden, kVocab);
  for (int l = 0; l < kLayers; ++l) {
    const std::string b = "blk." + std::to_string(l) + ".";
    norm(b + "attn_norm.weight"), norm(b + "ffn_norm.weight");
    add(b + "attn_q.weight", kHidden, kHeads * head), add(b + "attn_k.weight", kHidden, kKvHeads * head);
    add(b + "attn_v.weight", kHidden, kKvHeads * head), add(b + "attn_output.weight", kHeads * head, kHidden);
    add(b + "ffn_gate.weight", kHidden, kIntermediate), add(b + "ffn_up.weight", kHidden, kIntermediate);
    add(b + "ffn_down.weight", kIntermediate, kHidden);
  }
  Writer header, data;
  header.bytes = "GGUF";
  header.put<std::uint32_t>(3), header.put<std::uint64_t>(entries.size()), header.put<std::uint64_t>(10);
  header.str("general.architecture", "llama");
  header.u32("llama.block_count", kLayers), header.u32("llama.context_length", 512);
  header.u32("llama.embedding_length", kHidden), header.u32("llama.feed_forward_length", kIntermediate);
  header.u32("llama.attention.head_count", kHeads), header.u32("llama.attention.head_count_kv", kKvHeads);
  header.u32("llama.vocab_size", kVocab);
  header.f32("llama.rope.freq_base", 10000), header.f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  for (const Entry& e : entries) {
    while (data.bytes.size() % 32) data.bytes += '\0';
    header.text(e.name), header.put<std::uint32_t>(static_cast<std::uint32_t>(e.dims.size()));
    std::int64_t elements = 1;
    for (const auto d : e.dims) header.put<std::uint64_t>(static_cast<std::uint64_t>(d)), elements *= d;
    header.put(e.type.code), header.put<std::uint64_t>(data.bytes.size());
    data.bytes += random_rows(e.type.dtype, elements, random);
  }
  while (header.bytes.size() % 32) header.bytes += '\0';
  const std::string path = testing::TempDir() + "/tenon_invariance_" + format + ".gguf";
  std::ofstream(path, std::ios::binary) << header.bytes << data.bytes;
  return path;
}

}  // namespace
}  // namespace tenon::golden
