#include "tensor/kv_layout.h"

#include "base/check.h"

namespace tenon::tensor {
namespace {

std::int64_t key_block(const KvLayer& layer) { return std::int64_t{kPageTokens} * layer.key_dim; }
std::int64_t value_block(const KvLayer& layer) { return std::int64_t{kPageTokens} * layer.value_dim; }
std::int64_t layer_elements(const KvLayer& layer) {
  return layer.num_kv_heads * (key_block(layer) + value_block(layer));
}

std::int64_t layer_offset(const KvLayout& layout, int layer) {
  TENON_CHECK(layer >= 0 && static_cast<std::size_t>(layer) <= layout.layers.size(), "no such KV layer");
  std::int64_t offset = 0;
  for (int i = 0; i < layer; ++i) offset += layer_elements(layout.layers[static_cast<std::size_t>(i)]);
  return offset;
}

}  // namespace

std::int64_t KvLayout::key_offset(int layer, int head) const {
  const std::int64_t offset = layer_offset(*this, layer);
  return offset + head * key_block(layers[static_cast<std::size_t>(layer)]);
}

std::int64_t KvLayout::value_offset(int layer, int head) const {
  const std::int64_t offset = layer_offset(*this, layer);
  const KvLayer& it = layers[static_cast<std::size_t>(layer)];
  return offset + it.num_kv_heads * key_block(it) + head * value_block(it);
}

std::int64_t KvLayout::page_elements() const { return layer_offset(*this, static_cast<int>(layers.size())); }

std::int64_t KvLayout::page_bytes() const { return bytes_of(dtype, page_elements()); }

}  // namespace tenon::tensor
