// Checks that nothing is taken silently: weights and config fields.
#include <algorithm>

#include "model/weight_map.h"
#include "verify/conformance/conformance.h"
#include "verify/conformance/specimen.h"
#include "verify/conformance/tiny_checkpoint.h"
#include "weights/checkpoint.h"

namespace tenon::verify {
namespace {

constexpr const char* kNonsense = "nonsense_9000";

Json shapes_of(const std::vector<FileTensor>& tensors) {
  Json shapes = Json::object();
  for (const FileTensor& tensor : tensors) shapes[tensor.name] = {{"dtype", "F32"}, {"shape", tensor.shape}};
  return shapes;
}

/// The weights of a specimen against checkpoints of names and shapes.
struct Mapping {
  const Specimen& specimen;
  const model::WeightAdapter& adapter;

  std::vector<std::string> gaps(const Json& shapes) const {
    const auto checkpoint = weights::shapes_only(shapes);
    if (!checkpoint) return {"(" + checkpoint.error().message + ")"};
    return model::map_weights(specimen.graph, **checkpoint, adapter, *specimen.config).gaps;
  }
  // What a tensor of the file is called: its own name, or that of a weight which is made from it.
  std::vector<std::string> names(const std::string& file_name) const {
    std::vector<std::string> names = {file_name};
    for (const model::WeightRule& rule : adapter.rules) {
      const auto parts = model::match(rule.file, file_name);
      if (!parts) continue;
      std::string ours = model::substitute(rule.ours, *parts);
      if (ours.ends_with(']')) ours.resize(ours.rfind('['));
      names.push_back(std::move(ours));
    }
    return names;
  }
};

bool names_one_of(const std::vector<std::string>& sentences, const std::vector<std::string>& names) {
  return std::ranges::any_of(sentences, [&](const std::string& sentence) {
    return std::ranges::any_of(names, [&](const std::string& name) { return sentence.contains(name); });
  });
}

// What parse_config says against the config; empty if it takes it.
std::string refusal(const model::Architecture& architecture, const Json& config) {
  const auto parsed = model::parse_config(architecture, config);
  return parsed ? std::string() : parsed.error().message;
}

// The value at "rope_parameters.rope_type" of a config, or at text_config's; null if there is none.
Json* at_path(Json& config, const std::string& path) {
  Json* at = &config;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t dot = std::min(path.find('.', begin), path.size());
    const std::string part = path.substr(begin, dot - begin);
    if (!at->is_object()) return nullptr;
    if (at == &config && !at->contains(part) && at->contains("text_config")) at = &(*at)["text_config"];
    if (!at->is_object() || !at->contains(part)) return nullptr;
    at = &(*at)[part];
    begin = dot + 1;
  }
  return at;
}

}  // namespace

Problems check_strict_weights(const model::Architecture& architecture, const Json& config) {
  const auto specimen = Specimen::build(architecture, config);
  if (!specimen) return {specimen.error().message};
  const auto adapter = model::adapter_of(architecture, model::Format::kSafetensors, *(*specimen)->config);
  if (!adapter) return {adapter.error().message};
  const RandomWeights weights((*specimen)->graph, tensor::DType::kF32);
  const auto tensors = file_tensors(weights.all(), *adapter);
  if (!tensors) return {tensors.error().message};
  const Mapping mapping{**specimen, *adapter};
  const Json whole = shapes_of(*tensors);
  Problems problems = mapping.gaps(whole);
  if (!problems.empty()) return problems;
  for (const FileTensor& tensor : *tensors) {
    const std::vector<std::string> names = mapping.names(tensor.name);
    Json spoiled = whole;
    spoiled.erase(tensor.name);
    if (!names_one_of(mapping.gaps(spoiled), names)) problems.push_back("nobody misses " + tensor.name);
    spoiled = whole;
    spoiled[tensor.name]["shape"].back() = tensor.shape.back() + 2;
    if (!names_one_of(mapping.gaps(spoiled), names))
      problems.push_back("another shape of " + tensor.name + " is taken");
  }
  // Beside a tensor that is used: "*" of `ignored` and the like would swallow it.
  for (const std::string extra : {"model.layers.0.not_in_the_model.weight", "not_in_the_model.bias"}) {
    Json spoiled = whole;
    spoiled[extra] = whole.front();
    if (!names_one_of(mapping.gaps(spoiled), {extra})) {
      problems.push_back("the unknown tensor " + extra + " is taken: `ignored` or a rule is too wide");
    }
  }
  return problems;
}

