// What the server holds of its clients: sizes, counts and times in one table. Leaves to others:
// limits of bodies of requests (openai/fields.h).
#pragma once

#include <cstddef>
#include <span>

#include "ollm/ollm.h"

namespace ollm::server {

/// Beyond these a request is refused, or its connection closed.
struct ServerLimits {
  static constexpr std::size_t kHeadBytes = std::size_t{16} << 10;
  static constexpr std::size_t kTargetBytes = std::size_t{8} << 10;
  static constexpr std::size_t kFields = 100;
  static constexpr std::size_t kConnections = 1024;
  /// Of all requests that are read, or wait to be looked at, in bodies of the longest.
  static constexpr std::size_t kBodiesAtOnce = 4;
  /// Of longer ones one is read at a time.
  static constexpr std::size_t kLargeBodyBytes = std::size_t{1} << 20;
  /// Of an answer that its client does not take; then its request is put aside.
  static constexpr std::size_t kUnsentBytes = std::size_t{64} << 10;
  /// What is read behind a request that is not answered yet.
  static constexpr std::size_t kPipelinedBytes = std::size_t{64} << 10;
  /// Of headers, and of what is read ahead, of all connections together; what is above it each of
  /// them has for itself.
  static constexpr std::size_t kReadAheadBytes = std::size_t{8} << 20;
  static constexpr std::size_t kOwnReadBytes = std::size_t{4} << 10;
  /// Of an answer that takes no room from the others'; a connection holds one of them, or two.
  static constexpr std::size_t kSmallAnswerBytes = std::size_t{4} << 10;
  static constexpr std::size_t kSessions = 1024;
  static constexpr std::size_t kSessionNameBytes = 256;
  static constexpr std::size_t kKeys = 1024;
  static constexpr std::size_t kKeyBytes = 4096;

  // Seconds.
  static constexpr int kHeadSeconds = 10;
  static constexpr int kIdleSeconds = 30;
  static constexpr int kStallSeconds = 60;
  static constexpr int kPingSeconds = 15;
  /// What is still read of a client that was refused, so that it can read why.
  static constexpr int kLingerSeconds = 2;
  static constexpr std::size_t kBodyBytesPerSecond = 1024;
};

/// The same for people, as ollm::limits().
std::span<const Limit> limits();

}  // namespace ollm::server
