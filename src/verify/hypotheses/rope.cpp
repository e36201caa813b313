// Rotary embedding: base, scaling, layout, how much of a head is rotated, and whether at all.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "model/config_reader.h"
#include "verify/hypotheses/trial.h"

namespace tenon::verify {
namespace {

using graph::Node;
using graph::Value;
using Frequencies = std::vector<double>;

struct Table {
  Frequencies inv_freq;
  double attention_factor = 1.0;
  std::int64_t head_dim = 0;
  bool interleaved = false;

  double half() const { return static_cast<double>(inv_freq.size()); }
  /// The base, from the ratio of the first two frequencies, which scaling leaves alone.
  double theta() const { return inv_freq.size() < 2 ? 1e4 : std::pow(inv_freq[0] / inv_freq[1], half()); }
};

const Frequencies& frequencies_of(const Node& table) {
  return graph::attribute<Frequencies>(table.attributes, "inv_freq");
}

Frequencies plain(double theta, std::size_t half) {
  Frequencies out;
  for (std::size_t i = 0; i < half; ++i) {
    out.push_back(std::pow(theta, -static_cast<double>(i) / static_cast<double>(half)));
  }
  return out;
}

// Gives every rope like the one at hand (same frequencies, same layout) another table.
Change retable(std::string kind, std::string text, const Table& from, Frequencies inv_freq, double attention_factor,
               bool flip = false) {
  return {.kind = std::move(kind),
          .text = std::move(text),
          .node =
              [from, inv_freq = std::move(inv_freq), attention_factor, flip](Rewriter& to, int index) {
                const Node& node = to.node(index);
                if (node.op != &graph::kRope) return false;
                const Node* table = to.maker(node.inputs[1]);
                if (table == nullptr || table->op != &graph::kRopeTable || frequencies_of(*table) != from.inv_freq) {
                  return false;
                }
                const bool interleaved = graph::integer(node.attributes, "interleaved") != 0;
                const Value rotated = graph::rope(
                    to.value(node.inputs[0]), graph::rope_table(to.value(table->inputs[0]), inv_freq, attention_factor),
                    interleaved != flip);
                to.set(node.outputs[0], rotated);
                return true;
              },
          .weight = {}};
}

// Of float32 frequencies, which know no more than five digits of their base.
std::string shown_base(double theta) {
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", theta);
  return shown(std::strtod(text, nullptr));
}

void try_theta(Trial& trial, const Table& table) {
  const double now = table.theta();
  trial.search({1e4, 5e5, 1e6, 1e5, 5e6, 1e7, 1.5e5, 1.6e5, 8e6, 1e3}, 1e2, 1e9, [&](double theta) {
    Frequencies scaled = table.inv_freq;
    for (std::size_t i = 0; i < scaled.size(); ++i) {
      scaled[i] *= std::pow(theta / now, -static_cast<double>(i) / table.half());
    }
    return retable(
        "rope theta",
        "the reference rotates by the base rope_theta " + shown(theta) + ", this model by " + shown_base(now), table,
        std::move(scaled), table.attention_factor);
  });
}

// What config.json asks for, read as every Llama-like architecture reads it.
void try_config(Trial& trial, const Table& table) {
  const Json& config = trial.background().config;
  if (!config.is_object()) return;
  const int dim = static_cast<int>(2 * table.inv_freq.size());
  const auto test = [&](const nn::RopeConfig& rope) {
    const nn::RopeFrequencies f = nn::rope_frequencies(rope, rope.max_position_embeddings);
    if (f.inv_freq == table.inv_freq && f.attention_factor == table.attention_factor) return;
    static constexpr const char* kTypes[] = {"default", "linear", "dynamic", "llama3", "yarn"};
    const char* type = kTypes[static_cast<std::size_t>(rope.rope_type)];
    const bool scales = rope.rope_type != nn::RopeType::kDefault;
    const std::string text = scales ? std::string("the reference rotates as config.json says (rope_type ") + type +
                                          ", rope_theta " + shown(rope.rope_theta) + ", factor " + shown(rope.factor) +
                                          "), this model does not"
                                    : "the reference rotates by the base rope_theta " + shown(rope.rope_theta) +
                                          ", as config.json says; this model by " + shown_base(table.theta());
    const bool base = !scales && std::abs(table.theta() / rope.rope_theta - 1) > 1e-4;
    trial.test(retable(base ? "rope theta" : "rope scaling", text, table, f.inv_freq, f.attention_factor));
  };
  model::ConfigReader reader(config, "");
  const int positions = reader.integer_or("max_position_embeddings", 2048);
  test(reader.rope(dim, positions));
  for (const char* entry : {"full_attention", "sliding_attention"}) {
    model::ConfigReader parameters = model::ConfigReader(config, "").object("rope_parameters");
    if (parameters.has(entry)) test(parameters.object(entry).rope_entry(dim, positions, 1e4));
  }
}

void try_scaling(Trial& trial, const Table& table) {
  const auto test = [&](const std::string& what, Frequencies inv_freq, double factor) {
    trial.test(retable("rope scaling", "the reference's rope has " + what + ", this model's has not", table,
                       std::move(inv_freq), factor));
  };
  const double theta = table.theta();
  if (const Frequencies unscaled = plain(theta, table.inv_freq.size());
      std::abs(unscaled.back() / table.inv_freq.back() - 1) > 1e-6 || std::abs(table.inv_freq[0] - 1) > 1e-6) {
    trial.test(retable("rope scaling", "the reference's rope has no scaling (rope_type default), this model's has",
                       table, unscaled, 1.0));
  }
  trial.search({2, 4, 8, 16, 32, 0.5, 0.25, 0.125}, 0.01, 100, [&](double factor) {
    Frequencies scaled = table.inv_freq;
    for (double& f : scaled) f /= factor;
    return retable(
        "rope scaling",
        "the reference's rope divides positions by a linear factor that is " + shown(factor) + " times this model's",
        table, std::move(scaled), table.attention_factor);
  });
  nn::RopeConfig rope{.rope_theta = std::round(theta),
                      .head_dim = static_cast<int>(2 * table.inv_freq.size()),
                      .max_position_embeddings = 8192,
                      .original_max_position_embeddings = 8192};
  rope.rope_type = nn::RopeType::kLlama3;
  for (const double factor : {8.0, 32.0, 16.0, 4.0}) {
    rope.factor = factor;
    const auto f = nn::rope_frequencies(rope, 8192);
    test("the llama3 scaling of factor " + shown(factor) + " from 8192", f.inv_freq, f.attention_factor);
  }
  rope.rope_type = nn::RopeType::kYarn;
  for (const int original : {4096, 8192, 32768}) {
    for (const double factor : {2.0, 4.0, 8.0, 16.0, 32.0, 40.0}) {
      rope.factor = factor, rope.original_max_position_embeddings = original;
      const auto f = nn::rope_frequencies(rope, original);
      test("the yarn scaling of factor " + shown(factor) + " from " + std::to_string(original), f.inv_freq,
           f.attention_factor);
    }
  }
  trial.search({1.0}, 0.3, 3.0, [&](double factor) {
    return retable("rope scaling",
                   "the reference multiplies cos and sin by an attention_factor of " + shown(factor) +
                       ", this model by " + shown(table.attention_factor),
                   table, table.inv_freq, factor);
  });
}

void try_partial(Trial& trial, const Table& table) {
  const auto rotated = static_cast<std::int64_t>(2 * table.inv_freq.size());
  for (const double share : {0.25, 0.5, 0.75, 1.0}) {
    const auto dim = static_cast<std::int64_t>(share * static_cast<double>(table.head_dim));
    if (dim == rotated || dim < 2 || dim % 2 != 0) continue;
    const auto half = static_cast<std::size_t>(dim / 2);
    const std::string text = "the reference rotates " + std::to_string(dim) + " of the " +
                             std::to_string(table.head_dim) + " dims of a head, this model " + std::to_string(rotated);
    // The exponents run over the rotated part, or go on as if the whole head turned.
    trial.test(retable("partial rotary", text, table, plain(table.theta(), half), table.attention_factor));
    Frequencies first = plain(table.theta(), std::max(half, table.inv_freq.size()));
    first.resize(half);
    trial.test(retable("partial rotary", text, table, std::move(first), table.attention_factor));
  }
}

void try_absent(Trial& trial, const Table& table) {
  trial.test({.kind = "no rope",
              .text = "the reference does not rotate q and k here, this model does",
              .node =
                  [from = table.inv_freq](Rewriter& to, int index) {
                    const Node& node = to.node(index);
                    if (node.op != &graph::kRope) return false;
                    const Node* maker = to.maker(node.inputs[1]);
                    if (maker == nullptr || maker->op != &graph::kRopeTable || frequencies_of(*maker) != from) {
                      return false;
                    }
                    to.set(node.outputs[0], to.value(node.inputs[0]));
                    return true;
                  },
              .weight = {}});
}

// Attention whose q was never rotated.
void try_missing(Trial& trial) {
  const auto attention = trial.nodes_of(graph::kAttention);
  if (attention.empty()) return;
  const graph::Type& q = trial.graph().info(trial.node(attention[0]).inputs[0]).type;
  const auto half = static_cast<std::size_t>(q.dims.back().size() / 2);
  for (const double theta : {1e4, 5e5, 1e6, 1e5, 1e7}) {
    for (const bool interleaved : {false, true}) {
      trial.test({.kind = "missing rope",
                  .text = "the reference rotates q and k here (rope_theta " + shown(theta) + "), this model does not",
                  .node =
                      [theta, half, interleaved](Rewriter& to, int index) {
                        const Node& node = to.node(index);
                        const bool append = node.op == &graph::kKvAppend;
                        if (!append && node.op != &graph::kAttention) return false;
                        const Value table = graph::rope_table(to.value(node.inputs[2]), plain(theta, half));
                        std::vector<Value> inputs;
                        for (const int input : node.inputs) inputs.push_back(to.value(input));
                        inputs[0] = graph::rope(inputs[0], table, interleaved);
                        to.set(node.outputs[0], to.graph().record1(*node.op, inputs, node.attributes));
                        return true;
                      },
                  .weight = {}});
    }
  }
}

// Whether a value was rotated since the matmul that made it.
bool is_rotated(const graph::Graph& graph, int value) {
  for (;;) {
    const int index = graph.info(value).node;
    if (index < 0) return false;
    const Node& node = graph.nodes()[static_cast<std::size_t>(index)];
    if (node.op == &graph::kRope) return true;
    if (node.op == &graph::kLinear || node.inputs.empty()) return false;
    value = node.inputs[0];
  }
}

// One of q and k that was forgotten (its rotation may stand before a norm), or a v that was rotated with them.
void try_one(Trial& trial, const Node& rope) {
  const bool interleaved = graph::integer(rope.attributes, "interleaved") != 0;
  for (const bool query : {true, false}) {
    const graph::Op& op = query ? graph::kAttention : graph::kKvAppend;
    const auto forgot = [&op](const graph::Graph& graph, const Node& node) {
      return node.op == &op && !is_rotated(graph, node.inputs[0]);
    };
    if (std::ranges::none_of(trial.nodes(), [&](int i) { return forgot(trial.graph(), trial.node(i)); })) continue;
    for (const bool before_norm : {false, true}) {
      trial.test({.kind = "missing rope",
                  .text = query ? "the reference rotates q here as it does k, this model does not"
                                : "the reference rotates k here as it does q, this model does not",
                  .node =
                      [forgot, before_norm, interleaved, table = rope.inputs[1]](Rewriter& to, int index) {
                        const Node& node = to.node(index);
                        if (!forgot(to.from(), node)) return false;
                        const Node* norm = to.maker(node.inputs[0]);
                        if (before_norm && (norm == nullptr || norm->op != &graph::kRmsNorm)) return false;
                        std::vector<Value> inputs;
                        for (const int input : node.inputs) inputs.push_back(to.value(input));
                        inputs[0] = graph::rope(before_norm ? to.value(norm->inputs[0]) : inputs[0], to.value(table),
                                                interleaved);
                        if (before_norm) {
                          inputs[0] = graph::rms_norm(inputs[0], to.value(norm->inputs[1]),
                                                      graph::number(norm->attributes, "eps"),
                                                      graph::number(norm->attributes, "weight_offset"));
                        }
                        to.set(node.outputs[0], to.graph().record1(*node.op, inputs, node.attributes));
                        return true;
                      },
                  .weight = {}});
    }
  }
  trial.test({.kind = "extra rope",
              .text = "the reference does not rotate v, this model does",
              .node =
                  [](Rewriter& to, int index) {
                    const Node& node = to.node(index);
                    if (node.op != &graph::kKvAppend) return false;
                    const Node* rotation = to.maker(node.inputs[1]);
                    if (rotation == nullptr || rotation->op != &graph::kRope) return false;
                    std::vector<Value> inputs;
                    for (const int input : node.inputs) inputs.push_back(to.value(input));
                    inputs[1] = to.value(rotation->inputs[0]);
                    to.set(node.outputs[0], to.graph().record1(*node.op, inputs, node.attributes));
                    return true;
                  },
              .weight = {}});
}

}  // namespace

void try_rope(Trial& trial) {
  const auto ropes = trial.nodes_of(graph::kRope);
  if (ropes.empty()) return try_missing(trial);
  const Node& rope = trial.node(ropes[0]);
  const Node* maker = trial.maker(rope.inputs[1]);
  if (maker == nullptr || maker->op != &graph::kRopeTable) return;
  const Table table{.inv_freq = frequencies_of(*maker),
                    .attention_factor = graph::number(maker->attributes, "attention_factor"),
                    .head_dim = trial.graph().info(rope.inputs[0]).type.dims.back().size(),
                    .interleaved = graph::integer(rope.attributes, "interleaved") != 0};
  trial.test(retable(
      "rope layout",
      table.interleaved ? "the reference rotates pairs (i, i + half) of a head, this model neighbours (2i, 2i + 1)"
                        : "the reference rotates neighbours (2i, 2i + 1) of a head (interleaved), this model pairs (i, "
                          "i + half)",
      table, table.inv_freq, table.attention_factor, true));
  try_config(trial, table);
  try_theta(trial, table);
  try_scaling(trial, table);
  try_partial(trial, table);
  try_absent(trial, table);
  try_one(trial, rope);
}

}  // namespace tenon::verify
