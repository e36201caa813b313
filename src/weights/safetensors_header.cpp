#include "weights/safetensors_header.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace tenon::weights {
namespace {

using tensor::DType;

struct NamedDType {
  const char* name;
  DType dtype;
};
constexpr std::array kDTypes = {
    NamedDType{"F64", DType::kF64},   NamedDType{"F32", DType::kF32},        NamedDType{"F16", DType::kF16},
    NamedDType{"BF16", DType::kBF16}, NamedDType{"F8_E4M3", DType::kF8E4M3}, NamedDType{"F8_E5M2", DType::kF8E5M2},
    NamedDType{"I64", DType::kI64},   NamedDType{"I32", DType::kI32},        NamedDType{"I16", DType::kI16},
    NamedDType{"I8", DType::kI8},     NamedDType{"U8", DType::kU8},          NamedDType{"BOOL", DType::kBool},
};

Result<DType> dtype_named(std::string_view name, const std::string& where) {
  for (const NamedDType& t : kDTypes) {
    if (name == t.name) return t.dtype;
  }
  constexpr std::array kKnownElsewhere = {"U16", "U32", "U64", "C64", "F8_E8M0", "F6_E2M3", "F6_E3M2", "F4"};
  if (std::find(kKnownElsewhere.begin(), kKnownElsewhere.end(), name) != kKnownElsewhere.end()) {
    return unsupported(where + " has the dtype " + std::string(name) + ", which Tenon does not read");
  }
  return invalid(where + " has the unknown dtype " + shown(name));
}

// The two JSON arrays of a tensor's entry. simdjson refuses negative, fractional and too large numbers here.
bool read_numbers(simdjson::dom::element value, std::size_t max_count, std::vector<std::uint64_t>& out) {
  simdjson::dom::array array;
  if (value.get(array) || array.size() > max_count) return false;
  for (const simdjson::dom::element item : array) {
    std::uint64_t number = 0;
    if (item.get(number)) return false;
    out.push_back(number);
  }
  return true;
}

Result<StoredTensor> read_entry(std::string_view name, simdjson::dom::element value, std::uint64_t data_begin,
                                std::uint64_t file_size, const std::string& file) {
  const std::string where = file + ": the tensor " + shown(name);
  simdjson::dom::object object;
  if (value.get(object)) return invalid(where + " is not described by a JSON object");
  std::string_view dtype_text;
  std::vector<std::uint64_t> dims, offsets;
  bool has_dtype = false, has_shape = false;
  for (const auto [key, field] : object) {
    if (key == "dtype") {
      if (has_dtype || field.get(dtype_text)) return invalid(where + " needs one dtype, a string");
      has_dtype = true;
    } else if (key == "shape") {
      if (has_shape || !read_numbers(field, kMaxRank, dims)) {
        return invalid(where + " needs one shape, of at most " + std::to_string(kMaxRank) + " non-negative integers");
      }
      has_shape = true;
    } else if (key == "data_offsets") {
      if (!offsets.empty() || !read_numbers(field, 2, offsets) || offsets.size() != 2) {
        return invalid(where + " needs data_offsets of two non-negative integers");
      }
    } else {
      return invalid(where + " has the unknown field " + shown(key));
    }
  }
  if (!has_dtype || !has_shape || offsets.empty()) return invalid(where + " lacks dtype, shape or data_offsets");

  StoredTensor t{.name = std::string(name)};
  TENON_ASSIGN(t.dtype, dtype_named(dtype_text, where));
  for (const std::uint64_t dim : dims) {
    t.shape.push_back(static_cast<std::int64_t>(std::min<std::uint64_t>(dim, INT64_MAX)));
  }
  const auto bytes = checked_bytes(t.dtype, t.shape);
  if (!bytes) return invalid(where + " has an absurd shape");
  const std::uint64_t data_size = file_size - data_begin;
  if (offsets[0] > offsets[1]) return invalid(where + " ends before it begins");
  if (offsets[1] > data_size) {
    return fail(ErrorCode::kDataLoss, where + " ends at byte " + std::to_string(offsets[1]) + " of the data, but the " +
                                          "file has only " + std::to_string(data_size) +
                                          "; the file is truncated, download it again");
  }
  if (offsets[1] - offsets[0] != *bytes) {
    return invalid(where + " takes " + std::to_string(offsets[1] - offsets[0]) + " bytes, but " +
                   std::string(dtype_text) + " of its shape needs " + std::to_string(*bytes));
  }
  t.begin = data_begin + offsets[0];
  t.end = data_begin + offsets[1];
  return t;
}

}  // namespace

const char* safetensors_dtype_name(DType dtype) {
  for (const NamedDType& t : kDTypes) {
    if (t.dtype == dtype) return t.name;
  }
  return nullptr;
}

Result<std::vector<StoredTensor>> parse_safetensors(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.size() < 8) {
    return fail(ErrorCode::kDataLoss, file + ": " + std::to_string(bytes.size()) +
                                          " bytes are too few for a SafeTensors file; download it again");
  }
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), 8);
  if (header_size > kMaxSafetensorsHeader) {
    return invalid(file + ": not a SafeTensors file: its header would be " + std::to_string(header_size) +
                   " bytes long, more than the format allows");
  }
  if (header_size > bytes.size() - 8) {
    return fail(ErrorCode::kDataLoss, file + ": the header is " + std::to_string(header_size) +
                                          " bytes long, longer than the file; it is truncated, download it again");
  }
  const std::uint64_t data_begin = 8 + header_size;
  const simdjson::padded_string text(reinterpret_cast<const char*>(bytes.data()) + 8, header_size);
  if (text.size() == 0 || text.data()[0] != '{') return invalid(file + ": the SafeTensors header is not a JSON object");

  simdjson::dom::parser parser;
  simdjson::dom::object header;
  constexpr std::size_t kMaxDepth = 8;
  auto error = parser.allocate(text.size(), kMaxDepth);
  if (!error) error = parser.parse(text).get(header);
  if (error) {
    return invalid(file + ": the SafeTensors header is not valid JSON: " + std::string(simdjson::error_message(error)));
  }
  std::vector<StoredTensor> tensors;
  for (const auto [name, value] : header) {
    if (name == "__metadata__") continue;
    TENON_ASSIGN(auto t, read_entry(name, value, data_begin, bytes.size(), file));
    tensors.push_back(std::move(t));
  }
  TENON_TRY(check_names_and_overlaps(file, tensors));
  std::uint64_t end = data_begin;
  for (const StoredTensor& t : tensors) {
    if (t.begin != end) {
      return fail(ErrorCode::kDataLoss, file + ": " + std::to_string(t.begin - end) + " bytes before the tensor " +
                                            shown(t.name) + " belong to no tensor; the file is corrupt");
    }
    end = t.end;
  }
  if (end != bytes.size()) {
    return fail(ErrorCode::kDataLoss, file + ": " + std::to_string(bytes.size() - end) +
                                          " bytes at its end belong to no tensor; the file is corrupt");
  }
  return tensors;
}

}  // namespace tenon::weights
