#include "base/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tenon {

using std::chrono::steady_clock;

bool read_until(int fd, steady_clock::time_point deadline, std::string& out) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0) return false;
    pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    const int polled = ::poll(&ready, 1, static_cast<int>(std::min<long long>(left, 1 << 30)));
    if (polled < 0 && errno != EINTR) return true;
    if (polled <= 0) continue;
    char buffer[4096];
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return true;
    out.append(buffer, static_cast<std::size_t>(n));
  }
}

namespace {

// What lies in a pipe now, and no more than it holds: others may go on writing.
void drain(int fd, std::string& out) {
  const int size = ::fcntl(fd, F_GETPIPE_SZ);
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  char buffer[4096];
  for (std::size_t left = size > 0 ? static_cast<std::size_t>(size) : 1 << 16; left > 0;) {
    const int polled = ::poll(&ready, 1, 0);
    if (polled < 0 && errno == EINTR) continue;
    if (polled <= 0) return;
    const ssize_t n = ::read(fd, buffer, std::min(left, sizeof buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    out.append(buffer, static_cast<std::size_t>(n));
    left -= static_cast<std::size_t>(n);
  }
}

}  // namespace

bool read_from_child(pid_t pid, int fd, steady_clock::time_point deadline, std::string& out) {
  constexpr std::chrono::milliseconds kLook{20};
  for (;;) {
    // Looked at before the pipe is read: what a child that has ended wrote is there to be read.
    siginfo_t info{};
    const bool ended =
        ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
    if (ended) {
      drain(fd, out);
      return true;
    }
    const auto now = steady_clock::now();
    if (read_until(fd, std::min(deadline, now + kLook), out)) return true;
    if (now >= deadline) return false;
  }
}

Result<Finished> run_command(const std::vector<std::string>& words, std::chrono::seconds limit) {
  std::vector<std::string> copies = words;
  std::vector<char*> argv;
  for (std::string& word : copies) argv.push_back(word.data());
  argv.push_back(nullptr);

  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) {
    return fail(ErrorCode::kResourceExhausted, std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], STDERR_FILENO);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // so that its children can be killed with it
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  ::close(pipe[1]);
  if (error != 0) {
    ::close(pipe[0]);
    return fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kInternal,
                "cannot run " + words[0] + ": " + std::strerror(error));
  }

  Finished result;
  result.timed_out = !read_from_child(pid, pipe[0], steady_clock::now() + limit, result.output);
  if (result.timed_out) ::kill(-pid, SIGKILL);
  ::close(pipe[0]);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  return result;
}

}  // namespace tenon
