// How the hidden states of a text become one vector, as sentence-transformers does it.
#pragma once

#include <cstdint>

namespace tenon::runtime {

enum class PoolingMode : std::uint8_t {
  kMean,       ///< the mean of all tokens
  kCls,        ///< the first token
  kLastToken,  ///< the last token
};

struct Pooling {
  PoolingMode mode = PoolingMode::kMean;
  bool normalize = false;  ///< to length 1
};

}  // namespace tenon::runtime
