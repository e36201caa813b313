#include "verify/reference.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "model/harmless_fields.h"
#include "model/registry.h"

namespace tenon::verify {
namespace {

using tensor::DType;

std::string text_of(const Json& metadata, const char* key) {
  const auto it = metadata.find(key);
  return it != metadata.end() && it->is_string() ? it->get<std::string>() : "";
}

std::string hint(const std::string& path) { return path + " is no reference dump of tools/make_reference.py: "; }

std::vector<float> floats_of(const tensor::TensorView& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor::elements(tensor.shape)));
  tensor::to_float(tensor.dtype, tensor.data, static_cast<std::int64_t>(values.size()), values.data());
  return values;
}

// The reader of checkpoints speaks of files that come from a hub; a dump is made.
std::string unreadable(std::string message) {
  const std::string download = "download it again", make = "make it again with tools/make_reference.py";
  const auto at = message.find(download);
  if (at != std::string::npos)
    return "the reference dump cannot be read: " + message.replace(at, download.size(), make);
  return "the reference dump cannot be read (if it is damaged, " + make + "): " + message;
}

// What is not finite is equal to nothing, and would be blamed on the model that is compared.
Status check_finite(const std::string& path, const std::string& name, const std::vector<float>& values) {
  if (std::ranges::all_of(values, [](float x) { return std::isfinite(x); })) return {};
  return invalid(
      "reference dump " + path + " has NaN or infinite values in " + name +
          ": the reference itself went wrong; make it again with tools/make_reference.py (which runs in float32)",
      "reference");
}

Status add_prompt(Reference& out, const std::string& path, const std::string& prompt, const tensor::TensorView& ids,
                  const tensor::TensorView& logits) {
  if (ids.dtype != DType::kI32 || ids.shape.size() != 1 || ids.shape[0] == 0) {
    return invalid(hint(path) + prompt + ".ids is not a vector of int32");
  }
  if (logits.dtype != DType::kF32 || logits.shape.size() != 2 || logits.shape[0] != ids.shape[0] ||
      logits.shape[1] == 0) {
    return invalid(hint(path) + prompt + ".logits is not float32 [" + std::to_string(ids.shape[0]) + ", vocabulary]");
  }
  if (out.vocab != 0 && out.vocab != logits.shape[1]) return invalid(hint(path) + "its prompts differ in vocabulary");
  out.vocab = logits.shape[1];
  // Tensors of a file lie at any address.
  out.prompts.emplace_back(static_cast<std::size_t>(ids.shape[0]));
  std::memcpy(out.prompts.back().data(), ids.data, static_cast<std::size_t>(ids.bytes()));
  if (std::ranges::any_of(out.prompts.back(), [&](std::int32_t x) { return x < 0 || x >= out.vocab; })) {
    return invalid(hint(path) + prompt + ".ids has an id outside of the vocabulary of " + std::to_string(out.vocab));
  }
  out.logits.push_back(floats_of(logits));
  return check_finite(path, prompt + ".logits", out.logits.back());
}

const Json* field_of(const Json& config, const std::string& name) {
  if (!config.is_object()) return nullptr;
  if (const auto it = config.find(name); it != config.end()) return &*it;
  const auto text = config.find("text_config");
  return text != config.end() && text->is_object() ? field_of(*text, name) : nullptr;
}

bool both_and_different(const Json& a, const Json& b, const std::string& name) {
  const Json *left = field_of(a, name), *right = field_of(b, name);
  return left != nullptr && right != nullptr && *left != *right;
}

}  // namespace

std::optional<Reference::Tap> Reference::tap(const std::string& name) const {
  const tensor::TensorView* found = tensors->find("tap." + name);
  if (found == nullptr) return std::nullopt;
  return Tap{.values = floats_of(*found), .width = found->shape[1]};
}

bool Reference::has_taps() const {
  return std::ranges::any_of(tensors->names(), [](const std::string& name) { return name.starts_with("tap."); });
}

