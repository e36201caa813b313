#include "weights/gguf_file.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_set>

#include "weights/ggml_types.h"

namespace tenon::weights {
namespace {

// Metadata value types, by their number in the file.
enum class ValueType : std::uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};
constexpr std::uint32_t kValueTypes = 13;
/// The fewest bytes that one value of each type takes.
constexpr std::uint64_t kMinBytes[kValueTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

constexpr std::uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;  // name length, dims, type, offset
constexpr std::uint32_t kMaxGgmlDims = 4;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kMaxAlignment = std::uint64_t{1} << 20;

bool valid_utf8(std::string_view text) {
  std::uint8_t high = 0;  // tokens are short and mostly ASCII: cheaper than a call for each
  for (const char c : text) high |= static_cast<std::uint8_t>(c);
  return high < 0x80 || simdjson::validate_utf8(text.data(), text.size());
}

/// Reads forward through the file. After a failed read the reader stays failed, and error() says why.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  template <class T>
  T number() {
    T value{};
    if (sizeof(T) > left()) {
      truncated();
      return value;
    }
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  /// A view into the file; empty after a failure.
  std::string_view string(std::uint64_t max_bytes) {
    const auto size = number<std::uint64_t>();
    if (failed_) return {};
    if (size > left()) {
      fail_with(ErrorCode::kDataLoss,
                "a string of " + std::to_string(size) + " bytes would end beyond the file; it is truncated or corrupt");
      return {};
    }
    if (size > max_bytes) {
      fail_with(ErrorCode::kInvalidArgument, "a string of " + std::to_string(size) +
                                                 " bytes is longer than the limit of " + std::to_string(max_bytes));
      return {};
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + at_, size);
    if (!valid_utf8(text)) {
      fail_with(ErrorCode::kInvalidArgument, "the string " + quoted_ascii(text) + " is not valid UTF-8");
      return {};
    }
    at_ += size;
    return text;
  }

  void fail_with(ErrorCode code, const std::string& what) {
    if (failed_) return;
    failed_ = true;
    error_ = {code, file_ + ": " + context_ + what + " (at byte " + std::to_string(at_) + ")"};
  }
  void set_context(std::string context) { context_ = std::move(context); }

  bool failed() const { return failed_; }
  const Error& error() const { return error_; }
  std::uint64_t at() const { return at_; }
  std::uint64_t left() const { return bytes_.size() - at_; }
  const std::string& file() const { return file_; }

 private:
  void truncated() { fail_with(ErrorCode::kDataLoss, "the file ends too early; it is truncated, download it again"); }
  static std::string quoted_ascii(std::string_view text) {
    std::string ascii(text.substr(0, 40));
    for (char& c : ascii) c = static_cast<unsigned char>(c) < 0x80 ? c : '?';
    return shown(ascii);
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
  std::uint64_t at_ = 0;
  bool failed_ = false;
  std::string context_;
  Error error_;
};

/// Reads metadata values, with all limits.
class MetadataReader {
 public:
  MetadataReader(Reader& in, const GgufLimits& limits)
      : in_(in), limits_(limits), elements_left_(limits.max_elements) {}

  Json value(int depth = 0) {
    const auto type = read_type();
    if (!type) return nullptr;
    return *type == ValueType::kArray ? array(depth) : scalar(*type);
  }

 private:
  std::optional<ValueType> read_type() {
    const auto type = in_.number<std::uint32_t>();
    if (in_.failed()) return {};
    if (type >= kValueTypes) {
      in_.fail_with(ErrorCode::kInvalidArgument, "unknown value type " + std::to_string(type));
      return {};
    }
    return static_cast<ValueType>(type);
  }

  Json scalar(ValueType type) {
    switch (type) {
      case ValueType::kU8:
        return in_.number<std::uint8_t>();
      case ValueType::kI8:
        return in_.number<std::int8_t>();
      case ValueType::kU16:
        return in_.number<std::uint16_t>();
      case ValueType::kI16:
        return in_.number<std::int16_t>();
      case ValueType::kU32:
        return in_.number<std::uint32_t>();
      case ValueType::kI32:
        return in_.number<std::int32_t>();
      case ValueType::kF32:
        return in_.number<float>();
      case ValueType::kBool:
        return in_.number<std::uint8_t>() != 0;
      case ValueType::kString:
        return in_.string(limits_.max_string);
      case ValueType::kU64:
        return in_.number<std::uint64_t>();
      case ValueType::kI64:
        return in_.number<std::int64_t>();
      case ValueType::kF64:
        return in_.number<double>();
      case ValueType::kArray:
        break;  // read by array()
    }
    return nullptr;
  }

  Json array(int depth) {
    Json out = Json::array();
    const auto type = read_type();
    const auto count = in_.number<std::uint64_t>();
    if (in_.failed()) return out;
    if (depth >= limits_.max_array_depth) {
      in_.fail_with(ErrorCode::kInvalidArgument,
                    "arrays are nested deeper than " + std::to_string(limits_.max_array_depth) + " levels");
      return out;
    }
    if (count > in_.left() / kMinBytes[static_cast<std::uint32_t>(*type)]) {
      in_.fail_with(ErrorCode::kDataLoss, "an array of " + std::to_string(count) +
                                              " elements would end beyond the file; it is truncated or corrupt");
      return out;
    }
    if (count > elements_left_) {
      in_.fail_with(ErrorCode::kInvalidArgument,
                    "the metadata has more than " + std::to_string(limits_.max_elements) + " array elements");
      return out;
    }
    elements_left_ -= count;
    auto& items = out.get_ref<Json::array_t&>();
    items.reserve(count);
    for (std::uint64_t i = 0; i < count && !in_.failed(); ++i) {
      items.push_back(*type == ValueType::kArray ? array(depth + 1) : scalar(*type));
    }
    return out;
  }

  Reader& in_;
  const GgufLimits& limits_;
  std::uint64_t elements_left_;
};

// Each tensor begins where the one before ends, but for the alignment. A larger gap is what a wrong type or shape
// leaves.
Status check_gaps(const std::string& file, const std::vector<StoredTensor>& tensors, std::uint64_t data_begin,
                  std::uint64_t alignment) {
  std::uint64_t end = data_begin;
  for (const StoredTensor& t : tensors) {
    if (t.begin - end >= alignment) {
      return fail(ErrorCode::kDataLoss, file + ": " + std::to_string(t.begin - end) + " bytes before the tensor " +
                                            shown(t.name) + " belong to no tensor; the file is corrupt");
    }
    end = t.end;
  }
  return {};
}

Result<std::uint64_t> alignment_of(const Json& metadata, const std::string& file) {
  const auto at = metadata.find("general.alignment");
  if (at == metadata.end()) return kDefaultAlignment;
  if (at->is_number_unsigned()) {
    const auto alignment = at->get<std::uint64_t>();
    if (alignment > 0 && alignment <= kMaxAlignment && (alignment & (alignment - 1)) == 0) return alignment;
  }
  return invalid(file + ": general.alignment is " +
                 at->dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 40) + ", not a power of two up to " +
                 std::to_string(kMaxAlignment));
}

// Reads one entry of the tensor table. Its begin is still relative to the data.
Result<StoredTensor> read_tensor(Reader& in, std::uint64_t index) {
  in.set_context("tensor " + std::to_string(index) + ": ");
  StoredTensor t;
  t.name = in.string(kMaxNameBytes);
  const auto dims = in.number<std::uint32_t>();
  if (in.failed()) return std::unexpected(in.error());
  const std::string where = in.file() + ": the tensor " + shown(t.name);
  if (dims > kMaxGgmlDims) {
    return invalid(where + " has " + std::to_string(dims) + " dims, more than the format's " +
                   std::to_string(kMaxGgmlDims));
  }
  for (std::uint32_t i = 0; i < dims; ++i) {
    t.shape.push_back(static_cast<std::int64_t>(std::min<std::uint64_t>(in.number<std::uint64_t>(), INT64_MAX)));
  }
  std::reverse(t.shape.begin(), t.shape.end());  // the file has the innermost dim first
  const auto type = in.number<std::uint32_t>();
  const auto offset = in.number<std::uint64_t>();
  if (in.failed()) return std::unexpected(in.error());

  const GgmlType ggml = ggml_type(type);
  if (!ggml.name) return invalid(where + " has the unknown ggml type " + std::to_string(type));
  if (!ggml.dtype) {
    return unsupported(
        where + " has the type " + ggml.name +
        ", which Tenon does not read; choose a file of Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, MXFP4, "
        "BF16, F16 or F32");
  }
  t.dtype = *ggml.dtype;
  const auto size = checked_bytes(t.dtype, t.shape);
  if (!size) {
    return invalid(where + " has the impossible shape " + tensor::to_string(t.shape) + " for " + ggml.name);
  }
  if (offset > UINT64_MAX / 2) return invalid(where + " has the absurd offset " + std::to_string(offset));
  t.begin = offset;
  t.end = offset + *size;
  return t;
}

Status check_start(Reader& in) {
  const auto magic = in.number<std::uint32_t>();
  const auto version = in.number<std::uint32_t>();
  if (in.failed()) return std::unexpected(in.error());
  if (magic != 0x46554747) return invalid(in.file() + ": not a GGUF file: it does not begin with \"GGUF\"");
  if (version == 1) return unsupported(in.file() + ": GGUF version 1 is not supported; convert the model again");
  if ((version & 0xffff) == 0 && version != 0) {
    return unsupported(in.file() + ": big-endian GGUF is not supported; convert it to little-endian");
  }
  if (version != 2 && version != 3) {
    return unsupported(in.file() + ": GGUF version " + std::to_string(version) +
                       " is not supported; Tenon reads 2 and 3");
  }
  return {};
}

Result<Json> read_metadata(Reader& in, std::uint64_t count, const GgufLimits& limits) {
  Json metadata = Json::object();
  std::unordered_set<std::string_view> seen;
  MetadataReader values(in, limits);
  for (std::uint64_t i = 0; i < count; ++i) {
    in.set_context("metadata key " + std::to_string(i) + ": ");
    const std::string_view key = in.string(kMaxNameBytes);
    if (in.failed()) return std::unexpected(in.error());
    if (!seen.insert(key).second) return invalid(in.file() + ": the metadata key " + shown(key) + " is there twice");
    in.set_context("metadata key " + shown(key) + ": ");
    metadata.emplace(std::string(key), values.value());
    if (in.failed()) return std::unexpected(in.error());
  }
  return metadata;
}

}  // namespace

Result<GgufFile> parse_gguf(std::span<const std::byte> bytes, const std::string& file, GgufLimits limits) {
  Reader in(bytes, file);
  TENON_TRY(check_start(in));
  const auto tensor_count = in.number<std::uint64_t>();
  const auto key_count = in.number<std::uint64_t>();
  if (in.failed()) return std::unexpected(in.error());
  if (key_count > limits.max_keys) {
    return invalid(file + ": claims " + std::to_string(key_count) + " metadata keys; the limit is " +
                   std::to_string(limits.max_keys));
  }
  if (tensor_count > in.left() / kMinTensorBytes) {
    return fail(ErrorCode::kDataLoss,
                file + ": claims " + std::to_string(tensor_count) + " tensors, more than fit in the file");
  }
  GgufFile out;
  TENON_ASSIGN(out.metadata, read_metadata(in, key_count, limits));
  TENON_ASSIGN(const std::uint64_t alignment, alignment_of(out.metadata, file));
  for (std::uint64_t i = 0; i < tensor_count; ++i) {
    TENON_ASSIGN(auto t, read_tensor(in, i));
    out.tensors.push_back(std::move(t));
  }
  const std::uint64_t data_begin = (in.at() + alignment - 1) / alignment * alignment;
  for (StoredTensor& t : out.tensors) {
    const std::string where = file + ": the tensor " + shown(t.name);
    if (t.begin % alignment != 0) {
      return invalid(where + " has the offset " + std::to_string(t.begin) + ", not a multiple of the alignment " +
                     std::to_string(alignment));
    }
    t.begin += data_begin;
    t.end += data_begin;
    if (t.end > bytes.size()) {
      return fail(ErrorCode::kDataLoss, where + " ends at byte " + std::to_string(t.end) + ", but the file has only " +
                                            std::to_string(bytes.size()) + "; it is truncated, download it again");
    }
  }
  TENON_TRY(check_names_and_overlaps(file, out.tensors));
  TENON_TRY(check_gaps(file, out.tensors, data_begin, alignment));
  return out;
}

}  // namespace tenon::weights
