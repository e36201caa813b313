#include "model/plugin/trial.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/subprocess.h"

namespace tenon::model {
namespace {

constexpr std::chrono::seconds kLimit{10};

}  // namespace

Result<std::string> try_in_child(const std::function<std::string()>& attempt, const TrialWords& words) {
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
    ::setpgid(0, 0);  // so that processes that the plug-in starts end with the trial
    const std::string answer = attempt();
    const ssize_t written = ::write(pipe[1], answer.data(), answer.size());
    ::_exit(written < 0);
  }
  ::close(pipe[1]);
  std::string answer;
  const bool ended = read_from_child(pid, pipe[0], std::chrono::steady_clock::now() + kLimit, answer);
  if (!ended) ::kill(pid, SIGKILL);
  ::close(pipe[0]);
  ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!answer.empty()) return answer;
  if (!ended) {
    return invalid(words.who + " did not finish " + words.work + " within " + std::to_string(kLimit.count()) +
                   " s: look for an endless loop in " + words.where);
  }
  const std::string how = WIFSIGNALED(status) ? std::string("crashed (") + ::strsignal(WTERMSIG(status)) + ")"
                                              : "ended the process with status " + std::to_string(WEXITSTATUS(status));
  return invalid(words.who + " " + how + " " + words.during);
}

Status try_plugin(const RegistryEntry& entry, const std::function<void()>& attempt) {
  if (entry.origin.empty()) return {};
  const auto tried =
      try_in_child([&] { return attempt(), std::string("+"); },
                   {.who = "architecture " + std::string(entry.architecture->name) + " from " + entry.origin,
                    .work = "making the model",
                    .where = "parse_config, make_model and build()",
                    .during = "while it read the config and built the graph"});
  return tried ? Status() : std::unexpected(tried.error());
}

}  // namespace tenon::model
