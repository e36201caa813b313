// Logging: TENON_LOG_INFO("loaded {} tensors", n). Lines go to standard error. TENON_LOG=debug|info|warn|error sets the
// level. Never log the contents of a request.
#pragma once

#include <spdlog/spdlog.h>

namespace tenon {

/// Sets up the log for a command-line program; call once from main.
void init_log();

}  // namespace tenon

#define TENON_LOG_DEBUG(...) ::spdlog::debug(__VA_ARGS__)
#define TENON_LOG_INFO(...) ::spdlog::info(__VA_ARGS__)
#define TENON_LOG_WARN(...) ::spdlog::warn(__VA_ARGS__)
#define TENON_LOG_ERROR(...) ::spdlog::error(__VA_ARGS__)
