// Attention over the paged cache. Grouped queries: heads h*g .. (h+1)*g-1 share kv head h (Ainslie et al. 2023).
#include <algorithm>
#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/relative_bucket.h"
#include "tensor/kv_layout.h"

namespace tenon::graph {
namespace {

// Said only where it is not so: nearly all attention is causal.
bool is_causal(const Attributes& attributes) { return !attributes.contains("causal"); }
std::int64_t chunk_of(const Attributes& attributes) {
  return attributes.contains("chunk") ? integer(attributes, "chunk") : 0;
}

bool is_biased(const Attributes& attributes) { return attributes.contains("max_distance"); }

// Inputs: q, cache, positions, row_offsets, page_table, and sinks or the table of a relative bias if there are any.
std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 5, 6);
  expect_float(signature, 0, "q", 3);
  const auto& q = signature.type(0).dims;
  const auto& cache = signature.type(1).dims;
  if (signature.type(1).dtype != DType::kU8 || cache.size() != 4) {
    reject(signature, describe(signature, 1, "cache") + ", not the result of kv_append");
  }
  const std::int64_t kv_heads = cache[1].size();
  if (q.size() != 3 || q[1].symbolic() || q[1].size() % kv_heads != 0 || q[2] != cache[2]) {
    reject(signature, describe(signature, 0, "q") + ", the cache has " + std::to_string(kv_heads) + " heads of " +
                          to_string(cache[2]) + ": q must be [tokens, a multiple of " + std::to_string(kv_heads) +
                          ", " + to_string(cache[2]) + "]");
  }
  if (number(signature.attributes, "softcap") < 0 || integer(signature.attributes, "window") < 0) {
    reject(signature, "softcap and window must not be negative");
  }
  const std::int64_t window = integer(signature.attributes, "window"), chunk = chunk_of(signature.attributes);
  if (chunk < 0 || (window != 0 && chunk != 0)) reject(signature, "it has a window, or chunks of a positive size");
  if (!is_causal(signature.attributes) && (window != 0 || chunk != 0)) {
    reject(signature, "windows and chunks are for causal attention only");
  }
  if (is_biased(signature.attributes)) {
    const std::int64_t max_distance = integer(signature.attributes, "max_distance");
    const auto& table = signature.type(5).dims;
    if (table.size() != 2 || table[0].symbolic() || table[0].size() % 4 != 0 || table[1] != q[1]) {
      reject(signature, describe(signature, 5, "the bias") + ", not [a multiple of 4, heads]");
    }
    if (is_causal(signature.attributes) || number(signature.attributes, "softcap") > 0 ||
        max_distance <= table[0].size() / 4) {
      reject(signature,
             "a relative bias is for attention in both directions without softcap, and reaches further than "
             "its exact distances");
    }
  } else if (signature.inputs.size() == 6 && signature.type(5).dims != std::vector<Dim>{q[1]}) {
    reject(signature, describe(signature, 5, "sinks") + ", not one a head");
  }
  return {{DType::kF32, {q[0], q[1], cache[3]}}};
}

struct Head {
  std::int64_t query, group;  // index of the head, and query heads a kv head
};

