#include "weights/mapped_checkpoint.h"

namespace tenon::weights {

std::string base_name(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

Status MappedCheckpoint::add(std::shared_ptr<const MappedFile> file, const std::vector<StoredTensor>& tensors) {
  names_.reserve(names_.size() + tensors.size());
  entries_.reserve(entries_.size() + tensors.size());
  for (const StoredTensor& t : tensors) {
    const auto [at, fresh] = entries_.try_emplace(t.name);
    if (!fresh) {
      return invalid(file->path() + ": the tensor " + shown(t.name) + " is also in " + file_of(t.name) +
                     "; a checkpoint may hold each tensor once");
    }
    at->second = {{t.dtype, t.shape, file->bytes().data() + t.begin}, file};
    names_.push_back(t.name);
  }
  return {};
}

Status MappedCheckpoint::add_shape(const std::string& name, tensor::DType dtype, tensor::Shape shape) {
  const auto [at, fresh] = entries_.try_emplace(name);
  if (!fresh) return invalid("two tensors are named " + shown(name));
  at->second.view = {dtype, std::move(shape), nullptr};
  names_.push_back(name);
  return {};
}

const tensor::TensorView* MappedCheckpoint::find(const std::string& name) const {
  const auto at = entries_.find(name);
  return at == entries_.end() ? nullptr : &at->second.view;
}

std::string MappedCheckpoint::file_of(const std::string& name) const {
  const auto at = entries_.find(name);
  return at == entries_.end() || !at->second.file ? "" : base_name(at->second.file->path());
}

void MappedCheckpoint::release(const std::string& name) const {
  const auto at = entries_.find(name);
  if (at == entries_.end() || !at->second.file) return;
  const Entry& entry = at->second;
  const std::int64_t bytes = entry.view.bytes();
  if (bytes == 0) return;
  entry.file->drop(static_cast<std::size_t>(entry.view.data - entry.file->bytes().data()),
                   static_cast<std::size_t>(bytes));
}

}  // namespace tenon::weights
