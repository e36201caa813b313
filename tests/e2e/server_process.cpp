#include "server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace tenon::e2e {
namespace {

constexpr int kPolls = 200 * kPatience;  // of 5 ms
void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "tenon-e2e-XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("cannot make a temporary directory");
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path model_dir() { return std::filesystem::path(TENON_DATA_DIR) / "stories260K"; }

void copy_model(const std::filesystem::path& to) {
  for (const char* name :
       {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
    std::filesystem::copy_file(model_dir() / name, to / name);
  }
}

Process::Process(const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {TENON_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string out = (dir_.path() / "out").string(), err = (dir_.path() / "err").string();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(open(out.c_str(), O_CREAT | O_WRONLY, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_CREAT | O_WRONLY, 0600), STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
}

Process::~Process() {
  if (!ended()) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &status_, 0);
  }
}

void Process::signal(int number) { kill(pid_, number); }

bool Process::ended() {
  if (pid_ > 0 && waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
  return pid_ < 0;
}

Finished Process::wait(int seconds) {
  for (int i = 0; i < 200 * seconds && !ended(); ++i) pause();  // of 5 ms
  const bool exited = pid_ < 0 && WIFEXITED(status_);
  return {exited ? WEXITSTATUS(status_) : -1, out(), err()};
}

std::string Process::out() const { return text_of(dir_.path() / "out"); }
std::string Process::err() const { return text_of(dir_.path() / "err"); }

TinyServer::TinyServer(bool chat, const std::vector<std::string>& more, const std::string& name) {
  std::filesystem::path model = model_dir();
  if (chat) {
    model = dir_.path();
    copy_model(model);
    std::ofstream(model / "chat_template.jinja")
        << "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}";
  }
  start(model, more, name);
}

TinyServer::TinyServer(const std::filesystem::path& model, const std::vector<std::string>& more,
                       const std::string& name) {
  start(model, more, name);
}

void TinyServer::start(const std::filesystem::path& model, const std::vector<std::string>& more,
                       const std::string& name) {
  std::vector<std::string> arguments = {"serve",
                                        model.string(),
                                        "--port",
                                        "0",
                                        "--threads",
                                        "1",
                                        "--served-model-name",
                                        name,
                                        "--quantization-encoding",
                                        "float32",
                                        "--kv-cache-dtype",
                                        "float32"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  process_ = std::make_unique<Process>(arguments);
  const std::string address = "Serving " + name + " at http://127.0.0.1:";
  for (int i = 0; i < kPolls && !process_->ended(); ++i, pause()) {
    const std::string out = process_->out();
    const auto at = out.find(address);
    if (at == std::string::npos || out.find('\n', at) == std::string::npos) continue;
    port_ = static_cast<std::uint16_t>(std::stoi(out.substr(at + address.size())));
    return;
  }
  throw std::runtime_error("the server did not start: " + process_->out() + process_->err());
}

double TinyServer::metric(const std::string& name, const std::string& label) const {
  double sum = -1;
  std::istringstream text(request(port_, "GET", "/metrics").body);
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with(name) && (line[name.size()] == '{' || line[name.size()] == ' ') &&
        line.find(label) != std::string::npos) {
      sum = std::max(sum, 0.0) + std::stod(line.substr(line.rfind(' ') + 1));
    }
  }
  return sum;
}

}  // namespace tenon::e2e