Problems check_gguf_names(const model::Architecture& architecture, const Json& config) {
  const bool declared = !architecture.gguf.architectures.empty();
  const bool named = std::ranges::any_of(
      architecture.adapters, [](const model::Adapter& adapter) { return adapter.format == model::Format::kGguf; });
  if (declared != named || declared != (architecture.gguf.config != nullptr)) {
    return {"arch.cpp must have all of .gguf.architectures, .gguf.config and a GGUF adapter, or none"};
  }
  if (!declared) return {};
  const auto specimen = Specimen::build(architecture, config);
  if (!specimen) return {specimen.error().message};
  const model::WeightAdapter adapter =
      model::adapter_of(architecture, model::Format::kGguf, *(*specimen)->config).value();
  Problems problems;
  for (const auto& request : (*specimen)->graph.weights()) {
    const bool made = std::ranges::any_of(adapter.rules, [&](const model::WeightRule& rule) {
      const std::string_view ours = rule.ours.substr(0, rule.ours.find('['));
      return model::match(ours, request.name).has_value();
    });
    if (!made) problems.push_back("no tensor of a GGUF file becomes " + request.name);
  }
  return problems;
}

Problems check_config_round_trip(const model::Architecture& architecture, const Json& config) {
  const auto specimen = Specimen::build(architecture, config);
  if (!specimen) return {specimen.error().message};
  Json again = Json::object();
  for (const model::ConfigField& field : (*specimen)->config->fields) {
    Json* at = &again;
    std::string rest = field.name;
    for (std::size_t dot = rest.find('.'); dot != std::string::npos; dot = rest.find('.')) {
      at = &(*at)[rest.substr(0, dot)];
      rest = rest.substr(dot + 1);
    }
    (*at)[rest] = *field.value;
  }
  const auto rebuilt = Specimen::build(architecture, again);
  if (!rebuilt) return {"what was understood is refused when it is written out: " + rebuilt.error().message};
  if (graph::to_text((*rebuilt)->graph) == graph::to_text((*specimen)->graph)) return {};
  return {
      "what was understood, written out, is another model: a field is read without being noted, by has() or states() "
      "alone"};
}

Problems check_unknown_variants(const model::Architecture& architecture, const Json& config) {
  const auto specimen = Specimen::build(architecture, config);
  if (!specimen) return {specimen.error().message};
  Problems problems;
  const auto expect_refusal = [&](const Json& changed, const std::string& word, const std::string& problem) {
    const std::string said = refusal(architecture, changed);
    if (said.empty()) {
      problems.push_back(problem);
    } else if (!said.contains(word)) {
      problems.push_back(problem + ", or refused without naming " + word + ": " + said);
    }
  };
  // A string that is read says which variant it is: one that is not known must not pass for another.
  for (const model::ConfigField& field : (*specimen)->config->fields) {
    Json changed = config;
    Json* at = at_path(changed, field.name);
    if (at == nullptr) continue;
    const bool list = at->is_array() && !at->empty() && at->front().is_string();
    if (!at->is_string() && !list) continue;
    (list ? at->front() : *at) = kNonsense;
    expect_refusal(changed, field.name, "config field " + field.name + " is taken whatever it says");
  }
  // Fields that nobody reads, at the top and within each object.
  Json changed = config;
  changed[kNonsense] = 3;
  expect_refusal(changed, kNonsense, "a field that is not read is taken");
  for (const auto& [name, value] : config.items()) {
    if (!value.is_object() || name == "text_config") continue;
    changed = config;
    changed[name][kNonsense] = 3;
    expect_refusal(changed, kNonsense, "a field of " + name + " that is not read is taken");
  }
  changed = config;
  changed["quantization_config"] = {{"quant_method", kNonsense}};
  expect_refusal(changed, kNonsense, "an unknown quantization method is taken");
  if (!config.contains("rope_parameters")) {
    changed = config;
    changed["rope_scaling"] = {{"rope_type", kNonsense}, {"factor", 2.0}};
    expect_refusal(changed, "rope_", "an unknown rope_scaling is taken");
  }
  return problems;
}

}  // namespace tenon::verify
