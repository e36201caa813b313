#include "model/fp8_weights.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "tensor/blocks.h"

namespace tenon::model {
namespace {

using tensor::DType;

constexpr std::int64_t kBlock = 128;
static_assert(kBlock == tensor::kFp8Elements);

std::int64_t blocks(std::int64_t size) { return (size + kBlock - 1) / kBlock; }

}  // namespace

Status check_fp8_config(const Json& quantization, const std::string& field) {
  static constexpr std::array kKnown = {
      "quant_method",   "fmt",       "weight_block_size", "activation_scheme", "modules_to_not_convert",
      "ignored_layers", "scale_fmt", "dequantize"};
  for (const auto& [name, value] : quantization.items()) {
    if (value.is_null() || std::ranges::find(kKnown, name) != kKnown.end()) continue;
    return unsupported("config field " + field + "." + name + " is " + value.dump() +
                           ", which is not known for the method fp8: use the model's bfloat16 checkpoint",
                       field + "." + name);
  }
  const auto refuse_unless = [&](const char* name, const Json& wanted) -> Status {
    const Json value = quantization.value(name, Json());
    if (value == wanted || (value.is_null() && name != std::string("weight_block_size"))) return {};
    return unsupported("config field " + field + "." + name + " is " + value.dump() + ", but of fp8 only " +
                           wanted.dump() + " is supported: use the model's bfloat16 checkpoint",
                       field + "." + name);
  };
  TENON_TRY(refuse_unless("weight_block_size", Json::array({kBlock, kBlock})));
  TENON_TRY(refuse_unless("fmt", "e4m3"));
  return refuse_unless("activation_scheme", "dynamic");
}

std::string fp8_scale_name(const std::string& file_name) { return file_name + "_scale_inv"; }

std::string fp8_gap(const std::string& file_name, const tensor::TensorView& codes, const tensor::TensorView& scales) {
  if (codes.shape.size() != 2 || codes.shape[1] % kBlock != 0) {
    return "tensor " + file_name + " is F8_E4M3" + tensor::to_string(codes.shape) +
           ", but Tenon reads matrices of FP8 whose rows are multiples of " + std::to_string(kBlock) +
           " only: use the model's bfloat16 checkpoint";
  }
  const tensor::Shape wanted = {blocks(codes.shape[0]), blocks(codes.shape[1])};
  const bool is_float = scales.dtype == DType::kF32 || scales.dtype == DType::kBF16 || scales.dtype == DType::kF16;
  if (scales.shape == wanted && is_float) return "";
  return "tensor " + fp8_scale_name(file_name) + " is " + tensor::name(scales.dtype) + tensor::to_string(scales.shape) +
         ", but " + file_name + " " + tensor::to_string(codes.shape) + " needs floats of " + tensor::to_string(wanted) +
         ", one for each 128 x 128";
}

Result<tensor::RowView> fp8_rows(const std::string& file_name, const tensor::TensorView& codes,
                                 const tensor::TensorView& scales) {
  const std::string gap = fp8_gap(file_name, codes, scales);
  if (!gap.empty()) return invalid(gap);
  const std::int64_t n = codes.shape[0], k = codes.shape[1], groups = k / kBlock;
  std::vector<float> scale(static_cast<std::size_t>(tensor::elements(scales.shape)));
  tensor::to_float(scales.dtype, scales.data, static_cast<std::int64_t>(scale.size()), scale.data());
  const auto out = std::make_shared<std::vector<tensor::BlockFP8>>(static_cast<std::size_t>(n * groups));
  tensor::BlockFP8* block = out->data();
  for (std::int64_t row = 0; row < n; ++row) {
    for (std::int64_t g = 0; g < groups; ++g, ++block) {
      block->d = scale[static_cast<std::size_t>(row / kBlock * groups + g)];
      std::memcpy(block->qs, codes.data + row * k + g * kBlock, kBlock);
    }
  }
  return tensor::RowView{.dtype = DType::kFP8,
                         .n = n,
                         .k = k,
                         .data = reinterpret_cast<const std::byte*>(out->data()),
                         .row_bytes = tensor::bytes_of(DType::kFP8, k),
                         .order = {},
                         .owner = out};
}

}  // namespace tenon::model
