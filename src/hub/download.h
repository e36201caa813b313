// One blob: from the hub into the cache, resumed, checked, and only then under its own name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "hub/cache.h"
#include "hub/http.h"

namespace tenon::hub {

/// What a HEAD of the hub says of a file.
struct RemoteFile {
  std::string name;  ///< in the repo
  std::string url;   ///< the hub's own; redirects lead from it
  std::string etag;
  std::int64_t size = -1;
};

/// Called with the bytes that are here so far.
using BytesDone = std::function<void(std::int64_t)>;

/// Makes blobs/<etag> exist. Broken connections are retried with growing delays, from where they broke.
Status download_blob(HttpClient& http, const HubConfig& config, const RepoCache& cache, const RemoteFile& file,
                     const std::atomic<bool>& stop, const BytesDone& done);

/// The error of an answer that is not a success, in one sentence. `what`: "org/name" or "org/name: file".
Error error_of_response(const HttpResponse& response, const HubConfig& config, const std::string& repo,
                        const std::string& what);

/// Whether trying again may help: no connection, or the server is overloaded.
bool worth_a_retry(const HttpResponse& response);

/// Sleeps before retry number `attempt` (from 0), or as long as the server asks; false if `stop` was set.
bool wait_to_retry(const HubConfig& config, int attempt, const HttpResponse* response, const std::atomic<bool>& stop);

}  // namespace tenon::hub
