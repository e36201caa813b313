// Whole-file reads, read-only mappings and large anonymous buffers.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace tenon {

/// The whole file as text; an error beyond `max_bytes`.
Result<std::string> read_file(const std::string& path, std::size_t max_bytes = std::size_t{1} << 30);

/// A file mapped read-only; unmapped when the last owner goes.
class MappedFile {
 public:
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  /// Asks the kernel to read ahead, or to drop the pages of, [offset, offset+size) from this process.
  void will_need(std::size_t offset, std::size_t size) const;
  void drop(std::size_t offset, std::size_t size) const;

 private:
  MappedFile(std::string path, const std::byte* data, std::size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}
  std::string path_;
  const std::byte* data_;
  std::size_t size_;
};

/// Zeroed anonymous memory, aligned to 2 MiB and backed by huge pages where the kernel allows it.
class HugeBuffer {
 public:
  HugeBuffer() = default;
  /// An error of kResourceExhausted that says how much was asked for.
  static Result<HugeBuffer> allocate(std::size_t bytes, const std::string& purpose);
  HugeBuffer(HugeBuffer&& other) noexcept;
  HugeBuffer& operator=(HugeBuffer&& other) noexcept;
  ~HugeBuffer();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::byte* mapping_ = nullptr;
  std::size_t mapping_size_ = 0;
};

}  // namespace tenon
