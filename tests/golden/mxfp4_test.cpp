// gpt-oss with MXFP4 experts, multiplied as such: near what transformers computes from the same numbers, one answer per
// request, and the same bits from a GGUF file as from SafeTensors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gguf_writer.h"
#include "verify/compare.h"
#include "verify/reference.h"
#include "verify/runner.h"

namespace tenon::golden {
namespace {

using namespace verify;
using tensor::DType;

namespace fs = std::filesystem;

fs::path checkpoint() { return fs::path(std::getenv("TENON_SOURCE_DIR")) / "tests" / "golden" / "gpt_oss" / "mxfp4"; }

Reference reference() { return read_reference((checkpoint() / "reference.safetensors").string()).value(); }

TEST(Mxfp4, ComesNearTheReference) {
  const Reference expected = reference();
  auto runner = Runner::load({.model = checkpoint().string()});
  ASSERT_TRUE(runner) << runner.error().message;
  for (std::size_t n = 0; n < expected.prompts.size(); ++n) {
    const Difference d = compare(expected.logits[n], (*runner)->run(expected.prompts[n], 512), (*runner)->vocab());
    EXPECT_LT(d.kl_mean, 1e-3) << "prompt " << n;
    EXPECT_GT(d.kl_max, 0) << "activations are rounded, so that something must differ";
  }
}

// 17 bytes for 32 weights of the experts; the rest is as in bfloat16.
TEST(Mxfp4, StaysAsItIsInMemory) {
  const auto bytes = [](const std::string& encoding) {
    auto runner = Runner::load({.model = checkpoint().string(), .quantization_encoding = encoding});
    EXPECT_TRUE(runner) << runner.error().message;
    return (*runner)->model().executable->weight_bytes();
  };
  constexpr std::int64_t kWeights = 2 * 3 * (64 * 32 + 64 * 32 + 32 * 64);  // layers, experts, gate, up and down
  EXPECT_EQ(bytes("bfloat16") - bytes("mxfp4"), 2 * kWeights - kWeights / 32 * 17);
}

TEST(Mxfp4, OneAnswerPerRequest) {
  const std::vector<Ids> prompts = reference().prompts;
  std::vector<Logits> alone;
  for (const int threads : {1, 2, 4}) {
    auto runner = Runner::load({.model = checkpoint().string()}, threads);
    ASSERT_TRUE(runner) << runner.error().message;
    if (alone.empty()) {
      for (const Ids& ids : prompts) alone.push_back((*runner)->run(ids, 512));
    }
    for (const int chunk : {1, 3, 7, 512}) {
      EXPECT_EQ((*runner)->run(prompts[0], chunk), alone[0]) << "chunks of " << chunk << ", threads " << threads;
      EXPECT_EQ((*runner)->run(prompts, chunk), alone) << "together, chunks of " << chunk << ", threads " << threads;
    }
  }
}

std::string bytes_of(const tensor::TensorView& tensor) {
  return {reinterpret_cast<const char*>(tensor.data), static_cast<std::size_t>(tensor.bytes())};
}

// Rows first, first + step, … of every expert as ggml has them: the scale, then elements j and j + 16 in byte j, where
// SafeTensors files have 2j and 2j + 1.
std::string ggml_blocks(const tensor::TensorView& blocks, const tensor::TensorView& scales, int first, int step) {
  const std::int64_t experts = blocks.shape[0], rows = blocks.shape[1], groups = blocks.shape[2];
  std::string out;
  for (std::int64_t e = 0; e < experts; ++e) {
    for (std::int64_t row = first; row < rows; row += step) {
      for (std::int64_t g = (e * rows + row) * groups; g < (e * rows + row + 1) * groups; ++g) {
        out += static_cast<char>(scales.data[g]);
        unsigned codes[32];
        for (int j = 0; j < 16; ++j) {
          const auto both = std::to_integer<unsigned>(blocks.data[16 * g + j]);
          codes[2 * j] = both & 15, codes[2 * j + 1] = both >> 4;
        }
        for (int j = 0; j < 16; ++j) out += static_cast<char>(codes[j] | codes[j + 16] << 4);
      }
    }
  }
  return out;
}

// The golden checkpoint as llama.cpp's converter names and lays out a gpt-oss.
void write_gguf(const std::string& path) {
  const Json c = read_json_file((checkpoint() / "config.json").string()).value();
  const auto tensors = weights::open_safetensors(checkpoint().string()).value();
  GgufWriter gguf("gpt-oss");
  for (const auto& [key, field] :
       std::vector<std::pair<std::string, std::string>>{{"block_count", "num_hidden_layers"},
                                                        {"context_length", "max_position_embeddings"},
                                                        {"embedding_length", "hidden_size"},
                                                        {"feed_forward_length", "intermediate_size"},
                                                        {"expert_feed_forward_length", "intermediate_size"},
                                                        {"attention.head_count", "num_attention_heads"},
                                                        {"attention.head_count_kv", "num_key_value_heads"},
                                                        {"attention.key_length", "head_dim"},
                                                        {"attention.value_length", "head_dim"},
                                                        {"attention.sliding_window", "sliding_window"},
                                                        {"expert_count", "num_local_experts"},
                                                        {"expert_used_count", "num_experts_per_tok"},
                                                        {"vocab_size", "vocab_size"}}) {
    gguf.u32("gpt-oss." + key, c[field].get<std::uint32_t>());
  }
  gguf.f32("gpt-oss.attention.layer_norm_rms_epsilon", c["rms_norm_eps"].get<float>());
  gguf.f32("gpt-oss.rope.freq_base", c["rope_parameters"]["rope_theta"].get<float>());
  gguf.u32("general.file_type", 38);

  const auto copy = [&](const std::string& to, const std::string& from) {
    const tensor::TensorView& t = *tensors->find(from);
    gguf.tensor(to, t.shape, t.dtype, bytes_of(t));
  };
  copy("token_embd.weight", "model.embed_tokens.weight");
  copy("output_norm.weight", "model.norm.weight");
  copy("output.weight", "lm_head.weight");
  for (int layer = 0; layer < c["num_hidden_layers"].get<int>(); ++layer) {
    const std::string b = "blk." + std::to_string(layer) + ".";
    const std::string l = "model.layers." + std::to_string(layer) + ".";
    copy(b + "attn_norm.weight", l + "input_layernorm.weight");
    copy(b + "post_attention_norm.weight", l + "post_attention_layernorm.weight");
    copy(b + "attn_sinks.weight", l + "self_attn.sinks");
    for (const std::string kind : {".weight", ".bias"}) {
      copy(b + "attn_q" + kind, l + "self_attn.q_proj" + kind);
      copy(b + "attn_k" + kind, l + "self_attn.k_proj" + kind);
      copy(b + "attn_v" + kind, l + "self_attn.v_proj" + kind);
      copy(b + "attn_output" + kind, l + "self_attn.o_proj" + kind);
      copy(b + "ffn_gate_inp" + kind, l + "mlp.router" + kind);
    }
    const std::string experts = l + "mlp.experts.";
    const auto blocks = [&](const std::string& to, const std::string& from, int first, int step) {
      const tensor::TensorView& t = *tensors->find(experts + from + "_blocks");
      gguf.tensor(b + to, {t.shape[0], t.shape[1] / step, 32 * t.shape[2]}, DType::kMXFP4,
                  ggml_blocks(t, *tensors->find(experts + from + "_scales"), first, step));
    };
    blocks("ffn_gate_exps.weight", "gate_up_proj", 0, 2);
    blocks("ffn_up_exps.weight", "gate_up_proj", 1, 2);
    blocks("ffn_down_exps.weight", "down_proj", 0, 1);
    copy(b + "ffn_down_exps.bias", experts + "down_proj_bias");
    const tensor::TensorView& both = *tensors->find(experts + "gate_up_proj_bias");
    const std::int64_t n = both.shape[1] / 2;
    const std::string values = bytes_of(both);
    for (std::size_t part = 0; part < 2; ++part) {
      std::string bias;
      for (std::size_t i = part; i < values.size() / 4; i += 2) bias += values.substr(4 * i, 4);
      gguf.tensor(b + (part == 0 ? "ffn_gate_exps.bias" : "ffn_up_exps.bias"), {both.shape[0], n}, DType::kF32, bias);
    }
  }
  gguf.write(path);
}

TEST(Mxfp4, GgufAndSafetensorsGiveTheSameLogits) {
  const fs::path folder = fs::path(testing::TempDir()) / "tenon_mxfp4";
  fs::create_directories(folder);
  fs::copy_file(checkpoint() / "model.safetensors", folder / "model.safetensors", fs::copy_options::overwrite_existing);
  Json config = read_json_file((checkpoint() / "config.json").string()).value();
  config["swiglu_limit"] = 7.0;  // which no GGUF file says
  std::ofstream(folder / "config.json") << config.dump();
  const std::string gguf = (folder / "model.gguf").string();
  write_gguf(gguf);
  const std::vector<Ids> prompts = reference().prompts;
  for (const std::string encoding : {"", "mxfp4", "bfloat16", "float32"}) {
    SCOPED_TRACE(encoding);
    auto a = Runner::load({.model = folder.string(), .quantization_encoding = encoding});
    ASSERT_TRUE(a) << a.error().message;
    auto b = Runner::load({.model = gguf, .quantization_encoding = encoding});
    ASSERT_TRUE(b) << b.error().message;
    EXPECT_EQ((*a)->model().encoding, encoding.empty() ? "mxfp4" : encoding);
    EXPECT_EQ((*b)->model().encoding, encoding.empty() ? "mxfp4" : encoding);
    EXPECT_EQ((*a)->run(prompts, 512), (*b)->run(prompts, 512));
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace tenon::golden
