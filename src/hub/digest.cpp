#include "hub/digest.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/sha256.h"
#include "hub/names.h"

namespace tenon::hub {

struct Digest::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Digest::Digest(std::string etag, std::int64_t size) : etag_(std::move(etag)), size_(size) {
  if (is_hex(etag_) && (etag_.size() == 64 || etag_.size() == 40)) context_ = std::make_unique<Context>();
  restart();
}

Digest::~Digest() = default;

const char* Digest::kind() const { return etag_.size() == 64 ? "SHA-256" : "git SHA-1"; }

void Digest::restart() {
  if (!context_) return;
  const bool sha256 = etag_.size() == 64;
  TENON_CHECK(EVP_DigestInit_ex(context_->evp, sha256 ? EVP_sha256() : EVP_sha1(), nullptr) == 1);
  if (sha256) return;
  const std::string prefix = "blob " + std::to_string(size_);
  update(prefix.c_str(), prefix.size() + 1);  // with its zero
}

void Digest::update(const void* data, std::size_t size) {
  if (context_) TENON_CHECK(EVP_DigestUpdate(context_->evp, data, size) == 1);
}

Status Digest::update_from_file(int fd, std::int64_t size, const std::string& path) {
  if (!context_) return {};
  std::vector<char> buffer(std::size_t{1} << 20);
  for (std::int64_t at = 0; at < size;) {
    const auto want = std::min(static_cast<std::size_t>(size - at), buffer.size());
    const ssize_t n = ::pread(fd, buffer.data(), want, at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(ErrorCode::kInternal, path + ": cannot read: " + std::strerror(n < 0 ? errno : EIO));
    update(buffer.data(), static_cast<std::size_t>(n));
    at += n;
  }
  return {};
}

bool Digest::matches() {
  if (!context_) return true;
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  TENON_CHECK(EVP_DigestFinal_ex(context_->evp, bytes, &size) == 1);
  return hex({bytes, size}) == etag_;
}

}  // namespace tenon::hub
