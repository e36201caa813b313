// The endpoints: what each method and path does. Runs on the I/O thread; replies come from the engine thread by post().
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "generate/generator.h"
#include "server/exchange.h"
#include "server/metrics.h"

namespace tenon::server {

struct ApiOptions {
  std::string model_name;  ///< what /v1/models lists and requests must name
  int max_length = 0;      ///< context of the model
  std::string api_key;     ///< empty: none needed
};

class Api {
 public:
  Api(std::shared_ptr<const generate::Generator> generator, ApiOptions options);
  void handle(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  /// From now on /health says 503 and new work is refused.
  void drain() { draining_ = true; }

 private:
  void complete(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange, bool chat);
  Json model_object() const;

  std::shared_ptr<const generate::Generator> generator_;
  ApiOptions options_;
  Metrics metrics_;
  std::int64_t started_;
  std::uint64_t next_id_ = 0;
  bool draining_ = false;
};

}  // namespace tenon::server
