// Planted mistakes against transformers' own values of the tiny checkpoints of tests/golden: verify names the right
// cause, and none for a model that is right.
#include "verify/diagnose.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "loader/prepare.h"
#include "verify/planted_llama.h"
#include "verify/rewriter.h"

namespace tenon::verify {
namespace {

namespace fs = std::filesystem;
using test::Mistakes;
using testing::HasSubstr;

fs::path golden(const std::string& name) {
  const char* source = std::getenv("TENON_SOURCE_DIR");
  return fs::path(source == nullptr ? "." : source) / "tests" / "golden" / name;
}

Json config_of(const std::string& name) { return *read_json_file((golden(name) / "config.json").string()); }

using Build = std::function<void(graph::Graph&)>;

Diagnosis diagnosis_of(const graph::Graph& graph, const std::string& name, const Json& config, double tolerance = 0) {
  auto prepared = loader::prepare({.model = golden(name).string()}, true);
  EXPECT_TRUE(prepared) << prepared.error().message;
  auto reference = read_reference((golden(name) / "reference.safetensors").string());
  EXPECT_TRUE(reference) << reference.error().message;
  std::set<std::string> used;
  for (const auto& request : graph.weights()) used.insert(request.name);
  loader::CheckpointWeights weights(prepared->checkpoint, prepared->weights);
  Subject subject{.graph = &graph,
                  .weights = [&](const std::string& w) { return weights.weight(w); },
                  .background = {.config = config, .unused = {}}};
  for (const auto& [w, binding] : prepared->weights.bindings) {
    if (!used.contains(w)) subject.background.unused[w] = binding.tensor->shape;
  }
  ThreadPool pool(1);
  auto diagnosis = diagnose(subject, *reference, 80, pool, tolerance);
  EXPECT_TRUE(diagnosis) << diagnosis.error().message;
  return diagnosis ? *diagnosis : Diagnosis{};
}

Diagnosis diagnosis_of(const std::string& name, const Build& build, const Json& config, double tolerance = 0) {
  graph::Graph graph;
  build(graph);
  return diagnosis_of(graph, name, config, tolerance);
}

Diagnosis planted(const std::string& name, const Mistakes& mistakes) {
  const Json config = config_of(name);
  return diagnosis_of(name, [&](graph::Graph& graph) { test::PlantedLlama(graph, config, mistakes).build(); }, config);
}

/// A registered architecture that was told another config than the dump's.
Diagnosis misconfigured(const std::string& name, const std::function<void(Json&)>& edit) {
  Json config = config_of(name);
  edit(config);
  const auto entry = model::find_architecture(config["architectures"][0].get<std::string>(), config);
  const auto parsed = model::parse_config(*entry->architecture, config);
  EXPECT_TRUE(parsed) << parsed.error().message;
  const auto model = entry->architecture->make_model(*parsed);
  const tensor::KvLayout layout{.layers = model->kv_parameters()};
  return diagnosis_of(
      name, [&](graph::Graph& graph) { model->build({graph, layout, (*parsed)->max_position_embeddings}); }, config);
}

std::string told(const Diagnosis& d) {
  std::string out = "first " + d.first + " error " + std::to_string(d.error) + "; unexplained " + d.unexplained;
  for (const Cause& c : d.causes) {
    out += "\n  " + c.tap + ": " + c.kind + ": " + c.text + " (" + std::to_string(c.after) + ")";
    for (const std::string& other : c.as_good) out += "\n    or " + other;
  }
  return out;
}

struct Case {
  const char* name;
  const char* golden;
  Mistakes mistakes;
  const char* kind;
  const char* says;  ///< a part of the cause's sentence
  const char* first = "model.layers.0.self_attn";
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.golden << ": " << c.kind; }

std::vector<Case> cases() {
  const char *mlp = "model.layers.0.mlp", *embed = "model.embed_tokens";
  return {
      {"RopeTheta", "llama/mha", {.rope_theta = 500000}, "rope theta", "rope_theta 10000,"},
      {"IgnoredLlama3Scaling", "llama/rope_llama3", {.ignores_scaling = true}, "rope scaling", "llama3"},
      {"IgnoredLinearScaling", "llama/rope_linear", {.ignores_scaling = true}, "rope scaling", "linear"},
      {"IgnoredYarn", "llama/rope_yarn", {.ignores_scaling = true}, "rope scaling", "yarn"},
      {"Interleaved", "llama/mha", {.interleaved = true}, "rope layout", "pairs (i, i + half)"},
      {"PartialRotary", "llama/mha", {.rotary_dim = 4}, "partial rotary", "rotates 8 of the 8"},
      {"NoRope", "llama/mha", {.no_rope = true}, "missing rope", "rope_theta 10000"},
      {"NoRopeInOneLayer", "llama/mha", {.no_rope_in_layer_1 = true}, "missing rope", "", "model.layers.1.self_attn"},
      {"NoRopeOfQ", "llama/mha", {.no_rope_of_q = true}, "missing rope", "rotates q here as it does k"},
      {"RopeOfV", "llama/mha", {.rope_of_v = true}, "extra rope", "does not rotate v"},
      {"NormEpsilon", "llama/mha", {.eps = 1e-2}, "norm epsilon", "epsilon 1e-06"},
      {"NormOffset", "llama/mha", {.norm_offset = 1}, "norm offset", "by weight, this model's by 1 + weight"},
      {"MissingBias", "llama/biases", {.no_bias = true}, "missing bias", "q_proj.bias"},
      {"HeadDim", "llama/mha", {.head_dim = 16}, "head_dim", "heads of 8"},
      {"HeadDimTooSmall", "llama/mha", {.head_dim = 4}, "head_dim", "heads of 8"},
      {"AttentionScale", "llama/mha", {.attention_scale = 0.125}, "attention scale", "by 0.3535534,"},
      {"AttentionSoftcap", "llama/mha", {.attention_softcap = 20}, "attention softcap", "does not cap"},
      {"FinalSoftcap", "llama/mha", {.final_softcap = 30}, "final softcap", "does not cap", "logits"},
      {"Activation", "llama/mha", {.activation = "gelu_pytorch_tanh"}, "activation", "activation is silu", mlp},
      {"ActivationOfTwoOps", "llama/mha", {.activation = "quick_gelu"}, "activation", "activation is silu", mlp},
      {"EmbeddingScale", "llama/mha", {.embedding_scale = 5.656854}, "embedding scale", "0.17677", embed},
      {"LogitsScale", "llama/mha", {.logits_scale = 0.125}, "logits scale", "are 8", "logits"},
      {"Window", "llama/mha", {.window = 16}, "sliding window", "to all positions here"},
      {"GateAndUp", "llama/mha", {.gate_and_up_swapped = true}, "swapped weights", "mlp.gate_proj", mlp},
      {"KAndV", "llama/mha", {.k_and_v_swapped = true}, "swapped weights", "self_attn.k_proj"},
      {"NormKind", "llama/mha", {.layer_norms = true}, "norm kind", "are RMS norms"},
      {"NoActivation", "llama/mha", {.no_activation = true}, "activation", "applies silu", mlp},
      {"ParallelBranches", "llama/mha", {.parallel = true}, "parallel branches", "adds self_attn to", mlp},
      {"NormedResidual", "llama/mha", {.normed_residual = true}, "normed residual", "what the norm makes", mlp},
      {"ForgottenTerm",
       "llama/mha",
       {.forgets_attention = true},
       "missing residual",
       "adds self_attn to",
       "model.layers.0"},
      // The last layer's tap and the norm's are one value.
      {"NoFinalNorm", "llama/mha", {.no_final_norm = true}, "missing norm", "", "model.norm"},
      {"Norms", "llama/mha", {.norms_swapped = true}, "swapped weights", "post_attention_layernorm"},
  };
}

class Planted : public testing::TestWithParam<Case> {};

TEST_P(Planted, TheRightCauseIsNamed) {
  const Case& c = GetParam();
  if (!fs::exists(golden(c.golden))) GTEST_SKIP() << "skipped: " << golden(c.golden) << " is not there";
  const Diagnosis d = planted(c.golden, c.mistakes);
  EXPECT_EQ(d.first, c.first) << told(d);
  ASSERT_EQ(d.causes.size(), 1u) << told(d);
  EXPECT_EQ(d.causes[0].kind, c.kind) << told(d);
  EXPECT_THAT(d.causes[0].text, HasSubstr(c.says)) << told(d);
  EXPECT_EQ(d.unexplained, "") << told(d);
  RecordProperty("diagnosis", told(d));
}

INSTANTIATE_TEST_SUITE_P(Llama, Planted, testing::ValuesIn(cases()),
                         [](const auto& test) { return std::string(test.param.name); });

// Mistakes of Gemma's kind, by a config that is wrong.
TEST(Misconfigured, Gemma3) {
  const std::string name = "gemma3/tied_window";
  struct Wrong {
    std::function<void(Json&)> edit;
    std::string kind, says;
  };
  const std::vector<Wrong> all = {
      {[](Json& c) { c["sliding_window"] = 128; }, "sliding window", "the last 8 positions"},
      {[](Json& c) { c["sliding_window"] = 7; }, "sliding window", "the last 8 positions"},
      {[](Json& c) { c["query_pre_attn_scalar"] = 256; }, "attention scale", "by 0.25,"},
      {[](Json& c) { c["hidden_activation"] = "silu"; }, "activation", "gelu_pytorch_tanh"},
      {[](Json& c) { c["final_logit_softcapping"] = 5.0; }, "final softcap", "does not cap"},
      {[](Json& c) { c["rope_parameters"]["sliding_attention"]["rope_theta"] = 1e6; }, "rope theta",
       "rope_theta 10000,"},
  };
  for (const Wrong& wrong : all) {
    const Diagnosis d = misconfigured(name, wrong.edit);
    ASSERT_FALSE(d.causes.empty()) << wrong.kind << ": " << told(d);
    EXPECT_EQ(d.causes[0].kind, wrong.kind) << told(d);
    EXPECT_THAT(d.causes[0].text, HasSubstr(wrong.says)) << told(d);
    EXPECT_EQ(d.unexplained, "") << told(d);
  }
  const Diagnosis capped =
      misconfigured("gemma3/untied_softcap", [](Json& c) { c["final_logit_softcapping"] = nullptr; });
  ASSERT_EQ(capped.causes.size(), 1u) << told(capped);
  EXPECT_EQ(capped.causes[0].kind, "final softcap");
  EXPECT_THAT(capped.causes[0].text, HasSubstr("caps logits at 10,"));
}

// The chunks of Llama 4 and the routers of mixtures of experts, by a config that is wrong.
TEST(Misconfigured, ChunksAndExperts) {
  struct Wrong {
    const char *golden, *field;
    Json value;
    std::string kind, says, first = "model.layers.0.mlp";
  };
  const std::string attention = "model.layers.0.self_attn";
  const std::vector<Wrong> all = {
      {"llama4/chunks_top1", "attention_chunk_size", 64, "attention chunk", "its chunk of 24 positions", attention},
      {"llama4/chunks_top1", "attention_chunk_size", 7, "attention chunk", "its chunk of 24 positions", attention},
      {"llama4/interleaved_top2", "attention_chunk_size", 128, "attention chunk", "its chunk of 64", attention},
      {"llama4/interleaved_top2", "num_experts_per_tok", 1, "experts per token", "to 2 experts, this model to 1",
       "model.layers.1.feed_forward"},
      {"mixtral/top2", "num_experts_per_tok", 3, "experts per token", "to 2 experts, this model to 3"},
      {"granitemoe/tied", "num_experts_per_tok", 2, "experts per token", "to 3 experts",
       "model.layers.0.block_sparse_moe"},
      {"qwen3_moe/normalized", "norm_topk_prob", false, "norm_topk_prob", "this model does not"},
      {"qwen3_moe/mixed_tied", "norm_topk_prob", true, "norm_topk_prob", "as they are"},
      {"deepseek_v3/halves_direct", "norm_topk_prob", true, "norm_topk_prob", "as they are"},
      {"deepseek_v3/halves_direct", "routed_scaling_factor", 1.0, "routed scaling factor", "by 2.5, this model by 1"},
      {"deepseek_v2/groups_biases", "routed_scaling_factor", 16.0, "routed scaling factor", "by 1.5,",
       "model.layers.1.mlp"},
      {"deepseek_v2/groups_biases", "topk_group", 3, "expert groups", "best 2 of 3 groups", "model.layers.1.mlp"},
      {"deepseek_v3/groups_yarn", "n_group", 1, "expert groups", "best 2 of 4 groups", "model.layers.1.mlp"},
  };
  for (const Wrong& wrong : all) {
    SCOPED_TRACE(std::string(wrong.golden) + " " + wrong.field + " " + wrong.value.dump());
    const Diagnosis d = misconfigured(wrong.golden, [&](Json& c) {
      c[wrong.field] = wrong.value;
      if (wrong.field == std::string("n_group")) c["topk_group"] = wrong.value;
    });
    ASSERT_FALSE(d.causes.empty()) << told(d);
    EXPECT_EQ(d.causes[0].kind, wrong.kind) << told(d);
    EXPECT_THAT(d.causes[0].text, HasSubstr(wrong.says)) << told(d);
    EXPECT_EQ(d.first, wrong.first) << told(d);
    EXPECT_EQ(d.unexplained, "") << told(d);
  }
}

// Layer norms, and branches side by side.
TEST(Misconfigured, GptNeoXAndStarcoder2) {
  struct Wrong {
    const char *golden, *field;
    Json value;
    std::string kind, says;
  };
  const std::vector<Wrong> all = {
      {"gpt_neox/published", "use_parallel_residual", false, "parallel branches", "the layer's input here"},
      {"gpt_neox/sequential_tied", "use_parallel_residual", true, "parallel branches", "adds attention to"},
      {"gpt_neox/published", "layer_norm_eps", 1e-2, "norm epsilon", "epsilon 1e-05, this model's 0.01"},
      {"gpt_neox/published",
       "rope_parameters",
       {{"partial_rotary_factor", 0.5}},
       "partial rotary",
       "rotates 4 of the 16"},
      {"starcoder2/window_linear", "sliding_window", 7, "sliding window", "the last 8 positions"},
      {"starcoder2/published", "use_bias", false, "missing bias", "self_attn.q_proj.bias"},
  };
  for (const Wrong& wrong : all) {
    SCOPED_TRACE(std::string(wrong.golden) + " " + wrong.field + " " + wrong.value.dump());
    const Diagnosis d = misconfigured(wrong.golden, [&](Json& c) { c[wrong.field] = wrong.value; });
    ASSERT_FALSE(d.causes.empty()) << told(d);
    EXPECT_EQ(d.causes[0].kind, wrong.kind) << told(d);
    EXPECT_THAT(d.causes[0].text, HasSubstr(wrong.says)) << told(d);
    EXPECT_EQ(d.unexplained, "") << told(d);
  }
}

// One norm for both branches, norms of each head, scaled logits.
TEST(Misconfigured, Cohere) {
  const Diagnosis scaled = misconfigured("cohere/published", [](Json& c) { c["logit_scale"] = 0.0625; });
  ASSERT_EQ(scaled.causes.size(), 1u) << told(scaled);
  EXPECT_EQ(scaled.causes[0].kind, "logits scale");
  const Diagnosis norms = misconfigured("cohere/qk_norms", [](Json& c) { c["layer_norm_eps"] = 1e-2; });
  ASSERT_FALSE(norms.causes.empty()) << told(norms);
  EXPECT_EQ(norms.causes[0].kind, "norm epsilon");
  EXPECT_EQ(norms.unexplained, "") << told(norms);
}

// What is too small for the logits is found with the tolerance of rounding.
TEST(Misconfigured, AnActivationThatIsNearlyRight) {
  const std::string name = "starcoder2/published";
  const Build build = [&](graph::Graph& graph) {
    Json config = config_of(name);
    config["hidden_act"] = "gelu";
    const auto entry = model::find_architecture("Starcoder2ForCausalLM", config);
    const auto parsed = model::parse_config(*entry->architecture, config);
    const auto model = entry->architecture->make_model(*parsed);
    const tensor::KvLayout layout{.layers = model->kv_parameters()};
    model->build({graph, layout, 128});
  };
  const Diagnosis d = diagnosis_of(name, build, config_of(name), kRounding);
  ASSERT_EQ(d.causes.size(), 1u) << told(d);
  EXPECT_EQ(d.causes[0].text, "the reference's activation is gelu_pytorch_tanh, this model's gelu");
}

// What no config says: the graph itself is wrong.
Diagnosis altered(const std::string& name, const Change& change) {
  const Json config = config_of(name);
  const auto prepared = loader::prepare({.model = golden(name).string()}, true);
  EXPECT_TRUE(prepared) << prepared.error().message;
  const auto wrong = rewrite(*prepared->graph, change, nullptr);
  return diagnosis_of(*wrong, name, config);
}

TEST(Altered, FusedOrder) {
  // q, k and v of 4 heads of 8 dims, cut out head by head where the checkpoint has all of q first.
  Change by_head;
  by_head.node = [](Rewriter& to, int index) {
    const graph::Node& node = to.node(index);
    if (node.op != &graph::kSlice || !node.scope.ends_with("self_attn")) return false;
    const std::int64_t begin = graph::integer(node.attributes, "begin") / 4;
    const graph::Value x = to.value(node.inputs[0]);
    const graph::Value heads = graph::reshape(x, {x.dim(0), 4, 24});
    to.set(node.outputs[0], graph::reshape(graph::slice(heads, begin, begin + 8), {x.dim(0), 32}));
    return true;
  };
  const Diagnosis d = altered("phi3/window_mha", by_head);
  ASSERT_FALSE(d.causes.empty()) << told(d);
  EXPECT_EQ(d.causes[0].kind, "fused order") << told(d);
  EXPECT_THAT(d.causes[0].text, HasSubstr("into whole parts, one after the other; this model head by head"));
  EXPECT_EQ(d.unexplained, "") << told(d);
}

TEST(Altered, NormsAfterTheRotation) {
  Change late;
  late.node = [](Rewriter& to, int index) {
    const graph::Node& node = to.node(index);
    const graph::Node* norm = node.op == &graph::kRope ? to.maker(node.inputs[0]) : nullptr;
    if (norm == nullptr || norm->op != &graph::kRmsNorm) return false;
    const graph::Value rotated = graph::rope(to.value(norm->inputs[0]), to.value(node.inputs[1]));
    to.set(node.outputs[0], graph::rms_norm(rotated, to.value(norm->inputs[1]), 1e-6));
    return true;
  };
  const Diagnosis d = altered("qwen3/gqa_tied", late);
  ASSERT_FALSE(d.causes.empty()) << told(d);
  EXPECT_EQ(d.causes[0].kind, "norm order") << told(d);
  EXPECT_THAT(d.causes[0].text, HasSubstr("rotates queries and keys after their norms, this model before"));
  EXPECT_EQ(d.unexplained, "") << told(d);
}

TEST(Altered, ANormForBothBranches) {
  // The MLP of every layer reads the layer's input, where both branches read one norm of it.
  Change unnormed;
  unnormed.node = [](Rewriter& to, int index) {
    const graph::Node& node = to.node(index);
    if (node.op != &graph::kLinear || node.scope.find(".mlp") == std::string::npos) return false;
    const graph::Node* maker = to.maker(node.inputs[0]);
    while (maker != nullptr && maker->op != &graph::kLayerNorm && maker->scope.ends_with("input_layernorm")) {
      maker = to.maker(maker->inputs[0]);  // the multiplication by the norm's weight
    }
    if (maker == nullptr || maker->op != &graph::kLayerNorm) return false;
    to.set(node.outputs[0], graph::linear(to.value(maker->inputs[0]), to.value(node.inputs[1])));
    return true;
  };
  const Diagnosis d = altered("cohere/published", unnormed);
  EXPECT_EQ(d.first, "model.layers.0.mlp") << told(d);
  ASSERT_EQ(d.causes.size(), 1u) << told(d);
  EXPECT_EQ(d.causes[0].text,
            "the reference reads what the norm input_layernorm made here, this model what it was made of");
  EXPECT_EQ(d.unexplained, "") << told(d);
}

Diagnosis altered(const std::string& name, const graph::Op& op, const graph::Attributes& options) {
  return altered(name, {.kind = "",
                        .text = "",
                        .node =
                            [&](Rewriter& to, int index) {
                              graph::Attributes attributes = to.node(index).attributes;
                              if (to.node(index).op != &op) return false;
                              for (const auto& [option, value] : options) attributes[option] = value;
                              to.copy_with(index, std::move(attributes));
                              return true;
                            },
                        .weight = {}});
}

TEST(Altered, RoutersAndChunks) {
  struct Wrong {
    const char* golden;
    const graph::Op& op;
    graph::Attributes options;
    std::string kind, says;
  };
  const std::string sigmoid = "sigmoid", of_chosen = "sigmoid_of_chosen", softmax = "softmax";
  const std::vector<Wrong> all = {
      {"llama4/chunks_top1", graph::kRouteExperts, {{"scoring", softmax}}, "expert scoring", "by a sigmoid of"},
      {"gpt_oss/float", graph::kRouteExperts, {{"scoring", sigmoid}}, "expert scoring", "softmax over the chosen"},
      {"deepseek_v3/halves_direct",
       graph::kRouteExperts,
       {{"scoring", softmax}},
       "expert scoring",
       "by a sigmoid of each"},
      {"qwen3_moe/mixed_tied", graph::kRouteExperts, {{"scoring", of_chosen}}, "expert scoring", "softmax over all"},
      {"mixtral/top2", graph::kRouteExperts, {{"scale", 2.0}}, "routed scaling factor", "by 1, this model by 2"},
      {"llama/mha", graph::kAttention, {{"chunk", std::int64_t{16}}}, "attention chunk", "to all positions here"},
  };
  for (const Wrong& wrong : all) {
    SCOPED_TRACE(std::string(wrong.golden) + " " + wrong.kind);
    const Diagnosis d = altered(wrong.golden, wrong.op, wrong.options);
    ASSERT_FALSE(d.causes.empty()) << told(d);
    EXPECT_EQ(d.causes[0].kind, wrong.kind) << told(d);
    EXPECT_THAT(d.causes[0].text, HasSubstr(wrong.says)) << told(d);
    EXPECT_EQ(d.unexplained, "") << told(d);
  }
}

// Without a config.json to go by, as for a GGUF file.
TEST(Diagnose, RopeThetaOfAnyValue) {
  const Json config = config_of("llama/gqa_tied");
  ASSERT_EQ(config["rope_parameters"]["rope_theta"], 500000.0);
  const auto entry = model::find_architecture("LlamaForCausalLM", config);
  Json wrong = config;
  wrong["rope_parameters"]["rope_theta"] = 31000.0;
  const auto parsed = model::parse_config(*entry->architecture, wrong);
  const auto model = entry->architecture->make_model(*parsed);
  const tensor::KvLayout layout{.layers = model->kv_parameters()};
  const Diagnosis d =
      diagnosis_of("llama/gqa_tied", [&](graph::Graph& graph) { model->build({graph, layout, 128}); }, nullptr);
  ASSERT_EQ(d.causes.size(), 1u) << told(d);
  EXPECT_EQ(d.causes[0].kind, "rope theta");
  EXPECT_THAT(d.causes[0].text, HasSubstr("rope_theta 500000, this model by 31000"));
}

// The layer that a difference is confined to is named, and two mistakes are told apart.
TEST(Diagnose, TwoMistakesAtOnce) {
  const Diagnosis d = planted("llama/mha", {.rope_theta = 500000, .activation = "gelu"});
  ASSERT_EQ(d.causes.size(), 2u) << told(d);
  EXPECT_EQ(d.causes[0].kind, "rope theta");
  EXPECT_EQ(d.causes[1].kind, "activation");
  EXPECT_EQ(d.causes[1].tap, "model.layers.0.mlp");
  EXPECT_EQ(d.unexplained, "");
}

TEST(Diagnose, AMistakeOfOneLayerIsSaidToBeOne) {
  const Diagnosis d = planted("llama/mha", {.no_rope_in_layer_1 = true});
  ASSERT_EQ(d.causes.size(), 1u) << told(d);
  EXPECT_EQ(d.causes[0].tap, "model.layers.1.self_attn");
}

TEST(Diagnose, TransposedWeight) {
  const Json config = config_of("llama/mha");
  graph::Graph right;
  test::PlantedLlama(right, config, {}).build();
  auto prepared = loader::prepare({.model = golden("llama/mha").string()}, true);
  ASSERT_TRUE(prepared) << prepared.error().message;
  const auto reference = read_reference((golden("llama/mha") / "reference.safetensors").string());
  loader::CheckpointWeights weights(prepared->checkpoint, prepared->weights);
  std::map<std::string, std::shared_ptr<std::vector<float>>> transposed;
  // A checkpoint whose o_proj lies as [in, out], which a square shape does not give away.
  Subject subject{.graph = &right, .weights = {}, .background = {.config = config, .unused = {}}};
  subject.weights = [&](const std::string& name) -> Result<tensor::RowView> {
    TENON_ASSIGN(tensor::RowView rows, weights.weight(name));
    if (!name.ends_with("o_proj.weight")) return rows;
    auto& data = transposed[name];
    const std::vector<float> from = graph::to_floats(rows);
    data = std::make_shared<std::vector<float>>(from.size());
    for (std::int64_t i = 0; i < rows.n; ++i) {
      for (std::int64_t j = 0; j < rows.k; ++j) {
        (*data)[static_cast<std::size_t>(j * rows.n + i)] = from[static_cast<std::size_t>(i * rows.k + j)];
      }
    }
    return tensor::RowView{.dtype = tensor::DType::kF32,
                           .n = rows.k,
                           .k = rows.n,
                           .data = reinterpret_cast<const std::byte*>(data->data()),
                           .row_bytes = rows.n * 4,
                           .order = {},
                           .owner = data};
  };
  ThreadPool pool(1);
  const auto d = diagnose(subject, *reference, 80, pool);
  ASSERT_TRUE(d) << d.error().message;
  ASSERT_FALSE(d->causes.empty()) << told(*d);
  EXPECT_EQ(d->causes[0].kind, "transposed weight") << told(*d);
  EXPECT_THAT(d->causes[0].text, HasSubstr("self_attn.o_proj"));
}

// What no hypothesis covers is said to be unexplained: no cause is made up.
TEST(Diagnose, NoCauseIsNamedForWhatNoneExplains) {
  const Json config = config_of("llama/mha");
  const Diagnosis d = diagnosis_of(
      "llama/mha",
      [&](graph::Graph& graph) {
        test::PlantedLlama(graph, config, {.rope_theta = 500000, .norm_offset = 0.37, .activation = "relu2"}).build();
      },
      config);
  EXPECT_EQ(d.first, "model.layers.0.self_attn");
  EXPECT_TRUE(d.causes.empty()) << told(d);
  EXPECT_EQ(d.unexplained, "model.layers.0.self_attn");
}

TEST(Diagnose, ACorrectModelHasNoCause) {
  for (const fs::directory_entry& family : fs::directory_iterator(golden(""))) {
    if (!family.is_directory()) continue;
    for (const fs::directory_entry& entry : fs::directory_iterator(family)) {
      if (!fs::exists(entry.path() / "reference.safetensors")) continue;
      const std::string name = fs::relative(entry.path(), golden("")).string();
      SCOPED_TRACE(name);
      const Diagnosis d = misconfigured(name, [](Json&) {});
      EXPECT_EQ(d.first, "") << told(d);
      EXPECT_TRUE(d.causes.empty()) << told(d);
      const Json config = read_json_file((entry.path() / "config.json").string()).value();
      EXPECT_GE(d.local.size(), 2 + 3 * config["num_hidden_layers"].get<std::size_t>());
    }
  }
  EXPECT_TRUE(planted("llama/mha", {}).causes.empty());
}

}  // namespace
}  // namespace tenon::verify
