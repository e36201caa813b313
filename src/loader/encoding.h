// Which encoding the matmul weights get.
#pragma once

#include <string>

#include "base/result.h"
#include "model/architecture.h"
#include "model/weight_map.h"
#include "tensor/dtype.h"

namespace tenon::loader {

struct EncodingChoice {
  std::string name;                                  ///< "bfloat16", "float32", "q4_0", "q4_k_m", …
  tensor::DType float_dtype = tensor::DType::kBF16;  ///< of weights that are not kept quantized
  bool dequantize = false;
};

/// `requested` is --quantization-encoding; empty: the architecture's default for a float checkpoint, the file's own
/// format for a quantized GGUF. Another one is an error that names what there is.
Result<EncodingChoice> choose_encoding(const std::string& requested, const model::Architecture& architecture,
                                       const model::WeightMap& weights, const weights::Checkpoint& checkpoint);

/// bfloat16 or float32; empty: float32 with float32 weights, else bfloat16.
Result<tensor::DType> choose_kv_dtype(const std::string& requested, const EncodingChoice& encoding);

}  // namespace tenon::loader
