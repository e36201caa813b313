// One GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3, little-endian.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "weights/stored_tensor.h"

namespace tenon::weights {

struct GgufFile {
  Json metadata = Json::object();     ///< every key of the file, in its order
  std::vector<StoredTensor> tensors;  ///< in the order of their data; shapes outermost dim first
};

/// Bounds that no honest file comes near; they keep a hostile one from taking time or memory.
struct GgufLimits {
  std::uint64_t max_keys = 4096;
  std::uint64_t max_elements = std::uint64_t{1} << 24;  ///< metadata array elements in all
  std::uint64_t max_string = std::uint64_t{64} << 20;
  int max_array_depth = 4;
};

/// Parses and checks everything but the tensors' contents. `file` names the file in messages.
Result<GgufFile> parse_gguf(std::span<const std::byte> bytes, const std::string& file, GgufLimits limits = {});

}  // namespace tenon::weights
