// What the server counts, as Prometheus reads it. Leaves to others: who counts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "ollm/ollm.h"

namespace ollm::server {

/// What is so just now.
struct Gauges {
  std::size_t running = 0;  // requests with a place
  std::size_t lines = 0;    // answers at once
  std::size_t connections = 0;
  std::size_t sessions = 0;
  bool ready = false;
};

/// Any thread.
class Metrics {
 public:
  void count_request(std::string_view route, int status);
  /// From a request's arrival to its first new token; once, and not of one that makes none.
  void add_first_token(double seconds);
  /// What the answers to one prompt took.
  void add(const Report& report);
  void count_cancelled();

  /// text/plain; version=0.0.4.
  std::string text(const Gauges& gauges) const;

 private:
  static constexpr std::array kBuckets = {0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0};

  mutable std::mutex mutex_;
  // guarded by mutex_
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  std::array<std::uint64_t, kBuckets.size() + 1> first_token_ = {};
  double first_token_sum_s_ = 0;
  std::uint64_t first_tokens_ = 0;
  std::uint64_t prompt_tokens_ = 0, cached_tokens_ = 0, new_tokens_ = 0, cancelled_ = 0;
  double prefill_s_ = 0, decode_s_ = 0;
  std::uint64_t streamed_bytes_ = 0, kv_read_ = 0, kv_written_ = 0, kv_corrupt_ = 0;
  std::uint64_t drafted_ = 0, accepted_ = 0;
  double io_wait_s_ = 0;
};

}  // namespace ollm::server
