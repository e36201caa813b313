#include "model/weight_map.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "model/fp8_weights.h"

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
    if (std::ranges::find(kSizes, field.name) != kSizes.end() && field.value->is_number()) {
      sizes[field.name] = static_cast<std::int64_t>(field.value->get<double>());
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

// A list of names and shapes has no files.
std::string located(const std::string& file_name, const weights::Checkpoint& checkpoint) {
  const std::string file = checkpoint.file_of(file_name);
  return "tensor " + file_name + (file.empty() ? "" : " in " + file);
}

std::string shape_gap(const std::string& file_name, const tensor::Shape& stored, const tensor::Shape& wanted,
                      const weights::Checkpoint& checkpoint, const ModelConfig& config) {
  std::string text = located(file_name, checkpoint) + " has the shape " + tensor::to_string(stored) +
                     ", but the config makes it " + tensor::to_string(wanted);
  if (stored.size() == wanted.size()) {
    for (std::size_t i = 0; i < stored.size(); ++i) {
      if (stored[i] == wanted[i]) continue;
      const std::string why = explain(wanted[i], config);
      if (!why.empty()) text += " (" + std::to_string(wanted[i]) + " is " + why + ")";
    }
  }
  return text + (checkpoint.format() == weights::Format::kGguf
                     ? ": the metadata of the file is that of another model"
                     : ": correct these fields of config.json, or use the config that belongs to the checkpoint");
}

tensor::Shape shape_of(const graph::Type& type) {
  tensor::Shape shape;
  for (const graph::Dim& dim : type.dims) shape.push_back(dim.size());
  return shape;
}

// What the adapter calls a tensor of the file: "name", or "name[3]" of an expert.
struct Target {
  std::string ours;
  std::optional<std::size_t> expert;
  Transform transform;
};

Target target(const std::string& name, const Transform& transform) {
  const std::size_t open = name.ends_with(']') ? name.rfind('[') : std::string::npos;
  if (open == std::string::npos) return {name, std::nullopt, transform};
  std::size_t expert = 0;
  const char* end = name.data() + name.size() - 1;
  const auto [at, error] = std::from_chars(name.data() + open + 1, end, expert);
  if (error != std::errc() || at != end) return {name, std::nullopt, transform};
  return {name.substr(0, open), expert, transform};
}

std::vector<Target> targets(const WeightAdapter& adapter, const std::string& file_name) {
  std::vector<Target> found;
  std::string_view pattern;
  for (const WeightRule& rule : adapter.rules) {
    if (!found.empty() && rule.file != pattern) break;
    if (const auto parts = match(rule.file, file_name)) {
      pattern = rule.file;
      found.push_back(target(substitute(rule.ours, *parts), rule.transform));
    }
  }
  return found;
}

// What the file should call our weight: the first rule read backwards; our own name where none can be.
std::string file_name_of(const WeightAdapter& adapter, const std::string& ours) {
  for (const WeightRule& rule : adapter.rules) {
    if (const auto parts = match(rule.ours, ours)) return substitute(rule.file, *parts);
  }
  return ours;
}

// Adds an expert's tensor; false if the weight has no such expert or has it already.
bool add_expert(WeightBinding& binding, std::size_t expert, const std::string& file_name,
                const tensor::TensorView* tensor, const graph::Type& type) {
  const auto experts = static_cast<std::size_t>(type.dims.size() == 3 ? type.dims[0].size() : 0);
  if (expert >= experts) return false;
  binding.experts.resize(experts);
  if (binding.experts[expert].tensor != nullptr) return false;
  binding.experts[expert] = {file_name, tensor};
  return true;
}

// What is wrong with a weight of which each expert has a tensor; "" if nothing.
std::string experts_gap(const std::string& ours, const WeightBinding& binding, const tensor::Shape& shape,
                        const weights::Checkpoint& checkpoint, const ModelConfig& config) {
  const tensor::Shape each(shape.begin() + 1, shape.end());
  for (std::size_t e = 0; e < binding.experts.size(); ++e) {
    const auto& [file_name, tensor, companion] = binding.experts[e];
    if (tensor == nullptr) {
      return "the checkpoint has no tensor for expert " + std::to_string(e) + " of " + ours + ", though it has " +
             binding.file_name + ": it is incomplete, or the config's number of experts is that of another model";
    }
    if (tensor->shape != each) {
      return shape_gap(file_name, tensor->shape, each, checkpoint, config);
    }
    if (tensor->dtype != binding.tensor->dtype || (companion == nullptr) != (binding.companion == nullptr)) {
      return "tensor " + file_name + " is " + tensor::name(tensor->dtype) + " and " + binding.file_name + " " +
             tensor::name(binding.tensor->dtype) + ": the experts of one layer must be stored alike";
    }
  }
  return "";
}

bool is_fp8(const tensor::TensorView* tensor) { return tensor != nullptr && tensor->dtype == DType::kF8E4M3; }

// Whether the tensor of this name holds the scales of an FP8 matrix of the checkpoint.
bool is_fp8_scale(const std::string& file_name, const weights::Checkpoint& checkpoint) {
  static const std::string suffix = fp8_scale_name("");
  return file_name.ends_with(suffix) && is_fp8(checkpoint.find(file_name.substr(0, file_name.size() - suffix.size())));
}

// Finds the scales of FP8 matrices, of which nothing is said in the adapters' tables.
void bind_fp8_scales(WeightMap& map, const weights::Checkpoint& checkpoint) {
  const auto bind = [&](const std::string& file_name, const tensor::TensorView* tensor,
                        const tensor::TensorView*& companion) {
    const tensor::TensorView* scales = is_fp8(tensor) ? checkpoint.find(fp8_scale_name(file_name)) : nullptr;
    if (scales == nullptr) return;  // F8_E4M3 alone is refused below
    std::string gap = fp8_gap(file_name, *tensor, *scales);
    if (gap.empty()) {
      companion = scales;
    } else {
      map.gaps.push_back(std::move(gap));
    }
  };
  for (auto& [ours, binding] : map.bindings) {
    bind(binding.file_name, binding.tensor, binding.companion);
    for (auto& expert : binding.experts) bind(expert.file_name, expert.tensor, expert.companion);
  }
}

}  // namespace

