#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/file.h"
#include "base/log.h"
#include "hub/hub.h"

namespace tenon::hub {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_true(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return std::toupper(c); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::string home() {
  if (std::string home = variable("HOME"); !home.empty()) return home;
  const struct passwd* user = ::getpwuid(::getuid());
  return user && user->pw_dir ? user->pw_dir : "/";
}

std::string expand(std::string path) {
  if (path == "~" || path.starts_with("~/")) path.replace(0, 1, home());
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

std::string trim(const std::string& text) {
  const char* space = " \t\r\n";
  const auto begin = text.find_first_not_of(space);
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(space) - begin + 1);
}

std::string find_token(const std::string& hf_home) {
  std::string token = trim(variable("HF_TOKEN"));
  if (token.empty()) token = trim(variable("HUGGING_FACE_HUB_TOKEN"));
  if (token.empty() && !is_true(variable("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) {
    const std::string path = variable("HF_TOKEN_PATH");
    constexpr std::size_t kMaxTokenFile = 4096;
    if (const auto text = read_file(path.empty() ? hf_home + "/token" : expand(path), kMaxTokenFile))
      token = trim(*text);
  }
  // It becomes part of a header line.
  if (std::any_of(token.begin(), token.end(), [](unsigned char c) { return c <= 0x20 || c >= 0x7f; })) {
    TENON_LOG_WARN("the Hugging Face token contains characters that no token has; it is not used");
    return "";
  }
  return token;
}

}  // namespace

HubConfig HubConfig::from_environment() {
  HubConfig config;
  if (const std::string endpoint = variable("HF_ENDPOINT"); !endpoint.empty()) config.endpoint = expand(endpoint);
  std::string hf_home = expand(variable("HF_HOME"));
  if (hf_home.empty()) {
    const std::string cache = expand(variable("XDG_CACHE_HOME"));
    hf_home = (cache.empty() ? home() + "/.cache" : cache) + "/huggingface";
  }
  config.cache_dir = expand(variable("HF_HUB_CACHE"));
  if (config.cache_dir.empty()) config.cache_dir = expand(variable("HUGGINGFACE_HUB_CACHE"));
  if (config.cache_dir.empty()) config.cache_dir = hf_home + "/hub";
  config.token = find_token(hf_home);
  config.offline = is_true(variable("HF_HUB_OFFLINE")) || is_true(variable("TRANSFORMERS_OFFLINE"));
  return config;
}

}  // namespace tenon::hub
