#include "weights/stored_tensor.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>

namespace tenon::weights {

std::string shown(std::string_view name) {
  constexpr std::size_t kShown = 100;
  std::string text = "'";
  for (const char c : name.substr(0, kShown)) {
    text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  return text + (name.size() > kShown ? "…'" : "'");
}

std::optional<std::uint64_t> checked_bytes(tensor::DType dtype, const tensor::Shape& shape) {
  constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 56;  // times 8 bytes still fits an int64
  if (shape.size() > static_cast<std::size_t>(kMaxRank)) return {};
  const tensor::DTypeInfo& type = tensor::info(dtype);
  const auto block = static_cast<std::uint64_t>(type.block_elements);
  // Dims of 0 count as 1 here: the other dims must be sane even where their product is 0.
  std::uint64_t product = 1;
  bool empty = false;
  for (const std::int64_t dim : shape) {
    if (dim < 0) return {};
    empty = empty || dim == 0;
    const auto factor = static_cast<std::uint64_t>(std::max<std::int64_t>(dim, 1));
    if (factor > kMaxElements / product) return {};
    product *= factor;
  }
  const std::uint64_t innermost = shape.empty() ? 1 : static_cast<std::uint64_t>(shape.back());
  if (innermost % block != 0) return {};
  return empty ? 0 : product / block * static_cast<std::uint64_t>(type.block_bytes);
}

Status check_names_and_overlaps(const std::string& file, std::vector<StoredTensor>& tensors) {
  std::unordered_set<std::string_view> seen;
  seen.reserve(tensors.size());
  for (const StoredTensor& t : tensors) {
    if (t.name.empty()) return invalid(file + ": a tensor has an empty name");
    if (t.name.size() > kMaxNameBytes) return invalid(file + ": the tensor name " + shown(t.name) + " is too long");
    if (!seen.insert(t.name).second) return invalid(file + ": two tensors are named " + shown(t.name));
  }
  seen.clear();  // its views would dangle once the strings move
  std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  for (std::size_t i = 1; i < tensors.size(); ++i) {
    if (tensors[i].begin < tensors[i - 1].end) {
      return fail(ErrorCode::kDataLoss, file + ": the tensors " + shown(tensors[i - 1].name) + " and " +
                                            shown(tensors[i].name) + " overlap; the file is corrupt");
    }
  }
  return {};
}

}  // namespace tenon::weights
