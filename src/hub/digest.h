// The checksum that a file's ETag on the hub is: SHA-256 of the contents for LFS files, git's blob SHA-1 for others.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tenon::hub {

class Digest {
 public:
  /// By the ETag's form: 64 hex digits, 40 hex digits, or neither (nothing to check). `size`: bytes of the whole file.
  Digest(std::string etag, std::int64_t size);
  ~Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  bool checks() const { return context_ != nullptr; }
  const char* kind() const;  ///< "SHA-256", "git SHA-1"
  void restart();
  void update(const void* data, std::size_t size);
  /// Feeds `size` bytes of a file from its start.
  Status update_from_file(int fd, std::int64_t size, const std::string& path);
  /// Whether what was fed is what the ETag says. Ends the digest; restart() begins anew.
  bool matches();

 private:
  struct Context;
  std::string etag_;
  std::int64_t size_;
  std::unique_ptr<Context> context_;
};

}  // namespace tenon::hub
