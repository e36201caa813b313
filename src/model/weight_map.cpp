#include "model/weight_map.h"

#include <algorithm>
#include <array>
#include <unordered_set>

namespace tenon::model {
namespace {

using tensor::DType;

bool is_computable(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || tensor::info(dtype).quantized;
}

// The config's sizes that explain one dim: "num_attention_heads 32 × head_dim 128".
std::string explain(std::int64_t size, const ModelConfig& config) {
  static constexpr std::array kSizes = {"hidden_size",         "intermediate_size",   "vocab_size",
                                        "num_attention_heads", "num_key_value_heads", "head_dim"};
  std::map<std::string, std::int64_t> sizes;
  for (const ConfigField& field : config.fields) {
    if (std::ranges::find(kSizes, field.name) != kSizes.end() && field.value.is_number()) {
      sizes[field.name] = static_cast<std::int64_t>(field.value.get<double>());
    }
  }
  // Not all configs spell these out.
  if (!sizes.contains("head_dim") && sizes.contains("hidden_size") && sizes.contains("num_attention_heads")) {
    sizes["head_dim"] = sizes["hidden_size"] / std::max<std::int64_t>(sizes["num_attention_heads"], 1);
  }
  std::string text;
  const auto add = [&](const std::string& term) { text += (text.empty() ? "" : " or ") + term; };
  const std::int64_t head_dim = sizes.contains("head_dim") ? sizes["head_dim"] : 0;
  for (const char* heads : {"num_attention_heads", "num_key_value_heads"}) {
    if (sizes.contains(heads) && sizes[heads] * head_dim == size) {
      add(std::string(heads) + " " + std::to_string(sizes[heads]) + " × head_dim " + std::to_string(head_dim));
    }
  }
  for (const char* name : {"head_dim", "hidden_size", "intermediate_size", "vocab_size"}) {
    if (sizes.contains(name) && sizes[name] == size) add(name);
  }
  return text;
}

std::string shape_gap(const std::string& file_name, const tensor::Shape& stored, const tensor::Shape& wanted,
                      const std::string& file, const ModelConfig& config) {
  std::string text = "tensor " + file_name + " in " + file + " has the shape " + tensor::to_string(stored) +
                     ", but the config makes it " + tensor::to_string(wanted);
  if (stored.size() == wanted.size()) {
    for (std::size_t i = 0; i < stored.size(); ++i) {
      if (stored[i] == wanted[i]) continue;
      const std::string why = explain(wanted[i], config);
      if (!why.empty()) text += " (" + std::to_string(wanted[i]) + " is " + why + ")";
    }
  }
  return text + ": correct these fields of config.json, or use the config that belongs to the checkpoint";
}

tensor::Shape shape_of(const graph::Type& type) {
  tensor::Shape shape;
  for (const graph::Dim& dim : type.dims) shape.push_back(dim.size());
  return shape;
}

}  // namespace

WeightMap map_weights(const graph::Graph& graph, const weights::Checkpoint& checkpoint, const WeightAdapter& adapter,
                      const ModelConfig& config) {
  WeightMap map;
  std::unordered_set<std::string> wanted;
  for (const auto& request : graph.weights()) wanted.insert(request.name);
  std::vector<std::pair<std::string, std::string>> unexpected;  // file name, our name ("" if no rule matched)

  for (const std::string& file_name : checkpoint.names()) {
    if (std::ranges::any_of(adapter.ignored, [&](std::string_view p) { return match(p, file_name).has_value(); })) {
      map.ignored.push_back(file_name);
      continue;
    }
    std::string ours;
    Transform transform;
    for (const WeightRule& rule : adapter.rules) {
      const auto parts = match(rule.file, file_name);
      if (!parts) continue;
      ours = substitute(rule.ours, *parts);
      transform = rule.transform;
      break;
    }
    if (!wanted.contains(ours)) {
      unexpected.emplace_back(file_name, ours);
      continue;
    }
    const auto [it, fresh] = map.bindings.emplace(
        ours, WeightBinding{
                  .file_name = file_name, .transform = transform, .tensor = checkpoint.find(file_name), .uses = {}});
    if (!fresh) map.gaps.push_back("tensors " + it->second.file_name + " and " + file_name + " are both " + ours);
  }

  for (const auto& request : graph.weights()) {
    const auto it = map.bindings.find(request.name);
    if (it == map.bindings.end()) {
      std::vector<std::string> candidates;
      for (const auto& [file_name, ours] : unexpected) candidates.push_back(ours.empty() ? file_name : ours);
      const std::string near = nearest_name(request.name, candidates);
      map.gaps.push_back("the checkpoint has no tensor " + request.name + " " +
                         tensor::to_string(shape_of(request.type)) +
                         (near.empty() ? ": it is incomplete, or the config belongs to another model"
                                       : "; did you mean its " + near + "?"));
      continue;
    }
    WeightBinding& binding = it->second;
    binding.uses = request.uses;
    map.parameters += tensor::elements(binding.tensor->shape);
    if (!is_computable(binding.tensor->dtype)) {
      map.gaps.push_back("tensor " + binding.file_name + " in " + checkpoint.file_of(binding.file_name) + " is " +
                         tensor::name(binding.tensor->dtype) +
                         ", with which Tenon cannot compute: use a checkpoint of F32, "
                         "F16 or BF16, or a GGUF file");
    }
    const tensor::Shape shape = shape_of(request.type);
    if (binding.tensor->shape != shape) {
      map.gaps.push_back(
          shape_gap(binding.file_name, binding.tensor->shape, shape, checkpoint.file_of(binding.file_name), config));
    }
  }

  for (const auto& [file_name, ours] : unexpected) {
    std::vector<std::string> open;
    for (const auto& request : graph.weights()) {
      if (!map.bindings.contains(request.name)) open.push_back(request.name);
    }
    const std::string near = nearest_name(ours.empty() ? file_name : ours, open);
    map.gaps.push_back(
        "tensor " + file_name + " in " + checkpoint.file_of(file_name) +
        " is not used by the architecture and not listed as ignored" +
        (near.empty() ? ": the config or the architecture belongs to another model" : "; did you mean " + near + "?"));
  }
  return map;
}

Status check(const WeightMap& map) {
  if (map.gaps.empty()) return {};
  const std::size_t more = map.gaps.size() - 1;
  return invalid(map.gaps.front() + (more == 0 ? ""
                                               : " (and " + std::to_string(more) + " more such problem" +
                                                     (more == 1 ? "" : "s") + "; tenon inspect lists them)"));
}

}  // namespace tenon::model
