#include "tests/end_to_end/terminal.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "ollm/base/check.h"

namespace ollm::testing {
namespace {

constexpr int kPatienceMs = 60'000;  // for a loaded machine; a program that hangs fails by it

}  // namespace

Terminal::Terminal(const std::string& script) {
  const char* binary = std::getenv("OLLM_BINARY");
  OLLM_CHECK(binary != nullptr);
  const std::string line = "exec " + script;
  ::setenv("OLLM", binary, 1);
  ::setenv("TERM", "xterm", 1);
  winsize size{};
  size.ws_row = 24;
  size.ws_col = 80;
  process_ = ::forkpty(&descriptor_, nullptr, nullptr, &size);
  OLLM_CHECK(process_ >= 0);
  if (process_ == 0) {
    ::execl("/bin/sh", "sh", "-c", line.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
}

Terminal::~Terminal() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  ::close(descriptor_);
}

bool Terminal::read_more() {
  pollfd ready{descriptor_, POLLIN, 0};
  silent_ = ::poll(&ready, 1, kPatienceMs) <= 0;
  if (silent_) return false;
  char piece[4096];
  const ssize_t got = ::read(descriptor_, piece, sizeof piece);
  if (got <= 0) return false;  // EIO: nobody has the terminal open any more
  text_.append(piece, static_cast<std::size_t>(got));
  return true;
}

bool Terminal::available() {
  int controller = -1, terminal = -1;
  if (::openpty(&controller, &terminal, nullptr, nullptr, nullptr) != 0) return false;
  ::close(controller);
  ::close(terminal);
  return true;
}

bool Terminal::read_until(std::string_view text) {
  while (text_.find(text, read_) == std::string::npos)
    if (!read_more()) return false;
  read_ = text_.find(text, read_) + text.size();
  return true;
}

void Terminal::type(std::string_view keys) {
  OLLM_CHECK(::write(descriptor_, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
}

int Terminal::wait() {
  while (read_more()) continue;
  // Nothing for a minute: a program that does not end fails its test, and does not keep it.
  if (silent_) ::kill(process_, SIGKILL);
  int status = 0;
  OLLM_CHECK(::waitpid(process_, &status, 0) == process_);
  process_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace ollm::testing
