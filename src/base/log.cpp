#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

#include <cstdlib>
#include <string_view>

namespace tenon {

void init_log() {
  auto logger = spdlog::stderr_color_mt("tenon");
  logger->set_pattern("%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_default_logger(std::move(logger));
  const char* wish = std::getenv("TENON_LOG");
  if (wish == nullptr || *wish == '\0') return;
  const auto level = spdlog::level::from_str(wish);
  // spdlog takes what it does not know for "off".
  if (level == spdlog::level::off && std::string_view(wish) != "off") {
    TENON_LOG_WARN("TENON_LOG={} is not known: use trace, debug, info, warn, error, critical or off", wish);
    return;
  }
  spdlog::set_level(level);
}

}  // namespace tenon
