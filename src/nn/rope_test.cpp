#include "nn/rope.h"

#include <gtest/gtest.h>

namespace tenon::nn {
namespace {

// Expected values: transformers 5.23 (modeling_rope_utils.py), float32, printed in full.
void expect_near(const RopeFrequencies& got, double attention_factor, const std::vector<double>& inv_freq) {
  EXPECT_NEAR(got.attention_factor, attention_factor, 1e-12);
  ASSERT_EQ(got.inv_freq.size(), inv_freq.size());
  for (std::size_t i = 0; i < inv_freq.size(); ++i) {
    // Two units in the last place: torch's pow and ours may round differently.
    EXPECT_NEAR(got.inv_freq[i], inv_freq[i], 2.4e-7 * inv_freq[i]) << i;
    EXPECT_EQ(got.inv_freq[i], static_cast<float>(got.inv_freq[i])) << "not a float32 value";
  }
}

RopeConfig rope(RopeType type, int head_dim, double theta, int max_positions) {
  return {.rope_type = type, .rope_theta = theta, .head_dim = head_dim, .max_position_embeddings = max_positions};
}

TEST(Rope, Default) {
  expect_near(rope_frequencies(rope(RopeType::kDefault, 16, 500000.0, 128), 128), 1.0,
              {1.0, 0.193922758102417, 0.03760603070259094, 0.00729266507551074, 0.001414213445968926,
               0.00027424818836152554, 5.3182957344688475e-05, 1.0313385246263351e-05});
}

TEST(Rope, Linear) {
  RopeConfig config = rope(RopeType::kLinear, 16, 10000.0, 128);
  config.factor = 4.0;
  expect_near(rope_frequencies(config, 128), 1.0,
              {0.25, 0.07905694097280502, 0.02500000037252903, 0.007905694656074047, 0.0024999999441206455,
               0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-05});
  EXPECT_EQ(rope_context_limit(config), 512);
}

TEST(Rope, DynamicIsUnscaledUpToTheTrainedLengthAndFixedBeyond) {
  RopeConfig config = rope(RopeType::kDynamic, 16, 10000.0, 128);
  config.factor = 2.0;
  const std::vector<double> unscaled = {1.0,
                                        0.3162277638912201,
                                        0.10000000149011612,
                                        0.03162277862429619,
                                        0.009999999776482582,
                                        0.003162277862429619,
                                        0.0010000000474974513,
                                        0.0003162277862429619};
  expect_near(rope_frequencies(config, 128), 1.0, unscaled);
  expect_near(rope_frequencies(config, 5), 1.0, unscaled);
  expect_near(rope_frequencies(config, 300), 1.0,
              {1.0, 0.26244500279426575, 0.06887736916542053, 0.018076520413160324, 0.0047440920025110245,
               0.0012450632639229298, 0.0003267606080044061, 8.575667743571103e-05});
}

TEST(Rope, Llama3) {
  RopeConfig config = rope(RopeType::kLlama3, 32, 500000.0, 131072);
  config.factor = 8.0;
  config.original_max_position_embeddings = 8192;
  const std::vector<double> expected = {1.0,
                                        0.44036662578582764,
                                        0.193922758102417,
                                        0.08539710193872452,
                                        0.03760603070259094,
                                        0.016560440883040428,
                                        0.00729266507551074,
                                        0.0032114461064338684,
                                        0.0005248460220173001,
                                        7.784655463183299e-05,
                                        3.428102354519069e-05,
                                        1.5096217794052791e-05,
                                        6.647869668086059e-06,
                                        2.927499735960737e-06,
                                        1.289173155782919e-06,
                                        5.677088097399974e-07};
  expect_near(rope_frequencies(config, 131072), 1.0, expected);
  EXPECT_EQ(rope_context_limit(config), 131072);

  // The same as GGUF says it: divisors of the unscaled frequencies.
  RopeConfig gguf = rope(RopeType::kDefault, 32, 500000.0, 131072);
  const RopeFrequencies plain = rope_frequencies(gguf, 1);
  for (std::size_t i = 0; i < expected.size(); ++i) gguf.frequency_factors.push_back(plain.inv_freq[i] / expected[i]);
  expect_near(rope_frequencies(gguf, 1), 1.0, expected);
}

TEST(Rope, Yarn) {
  RopeConfig config = rope(RopeType::kYarn, 32, 1000000.0, 32768);
  config.factor = 4.0;
  config.original_max_position_embeddings = 32768;
  expect_near(rope_frequencies(config, 32768), 1.138629436111989,
              {1.0, 0.4216965138912201, 0.17782793939113617, 0.07498941570520401, 0.03162277862429619,
               0.01333521492779255, 0.00477990135550499, 0.001659961650148034, 0.0005499999970197678,
               0.00016867858357727528, 4.4456985051510856e-05, 1.8747356079984456e-05, 7.905693564680405e-06,
               3.3338035336782923e-06, 1.405853367941745e-06, 5.928434347879374e-07});
  EXPECT_EQ(rope_context_limit(config), 131072);
  config.attention_factor = 1.0;
  EXPECT_EQ(rope_frequencies(config, 32768).attention_factor, 1.0);
}

TEST(Rope, YarnWithMscaleAndWithoutTruncation) {
  RopeConfig config = rope(RopeType::kYarn, 32, 10000.0, 131072);
  config.factor = 40.0;
  config.original_max_position_embeddings = 4096;
  config.beta_fast = 16.0;
  config.beta_slow = 2.0;
  config.mscale = 0.707;
  config.mscale_all_dim = 1.0;
  config.truncate = false;
  expect_near(rope_frequencies(config, 131072), 0.9210423553163399,
              {1.0, 0.5623413324356079, 0.3162277638912201, 0.17782793939113617, 0.10000000149011612,
               0.05623412877321243, 0.03162277862429619, 0.015096119605004787, 0.005790104623883963,
               0.0017382187070325017, 0.00012395245721563697, 4.4456985051510856e-05, 2.499999936844688e-05,
               1.4058532542549074e-05, 7.905694474175107e-06, 4.445698323252145e-06});
}

}  // namespace
}  // namespace tenon::nn
