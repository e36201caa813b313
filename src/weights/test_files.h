// Builders of SafeTensors and GGUF files for tests, able to make broken ones.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

namespace tenon::weights {

/// A directory of its own, removed at the end of the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = testing::TempDir() + "/tenon_weights_XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& contents) const {
    std::ofstream(file(name), std::ios::binary) << contents;
    return file(name);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// The raw bytes of a number.
template <class T>
std::string raw(T value) {
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}

inline std::string safetensors_file(const std::string& header, std::size_t data_bytes) {
  std::string data(data_bytes, '\0');
  for (std::size_t i = 0; i < data_bytes; ++i) data[i] = static_cast<char>(i);
  return raw<std::uint64_t>(header.size()) + header + data;
}

/// Builds a GGUF file piece by piece.
struct GgufBuilder {
  std::uint32_t version = 3;
  std::uint64_t keys = 0, tensors = 0;
  std::string key_bytes, tensor_bytes, data;
  std::uint64_t alignment = 32;

  static std::string text(const std::string& s) { return raw<std::uint64_t>(s.size()) + s; }
  /// `value` is the value's type number and bytes.
  GgufBuilder& key(const std::string& name, const std::string& value) {
    ++keys;
    key_bytes.append(text(name)).append(value);
    return *this;
  }
  GgufBuilder& u32(const std::string& name, std::uint32_t v) { return key(name, raw<std::uint32_t>(4) + raw(v)); }
  GgufBuilder& string(const std::string& name, const std::string& v) {
    return key(name, raw<std::uint32_t>(8) + text(v));
  }
  /// Dims innermost first, as the file has them. Data is appended, aligned; `offset` overrides where it says it lies.
  GgufBuilder& tensor(const std::string& name, std::initializer_list<std::uint64_t> dims, std::uint32_t type,
                      const std::string& bytes, std::int64_t offset = -1) {
    ++tensors;
    data.resize((data.size() + alignment - 1) / alignment * alignment, '\0');
    tensor_bytes += text(name) + raw(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t dim : dims) tensor_bytes += raw(dim);
    tensor_bytes += raw(type) + raw<std::uint64_t>(offset < 0 ? data.size() : static_cast<std::uint64_t>(offset));
    data += bytes;
    return *this;
  }
  std::string build() const {
    std::string out = "GGUF" + raw(version) + raw(tensors) + raw(keys) + key_bytes + tensor_bytes;
    out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
    return out + data;
  }
};

}  // namespace tenon::weights