tensor::DType WeightBinding::held() const {
  return transformed_dtype(is_fp8(tensor) && companion != nullptr ? DType::kFP8 : tensor->dtype, transform);
}

namespace {

// Why a weight that has no tensor may be missing.
std::string tied_to(const graph::Graph::WeightRequest& wanted, const graph::Graph& graph, const WeightMap& map) {
  for (const auto& request : graph.weights()) {
    const bool embeds = std::ranges::find(request.uses, graph::WeightUse::kEmbedding) != request.uses.end();
    const auto bound = map.bindings.find(request.name);
    if (!embeds || &request == &wanted || bound == map.bindings.end() || request.type.dims != wanted.type.dims)
      continue;
    return ": it may be tied to " + bound->second.file_name +
           " (is the default of tie_word_embeddings true?), or the checkpoint is incomplete";
  }
  return ": it is incomplete, or the config belongs to another model";
}

// What may be meant by a tensor that nothing uses.
std::string unused_hint(const std::string& file_name, const WeightMap& map) {
  constexpr std::string_view kBias = ".bias";
  if (file_name.ends_with(kBias)) {
    const std::string weight = file_name.substr(0, file_name.size() - kBias.size()) + ".weight";
    for (const auto& [ours, binding] : map.bindings) {
      if (binding.file_name == weight) {
        return "the architecture uses " + weight +
               " and forgets to add its bias, or the config belongs to another model";
      }
    }
  }
  return "the config or the architecture belongs to another model";
}

}  // namespace