Result<Reference> read_reference(const std::string& path) {
  Reference out;
  auto opened = weights::open_safetensors(path);
  if (!opened) return fail(opened.error().code, unreadable(opened.error().message));
  out.tensors = std::move(*opened);
  for (int n = 0;; ++n) {
    const std::string prompt = "prompt." + std::to_string(n);
    const auto* ids = out.tensors->find(prompt + ".ids");
    const auto* logits = out.tensors->find(prompt + ".logits");
    if (!ids || !logits) break;
    TENON_TRY(add_prompt(out, path, prompt, *ids, *logits));
  }
  if (out.prompts.empty()) return invalid(hint(path) + "it holds no prompt.0.ids and prompt.0.logits");
  for (const std::string& name : out.tensors->names()) {
    const int n = std::atoi(name.c_str() + std::min(name.size(), std::string("prompt.").size()));
    if (name.starts_with("prompt.") && n >= static_cast<int>(out.prompts.size())) {
      return invalid(hint(path) + name + " stands alone: prompts are numbered from 0, each with .ids and .logits");
    }
  }
  const auto tokens = static_cast<std::int64_t>(out.prompts[0].size());
  for (const std::string& name : out.tensors->names()) {
    if (!name.starts_with("tap.")) continue;
    const auto& view = *out.tensors->find(name);
    if (view.dtype != DType::kF32 || view.shape.size() != 2 || view.shape[0] != tokens || view.shape[1] == 0) {
      return invalid(hint(path) + name + " is not float32 [" + std::to_string(tokens) + ", width]");
    }
    TENON_TRY(check_finite(path, name, floats_of(view)));
  }
  TENON_ASSIGN(const Json metadata, weights::safetensors_metadata(path));
  out.architecture = text_of(metadata, "architecture");
  out.dtype = text_of(metadata, "dtype");
  if (const std::string version = text_of(metadata, "transformers"); !version.empty())
    out.writer = "transformers " + version;
  if (const std::string config = text_of(metadata, "config"); !config.empty()) {
    TENON_ASSIGN(out.config, parse_json(config, path + ": the config in its metadata"));
  }
  return out;
}

bool runs(const Reference& reference, const std::string& architecture) {
  if (reference.architecture.empty() || reference.architecture == architecture) return true;
  // One architecture may run several classes (Architecture::also).
  const auto found = model::find_architecture(reference.architecture, nullptr);
  return found && found->architecture->name == architecture;
}

Status check_same_model(const Reference& reference, const std::string& path, const std::string& architecture,
                        std::int64_t vocab, const Json& config) {
  const std::string other = "reference dump " + path + " is of another model: ";
  const std::string make = "; make one of this model with tools/make_reference.py";
  if (!config.is_null() && !runs(reference, architecture)) {
    return invalid(other + "it was made of a " + reference.architecture + ", and this is a " + architecture + make,
                   "reference");
  }
  if (reference.vocab != vocab) {
    return invalid(other + "its logits are of a vocabulary of " + std::to_string(reference.vocab) +
                       ", this model's of " + std::to_string(vocab) + make,
                   "reference");
  }
  for (const char* name : {"hidden_size", "num_hidden_layers", "intermediate_size", "num_attention_heads"}) {
    if (!both_and_different(reference.config, config, name)) continue;
    return invalid(other + name + " is " + field_of(reference.config, name)->dump() + " there and " +
                       field_of(config, name)->dump() + " here" + make,
                   "reference");
  }
  return {};
}

std::vector<std::string> config_differences(const Reference& reference, const Json& config) {
  std::vector<std::string> out;
  if (!reference.config.is_object() || !config.is_object()) return out;
  for (const auto& [name, value] : reference.config.items()) {
    if (model::is_harmless_field(name) || !both_and_different(reference.config, config, name)) continue;
    out.push_back(name + " is " + field_of(config, name)->dump() + " here and was " + value.dump() +
                  " when the dump was made");
  }
  return out;
}

}  // namespace tenon::verify
