// Owners for what tenon_rust.h hands out, and its errors as Result.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "tenon_rust.h"

namespace tenon::rust {

/// A TenonBytes and the duty to free it.
class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes() { tenon_bytes_free(bytes_); }
  TenonBytes* out() { return &bytes_; }
  std::string str() const { return bytes_.size == 0 ? std::string() : std::string(bytes_.data, bytes_.size); }

 private:
  TenonBytes bytes_ = {nullptr, 0};
};

/// A TenonIds and the duty to free it.
class Ids {
 public:
  Ids() = default;
  Ids(const Ids&) = delete;
  Ids& operator=(const Ids&) = delete;
  ~Ids() { tenon_ids_free(ids_); }
  TenonIds* out() { return &ids_; }
  const std::int32_t* begin() const { return ids_.data; }
  const std::int32_t* end() const { return ids_.data + ids_.size; }

 private:
  TenonIds ids_ = {nullptr, 0};
};

/// Nothing, or the error of a call; `what` says what was being done.
inline Status check(TenonRustStatus status, const Bytes& error, const std::string& what) {
  switch (status) {
    case TENON_RUST_OK:
      return {};
    case TENON_RUST_RAISED:
      return invalid(error.str());
    case TENON_RUST_INVALID:
      return invalid(what + ": " + error.str());
    case TENON_RUST_PANIC:
      break;
  }
  return fail(ErrorCode::kInternal, what + " failed inside its library: " + error.str());
}

}  // namespace tenon::rust
