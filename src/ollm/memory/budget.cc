#include "ollm/memory/budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/text_size.h"

namespace ollm::memory {

Charge::Charge(Budget* budget, std::string owner, std::uint64_t bytes)
    : budget_(budget), owner_(std::move(owner)), bytes_(bytes) {}

Charge::Charge(Charge&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)),
      owner_(std::move(other.owner_)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Charge& Charge::operator=(Charge&& other) noexcept {
  if (this != &other) {
    release();
    budget_ = std::exchange(other.budget_, nullptr);
    owner_ = std::move(other.owner_);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

Charge::~Charge() { release(); }

void Charge::release() {
  if (budget_ != nullptr) budget_->give_back(owner_, bytes_);
  budget_ = nullptr;
  bytes_ = 0;
}

Result<Charge> Budget::charge(std::string_view owner, std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (bytes > limit_bytes_ - used_bytes_) {
    return fail(ErrorKind::out_of_budget,
                fmt::format("{} needs {}, but only {} of the budget of {} are left", owner,
                            format_bytes(bytes), format_bytes(limit_bytes_ - used_bytes_),
                            format_bytes(limit_bytes_)));
  }
  used_bytes_ += bytes;
  peak_bytes_ = std::max(peak_bytes_, used_bytes_);
  auto found = lines_.find(owner);
  if (found == lines_.end())
    found = lines_.emplace(std::string(owner), Line{std::string(owner), 0, 0}).first;
  Line& line = found->second;
  line.bytes += bytes;
  line.peak_bytes = std::max(line.peak_bytes, line.bytes);
  return Charge(this, std::string(owner), bytes);
}

void Budget::give_back(const std::string& owner, std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  const auto found = lines_.find(owner);
  OLLM_CHECK(found != lines_.end() && found->second.bytes >= bytes && used_bytes_ >= bytes);
  found->second.bytes -= bytes;
  used_bytes_ -= bytes;
}

std::uint64_t Budget::used_bytes() const {
  std::lock_guard lock(mutex_);
  return used_bytes_;
}

std::uint64_t Budget::peak_bytes() const {
  std::lock_guard lock(mutex_);
  return peak_bytes_;
}

std::vector<Budget::Line> Budget::lines() const {
  std::lock_guard lock(mutex_);
  std::vector<Line> out;
  out.reserve(lines_.size());
  for (const auto& [owner, line] : lines_) out.push_back(line);
  return out;
}

}  // namespace ollm::memory
