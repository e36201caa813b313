// A checkpoint: named tensors in mapped files, whatever the file format. Nothing is read until it is used.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "tensor/shape.h"

namespace tenon::weights {

enum class Format : std::uint8_t { kSafetensors, kGguf };

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;
  virtual Format format() const = 0;
  /// Names in file order.
  virtual const std::vector<std::string>& names() const = 0;
  /// Null if there is none of that name. The view lives as long as the checkpoint.
  virtual const tensor::TensorView* find(const std::string& name) const = 0;
  /// Where the tensor lies, for messages: "model-00001-of-00002.safetensors".
  virtual std::string file_of(const std::string& name) const = 0;
  /// Lets the kernel drop a tensor's pages from this process after it was packed.
  virtual void release(const std::string& name) const = 0;
  /// GGUF's metadata as a JSON object ("general.architecture": …); null for SafeTensors.
  virtual const Json& metadata() const = 0;
};

/// model.safetensors, or the shards that model.safetensors.index.json names, in a directory; or one .safetensors file.
Result<std::unique_ptr<Checkpoint>> open_safetensors(const std::string& path);

/// The __metadata__ of one SafeTensors file, whose values are strings; an empty object if it has none.
Result<Json> safetensors_metadata(const std::string& path);

/// GGUF v2 or v3, little-endian.
Result<std::unique_ptr<Checkpoint>> open_gguf(const std::string& path);

/// Tensors without data, from {"name": {"dtype": "BF16", "shape": [..]}}: for inspect without weights, and tests.
Result<std::unique_ptr<Checkpoint>> shapes_only(const Json& tensors);

/// Writes a SafeTensors file atomically (temporary file, then rename). For goldens, bench/ and save-and-reload tests.
Status write_safetensors(const std::string& path,
                         const std::vector<std::pair<std::string, tensor::TensorView>>& tensors);

}  // namespace tenon::weights
