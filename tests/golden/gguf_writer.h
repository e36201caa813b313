// Writes GGUF files for tests: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace tenon::golden {

class GgufWriter {
 public:
  explicit GgufWriter(const std::string& architecture) { str("general.architecture", architecture); }

  void u32(const std::string& key, std::uint32_t x) { value(key, 4), put(header_, x); }
  void f32(const std::string& key, float x) { value(key, 6), put(header_, x); }
  void str(const std::string& key, const std::string& x) { value(key, 8), text(header_, x); }

  /// `shape` is [n, k], k innermost; `bytes` holds whole rows of blocks.
  void tensor(const std::string& name, const tensor::Shape& shape, tensor::DType dtype, const std::string& bytes) {
    data_.resize((data_.size() + 31) / 32 * 32);
    text(table_, name), put(table_, static_cast<std::uint32_t>(shape.size()));
    for (auto dim = shape.rbegin(); dim != shape.rend(); ++dim) put(table_, static_cast<std::uint64_t>(*dim));
    put(table_, code(dtype)), put(table_, static_cast<std::uint64_t>(data_.size()));
    data_ += bytes;
    ++tensors_;
  }

  void write(const std::string& path) const {
    std::string start = "GGUF";
    put(start, std::uint32_t{3}), put(start, tensors_), put(start, keys_);
    start += header_ + table_;
    start.resize((start.size() + 31) / 32 * 32);
    std::ofstream(path, std::ios::binary) << start << data_;
  }

 private:
  template <class T>
  static void put(std::string& to, T x) {
    to.append(reinterpret_cast<const char*>(&x), sizeof x);
  }
  static void text(std::string& to, const std::string& s) {
    put(to, static_cast<std::uint64_t>(s.size()));
    to += s;
  }
  void value(const std::string& key, std::uint32_t type) { text(header_, key), put(header_, type), ++keys_; }
  static std::uint32_t code(tensor::DType dtype) {
    static const std::map<std::string, std::uint32_t> codes = {{"F32", 0},   {"Q4_0", 2},  {"Q4_1", 3},  {"Q5_0", 6},
                                                               {"Q5_1", 7},  {"Q8_0", 8},  {"Q4_K", 12}, {"Q5_K", 13},
                                                               {"Q6_K", 14}, {"BF16", 30}, {"MXFP4", 39}};
    return codes.at(tensor::name(dtype));
  }

  std::uint64_t tensors_ = 0, keys_ = 0;
  std::string header_, table_, data_;
};

}  // namespace tenon::golden
