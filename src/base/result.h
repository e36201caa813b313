// How Tenon reports what can go wrong in the world: requests, files, configurations. Bugs of our own: check.h.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace tenon {

/// What kind of failure it is; the server maps it to an HTTP status, the command line to an exit status.
enum class ErrorCode {
  kInvalidArgument,    ///< the input is wrong: 400
  kNotFound,           ///< no such model, file or tensor: 404
  kTooLong,            ///< a text beyond the model's context: 400
  kUnsupported,        ///< valid, but Tenon cannot do it: 400
  kPermissionDenied,   ///< gated or unauthorised: 401, 403
  kResourceExhausted,  ///< memory, disk, queue: 429, 503
  kUnavailable,        ///< offline, draining: 503
  kDataLoss,           ///< truncated or corrupt data
  kDeadlineExceeded,   ///< the request's own time limit: 504
  kCancelled,          ///< the client hung up or asked for it
  kInternal,           ///< a bug of ours: 500
};

/// One clear sentence: what is wrong, where, and what to do.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string param = {};  ///< the request parameter or config field at fault, if there is one
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> fail(ErrorCode code, std::string message, std::string param = {}) {
  return std::unexpected<Error>(Error{code, std::move(message), std::move(param)});
}
inline std::unexpected<Error> invalid(std::string message, std::string param = {}) {
  return fail(ErrorCode::kInvalidArgument, std::move(message), std::move(param));
}
inline std::unexpected<Error> unsupported(std::string message, std::string param = {}) {
  return fail(ErrorCode::kUnsupported, std::move(message), std::move(param));
}
/// The same error with `context` put before its message.
inline std::unexpected<Error> wrap(const Error& error, const std::string& context) {
  return std::unexpected<Error>(Error{error.code, context + ": " + error.message, error.param});
}

}  // namespace tenon

#define TENON_CONCAT_INNER(a, b) a##b
#define TENON_CONCAT(a, b) TENON_CONCAT_INNER(a, b)
/// Returns the error of a Result or Status expression, if it has one.
#define TENON_TRY(expr)                                          \
  do {                                                           \
    if (auto tenon_try_ = (expr); !tenon_try_) {                 \
      return ::std::unexpected(::std::move(tenon_try_).error()); \
    }                                                            \
  } while (false)
/// TENON_ASSIGN(auto x, f()): x is the value, or the enclosing function returns the error.
#define TENON_ASSIGN(lhs, expr) TENON_ASSIGN_INNER(TENON_CONCAT(tenon_result_, __LINE__), lhs, expr)
#define TENON_ASSIGN_INNER(tmp, lhs, expr)                      \
  auto tmp = (expr);                                            \
  if (!tmp) return ::std::unexpected(::std::move(tmp).error()); \
  lhs = ::std::move(*tmp)
