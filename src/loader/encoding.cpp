#include "loader/encoding.h"

#include <algorithm>
#include <map>

#include "base/json.h"

namespace tenon::loader {
namespace {

using tensor::DType;

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool has(const model::Architecture& architecture, const std::string& name) {
  return std::ranges::any_of(architecture.encodings, [&](model::Encoding e) { return model::name(e) == name; });
}

// What llama.cpp calls the mix of formats in a file (its enum llama_ftype); "" if it is not known.
std::string file_type(const weights::Checkpoint& checkpoint) {
  static const std::map<int, std::string> names = {{2, "q4_0"},    {3, "q4_1"},    {7, "q8_0"},    {8, "q5_0"},
                                                   {9, "q5_1"},    {14, "q4_k_s"}, {15, "q4_k_m"}, {16, "q5_k_s"},
                                                   {17, "q5_k_m"}, {18, "q6_k"},   {38, "mxfp4"}};
  const Json& metadata = checkpoint.metadata();
  const auto it = metadata.is_object() ? metadata.find("general.file_type") : metadata.end();
  if (!metadata.is_object() || it == metadata.end() || !it->is_number_integer()) return "";
  const auto name = names.find(static_cast<int>(it->get<std::int64_t>()));
  return name == names.end() ? "" : name->second;
}

}  // namespace

Result<EncodingChoice> choose_encoding(const std::string& requested, const model::Architecture& architecture,
                                       const model::WeightMap& weights, const weights::Checkpoint& checkpoint) {
  std::map<std::string, std::int64_t> bytes;  // of the quantized matmul weights, by format
  for (const auto& [name, binding] : weights.bindings) {
    if (std::ranges::find(binding.uses, graph::WeightUse::kMatmul) == binding.uses.end()) continue;
    const DType dtype = binding.held();
    if (!tensor::info(dtype).quantized) continue;
    bytes[lower(tensor::name(dtype))] +=
        binding.tensor->bytes() * static_cast<std::int64_t>(std::max<std::size_t>(1, binding.experts.size()));
  }
  const std::string wish = lower(requested);
  for (const auto& [encoding, dtype] : {std::pair{"bfloat16", DType::kBF16}, std::pair{"float32", DType::kF32}}) {
    const bool is_default =
        wish.empty() && bytes.empty() && encoding == std::string(model::name(architecture.default_encoding));
    if ((wish == encoding || is_default) && has(architecture, encoding)) {
      return EncodingChoice{.name = encoding, .float_dtype = dtype, .dequantize = !bytes.empty()};
    }
  }

  std::string own = file_type(checkpoint), most;
  if (!bytes.empty()) most = std::ranges::max_element(bytes, {}, [](const auto& item) { return item.second; })->first;
  if (own.empty()) own = most;
  if (!bytes.empty()) {
    for (const auto& [format, size] : bytes) {
      if (has(architecture, format)) continue;
      return unsupported("the checkpoint holds " + format + " weights, which " + std::string(architecture.name) +
                             " does not run: use --quantization-encoding bfloat16 or float32",
                         "quantization_encoding");
    }
    // "q4_k" names a file of q4_k_m too. A format that only some tensors have is not what the file is.
    const bool named =
        wish == own || wish == most || (own.starts_with(wish) && own.substr(wish.size()).starts_with("_"));
    if (wish.empty() || named) return EncodingChoice{.name = own, .float_dtype = DType::kBF16, .dequantize = false};
  }
  std::string available = "bfloat16, float32";
  if (!bytes.empty()) available += ", " + own;
  return unsupported(
      "quantization encoding " + requested + " is not available for this checkpoint: choose one of " + available,
      "quantization_encoding");
}

Result<tensor::DType> choose_kv_dtype(const std::string& requested, const EncodingChoice& encoding) {
  if (requested == "float32" || (requested.empty() && encoding.name == "float32")) return DType::kF32;
  if (requested == "bfloat16" || requested.empty()) return DType::kBF16;
  return unsupported("KV cache dtype " + requested + " is not known: choose bfloat16 or float32", "kv_cache_dtype");
}

}  // namespace tenon::loader
