// The one Checkpoint behind all formats: views into mapped files, found by name.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "weights/checkpoint.h"
#include "weights/stored_tensor.h"

namespace tenon::weights {

class MappedCheckpoint final : public Checkpoint {
 public:
  explicit MappedCheckpoint(Format format) : format_(format) {}

  /// Adds a file's tensors, whose ranges lie within the file. Refuses a name that another file already gave.
  Status add(std::shared_ptr<const MappedFile> file, const std::vector<StoredTensor>& tensors);
  /// Adds a tensor without data.
  Status add_shape(const std::string& name, tensor::DType dtype, tensor::Shape shape);
  void set_metadata(Json metadata) { metadata_ = std::move(metadata); }

  Format format() const override { return format_; }
  const std::vector<std::string>& names() const override { return names_; }
  const tensor::TensorView* find(const std::string& name) const override;
  std::string file_of(const std::string& name) const override;
  void release(const std::string& name) const override;
  const Json& metadata() const override { return metadata_; }

 private:
  struct Entry {
    tensor::TensorView view;
    std::shared_ptr<const MappedFile> file;  ///< null where there is no data
  };

  Format format_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, Entry> entries_;
  Json metadata_ = nullptr;
};

/// The last part of a path.
std::string base_name(const std::string& path);

}  // namespace tenon::weights
