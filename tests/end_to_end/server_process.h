// A server as its own process: started, asked, watched and ended.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "tests/http_client.h"

namespace ollm::testing {

class ServerProcess {
 public:
  /// Starts `ollm serve --port 0 ARGUMENTS` on the shipped model with a cache of its own, and waits
  /// until it listens, or has ended. `environment`: "NAME=value ..." in front of it.
  explicit ServerProcess(const std::string& arguments = "", const std::string& environment = "");
  /// Kills what still runs.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  /// 0 where it does not listen.
  int port() const { return port_; }
  HttpClient client() const { return HttpClient(port_); }
  void signal(int number) const;
  /// Waits for its end: the exit code, or minus the signal.
  int wait();
  /// What it said on standard error up to now.
  const std::string& words();

  std::size_t descriptors() const;
  std::size_t resident_bytes() const;
  /// The most that it ever had resident.
  std::size_t peak_bytes() const;

 private:
  bool read_words();

  pid_t process_ = -1;
  int errors_ = -1;
  int port_ = 0;
  std::string words_;
  std::string cache_;
};

}  // namespace ollm::testing
