// Checkpoints of block-scaled FP8 (DeepSeek V3, Qwen3-…-FP8): matrices of F8_E4M3 beside a scale for each 128 x 128 of
// them, as transformers' FineGrainedFP8Config and DeepSeek-V3's inference/kernel.py define it.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "tensor/row_view.h"
#include "tensor/shape.h"

namespace tenon::model {

/// Refuses what is not this method in a config's quantization_config; `field` is its path.
Status check_fp8_config(const Json& quantization, const std::string& field);

/// The tensor of scales that belongs to the matrix of this name.
std::string fp8_scale_name(const std::string& file_name);

/// What is wrong with a matrix and its scales; "" if nothing. Only dtypes and shapes are looked at.
std::string fp8_gap(const std::string& file_name, const tensor::TensorView& codes, const tensor::TensorView& scales);

/// [n, k] as rows of tensor::BlockFP8, copied. Activations stay floats, though the config may call for their rounding
/// to FP8 ("activation_scheme"): that only saves time on GPUs.
Result<tensor::RowView> fp8_rows(const std::string& file_name, const tensor::TensorView& codes,
                                 const tensor::TensorView& scales);

}  // namespace tenon::model
