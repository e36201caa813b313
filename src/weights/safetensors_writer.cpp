#include <fcntl.h>
#include <simdjson.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <unordered_set>

#include "base/json.h"
#include "weights/checkpoint.h"
#include "weights/safetensors_header.h"

namespace tenon::weights {
namespace {

using Item = std::pair<std::string, tensor::TensorView>;

Error system_error(const std::string& path, const char* what, int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return {full ? ErrorCode::kResourceExhausted : ErrorCode::kInternal,
          path + ": cannot " + what + ": " + std::strerror(error) + (full ? "; free some space and try again" : "")};
}

/// A temporary file beside its target; removed unless it was renamed into place.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string target) : target_(std::move(target)) {
    static std::atomic<int> counter{0};
    path_ = target_ + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(counter++);
  }
  ~TemporaryFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  Status create() {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0) return std::unexpected(system_error(target_, "create", errno));
    return {};
  }
  Status write(const void* data, std::size_t size) {
    constexpr std::size_t kChunk = std::size_t{1} << 30;  // write() takes at most 2 GiB at once
    const char* at = static_cast<const char*>(data);
    while (size > 0) {
      const ssize_t n = ::write(fd_, at, std::min(size, kChunk));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return std::unexpected(system_error(target_, "write", errno));
      at += n;
      size -= static_cast<std::size_t>(n);
    }
    return {};
  }
  /// On the disk first, then under its name: a crash leaves the old file or the new one.
  Status commit() {
    if (::fsync(fd_) != 0) return std::unexpected(system_error(target_, "write", errno));
    if (::rename(path_.c_str(), target_.c_str()) != 0) {
      return std::unexpected(system_error(target_, "replace", errno));
    }
    ::close(std::exchange(fd_, -1));
    const auto slash = target_.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : target_.substr(0, slash + 1);
    if (const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); fd >= 0) {
      ::fsync(fd);
      ::close(fd);
    }
    return {};
  }

 private:
  std::string target_, path_;
  int fd_ = -1;
};

Status check(const std::string& path, const std::vector<Item>& tensors) {
  std::unordered_set<std::string> names;
  for (const auto& [name, view] : tensors) {
    const std::string where = path + ": the tensor " + shown(name);
    if (name.empty() || name == "__metadata__" || name.size() > kMaxNameBytes ||
        !simdjson::validate_utf8(name.data(), name.size())) {
      return invalid(where + " has a name that SafeTensors cannot hold");
    }
    if (!names.insert(name).second) return invalid(where + " is given twice");
    if (!safetensors_dtype_name(view.dtype)) {
      return unsupported(where + " is " + tensor::name(view.dtype) + ", which SafeTensors cannot hold");
    }
    const auto bytes = checked_bytes(view.dtype, view.shape);
    if (!bytes) return invalid(where + " has an absurd shape");
    if (!view.data && *bytes > 0) return invalid(where + " has no data");
  }
  return {};
}

}  // namespace

Status write_safetensors(const std::string& path, const std::vector<Item>& tensors) {
  TENON_TRY(check(path, tensors));
  // Wide elements first, so that every tensor is aligned to its element; otherwise in the given order.
  std::vector<const Item*> order;
  for (const Item& item : tensors) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    const int left = tensor::info(a->second.dtype).block_bytes, right = tensor::info(b->second.dtype).block_bytes;
    return left != right ? left > right : a < b;  // both lie in one vector
  });
  std::string header = "{";
  std::int64_t offset = 0;
  for (const Item* item : order) {
    const auto& [name, view] = *item;
    const std::int64_t end = offset + view.bytes();
    Json entry{{"dtype", safetensors_dtype_name(view.dtype)}, {"shape", view.shape}, {"data_offsets", {offset, end}}};
    if (header.size() > 1) header += ',';
    header.append(Json(name).dump()).append(":").append(entry.dump());
    offset = end;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  if (header.size() > kMaxSafetensorsHeader) return invalid(path + ": too many tensors for one SafeTensors file");

  TemporaryFile file(path);
  TENON_TRY(file.create());
  std::array<char, 8> size;
  const std::uint64_t header_size = header.size();
  std::memcpy(size.data(), &header_size, size.size());
  TENON_TRY(file.write(size.data(), size.size()));
  TENON_TRY(file.write(header.data(), header.size()));
  for (const Item* item : order) {
    TENON_TRY(file.write(item->second.data, static_cast<std::size_t>(item->second.bytes())));
  }
  return file.commit();
}

}  // namespace tenon::weights
