// How each op becomes steps.
#include <algorithm>
#include <unordered_map>

#include "compiler/lowering/lowerer.h"
#include "graph/ops/embedding.h"
#include "graph/ops/registry.h"
#include "graph/ops/rowwise.h"
#include "runtime/steps/attention.h"
#include "runtime/steps/copy.h"
#include "runtime/steps/embedding.h"
#include "runtime/steps/matmul.h"
#include "runtime/steps/pack.h"
#include "runtime/steps/rope.h"
#include "runtime/steps/rowwise.h"

namespace tenon::compiler {
namespace {

using graph::integer;
using graph::number;
using Packed = std::vector<PackedOperand>;
using RowInstruction = runtime::RowwiseStep::Instruction;
using RowKind = runtime::RowwiseStep::Kind;

float to_float32(double x) { return static_cast<float>(x); }

/// The kernel of a link of a chain, without its operand.
std::optional<RowInstruction> kernel_of(const graph::RowInstruction& link) {
  static const std::unordered_map<std::string, kernels::Unary> unaries = {
      {"silu", kernels::Unary::kSilu},    {"gelu_tanh", kernels::Unary::kGeluTanh},
      {"gelu", kernels::Unary::kGeluErf}, {"sigmoid", kernels::Unary::kSigmoid},
      {"tanh", kernels::Unary::kTanh},    {"relu", kernels::Unary::kRelu}};
  static const std::unordered_map<std::string, RowKind> others = {
      {"add", RowKind::kAdd},         {"mul", RowKind::kMul},     {"scale", RowKind::kScale},
      {"softcap", RowKind::kSoftcap}, {"clamp", RowKind::kClamp}, {"layer_norm", RowKind::kLayerNorm},
      {"rms_norm", RowKind::kRmsNorm}};
  RowInstruction instruction;
  if (const auto unary = unaries.find(link.op); unary != unaries.end()) {
    instruction.unary = unary->second;
  } else if (const auto other = others.find(link.op); other != others.end()) {
    instruction.kind = other->second;
  } else {
    return std::nullopt;
  }
  if (!link.numbers.empty()) instruction.first = to_float32(link.numbers[0]);
  if (link.numbers.size() > 1) instruction.second = to_float32(link.numbers[1]);
  return instruction;
}

}  // namespace

void Lowerer::lower_node(const Node& node) {
  using Handler = void (Lowerer::*)(const Node&);
  static const std::unordered_map<const graph::Op*, Handler> handlers = {
      {&graph::kEmbedding, &Lowerer::lower_embedding},
      {&graph::kEmbeddingRow, &Lowerer::lower_embedding},
      {&graph::kScaledEmbedding, &Lowerer::lower_embedding},
      {&graph::kRowwise, &Lowerer::lower_rowwise},
      {&graph::kPack, &Lowerer::lower_pack},
      {&graph::kRmsNormPack, &Lowerer::lower_pack},
      {&graph::kFusedLinear, &Lowerer::lower_linear},
      {&graph::kReshape, &Lowerer::lower_reshape},
      {&graph::kSlice, &Lowerer::lower_slice},
      {&graph::kConcat, &Lowerer::lower_concat},
      {&graph::kGatherRows, &Lowerer::lower_gather},
      {&graph::kRopeTable, &Lowerer::lower_rope_table},
      {&graph::kRope, &Lowerer::lower_rope},
      {&graph::kKvAppend, &Lowerer::lower_kv_append},
      {&graph::kRopeKvAppend, &Lowerer::lower_kv_append},
      {&graph::kAttention, &Lowerer::lower_attention},
      {&graph::kRouteExperts, &Lowerer::lower_route_experts},
      {&graph::kExpertLinear, &Lowerer::lower_expert_linear},
      {&graph::kFusedExpertLinear, &Lowerer::lower_expert_linear},
      {&graph::kCombineExperts, &Lowerer::lower_combine_experts},
      {&graph::kHeadLinear, &Lowerer::lower_head_linear},
      {&graph::kScaleExperts, &Lowerer::lower_scale_experts},
      {&graph::kPositionTemperature, &Lowerer::lower_position_temperature},
      {&graph::kStateAppend, &Lowerer::lower_state_append},
      {&graph::kShortConv, &Lowerer::lower_short_conv},
  };
  check_grouped(node);
  const auto it = handlers.find(node.op);
  if (it != handlers.end()) return (this->*it->second)(node);
  if (!graph::is_rowwise(node)) reject("there is no kernel for it over these operands");
  lower_rowwise(node);
}

void Lowerer::expect_input(int value, const char* name) const {
  const graph::ValueInfo& info = graph_.info(value);
  if (info.source != graph::Source::kInput || info.name != name) reject(std::string("it must read the input ") + name);
}

void Lowerer::lower_embedding(const Node& node) {
  using Index = runtime::EmbeddingStep::Index;
  const bool fixed = node.op == &graph::kEmbeddingRow;
  const bool by_position = graph_.info(node.inputs[0]).name == "positions";
  expect_input(node.inputs[0], by_position ? "positions" : "token_ids");
  const Index index = fixed ? Index::kFixed : by_position ? Index::kPosition : Index::kTokenId;
  const auto row =
      static_cast<std::int32_t>(fixed ? integer(node.attributes, "row") : graph::embedding_offset(node.attributes));
  const graph::ValueInfo& weight = graph_.info(node.inputs[1]);
  if (weight.source != graph::Source::kWeight) reject("the table must be a tensor of the checkpoint");
  const auto [it, is_new] = tables_.try_emplace(weight.name, out_.tables.size());
  if (is_new) out_.tables.push_back({weight.name, weight.type.dims[0].size(), weight.type.dims[1].size()});
  const std::size_t table = it->second;
  const float scale = node.op == &graph::kScaledEmbedding ? to_float32(number(node.attributes, "s")) : 1.0f;
  const View y = new_view(rows(node.outputs[0]), columns(node.outputs[0]));
  emit_rows(y.rows, {write(y)}, [=, scope = node.scope](const Placement& at, const Packed&) {
    return std::make_unique<runtime::EmbeddingStep>(
        scope, runtime::EmbeddingStep::Data{
                   .index = index, .fixed = row, .table = table, .scale = scale, .columns = y.columns, .out = at(y)});
  });
  set(node.outputs[0], y);
}

void Lowerer::lower_rowwise(const Node& node) {
  std::vector<graph::RowInstruction> links;
  if (node.op == &graph::kRowwise) {
    links = graph::row_program(node.attributes);
  } else {
    links = {graph::row_instruction(node, node.inputs.size() == 2 ? 1 : -1)};
  }
  const View x = view(node.inputs[0]);
  const View y = result_over(node.inputs[0]);
  std::vector<Access> accesses = {read(x), write(y)};
  struct Link {
    RowInstruction instruction;
    std::optional<View> operand;
  };
  std::vector<Link> program;
  for (const graph::RowInstruction& link : links) {
    auto instruction = kernel_of(link);
    if (!instruction) reject("there is no kernel for " + link.op);
    std::optional<View> operand;
    if (link.operand >= 0) {
      const int value = node.inputs[static_cast<std::size_t>(link.operand)];
      if (is_vector(value)) {
        instruction->vector = true;
        instruction->weights_offset = vector({value});
      } else {
        operand = view(value);
        if (operand->columns != x.columns || operand->rows != x.rows) reject("its operands differ in shape");
        accesses.push_back(read(*operand));
      }
    }
    program.push_back({*instruction, operand});
  }
  const std::int64_t last = type(node.outputs[0]).dims.back().size();
  emit_rows(y.rows, accesses, [=, scope = node.scope](const Placement& at, const Packed&) {
    runtime::RowwiseStep::Data data{.x = at(x), .out = at(y), .groups = x.columns / last, .columns = last};
    for (const Link& link : program) {
      data.program.push_back(link.instruction);
      if (link.operand) data.program.back().operand = at(*link.operand);
    }
    return std::make_unique<runtime::RowwiseStep>(scope, y.rows, std::move(data));
  });
  set(node.outputs[0], y);
}

void Lowerer::lower_pack(const Node& node) {
  const View x = view(node.inputs[0]);
  if (type(node.inputs[0]).dims.size() != 2) reject("x is " + to_string(type(node.inputs[0])) + ", no matrix");
  const auto dtype = tensor::dtype_from_name(graph::attribute<std::string>(node.attributes, "weight_dtype"));
  TENON_CHECK(dtype.has_value(), "the dtype of a pack");
  std::optional<runtime::PackStep::Norm> norm;
  if (node.op == &graph::kRmsNormPack) {
    norm = {.weight = vector({node.inputs[1]}),
            .eps = to_float32(number(node.attributes, "eps")),
            .weight_offset = to_float32(number(node.attributes, "weight_offset"))};
  }
  PackedOperand operand;
  operand.place = {.weight_dtype = *dtype, .k = x.columns, .rows = x.rows};
  const int most = x.rows == Rows::kTokens ? options_.limits.max_total_tokens : options_.limits.max_sampled_rows;
  std::int64_t bytes = 0;
  for (int m = 1; m <= most; ++m) {
    bytes = std::max(bytes, kernels::kernels().activation_layout(*dtype, m, x.columns).bytes());
  }
  operand.storage = add_storage(bytes);
  const auto index = out_.packed.size();
  packed_of_[static_cast<std::size_t>(node.outputs[0])] = static_cast<int>(index);
  const View written{.storage = operand.storage, .rows = x.rows, .columns = 1, .stride = 1};
  out_.packed.push_back(operand);
  emit_rows(x.rows, {read(x), write(written)}, [=, scope = node.scope](const Placement& at, const Packed& packed) {
    return std::make_unique<runtime::PackStep>(
        scope, runtime::PackStep::Data{.x = at(x), .norm = norm, .out = packed[index].place});
  });
  out_.steps.back().packs = static_cast<int>(index);
}

void Lowerer::lower_linear(const Node& node) {
  const auto parts = graph::linear_parts(node.inputs, node.attributes);
  const int operand = packed_of_[static_cast<std::size_t>(parts.x)];
  if (operand < 0) reject("a weight is no tensor of the checkpoint");
  const auto index = static_cast<std::size_t>(operand);
  runtime::MatmulStep::Data data{.weight = matrix(parts.weights, parts.epilogue > graph::LinearEpilogue::kAdd)};
  if (!parts.biases.empty()) data.bias = vector(parts.biases);
  data.epilogue = static_cast<kernels::Epilogue>(parts.epilogue);
  View y;
  if (parts.residual) {
    y = result_over(*parts.residual);
    const View residual = view(*parts.residual);
    if (y.storage != residual.storage) emit_copy(residual, y, 1, 0);
  } else {
    y = new_view(out_.packed[index].place.rows, columns(node.outputs[0]));
  }
  const View x{.storage = out_.packed[index].storage, .rows = y.rows, .columns = 1, .stride = 1};
  std::vector<Access> accesses = {read(x, false), write(y, false)};
  if (parts.residual) accesses.push_back(read(y, false));
  out_.streamed_bytes += data.weight.bytes();
  (y.rows == runtime::Rows::kTokens ? out_.flops_per_token : out_.flops_per_sampled_row) +=
      2.0 * static_cast<double>(data.weight.n) * static_cast<double>(data.weight.k);
  emit_items(accesses, [=, scope = node.scope](const Placement& at, const Packed& packed) {
    runtime::MatmulStep::Data placed = data;
    placed.x = packed[index].place;
    placed.out = at(y);
    return std::make_unique<runtime::MatmulStep>(scope, placed);
  });
  set(node.outputs[0], y);
}

// The elements of a row stay where they are.
void Lowerer::lower_reshape(const Node& node) { set(node.outputs[0], view(node.inputs[0])); }

void Lowerer::lower_slice(const Node& node) {
  View x = view(node.inputs[0]);
  const std::int64_t begin = integer(node.attributes, "begin"), end = integer(node.attributes, "end");
  x.begin += begin;
  if (type(node.inputs[0]).dims.size() == 2) {
    x.columns = end - begin;
    return set(node.outputs[0], x);
  }
  // A slice of each head is not one run of columns.
  const std::int64_t head = type(node.inputs[0]).dims.back().size();
  const View y = new_view(x.rows, columns(node.outputs[0]));
  x.columns -= begin;
  emit_copy(x, y, y.columns / (end - begin), head);
  set(node.outputs[0], y);
}

void Lowerer::lower_concat(const Node& node) {
  const View y = new_view(rows(node.outputs[0]), columns(node.outputs[0]));
  // Of heads each one's columns come beside one another.
  const std::int64_t head = type(node.outputs[0]).dims.back().size(), heads = y.columns / head;
  View part = y;
  for (int value : node.inputs) {
    const std::int64_t size = view(value).columns / heads;
    part.columns = (heads - 1) * head + size;
    emit_copy(view(value), part, heads, size, head);
    part.begin += size;
  }
  set(node.outputs[0], y);
}

void Lowerer::lower_gather(const Node& node) {
  expect_input(node.inputs[1], "logit_rows");
  const View x = view(node.inputs[0]);
  if (x.rows != Rows::kTokens) reject("it must gather rows of tokens");
  const View y = new_view(Rows::kSampled, x.columns);
  emit_rows(Rows::kSampled, {read(x, false), write(y)}, [=, scope = node.scope](const Placement& at, const Packed&) {
    return std::make_unique<runtime::GatherRowsStep>(
        scope, runtime::GatherRowsStep::Data{.x = at(x), .out = at(y), .columns = x.columns});
  });
  set(node.outputs[0], y);
}

void Lowerer::lower_rope_table(const Node& node) {
  expect_input(node.inputs[0], "positions");
  const View y = new_view(Rows::kTokens, columns(node.outputs[0]));
  const auto& inv_freq = graph::attribute<std::vector<double>>(node.attributes, "inv_freq");
  const float factor = to_float32(number(node.attributes, "attention_factor"));
  emit_rows(Rows::kTokens, {write(y)}, [=, scope = node.scope](const Placement& at, const Packed&) {
    return std::make_unique<runtime::RopeTableStep>(
        scope, runtime::RopeTableStep::Data{.inv_freq = inv_freq, .scale = factor, .out = at(y)});
  });
  set(node.outputs[0], y);
}

runtime::RopeData Lowerer::rope_shape(const Node& node, int x, int table) const {
  const bool interleaved = integer(node.attributes, "interleaved") != 0;
  return {.style = interleaved ? kernels::RopeStyle::kInterleaved : kernels::RopeStyle::kHalf,
          .heads = static_cast<int>(type(x).dims[1].size()),
          .head_dim = static_cast<int>(type(x).dims[2].size()),
          .half = type(table).dims[1].size() / 2};
}

void Lowerer::lower_rope(const Node& node) {
  const View x = view(node.inputs[0]), table = contiguous(node.inputs[1]), y = result_over(node.inputs[0]);
  const runtime::RopeData shape = rope_shape(node, node.inputs[0], node.inputs[1]);
  emit_rows(Rows::kTokens, {read(x), read(table), write(y)},
            [=, scope = node.scope](const Placement& at, const Packed&) {
              runtime::RopeData data = shape;
              data.x = at(x), data.table = at(table), data.out = at(y);
              return std::make_unique<runtime::RopeStep>(scope, data);
            });
  set(node.outputs[0], y);
}

void Lowerer::check_layer(const Node& node, const graph::Type& cache) const {
  const auto layer = static_cast<std::size_t>(integer(node.attributes, "layer"));
  if (layer >= options_.kv_layout.layers.size()) reject("the KV layout has no layer " + std::to_string(layer));
  const tensor::KvLayer& kv = options_.kv_layout.layers[layer];
  const graph::Type stored{cache.dtype, {"kv_cache", kv.num_kv_heads, kv.key_dim, kv.value_dim}};
  if (stored != cache) reject("the cache is " + to_string(cache) + " and the KV layout " + to_string(stored));
}

void Lowerer::lower_kv_append(const Node& node) {
  expect_input(node.inputs[2], "positions");
  expect_input(node.inputs[3], "row_offsets");
  expect_input(node.inputs[4], "page_table");
  check_layer(node, type(node.outputs[0]));
  const std::int64_t layer = integer(node.attributes, "layer");
  const View x = view(node.inputs[0]), v = view(node.inputs[1]);
  const Access cache{.storage = cache_storage(layer), .begin = 0, .end = 1, .write = true};
  std::vector<Access> accesses = {read(x), read(v), cache};
  View k = x, table;
  std::optional<runtime::RopeData> shape;
  if (node.op == &graph::kRopeKvAppend) {
    shape = rope_shape(node, node.inputs[0], node.inputs[5]);
    table = contiguous(node.inputs[5]);
    k = result_over(node.inputs[0]);
    accesses.push_back(read(table));
    accesses.push_back(write(k));
  }
  emit_rows(Rows::kTokens, accesses, [=, scope = node.scope](const Placement& at, const Packed&) {
    runtime::KvAppendStep::Data data{.layer = static_cast<int>(layer), .k = at(k), .v = at(v), .rope = shape};
    if (data.rope) data.rope->x = at(x), data.rope->table = at(table), data.rope->out = at(k);
    return std::make_unique<runtime::KvAppendStep>(scope, data);
  });
}

void Lowerer::lower_attention(const Node& node) {
  const View q = view(node.inputs[0]);
  const View y = new_view(Rows::kTokens, columns(node.outputs[0]));
  const std::int64_t layer = integer(node.attributes, "layer");
  const bool chunked = node.attributes.contains("chunk");
  const int chunk = chunked ? static_cast<int>(integer(node.attributes, "chunk")) : 0;
  runtime::AttentionStep::Data data{.layer = static_cast<int>(layer),
                                    .heads = static_cast<int>(type(node.inputs[0]).dims[1].size()),
                                    .scale = to_float32(number(node.attributes, "scale")),
                                    .softcap = to_float32(number(node.attributes, "softcap")),
                                    .window = static_cast<int>(integer(node.attributes, "window")),
                                    .chunk = chunk,
                                    .causal = !node.attributes.contains("causal")};
  if (node.attributes.contains("max_distance")) {
    data.bias = relative_bias(node.inputs[5], integer(node.attributes, "max_distance"));
  } else if (node.inputs.size() == 6) {
    data.sinks = vector({node.inputs[5]});
  }
  const Access cache{.storage = cache_storage(layer), .begin = 0, .end = 1, .own_rows = false};
  emit_items({read(q, false), cache, write(y, false)}, [=, scope = node.scope](const Placement& at, const Packed&) {
    runtime::AttentionStep::Data placed = data;
    placed.q = at(q), placed.out = at(y);
    return std::make_unique<runtime::AttentionStep>(scope, placed);
  });
  set(node.outputs[0], y);
}

}  // namespace tenon::compiler
