// org/name -> a local directory: resolves a revision, downloads what is missing, and keeps it in the cache layout of
// huggingface_hub (https://huggingface.co/docs/huggingface_hub/guides/manage-cache), so that both share one cache.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tenon::hub {

/// Where the hub and the cache are, and how patient to be.
struct HubConfig {
  std::string endpoint = "https://huggingface.co";
  std::string cache_dir;  ///< holds models--org--name/
  std::string token;      ///< empty: anonymous. Sent to the endpoint's host only
  bool offline = false;   ///< use the cache alone

  int parallel = 4;                            ///< files at once
  int retries = 5;                             ///< attempts in a row that brought no byte before a download fails
  int connect_retries = 1;                     ///< where the hub cannot even be asked
  std::chrono::milliseconds retry_delay{500};  ///< before the first retry; doubled for each further one
  std::chrono::seconds connect_timeout{6};     ///< a resolver asks its second server after 5
  std::chrono::seconds stall_timeout{30};      ///< a transfer below 1 KiB/s for so long is broken off

  /// From HF_ENDPOINT; HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME; HF_TOKEN, HF_TOKEN_PATH, $HF_HOME/token;
  /// HF_HUB_OFFLINE: each as huggingface_hub reads it.
  static HubConfig from_environment();
};

/// Bytes of one file and of the whole fetch; what was in the cache before is not counted in.
struct Progress {
  std::string_view file;
  std::int64_t done = 0, total = 0;
  std::int64_t all_done = 0, all_total = 0;
};

struct HubRequest {
  std::string repo;                               ///< "org/name", "name", or "org/name/file.gguf"
  std::string revision = "main";                  ///< branch, tag, "refs/pr/1" or commit
  std::string gguf_file;                          ///< a GGUF file of the repo to take instead of its SafeTensors
  std::function<void(const Progress&)> progress;  ///< called from several threads, one at a time
  HubConfig config = HubConfig::from_environment();
};

struct Snapshot {
  std::string directory;           ///< …/models--org--name/snapshots/<commit>
  std::string commit;              ///< 40 hex digits
  std::vector<std::string> files;  ///< relative to `directory`
  std::string gguf_path;           ///< the GGUF file to open (the first, if it is split); empty for SafeTensors
  bool from_cache = false;         ///< the hub was not asked, or did not give it
};

/// Files of a model: configuration, tokenizer, chat template and SafeTensors weights (or the one GGUF file asked for).
/// Errors: kNotFound (repo, also a private one; revision, file), kPermissionDenied (gated), kUnavailable (offline, …),
/// kResourceExhausted (disk full), kDataLoss (a download that does not match its checksum), kInvalidArgument.
Result<Snapshot> fetch(const HubRequest& request);

/// Whether `text` can be a hub id at all ("org/name", "name", "org/name/file.gguf"), as opposed to a path.
bool is_hub_id(std::string_view text);

}  // namespace tenon::hub