// One query vector, of a token at `position`, over the positions [begin, end) of its sequence.
void attend(const Call& call, const float* q, Head head, std::int64_t position, const std::int32_t* pages,
            std::int64_t begin, std::int64_t end, float* out) {
  const std::int64_t key_dim = call.in(0).last(), value_dim = call.out().last();
  const std::int64_t layer = integer(call.attributes, "layer"), kv_head = head.query / head.group;
  const double scale = number(call.attributes, "scale"), cap = number(call.attributes, "softcap");
  const auto entry = [&](std::int64_t p) -> const KvStore::Entry& {
    const auto it = call.kv.entries.find({layer, pages[p / tensor::kPageTokens], p % tensor::kPageTokens});
    TENON_CHECK(it != call.kv.entries.end(), "position " + std::to_string(p) + " was never appended");
    return it->second;
  };
  std::vector<double> scores;
  for (std::int64_t p = begin; p < end; ++p) {
    const float* key = entry(p).key.data() + kv_head * key_dim;
    double sum = 0;
    for (std::int64_t i = 0; i < key_dim; ++i) sum += static_cast<double>(q[i]) * key[i];
    sum *= scale;
    if (is_biased(call.attributes)) {
      const Tensor& table = call.in(5);
      const std::int64_t max_distance = integer(call.attributes, "max_distance");
      sum += static_cast<double>(table.row(relative_bucket(p - position, table.rows(), max_distance))[head.query]);
    }
    scores.push_back(cap > 0 ? cap * std::tanh(sum / cap) : sum);
  }
  double largest = *std::ranges::max_element(scores), total = 0;
  if (call.inputs.size() == 6 && !is_biased(call.attributes)) {
    const double sink = call.in(5).f32[static_cast<std::size_t>(head.query)];
    largest = std::max(largest, sink);
    total = std::exp(sink - largest);
  }
  std::vector<double> sums(static_cast<std::size_t>(value_dim));
  for (std::int64_t p = begin; p < end; ++p) {
    const double weight = std::exp(scores[static_cast<std::size_t>(p - begin)] - largest);
    total += weight;
    const float* value = entry(p).value.data() + kv_head * value_dim;
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += weight * value[i];
  }
  for (std::size_t i = 0; i < sums.size(); ++i) out[i] = static_cast<float>(sums[i] / total);
}

void reference(Call& call) {
  const Tensor& q = call.in(0);
  const auto& offsets = call.in(3).i32;
  const Tensor& pages = call.in(4);
  const std::int64_t heads = q.dims[1], window = integer(call.attributes, "window");
  const std::int64_t chunk = chunk_of(call.attributes);
  const std::int64_t kv_heads = call.in(1).dims[1];
  const bool causal = is_causal(call.attributes);
  for (std::size_t row = 0; row + 1 < offsets.size(); ++row) {
    for (std::int64_t t = offsets[row]; t < offsets[row + 1]; ++t) {
      const std::int64_t position = call.in(2).i32[static_cast<std::size_t>(t)];
      const std::int64_t begin = chunk > 0    ? position / chunk * chunk
                                 : window > 0 ? std::max<std::int64_t>(0, position - window + 1)
                                              : 0;
      const std::int64_t end = 1 + (causal ? position : call.in(2).i32[static_cast<std::size_t>(offsets[row + 1] - 1)]);
      for (std::int64_t h = 0; h < heads; ++h) {
        attend(call, q.row(t * heads + h), {h, heads / kv_heads}, position,
               pages.i32.data() + static_cast<std::int64_t>(row) * pages.last(), begin, end,
               call.out().row(t * heads + h));
      }
    }
  }
}

}  // namespace

constinit const Op kAttention{.name = "attention", .infer = infer, .reference = reference};

Value attention(Value q, Value cache, AttentionOptions options, Value sinks, RelativeBias bias) {
  if (!q || !cache) throw GraphError("attention: an input is empty");
  const Graph& graph = q.graph();
  const int maker = cache.graph().info(cache.id()).node;
  if (&cache.graph() != &graph || maker < 0 || cache.type().dtype != DType::kU8) {
    throw GraphError("attention: cache is " + to_string(cache.type()) + ", not the result of kv_append");
  }
  const Node& append = graph.nodes()[static_cast<std::size_t>(maker)];  // its batch is attention's batch
  std::vector<Value> inputs = {q, cache};
  for (std::size_t i = 2; i < 5; ++i) inputs.emplace_back(&q.graph(), append.inputs[i]);
  if (sinks && bias.table) throw GraphError("attention: sinks and a relative bias do not go together");
  if (sinks) inputs.push_back(sinks);
  if (bias.table) inputs.push_back(bias.table);
  Attributes attributes = {{"layer", integer(append.attributes, "layer")},
                           {"scale", options.scale},
                           {"softcap", options.softcap},
                           {"window", std::int64_t{options.window}}};
  if (options.chunk != 0) attributes["chunk"] = std::int64_t{options.chunk};
  if (bias.table) attributes["max_distance"] = std::int64_t{bias.max_distance};
  if (!options.causal) attributes["causal"] = std::int64_t{0};
  return record(kAttention, inputs, std::move(attributes));
}

}  // namespace tenon::graph
