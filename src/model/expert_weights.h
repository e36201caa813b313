// Tensors that hold the matrices of all experts, as rows.
#pragma once

#include "base/result.h"
#include "model/weight_adapter.h"

namespace tenon::model {

/// The transforms of experts' tensors: [experts · n] rows of k, or for kAlternateColumns [experts] rows of n.
Result<tensor::RowView> expert_rows(const tensor::TensorView& tensor, const Transform& transform,
                                    const std::string& name);

/// MXFP4 blocks and scales of SafeTensors files as rows of tensor::BlockMXFP4, copied.
Result<tensor::RowView> mxfp4_rows(const tensor::TensorView& blocks, const tensor::TensorView& scales,
                                   const Transform& transform, const std::string& name);

}  // namespace tenon::model
