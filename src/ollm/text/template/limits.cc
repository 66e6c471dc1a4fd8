#include "ollm/text/template/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ollm/base/clock.h"

namespace ollm::text::jinja {
namespace {

// Steps between two looks at the clock: reading it costs as much as about ten steps, and a step
// that was charged too little does not hide for long.
constexpr std::uint64_t kStepsBetweenChecks = 1'024;

}  // namespace

Budget::Budget(const RenderLimits& limits)
    : limits_(limits),
      steps_left_(limits.steps),
      memory_limit_(limits.memory_bytes),
      cpu_deadline_(thread_cpu_seconds() + std::chrono::duration<double>(limits.cpu_time).count()) {
}

bool Budget::spend_slowly(std::uint64_t steps) {
  if (exceeded_) return false;
  steps -= steps_until_check_;
  steps_until_check_ = 0;
  if (steps > steps_left_) {
    exceed(fmt::format("more than {} steps", limits_.steps));
    return false;
  }
  steps_left_ -= steps;
  if (thread_cpu_seconds() > cpu_deadline_) {
    exceed(fmt::format("more than {} ms of processor time", limits_.cpu_time.count()));
    return false;
  }
  steps_until_check_ = std::min(steps_left_, kStepsBetweenChecks);
  steps_left_ -= steps_until_check_;
  return true;
}

void Budget::exceed_memory() { exceed(fmt::format("values of more than {} bytes", memory_limit_)); }

void Budget::exceed(std::string message) {
  if (exceeded_) return;
  exceeded_ = true;
  message_ = std::move(message);
  steps_until_check_ = 0;
}

}  // namespace ollm::text::jinja
