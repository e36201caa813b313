#include "model/plugin/open_plugin.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string_view>

#include "base/file.h"
#include "base/subprocess.h"
#include "model/plugin/abi.h"

namespace tenon::model {
namespace {

constexpr std::chrono::seconds kProbeLimit{10};

// What loading it says; its initialisers and architecture() are the plug-in's own code.
std::string tried(const std::string& library) {
  try {
    const auto opened = open_plugin(library);
    return opened ? "+" : "-" + opened.error().message;
  } catch (const std::exception& exception) {
    return "-plug-in " + library + " threw an exception while it was loaded: " + exception.what();
  } catch (...) {
    return "-plug-in " + library + " threw an exception while it was loaded";
  }
}

// The dynamic linker's words, with the name of a missing function as C++ spells it.
std::string explained(std::string message) {
  constexpr std::string_view kUndefined = "undefined symbol: ";
  const auto at = message.find(kUndefined);
  if (at == std::string::npos) return message;
  const std::string symbol = message.substr(at + kUndefined.size());
  int status = 0;
  char* name = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
  if (status == 0) message = "it uses " + std::string(name) + ", which neither it nor Tenon defines";
  std::free(name);
  return message;
}

Status check_complete(const OpenedPlugin& plugin, const std::string& library) {
  if (plugin.architecture == nullptr) return invalid("plug-in " + library + " has no architecture");
  const Architecture& a = *plugin.architecture;
  const char* missing = a.name.empty()              ? "name"
                        : a.parse_config == nullptr ? "parse_config"
                        : a.make_model == nullptr   ? "make_model"
                        : a.adapters.empty()        ? "adapters"
                        : a.encodings.empty()       ? "encodings"
                                                    : nullptr;
  if (missing != nullptr) return invalid("the architecture of plug-in " + library + " does not say its ." + missing);
  if (std::ranges::count(a.encodings, a.default_encoding) != 0) return {};
  return invalid("the architecture of plug-in " + library + " has the .default_encoding " + name(a.default_encoding) +
                 ", which is none of its .encodings");
}

}  // namespace

Status check_abi(const std::string& library) {
  auto file = MappedFile::open(library);
  if (!file) return std::unexpected(std::move(file).error());
  const auto bytes = (*file)->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto at = text.find(TENON_PLUGIN_ABI_MARK);
  if (!text.starts_with("\x7f"
                        "ELF") ||
      at == std::string_view::npos) {
    return invalid(library + " is not a plug-in of Tenon: it does not export an architecture (model/plugin/export.h)");
  }
  const std::string_view theirs = text.substr(at, text.find('\0', at) - at), ours = TENON_PLUGIN_ABI;
  if (theirs == ours) return {};
  constexpr std::size_t kMark = sizeof(TENON_PLUGIN_ABI_MARK) - 1;
  return invalid("plug-in " + library + " was built for another Tenon (" + std::string(theirs.substr(kMark)) +
                 ") than this one (" + std::string(ours.substr(kMark)) + "): build it again");
}

Result<OpenedPlugin> open_plugin(const std::string& library) {
  // Its declaration promises that nothing is thrown, but initialisers may: the compiler must not rely on it.
  void* (*volatile const load)(const char*, int) = ::dlopen;
  void* handle = load(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return invalid("plug-in " + library + " cannot be loaded: " + explained(::dlerror()));
  const auto* family = static_cast<const char*>(::dlsym(handle, "tenon_plugin_family"));
  using Function = const Architecture* (*)();
  const auto function = reinterpret_cast<Function>(::dlsym(handle, "tenon_plugin_architecture"));
  if (family == nullptr || function == nullptr) {
    return invalid("plug-in " + library + " does not export an architecture (model/plugin/export.h)");
  }
  const OpenedPlugin plugin{family, function()};
  TENON_TRY(check_complete(plugin, library));
  return plugin;
}

Status probe_plugin(const std::string& library) {
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) {
    return fail(ErrorCode::kResourceExhausted, std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  const pid_t pid = ::fork();
  if (pid < 0) {
    ::close(pipe[0]), ::close(pipe[1]);
    return fail(ErrorCode::kResourceExhausted, std::string("cannot start a process: ") + std::strerror(errno));
  }
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::setpgid(0, 0);  // so that processes that the plug-in starts end with the probe
    const std::string answer = tried(library);
    const ssize_t written = ::write(pipe[1], answer.data(), answer.size());
    ::_exit(written < 0);
  }
  ::close(pipe[1]);
  std::string answer;
  const bool ended = read_from_child(pid, pipe[0], std::chrono::steady_clock::now() + kProbeLimit, answer);
  if (!ended) ::kill(pid, SIGKILL);
  ::close(pipe[0]);
  ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (answer == "+") return {};
  if (answer.starts_with('-')) return invalid(answer.substr(1));
  if (!ended) {
    return invalid("plug-in " + library + " did not finish loading within " + std::to_string(kProbeLimit.count()) +
                   " s: look for an endless loop in its initialisers or in architecture()");
  }
  const std::string how = WIFSIGNALED(status) ? std::string("crashed (") + ::strsignal(WTERMSIG(status)) + ")"
                                              : "ended the process with status " + std::to_string(WEXITSTATUS(status));
  return invalid("plug-in " + library + " " + how + " while it was loaded");
}

}  // namespace tenon::model
