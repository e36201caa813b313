// Random weights of any format that a matrix can be stored in.
#pragma once

#include <random>
#include <string>

#include "tensor/dtype.h"

namespace tenon::verify {

/// Bytes of `elements` (whole blocks) of a float32, bfloat16 or GGUF format: numbers of about ±0.1, the same on every
/// machine for the same state of `random`.
std::string random_rows(tensor::DType dtype, std::int64_t elements, std::mt19937& random);

}  // namespace tenon::verify
