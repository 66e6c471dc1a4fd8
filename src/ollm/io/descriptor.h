// An open file, lock or folder of the system as a value that closes itself. Leaves to others: what
// it is open for.
#pragma once

#include <utility>

#include "ollm/io/system_calls.h"

namespace ollm::io {

/// Owns a descriptor: closes it, moves, never copies. `calls` has to outlive it.
class Descriptor {
 public:
  Descriptor() = default;
  Descriptor(int fd, SystemCalls& calls) : fd_(fd), calls_(&calls) {}
  Descriptor(Descriptor&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), calls_(other.calls_) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this == &other) return *this;
    close();
    fd_ = std::exchange(other.fd_, -1);
    calls_ = other.calls_;
    return *this;
  }
  ~Descriptor() { close(); }

  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }

  /// Its errors tell nothing that a sync did not.
  void close() {
    if (fd_ >= 0) calls_->close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
  SystemCalls* calls_ = nullptr;
};

}  // namespace ollm::io
