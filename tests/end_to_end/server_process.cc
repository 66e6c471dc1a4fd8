#include "tests/end_to_end/server_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "ollm/base/check.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {

namespace fs = std::filesystem;

ServerProcess::ServerProcess(const std::string& arguments, const std::string& environment) {
  const char* binary = std::getenv("OLLM_BINARY");
  OLLM_CHECK(binary != nullptr);
  cache_ = (fs::temp_directory_path() / "ollm-server-XXXXXX").string();
  OLLM_CHECK(::mkdtemp(cache_.data()) != nullptr);
  const std::string line =
      fmt::format("exec env XDG_CACHE_HOME='{}' {} '{}' serve --port 0 --model {} {}", cache_,
                  environment, binary, kShippedModel, arguments);
  int pipe[2];
  OLLM_CHECK(::pipe2(pipe, O_CLOEXEC) == 0);
  process_ = ::fork();
  OLLM_CHECK(process_ >= 0);
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is ended by its time leaves no server
    ::dup2(pipe[1], STDERR_FILENO);
    ::execl("/bin/sh", "sh", "-c", line.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(pipe[1]);
  errors_ = pipe[0];
  constexpr std::string_view kTold = "listening on http://";
  for (;;) {
    const std::size_t at = words_.find(kTold);
    const std::size_t end = at == std::string::npos ? at : words_.find('\n', at);
    if (end != std::string::npos) {
      port_ = std::atoi(words_.c_str() + words_.rfind(':', end) + 1);
      return;
    }
    if (!read_words()) return;
  }
}

ServerProcess::~ServerProcess() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  ::close(errors_);
  std::error_code ignored;
  fs::remove_all(cache_, ignored);
}

bool ServerProcess::read_words() {
  char piece[4096];
  const ssize_t got = ::read(errors_, piece, sizeof piece);
  if (got <= 0) return false;
  words_.append(piece, static_cast<std::size_t>(got));
  return true;
}

const std::string& ServerProcess::words() {
  pollfd ready{errors_, POLLIN, 0};
  while (::poll(&ready, 1, 0) > 0 && read_words()) continue;
  return words_;
}

void ServerProcess::signal(int number) const { ::kill(process_, number); }

int ServerProcess::wait() {
  while (read_words()) continue;
  int status = 0;
  OLLM_CHECK(::waitpid(process_, &status, 0) == process_);
  process_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::size_t ServerProcess::descriptors() const {
  const fs::directory_iterator all(fmt::format("/proc/{}/fd", process_));
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::size_t ServerProcess::resident_bytes() const {
  std::ifstream file(fmt::format("/proc/{}/statm", process_));
  std::size_t whole = 0, resident = 0;
  file >> whole >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::size_t ServerProcess::peak_bytes() const {
  std::ifstream file(fmt::format("/proc/{}/status", process_));
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("VmHWM:")) return std::strtoul(line.c_str() + 6, nullptr, 10) << 10;
  return 0;
}

}  // namespace ollm::testing
