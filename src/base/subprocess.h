// Other programs as children of this one.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"

namespace tenon {

struct Finished {
  int status = 0;          ///< exit status; meaningless after a signal
  int signal = 0;          ///< that ended it; 0: none
  bool timed_out = false;  ///< it was killed after the limit
  std::string output;      ///< standard output and standard error, in the order of writing
  bool ok() const { return status == 0 && signal == 0 && !timed_out; }
};

/// Runs `words[0]` (found by PATH) and waits for it, not for children that it leaves behind; after `limit` it and all
/// its children are killed. May be called from several threads at once. An error: the program cannot be started
/// (kNotFound if there is none of that name).
Result<Finished> run_command(const std::vector<std::string>& words, std::chrono::seconds limit);

/// Reads `fd` to its end, but no longer than until `deadline`; true if the end was reached.
bool read_until(int fd, std::chrono::steady_clock::time_point deadline, std::string& out);

/// What the child `pid` writes to the pipe `fd`, until the child has ended: children of its own, which may hold the
/// pipe open for longer, are not waited for. No longer than until `deadline`; false if that came first. The child is
/// not reaped.
bool read_from_child(pid_t pid, int fd, std::chrono::steady_clock::time_point deadline, std::string& out);

}  // namespace tenon
