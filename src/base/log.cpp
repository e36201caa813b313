#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

#include <cstdlib>

namespace tenon {

void init_log() {
  auto logger = spdlog::stderr_color_mt("tenon");
  logger->set_pattern("%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_default_logger(std::move(logger));
  if (const char* level = std::getenv("TENON_LOG")) spdlog::set_level(spdlog::level::from_str(level));
}

}  // namespace tenon
