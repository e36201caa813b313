#include "verify/conformance/specimen.h"

#include <cstring>
#include <numeric>

#include "model/build_model.h"
#include "verify/conformance/random_rows.h"

namespace tenon::verify {
namespace {

using tensor::DType;

bool is_vector(const graph::Graph::WeightRequest& request) {
  return request.uses == std::vector{graph::WeightUse::kVector};
}

tensor::Shape shape_of(const graph::Type& type) {
  tensor::Shape shape;
  for (const graph::Dim& dim : type.dims) shape.push_back(dim.size());
  return shape;
}

void add_to_each(std::string& floats, float constant) {
  for (std::size_t i = 0; i < floats.size(); i += sizeof(float)) {
    float x = 0;
    std::memcpy(&x, floats.data() + i, sizeof x);
    x += constant;
    std::memcpy(floats.data() + i, &x, sizeof x);
  }
}

}  // namespace

RandomWeights::RandomWeights(const graph::Graph& graph, DType format) {
  std::mt19937 random(5);
  for (const auto& request : graph.weights()) {
    RandomWeight& weight = weights_[request.name];
    weight.shape = shape_of(request.type);
    tensor::RowView& rows = weight.rows;
    rows.k = weight.shape.empty() ? 1 : weight.shape.back();
    rows.n = tensor::elements(weight.shape) / rows.k;
    const bool vector = is_vector(request);
    const bool whole_blocks = rows.k % tensor::info(format).block_elements == 0;
    rows.dtype = vector || !whole_blocks ? DType::kF32 : format;
    matrices_of_format_ += !vector && whole_blocks;
    rows.row_bytes = tensor::bytes_of(rows.dtype, rows.k);
    weight.bytes = random_rows(rows.dtype, rows.n * rows.k, random);
    if (vector && !request.name.ends_with("bias")) add_to_each(weight.bytes, 1.0f);
    rows.data = reinterpret_cast<const std::byte*>(weight.bytes.data());
  }
}

Result<DType> RandomWeights::dtype(const std::string& name) {
  TENON_ASSIGN(const tensor::RowView rows, weight(name));
  return rows.dtype;
}

Result<tensor::RowView> RandomWeights::weight(const std::string& name) {
  const auto it = weights_.find(name);
  if (it == weights_.end()) return fail(ErrorCode::kNotFound, "the graph did not ask for " + name);
  return it->second.rows;
}

Result<std::unique_ptr<Specimen>> Specimen::build(const model::Architecture& architecture, const Json& config) {
  auto specimen = std::make_unique<Specimen>();
  specimen->architecture = &architecture;
  specimen->json = config;
  specimen->json["architectures"] = Json::array({std::string(architecture.name)});
  TENON_ASSIGN(specimen->config, model::parse_config(architecture, config));
  TENON_ASSIGN(specimen->model,
               model::build_model(architecture, specimen->config, specimen->config->max_position_embeddings,
                                  architecture.task, specimen->graph, specimen->layout));
  constexpr std::int64_t kLargest = std::int64_t{1} << 26;
  if (const std::int64_t parameters = specimen->parameters(); parameters > kLargest) {
    return invalid("the config is of a model of " + std::to_string(parameters) +
                   " weights: make it tiny (hidden_size 64, num_hidden_layers 2, vocab_size 96, …)");
  }
  return specimen;
}

std::int64_t Specimen::parameters() const {
  std::int64_t sum = 0;
  for (const auto& request : graph.weights()) sum += tensor::elements(shape_of(request.type));
  return sum;
}

Result<std::unique_ptr<Runner>> Specimen::compile(RandomWeights& weights, DType float_dtype) const {
  compiler::CompileOptions options;
  options.limits.max_total_tokens = options.limits.max_sampled_rows = kSpecimenTokens;
  options.limits.max_rows = 8;
  options.limits.max_pages_per_row = (config->max_position_embeddings + tensor::kPageTokens - 1) / tensor::kPageTokens;
  options.kv_layout = layout;
  options.kv_layout.dtype = float_dtype;
  options.float_dtype = float_dtype;
  ThreadPool pool(1);
  loader::LoadedModel loaded;
  TENON_ASSIGN(loaded.executable, compiler::compile(graph, weights, options, pool));
  return std::make_unique<Runner>(std::move(loaded), 2);
}

std::vector<Ids> Specimen::prompts() const {
  std::mt19937 random(11);
  std::vector<Ids> out;
  for (const int length : {70, 5, 1, 19}) {
    Ids ids(static_cast<std::size_t>(std::min(length, config->max_position_embeddings)));
    for (auto& id : ids) id = static_cast<std::int32_t>(random() % static_cast<unsigned>(config->vocab_size));
    out.push_back(std::move(ids));
  }
  return out;
}

Json widened(const Json& config) {
  constexpr int kBlock = 256;
  Json wide = config;
  const auto hidden = wide.find("hidden_size");
  if (hidden == wide.end() || !hidden->is_number_integer() || hidden->get<int>() < 1) return wide;
  const int scale = kBlock / std::gcd(hidden->get<int>(), kBlock);
  for (auto& [name, value] : wide.items()) {
    if (!value.is_number_integer()) continue;
    if (name == "hidden_size" || name == "num_attention_heads" || name == "num_key_value_heads") {
      value = value.get<int>() * scale;
    } else if (name.find("intermediate_size") != std::string::npos || name.ends_with("_lora_rank")) {
      value = kBlock;
    }
  }
  return wide;
}

}  // namespace tenon::verify
