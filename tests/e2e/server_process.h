// The real program as a child process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "http_client.h"

namespace tenon::e2e {

/// A directory that is removed again.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Copies the tiny model into `to`.
void copy_model(const std::filesystem::path& to);
std::filesystem::path model_dir();

struct Finished {
  int status = -1;  ///< exit status; -1: killed by a signal, or it did not end in time
  std::string out, err;
};

/// `tenon ARGUMENTS` as a child; it is killed when this object goes.
class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments);
  ~Process();
  void signal(int number);
  pid_t id() const { return pid_; }
  /// Waits for the end.
  Finished wait(int seconds = kPatience);
  bool ended();
  std::string out() const;
  std::string err() const;

 private:
  TempDir dir_;
  pid_t pid_ = -1;
  int status_ = -1;
};

inline Finished run(const std::vector<std::string>& arguments, int seconds = kPatience) {
  return Process(arguments).wait(seconds);
}

/// `tenon serve` of the tiny model, ready for requests; `name` is its name in the API.
class TinyServer {
 public:
  /// With `chat`, of a copy of the model that has a chat template.
  explicit TinyServer(bool chat = false, const std::vector<std::string>& more = {}, const std::string& name = "tiny");
  /// Of another directory.
  TinyServer(const std::filesystem::path& model, const std::vector<std::string>& more,
             const std::string& name = "tiny");
  std::uint16_t port() const { return port_; }
  Process& process() { return *process_; }
  /// The value of the metric `name`, all of its series together; or of those with this label (finished_reason="stop").
  double metric(const std::string& name, const std::string& label = "") const;

 private:
  void start(const std::filesystem::path& model, const std::vector<std::string>& more, const std::string& name);

  TempDir dir_;
  std::unique_ptr<Process> process_;
  std::uint16_t port_ = 0;
};

}  // namespace tenon::e2e
