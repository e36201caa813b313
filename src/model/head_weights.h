// Matrices that hold a block of rows a head, as rows.
#pragma once

#include "base/result.h"
#include "model/weight_adapter.h"

namespace tenon::model {

/// kHeadRows: a view, [heads · rows] rows of k. kHeadRowsTransposed: a copy, [heads · k] rows of `rows` elements, in
/// the dtype of the tensor, or as float32 if it is quantized (its blocks lie along the other dim).
Result<tensor::RowView> head_rows(const tensor::TensorView& tensor, const Transform& transform,
                                  const std::string& name);

}  // namespace tenon::model
