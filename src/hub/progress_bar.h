// Download progress on a terminal: one line, rewritten; on anything else a line now and then.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#include "hub/hub.h"

namespace tenon::hub {

class ProgressBar {
 public:
  explicit ProgressBar(std::FILE* out);
  /// Ends the line, if one was begun.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// For HubRequest::progress.
  void update(const Progress& progress);

 private:
  using Clock = std::chrono::steady_clock;
  std::FILE* out_;
  bool terminal_;
  Clock::time_point begin_{}, shown_{};
  std::int64_t begin_bytes_ = 0;
  int last_tenth_ = -1;
  bool line_open_ = false;
};

/// "model.safetensors  45 % [#####.......]  120 MB of 269 MB, 12.3 MB/s, 13 s left"
std::string progress_line(const Progress& progress, double bytes_per_second);

}  // namespace tenon::hub
