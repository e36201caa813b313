// How the paged KV cache lies in memory. One page holds kPageTokens consecutive positions of one sequence for all
// layers.
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/dtype.h"

namespace tenon::tensor {

/// Attention walks the KV cache in blocks of one page, in order; so this is also the block of its online softmax, and a
/// constant of the format: changing it changes bits.
inline constexpr int kPageTokens = 64;

/// What one layer stores. Keys and values may differ in width (MLA).
struct KvLayer {
  int num_kv_heads = 0;
  int key_dim = 0;
  int value_dim = 0;
};

/// A page, in elements of `dtype` (kBF16 or kF32), is for each layer in order: for each kv head: the key block, then
/// for each kv head: the value block.
///   key block, bf16:  [key_dim/2][kPageTokens][2]   pairs of dims interleaved, so that 16 keys are one vdpbf16ps
///   operand key block, f32:   [key_dim][kPageTokens] value block:      [kPageTokens][value_dim]      row-major
/// key_dim and value_dim are even.
struct KvLayout {
  DType dtype = DType::kBF16;
  std::vector<KvLayer> layers;

  std::int64_t key_offset(int layer, int head) const;    ///< elements from the page's start
  std::int64_t value_offset(int layer, int head) const;  ///< elements from the page's start
  std::int64_t page_elements() const;
  std::int64_t page_bytes() const;
};

}  // namespace tenon::tensor
