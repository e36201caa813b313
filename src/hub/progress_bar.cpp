#include "hub/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "hub/cache.h"

namespace tenon::hub {

std::string progress_line(const Progress& p, double bytes_per_second) {
  const double share =
      p.all_total > 0 ? std::clamp(static_cast<double>(p.all_done) / static_cast<double>(p.all_total), 0.0, 1.0) : 1;
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(share * kWidth);
  char percent[16];
  std::snprintf(percent, sizeof percent, "%3d %%", static_cast<int>(share * 100));
  std::string line(p.file);
  line += "  ";
  line += percent;
  line += " [" + std::string(static_cast<std::size_t>(filled), '#') +
          std::string(static_cast<std::size_t>(kWidth - filled), '.') + "]  " + format_bytes(p.all_done) + " of " +
          format_bytes(p.all_total);
  if (bytes_per_second > 0) {
    line += ", " + format_bytes(static_cast<std::int64_t>(bytes_per_second)) + "/s";
    const double left = static_cast<double>(p.all_total - p.all_done) / bytes_per_second;
    if (left >= 1 && left < 360'000) {
      const auto seconds = static_cast<long>(std::ceil(left));
      line += ", " + (seconds < 120 ? std::to_string(seconds) + " s" : std::to_string(seconds / 60) + " min") + " left";
    }
  }
  return line;
}

ProgressBar::ProgressBar(std::FILE* out) : out_(out), terminal_(::isatty(::fileno(out)) == 1) {}

ProgressBar::~ProgressBar() {
  if (line_open_) std::fputc('\n', out_);
}

void ProgressBar::update(const Progress& progress) {
  const auto now = Clock::now();
  if (begin_ == Clock::time_point{}) begin_ = now, begin_bytes_ = progress.all_done;
  const bool end = progress.all_done == progress.all_total;
  const double elapsed = std::chrono::duration<double>(now - begin_).count();
  const double speed = elapsed > 0.2 ? static_cast<double>(progress.all_done - begin_bytes_) / elapsed : 0;
  if (terminal_) {
    if (!end && now - shown_ < std::chrono::milliseconds(100)) return;
    std::fprintf(out_, "\r%s\x1b[K", progress_line(progress, speed).c_str());
    std::fflush(out_);
    shown_ = now;
    line_open_ = true;
    return;
  }
  const auto tenth = static_cast<int>(progress.all_total > 0 ? progress.all_done * 10 / progress.all_total : 10);
  if (tenth <= last_tenth_) return;
  last_tenth_ = tenth;
  std::fprintf(out_, "%s\n", progress_line(progress, speed).c_str());
  std::fflush(out_);
}

}  // namespace tenon::hub
