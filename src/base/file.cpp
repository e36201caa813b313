#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace tenon {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

ErrorCode code_of(int error) {
  if (error == ENOENT || error == ENOTDIR) return ErrorCode::kNotFound;
  if (error == EACCES || error == EPERM) return ErrorCode::kPermissionDenied;
  return ErrorCode::kInternal;
}

struct FileDescriptor {
  int fd = -1;
  ~FileDescriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Result<std::size_t> open_regular(const std::string& path, FileDescriptor& out) {
  out.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe would wait for somebody who writes
  if (out.fd < 0) return fail(code_of(errno), path + ": cannot open: " + std::strerror(errno));
  struct stat info{};
  if (::fstat(out.fd, &info) != 0) return fail(code_of(errno), path + ": cannot stat: " + std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return invalid(path + ": not a regular file");
  return static_cast<std::size_t>(info.st_size);
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t max_bytes) {
  FileDescriptor file;
  TENON_ASSIGN(const std::size_t size, open_regular(path, file));
  if (size > max_bytes) {
    return invalid(path + ": " + std::to_string(size) + " bytes exceed the limit of " + std::to_string(max_bytes));
  }
  std::string text(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(file.fd, text.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(code_of(errno), path + ": cannot read: " + std::strerror(errno));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  text.resize(done);
  return text;
}

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  FileDescriptor file;
  TENON_ASSIGN(const std::size_t size, open_regular(path, file));
  if (size == 0) return fail(ErrorCode::kDataLoss, path + ": the file is empty");
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd, 0);
  if (data == MAP_FAILED) {
    const std::string why = std::strerror(errno);
    return fail(ErrorCode::kResourceExhausted, path + ": cannot map its " + std::to_string((size - 1) / 1000000 + 1) +
                                                   " MB: " + why + " (see ulimit -v)");
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(path, static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(data_), size_); }

void MappedFile::will_need(std::size_t offset, std::size_t size) const {
  const std::size_t page = 4096, begin = offset / page * page;
  ::madvise(const_cast<std::byte*>(data_) + begin, size + (offset - begin), MADV_WILLNEED);
}

void MappedFile::drop(std::size_t offset, std::size_t size) const {
  const std::size_t page = 4096, begin = (offset + page - 1) / page * page, end = (offset + size) / page * page;
  if (end > begin) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

Result<HugeBuffer> HugeBuffer::allocate(std::size_t bytes, const std::string& purpose) {
  HugeBuffer buffer;
  if (bytes == 0) return buffer;
  const std::size_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* mapping = rounded < bytes ? MAP_FAILED
                                  : ::mmap(nullptr, rounded + kHugePage, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    return fail(ErrorCode::kResourceExhausted,
                "cannot allocate " + std::to_string(bytes >> 20) + " MiB for " + purpose + ": out of memory");
  }
  buffer.mapping_ = static_cast<std::byte*>(mapping);
  buffer.mapping_size_ = rounded + kHugePage;
  const auto address = (reinterpret_cast<std::uintptr_t>(mapping) + kHugePage - 1) / kHugePage * kHugePage;
  buffer.data_ = reinterpret_cast<std::byte*>(address);
  buffer.size_ = bytes;
  ::madvise(buffer.data_, rounded, MADV_HUGEPAGE);
  return buffer;
}

HugeBuffer::HugeBuffer(HugeBuffer&& other) noexcept { *this = std::move(other); }

HugeBuffer& HugeBuffer::operator=(HugeBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_size_, other.mapping_size_);
  return *this;
}

HugeBuffer::~HugeBuffer() {
  if (mapping_) ::munmap(mapping_, mapping_size_);
}

}  // namespace tenon
