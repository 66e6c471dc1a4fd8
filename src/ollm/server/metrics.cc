#include "ollm/server/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace ollm::server {
namespace {

// A value with the two lines that stand in front of it.
template <typename T>
void write(std::string& out, std::string_view name, std::string_view type, std::string_view help,
           T value) {
  out += fmt::format("# HELP ollm_{0} {2}\n# TYPE ollm_{0} {1}\nollm_{0} {3}\n", name, type, help,
                     value);
}

double seconds_of(std::size_t tokens, double per_second) {
  return per_second > 0 ? static_cast<double>(tokens) / per_second : 0;
}

}  // namespace

void Metrics::count_request(std::string_view route, int status) {
  const std::lock_guard lock(mutex_);
  ++requests_[{std::string(route), status}];
}

void Metrics::count_cancelled() {
  const std::lock_guard lock(mutex_);
  ++cancelled_;
}

void Metrics::add_first_token(double seconds) {
  const std::lock_guard lock(mutex_);
  const auto* const bucket = std::lower_bound(kBuckets.begin(), kBuckets.end(), seconds);
  ++first_token_[static_cast<std::size_t>(bucket - kBuckets.begin())];
  first_token_sum_s_ += seconds;
  ++first_tokens_;
}

void Metrics::add(const Report& report) {
  const std::lock_guard lock(mutex_);
  const std::size_t computed = report.prompt_tokens - report.cached_tokens;
  prompt_tokens_ += report.prompt_tokens;
  cached_tokens_ += report.cached_tokens;
  new_tokens_ += report.new_tokens;
  prefill_s_ += seconds_of(computed, report.prefill_tokens_per_second);
  decode_s_ += seconds_of(report.new_tokens, report.decode_tokens_per_second);
  streamed_bytes_ += report.streamed_bytes;
  io_wait_s_ += report.io_wait_s;
  kv_read_ += report.kv_bytes_read;
  kv_written_ += report.kv_bytes_written;
  kv_corrupt_ += report.kv_corrupt_blocks;
  drafted_ += report.draft_tokens;
  accepted_ += report.draft_accepted;
}

std::string Metrics::text(const Gauges& gauges) const {
  const std::lock_guard lock(mutex_);
  std::string out;
  out += "# HELP ollm_requests_total Requests that were answered.\n";
  out += "# TYPE ollm_requests_total counter\n";
  for (const auto& [key, count] : requests_)
    out += fmt::format("ollm_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first,
                       key.second, count);
  write(out, "ready", "gauge", "Whether the model is loaded and requests are taken.",
        gauges.ready ? 1 : 0);
  write(out, "requests_running", "gauge", "Requests that run or wait for a line.", gauges.running);
  write(out, "requests_waiting", "gauge", "Of them those beyond the lines that run at once.",
        gauges.running - std::min(gauges.running, gauges.lines));
  write(out, "lines", "gauge", "Answers that can run at once.", gauges.lines);
  write(out, "connections", "gauge", "Connections that are open.", gauges.connections);
  write(out, "sessions", "gauge", "Sessions that are kept in memory.", gauges.sessions);
  write(out, "requests_cancelled_total", "counter", "Requests whose client went away.", cancelled_);
  const std::string first = "time_to_first_token_seconds";
  out += fmt::format("# HELP ollm_{0} From a request's arrival to its first new token.\n", first);
  out += fmt::format("# TYPE ollm_{0} histogram\n", first);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < kBuckets.size(); ++i) {
    below += first_token_[i];
    out += fmt::format("ollm_{}_bucket{{le=\"{}\"}} {}\n", first, kBuckets[i], below);
  }
  out += fmt::format("ollm_{0}_bucket{{le=\"+Inf\"}} {1}\nollm_{0}_sum {2}\nollm_{0}_count {1}\n",
                     first, first_tokens_, first_token_sum_s_);
  write(out, "prompt_tokens_total", "counter", "Tokens of prompts.", prompt_tokens_);
  write(out, "cached_tokens_total", "counter",
        "Of them those whose keys and values were there already.", cached_tokens_);
  write(out, "new_tokens_total", "counter", "Tokens that were made.", new_tokens_);
  write(out, "prefill_seconds_total", "counter", "In which prompts were computed.", prefill_s_);
  write(out, "decode_seconds_total", "counter", "In which tokens were made, of each answer.",
        decode_s_);
  write(out, "streamed_bytes_total", "counter", "Of weights, read from disk.", streamed_bytes_);
  write(out, "io_wait_seconds_total", "counter", "In which sweeps waited for the disk.",
        io_wait_s_);
  write(out, "kv_read_bytes_total", "counter", "Of stored keys and values, read.", kv_read_);
  write(out, "kv_written_bytes_total", "counter", "Of keys and values, written.", kv_written_);
  write(out, "kv_corrupt_blocks_total", "counter", "That were not what was stored.", kv_corrupt_);
  write(out, "draft_tokens_total", "counter", "Tokens that were guessed.", drafted_);
  write(out, "draft_accepted_total", "counter", "Guesses that held.", accepted_);
  return out;
}

}  // namespace ollm::server
