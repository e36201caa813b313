// What the file formats share: one tensor as a file's header declares it, checked before any view of it is made.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/shape.h"

namespace tenon::weights {

inline constexpr int kMaxRank = 16;
inline constexpr std::size_t kMaxNameBytes = 4096;

/// A tensor in [begin, end) bytes of its file.
struct StoredTensor {
  std::string name;
  tensor::DType dtype = tensor::DType::kF32;
  tensor::Shape shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// A name from a file, for a message: in quotes, without control characters, and not endless.
std::string shown(std::string_view name);

/// Bytes of a dense tensor; nothing if the shape is absurd (negative or huge dims, too many of them) or the innermost
/// dim does not hold whole blocks.
std::optional<std::uint64_t> checked_bytes(tensor::DType dtype, const tensor::Shape& shape);

/// Refuses two tensors of one name, an empty or endless name, and tensors that share bytes. Leaves `tensors` ordered as
/// they lie in the file.
Status check_names_and_overlaps(const std::string& file, std::vector<StoredTensor>& tensors);

}  // namespace tenon::weights
