// Each pass: what it writes, when it must not fire, and that the interpreter gives the same before and after.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "compiler/pipeline.h"
#include "compiler/test_model.h"
#include "graph/ops/fused_linear.h"
#include "graph/verify.h"

namespace tenon::compiler {
namespace {

using graph::DType;
using graph::Value;
using graph::WeightUse;
using testing::HasSubstr;
using testing::Not;

class Passes : public testing::Test {
 protected:
  Value x(std::vector<graph::Dim> dims = {"t", 64}, const std::string& name = "x") {
    return g.input(name, {DType::kF32, std::move(dims)});
  }
  Value w(const std::string& name, int n = 32, int k = 64, DType dtype = DType::kBF16) {
    context.packed_dtypes[name] = dtype;
    return g.weight(name, {n, k}, WeightUse::kMatmul);
  }
  Value b(const std::string& name, int n = 32) { return g.weight(name, {n}, WeightUse::kVector); }
  std::string run(std::unique_ptr<Graph> (*pass)(const Graph&, const PassContext&), Value y) {
    g.output("y", y);
    const auto result = pass(g, context);
    EXPECT_TRUE(graph::verify(*result).has_value());
    return to_text(*result);
  }
  Graph g;
  PassContext context;
};

TEST_F(Passes, CommonSubexpressions) {
  const Value a = x({"t", 8});
  EXPECT_EQ(run(merge_common_subexpressions, silu(a) + silu(a)),
            "%0: f32[t, 8] = silu($x)\n%1: f32[t, 8] = add(%0, %0)\noutput y = %1\n");
}

TEST_F(Passes, CommonSubexpressionsLooksAtAttributes) {
  const Value a = x({"t", 8});
  const Value twice = a * 2.0;
  EXPECT_THAT(run(merge_common_subexpressions, twice + a * 3.0), HasSubstr("add(%0, %1)"));
}

TEST_F(Passes, ScaleIntoEmbedding) {
  const Value ids = g.input("ids", {DType::kI32, {"t"}});
  EXPECT_EQ(run(fuse_scale_into_embedding, embedding(ids, w("e")) * 8.0),
            "%0: f32[t, 64] = scaled_embedding($ids, @e) {s=8}\noutput y = %0\n");
}

TEST_F(Passes, Bias) {
  EXPECT_EQ(run(fuse_bias, linear(x(), w("w")) + b("b")),
            "%0: f32[t, 32] = fused_linear($x, @w, @b) {bias=1, epilogue=store, weights=1}\noutput y = %0\n");
}

TEST_F(Passes, BiasIsNotAValueOfTheGraph) {
  EXPECT_THAT(run(fuse_bias, linear(x(), w("w")) + x({"t", 32}, "r")), HasSubstr("add(%0, $r)"));
}

TEST_F(Passes, GateUp) {
  const Value a = x();
  EXPECT_EQ(
      run(fuse_gate_up, linear(a, w("up")) * gelu_tanh(linear(a, w("gate")))),
      "%0: f32[t, 32] = fused_linear($x, @gate, @up) {bias=0, epilogue=gelu_tanh_mul, weights=2}\noutput y = %0\n");
}

TEST_F(Passes, GateUpNeedsOneDtypeWholePanelsAndASoleUse) {
  const Value a = x();
  const Value mixed = silu(linear(a, w("g1", 32, 64, DType::kQ4_0))) * linear(a, w("u1", 32, 64, DType::kQ8_0));
  const Value odd = silu(linear(a, w("g2", 31))) * linear(a, w("u2", 31));
  const Value gate = silu(linear(a, w("g3")));
  g.output("odd", odd);
  g.output("gate", gate * linear(a, w("u3")));
  g.output("gate again", gate);
  EXPECT_THAT(run(fuse_gate_up, mixed), Not(HasSubstr("fused_linear")));
}

TEST_F(Passes, Qkv) {
  const Value a = x();
  g.push_scope("attn.q_proj");
  const Value q = linear(a, w("q", 64)), k = linear(a, w("k")), v = linear(a, w("v"));
  g.pop_scope();
  g.output("k", k);
  g.output("v", v);
  EXPECT_EQ(run(fuse_qkv, q),
            "%0: f32[t, 128] = fused_linear($x, @q, @k, @v) {bias=0, epilogue=store, weights=3}  ; attn\n"
            "%1: f32[t, 64] = slice(%0) {begin=0, end=64}  ; attn\n"
            "%2: f32[t, 32] = slice(%0) {begin=64, end=96}  ; attn\n"
            "%3: f32[t, 32] = slice(%0) {begin=96, end=128}  ; attn\n"
            "output k = %2\noutput v = %3\noutput y = %1\n");
}

TEST_F(Passes, QkvOfTwoDtypesKeepsThemApart) {
  const Value a = x();
  const Value q = linear(a, w("q", 32, 64, DType::kQ4_K)), k = linear(a, w("k", 32, 64, DType::kQ4_K));
  const Value v = linear(a, w("v", 32, 64, DType::kQ6_K));
  const std::string text = run(fuse_qkv, q + k + v);
  EXPECT_THAT(text, HasSubstr("fused_linear($x, @q, @k)"));
  EXPECT_THAT(text, HasSubstr("linear($x, @v)"));
}

TEST_F(Passes, QkvNeedsWholePanels) {
  const Value a = x();
  EXPECT_THAT(run(fuse_qkv, linear(a, w("q", 40)) + linear(a, w("k", 40))), Not(HasSubstr("fused_linear")));
}

TEST_F(Passes, Residual) {
  const Value r = silu(x());
  EXPECT_EQ(run(fuse_residual, r + linear(r, w("w", 64))),
            "%0: f32[t, 64] = silu($x)\n"
            "%1: f32[t, 64] = fused_linear(%0, @w, %0) {bias=0, epilogue=add, weights=1}\noutput y = %1\n");
}

TEST_F(Passes, ResidualMustBeDeadAfterwards) {
  const Value r = silu(x());
  const Value y = r + linear(r, w("w", 64));
  EXPECT_THAT(run(fuse_residual, y * r), Not(HasSubstr("fused_linear")));
}

TEST_F(Passes, ResidualThatIsTappedStays) {
  const Value r = silu(x());
  g.tap("r", r);
  EXPECT_THAT(run(fuse_residual, r + linear(r, w("w", 64))), Not(HasSubstr("fused_linear")));
}

TEST_F(Passes, PackInputsOncePerClassOfWeights) {
  const Value a = x();
  const Value p = linear(a, w("p")), q = linear(a, w("q")), r = linear(a, w("r", 32, 64, DType::kQ8_0));
  const Value sum = p + q + r;
  EXPECT_EQ(run(pack_inputs, sum),
            "%0: f32[t, 64] = pack($x) {weight_dtype=BF16}\n"
            "%1: f32[t, 32] = fused_linear(%0, @p) {bias=0, epilogue=store, weights=1}\n"
            "%2: f32[t, 32] = fused_linear(%0, @q) {bias=0, epilogue=store, weights=1}\n"
            "%3: f32[t, 64] = pack($x) {weight_dtype=Q8_0}\n"
            "%4: f32[t, 32] = fused_linear(%3, @r) {bias=0, epilogue=store, weights=1}\n"
            "%5: f32[t, 32] = add(%1, %2)\n"
            "%6: f32[t, 32] = add(%5, %4)\noutput y = %6\n");
}

TEST_F(Passes, NormPack) {
  const Value y = linear(rms_norm(x(), b("n", 64), 1e-5), w("w"));
  g.output("y", y);
  const auto packed = pack_inputs(g, context);
  EXPECT_EQ(to_text(*fuse_norm_pack(*packed, context)),
            "%0: f32[t, 64] = rms_norm_pack($x, @n) {eps=1e-05, weight_dtype=BF16, weight_offset=0}\n"
            "%1: f32[t, 32] = fused_linear(%0, @w) {bias=0, epilogue=store, weights=1}\noutput y = %1\n");
}

TEST_F(Passes, NormThatIsAlsoReadStays) {
  const Value n = rms_norm(x(), b("n", 64), 1e-5);
  g.output("n", n);
  g.output("y", linear(n, w("w")));
  const auto packed = pack_inputs(g, context);
  EXPECT_THAT(to_text(*fuse_norm_pack(*packed, context)), Not(HasSubstr("rms_norm_pack")));
}

TEST_F(Passes, RowChains) {
  const Value r = x({"t", 64}, "r");
  EXPECT_EQ(run(fuse_row_chains, r + rms_norm(x(), b("n", 64), 1e-5) * 0.5),
            "%0: f32[t, 64] = rowwise($x, @n, $r) {program=rms_norm %1 1e-05 0; scale 0.5; add %2}\noutput y = %0\n");
}

TEST_F(Passes, RowChainsStopAtSharedValues) {
  const Value s = silu(x());
  EXPECT_EQ(run(fuse_row_chains, s * 2.0 + s),
            "%0: f32[t, 64] = silu($x)\n%1: f32[t, 64] = rowwise(%0, %0) {program=scale 2; add %1}\noutput y = %1\n");
}

TEST_F(Passes, RopeKvAppend) {
  const Value positions = g.input("positions", {DType::kI32, {"t"}});
  const Value k = reshape(x({"t", 8}), {"t", 2, 4});
  const Value rotated = rope(k, rope_table(positions, {1, 0.5}), true);
  const Value cache = kv_append(rotated, k, 3, positions, g.input("offsets", {DType::kI32, {"r"}}),
                                g.input("pages", {DType::kI32, {"r", "p"}}));
  EXPECT_THAT(run(fuse_rope_kv_append, attention(k, cache, {})),
              HasSubstr("rope_kv_append(%0, %0, $positions, $offsets, $pages, %1) {interleaved=1, layer=3}"));
}

TEST(Pipeline, UnknownAndRequiredNamesAreRefused) {
  Graph g;
  g.output("y", silu(g.input("x", {DType::kF32, {"t", 8}})));
  const auto unknown = run_passes(g, {}, {"fuse_everything"});
  ASSERT_FALSE(unknown.has_value());
  EXPECT_THAT(unknown.error().message, HasSubstr("\"fuse_everything\" to disable; the passes are dead_code, "));
  EXPECT_FALSE(run_passes(g, {}, {"pack_inputs"}).has_value());
}

TEST(Pipeline, EnvironmentDisablesPasses) {
  Graph g;
  g.output("y", silu(g.input("x", {DType::kF32, {"t", 8}})) * 2.0);
  ::setenv("TENON_DISABLE_PASSES", "dead_code,fuse_row_chains", 1);
  const auto result = run_passes(g, {}, {});
  ::unsetenv("TENON_DISABLE_PASSES");
  ASSERT_TRUE(result.has_value());
  for (const PassReport& report : result->reports) {
    EXPECT_EQ(report.disabled, report.name == "dead_code" || report.name == "fuse_row_chains");
  }
  EXPECT_EQ(result->graph->nodes().size(), 2U);
}

class PipelineOfModels : public testing::TestWithParam<std::string> {};

// Passes only regroup the same operations, so the references give the same bits, outputs and taps.
TEST_P(PipelineOfModels, InterpreterGivesTheSameBeforeAndAfter) {
  const test::Config config = test::configs().at(GetParam());
  Graph g;
  test::Decoder(g, config).build();
  test::RandomWeights weights(g, DType::kF32);
  PassContext context;
  for (const auto& request : g.weights()) {
    if (request.type.dims.size() == 2) context.packed_dtypes[request.name] = DType::kF32;
  }
  test::OwnedBatch batch;
  batch.add(test::random_tokens(7, config.vocab, 1), 0, 0);
  batch.add(test::random_tokens(3, config.vocab, 2), 0, 1, false);
  const auto inputs = graph::batch_inputs(batch.view());
  const auto floats = [&](const std::string& name) { return weights.floats(name); };
  for (const bool taps : {true, false}) {
    const auto before = taps ? nullptr : without_taps(g);
    const Graph& start = taps ? g : *before;
    const auto optimized = run_passes(start, context, {});
    ASSERT_TRUE(optimized.has_value()) << optimized.error().message;
    const auto expected = graph::Interpreter(start, floats).run(inputs);
    const auto actual = graph::Interpreter(*optimized->graph, floats).run(inputs);
    EXPECT_EQ(expected.outputs.at("logits").f32, actual.outputs.at("logits").f32);
    ASSERT_EQ(expected.taps.size(), taps ? static_cast<std::size_t>(config.layers) : 0U);
    for (const auto& [name, tensor] : expected.taps) EXPECT_EQ(tensor.f32, actual.taps.at(name).f32) << name;
  }
}

std::vector<std::string> config_names() {
  std::vector<std::string> names;
  for (const auto& [name, config] : test::configs()) names.push_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Models, PipelineOfModels, testing::ValuesIn(config_names()),
                         [](const auto& instance) { return instance.param; });

TEST(Pipeline, ALlamaLayerAfterAllPasses) {
  test::Config config;
  config.layers = 1;
  Graph g;
  test::Decoder(g, config).build();
  PassContext context;
  for (const auto& request : g.weights()) {
    if (request.type.dims.size() == 2) context.packed_dtypes[request.name] = DType::kBF16;
  }
  const auto plain = without_taps(g);
  const auto optimized = run_passes(*plain, context, {});
  ASSERT_TRUE(optimized.has_value());
  std::vector<std::string> ops;
  const std::string text = to_text(*optimized->graph);
  EXPECT_THAT(text, HasSubstr("epilogue=silu_mul"));
  for (const char* op : {"= silu(", "= mul(", "= add(", "= rms_norm(", "= kv_append(", "= linear("}) {
    EXPECT_THAT(text, Not(HasSubstr(op)));
  }
  EXPECT_EQ(optimized->graph->nodes().size(), 23U) << text;
}

}  // namespace
}  // namespace tenon::compiler