WeightMap map_weights(const graph::Graph& graph, const weights::Checkpoint& checkpoint, const WeightAdapter& adapter,
                      const ModelConfig& config) {
  WeightMap map;
  std::unordered_map<std::string, const graph::Type*> wanted;
  for (const auto& request : graph.weights()) wanted.emplace(request.name, &request.type);
  std::vector<std::pair<std::string, std::string>> unexpected;  // file name, our name ("" if no rule matched)

  for (const std::string& file_name : checkpoint.names()) {
    if (std::ranges::any_of(adapter.ignored, [&](std::string_view p) { return match(p, file_name).has_value(); })) {
      map.ignored.push_back(file_name);
      continue;
    }
    if (is_fp8_scale(file_name, checkpoint)) continue;
    const std::vector<Target> found = targets(adapter, file_name);
    if (found.empty()) unexpected.emplace_back(file_name, "");
    for (const auto& [ours, expert, transform] : found) {
      const auto want = wanted.find(ours);
      if (want == wanted.end()) {
        unexpected.emplace_back(file_name, ours);
        continue;
      }
      const tensor::TensorView* tensor = checkpoint.find(file_name);
      const auto [it, fresh] = map.bindings.emplace(
          ours, WeightBinding{.file_name = file_name, .transform = transform, .tensor = tensor, .uses = {}});
      if (expert && (fresh || !it->second.experts.empty())) {
        if (!add_expert(it->second, *expert, file_name, tensor, *want->second)) {
          unexpected.emplace_back(file_name, ours + "[" + std::to_string(*expert) + "]");
          if (fresh) map.bindings.erase(it);
        }
      } else if (!fresh) {
        map.gaps.push_back("tensors " + it->second.file_name + " and " + file_name + " are both " + ours);
      }
    }
  }

  std::unordered_set<std::string> companions;
  for (auto& [ours, binding] : map.bindings) {
    const std::string name = companion_name(binding.file_name, binding.transform);
    if (name.empty()) continue;
    companions.insert(name);
    binding.companion = checkpoint.find(name);
    tensor::Shape shape = binding.tensor->shape;
    if (!shape.empty()) shape.pop_back();
    if (binding.companion == nullptr) {
      map.gaps.push_back("the checkpoint has no tensor " + name + ", which belongs to " + binding.file_name);
    } else if (binding.companion->shape != shape || binding.companion->dtype != DType::kU8) {
      map.gaps.push_back("tensor " + name + " is " + tensor::name(binding.companion->dtype) +
                         tensor::to_string(binding.companion->shape) + ", but " + binding.file_name + " needs U8" +
                         tensor::to_string(shape));
    }
  }
  std::erase_if(unexpected, [&](const auto& tensor) { return companions.contains(tensor.first); });
  bind_fp8_scales(map, checkpoint);

  for (const auto& request : graph.weights()) {
    const auto it = map.bindings.find(request.name);
    if (it == map.bindings.end()) {
      std::vector<std::string> candidates;
      for (const auto& [file_name, ours] : unexpected) candidates.push_back(file_name);
      const std::string name = file_name_of(adapter, request.name);
      const std::string near = nearest_name(name, candidates);
      map.gaps.push_back("the checkpoint has no tensor " + name + " " +
                         (name == request.name ? "" : "(" + request.name + ") ") +
                         tensor::to_string(shape_of(request.type)) +
                         (near.empty() ? tied_to(request, graph, map) : "; did you mean its " + near + "?"));
      continue;
    }
    WeightBinding& binding = it->second;
    binding.uses = request.uses;
    const tensor::Shape shape = shape_of(request.type);
    map.parameters += tensor::elements(shape);
    if (!is_computable(binding.held())) {
      map.gaps.push_back(located(binding.file_name, checkpoint) + " is " + tensor::name(binding.tensor->dtype) +
                         ", with which Tenon cannot compute: use a checkpoint of F32, "
                         "F16 or BF16, or a GGUF file");
    }
    if (!binding.experts.empty()) {
      std::string gap = experts_gap(request.name, binding, shape, checkpoint, config);
      if (!gap.empty()) map.gaps.push_back(std::move(gap));
    } else if (const auto becomes = transformed_shape(binding.tensor->shape, binding.transform); becomes != shape) {
      const auto& seen = becomes.empty() ? binding.tensor->shape : becomes;
      map.gaps.push_back(shape_gap(binding.file_name, seen, shape, checkpoint, config));
    }
  }

  for (const auto& [file_name, ours] : unexpected) {
    std::vector<std::string> open;
    for (const auto& request : graph.weights()) {
      if (!map.bindings.contains(request.name)) open.push_back(file_name_of(adapter, request.name));
    }
    const std::string near = nearest_name(file_name, open);
    map.gaps.push_back(located(file_name, checkpoint) + " is not used by the architecture and not listed as ignored" +
                       (near.empty() ? ": " + unused_hint(file_name, map) : "; did you mean " + near + "?"));
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
