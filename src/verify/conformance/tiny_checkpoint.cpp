#include "verify/conformance/tiny_checkpoint.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "weights/checkpoint.h"

namespace tenon::verify {
namespace {

using model::Transform;
using Kind = Transform::Kind;

/// A weight, or one of its experts, in a tensor of the file.
struct Piece {
  const RandomWeight* weight;
  Transform transform;
  std::int64_t expert = -1;  ///< -1: all of the weight
};

bool is_part(Kind kind) {
  return kind == Kind::kHalf || kind == Kind::kAlternate || kind == Kind::kTransposeHalf ||
         kind == Kind::kTransposeAlternate || kind == Kind::kAlternateColumns || kind == Kind::kHeadRows ||
         kind == Kind::kHeadRowsTransposed;
}

// The tensor of the file of which the transform makes a weight of this shape; empty if that is not known here.
tensor::Shape file_shape(const tensor::Shape& ours, const Transform& transform) {
  const bool stacked = ours.size() == 3;
  switch (transform.kind) {
    case Kind::kNone:
      return ours;
    case Kind::kFlatten:
      return ours.size() == 1 ? tensor::Shape{ours[0] / transform.head_dim, transform.head_dim} : tensor::Shape{};
    case Kind::kHalf:
    case Kind::kAlternate:
      return stacked ? tensor::Shape{ours[0], 2 * ours[1], ours[2]} : tensor::Shape{};
    case Kind::kTranspose:
      return stacked ? tensor::Shape{ours[0], ours[2], ours[1]} : tensor::Shape{};
    case Kind::kTransposeHalf:
    case Kind::kTransposeAlternate:
      return stacked ? tensor::Shape{ours[0], ours[2], 2 * ours[1]} : tensor::Shape{};
    case Kind::kAlternateColumns:
      return ours.size() == 2 ? tensor::Shape{ours[0], 2 * ours[1]} : tensor::Shape{};
    case Kind::kHeadRows:
      return stacked ? tensor::Shape{ours[0] * transform.head_dim, ours[2]} : tensor::Shape{};
    case Kind::kHeadRowsTransposed:
      return stacked ? tensor::Shape{ours[0] * transform.head_dim, ours[1]} : tensor::Shape{};
    case Kind::kConvTaps:
      return ours.size() == 2 ? tensor::Shape{ours[1], 1, ours[0]} : tensor::Shape{};
    default:
      return {};
  }
}

// Where element (e, row, column) of ours [experts, n, k] lies in the file.
std::int64_t offset_in_file(const Transform& transform, std::int64_t n, std::int64_t k, std::int64_t e,
                            std::int64_t row, std::int64_t column) {
  const std::int64_t half = transform.part * n + row, alternate = 2 * row + transform.part;
  switch (transform.kind) {
    case Kind::kHalf:
      return (e * 2 * n + half) * k + column;
    case Kind::kAlternate:
      return (e * 2 * n + alternate) * k + column;
    case Kind::kTranspose:
      return (e * k + column) * n + row;
    case Kind::kTransposeHalf:
      return (e * k + column) * 2 * n + half;
    case Kind::kTransposeAlternate:
      return (e * k + column) * 2 * n + alternate;
    case Kind::kHeadRows:
      return (e * transform.head_dim + transform.part + row) * k + column;
    case Kind::kHeadRowsTransposed:
      return (e * transform.head_dim + transform.part + column) * n + row;
    case Kind::kConvTaps:
      return column * n + row;
    default:
      return (e * n + row) * k + column;
  }
}

void place(const Piece& piece, FileTensor& file) {
  const RandomWeight& weight = *piece.weight;
  if (piece.transform.kind == Kind::kNone || piece.transform.kind == Kind::kFlatten) {
    file.bytes = weight.bytes;
    if (piece.expert >= 0) {
      file.shape.erase(file.shape.begin());
      const auto bytes = static_cast<std::size_t>(tensor::elements(file.shape)) * sizeof(float);
      file.bytes = weight.bytes.substr(static_cast<std::size_t>(piece.expert) * bytes, bytes);
    }
    return;
  }
  file.bytes.resize(static_cast<std::size_t>(tensor::elements(file.shape)) * sizeof(float));
  // [experts, n] of kAlternateColumns is [experts, n, 1] with its rows alternating.
  const bool columns = piece.transform.kind == Kind::kAlternateColumns;
  const Transform transform = columns ? Transform::of_experts(Kind::kAlternate, piece.transform.part) : piece.transform;
  const bool matrix = piece.transform.kind == Kind::kConvTaps;
  const std::int64_t experts = matrix ? 1 : weight.shape[0], n = weight.shape[matrix ? 0 : 1];
  const std::int64_t k = columns ? 1 : weight.shape.back();
  const char* from = weight.bytes.data();
  for (std::int64_t e = 0; e < experts; ++e) {
    for (std::int64_t row = 0; row < n; ++row) {
      for (std::int64_t column = 0; column < k; ++column, from += sizeof(float)) {
        const auto to = static_cast<std::size_t>(offset_in_file(transform, n, k, e, row, column));
        std::memcpy(file.bytes.data() + to * sizeof(float), from, sizeof(float));
      }
    }
  }
}

// Whether the adapter finds `rule` for a tensor of this name, and not an earlier one or nothing.
bool reaches(const model::WeightAdapter& adapter, const model::WeightRule& rule, const std::string& file_name) {
  if (std::ranges::any_of(adapter.ignored, [&](auto pattern) { return model::match(pattern, file_name).has_value(); }))
    return false;
  for (const model::WeightRule& other : adapter.rules) {
    if (model::match(other.file, file_name)) return other.file == rule.file;
  }
  return false;
}

// The tensors of the file, by name, that a rule takes this weight from; none if it does not.
std::vector<std::pair<std::string, Piece>> pieces_of(const std::string& name, const RandomWeight& weight,
                                                     const model::WeightRule& rule) {
  std::string_view ours = rule.ours;
  const bool by_expert = ours.ends_with("}]");
  if (by_expert) ours = ours.substr(0, ours.rfind('['));
  auto parts = model::match(ours, name);
  if (!parts || file_shape(weight.shape, rule.transform).empty()) return {};
  if (!by_expert) return {{model::substitute(rule.file, *parts), Piece{&weight, rule.transform}}};
  std::vector<std::pair<std::string, Piece>> pieces;
  if (weight.shape.size() != 3 || rule.transform.kind != Kind::kNone) return pieces;
  parts->emplace_back();
  for (std::int64_t e = 0; e < weight.shape[0]; ++e) {
    parts->back() = std::to_string(e);
    pieces.emplace_back(model::substitute(rule.file, *parts), Piece{&weight, rule.transform, e});
  }
  return pieces;
}

}  // namespace

Result<std::vector<FileTensor>> file_tensors(const std::map<std::string, RandomWeight>& weights,
                                             const model::WeightAdapter& adapter) {
  std::map<std::string, std::vector<Piece>> files;
  for (const auto& [name, weight] : weights) {
    bool found = false;
    for (const model::WeightRule& rule : adapter.rules) {
      const auto pieces = pieces_of(name, weight, rule);
      if (pieces.empty() || !reaches(adapter, rule, pieces.front().first)) continue;
      for (const auto& [file_name, piece] : pieces) files[file_name].push_back(piece);
      found = true;
      break;
    }
    if (!found) {
      return invalid("the graph asks for " + name +
                     ", but no rule of weight_adapters.cpp makes it from a tensor: add " +
                     "one, or kSameNames as the last");
    }
  }
  std::vector<FileTensor> tensors;
  for (const auto& [name, pieces] : files) {
    FileTensor file{name, file_shape(pieces[0].weight->shape, pieces[0].transform), {}};
    const std::size_t expected = is_part(pieces[0].transform.kind) ? 2 : 1;
    if (pieces.size() != expected) {
      return invalid("tensor " + name + " holds " + std::to_string(expected) +
                     " matrices by weight_adapters.cpp, but " + std::to_string(pieces.size()) +
                     " weights are made from it");
    }
    for (const Piece& piece : pieces) place(piece, file);
    tensors.push_back(std::move(file));
  }
  return tensors;
}

Status write_checkpoint(const std::string& directory, const Json& config, const std::vector<FileTensor>& tensors) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return invalid("cannot make the directory " + directory + ": " + error.message());
  std::ofstream file(directory + "/config.json", std::ios::binary);
  file << config.dump(2) << "\n";
  if (!file.flush()) return invalid("cannot write " + directory + "/config.json");
  std::vector<std::pair<std::string, tensor::TensorView>> views;
  for (const FileTensor& tensor : tensors) {
    views.push_back(
        {tensor.name, {tensor::DType::kF32, tensor.shape, reinterpret_cast<const std::byte*>(tensor.bytes.data())}});
  }
  return weights::write_safetensors(directory + "/model.safetensors", views);
}

}  // namespace tenon::verify
