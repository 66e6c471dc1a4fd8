#include "ollm/weights/expert_cache.h"

#include <algorithm>
#include <cmath>

#include "ollm/base/check.h"

namespace ollm::weights {
namespace {

// Uses weigh more and more instead of all counts less and less; before that overflows, all counts
// are divided.
constexpr double kMostWeight = 1e100;

}  // namespace

ExpertCache::ExpertCache(std::size_t experts, std::size_t kept)
    : most_(std::min(kept, experts)), counts_(experts, 0.0), state_(experts, kNowhere) {
  heap_.reserve(most_);
}

std::uint64_t ExpertCache::table_bytes(std::size_t experts, std::size_t slots) {
  return experts * (sizeof(double) + sizeof(std::uint32_t)) + slots * sizeof(std::uint32_t);
}

void ExpertCache::begin_sweep() {
  static const double kGrowth = std::exp(1 / kMemorySweeps);
  weight_ *= kGrowth;
  if (weight_ < kMostWeight) return;
  // The order of all stays, or two become equal.
  for (double& count : counts_) count /= weight_;
  weight_ = 1;
}

void ExpertCache::want(std::uint32_t expert) {
  counts_[expert] += weight_;
  if (keeps(expert) && state_[expert] != kHeld) sift_down(state_[expert]);
}

void ExpertCache::hold(std::uint32_t expert) {
  OLLM_DCHECK(keeps(expert) && state_[expert] != kHeld);
  remove(expert);
  state_[expert] = kHeld;
}

void ExpertCache::release(std::uint32_t expert) {
  OLLM_DCHECK(state_[expert] == kHeld);
  push(expert);
}

ExpertCache::Admission ExpertCache::offer(std::uint32_t expert) {
  OLLM_DCHECK(!keeps(expert));
  if (kept_ < most_) {
    ++kept_;
    push(expert);
    return {true, std::nullopt};
  }
  if (heap_.empty() || !(counts_[heap_.front()] < counts_[expert])) return {};
  const std::uint32_t gone = heap_.front();
  remove(gone);
  push(expert);
  return {true, gone};
}

void ExpertCache::remember(std::span<const float> wanted) {
  for (std::size_t i = 0; i < std::min(wanted.size(), counts_.size()); ++i)
    if (std::isfinite(wanted[i]) && wanted[i] > 0) counts_[i] = static_cast<double>(wanted[i]);
}

void ExpertCache::place(std::uint32_t expert, std::size_t at) {
  heap_[at] = expert;
  state_[expert] = static_cast<std::uint32_t>(at);
}

void ExpertCache::push(std::uint32_t expert) {
  heap_.push_back(expert);
  place(expert, heap_.size() - 1);
  sift_up(heap_.size() - 1);
}

void ExpertCache::remove(std::uint32_t expert) {
  const std::size_t at = state_[expert];
  const std::uint32_t last = heap_.back();
  heap_.pop_back();
  state_[expert] = kNowhere;
  if (last == expert) return;
  place(last, at);
  sift_up(at);
  sift_down(state_[last]);
}

void ExpertCache::sift_up(std::size_t at) {
  const std::uint32_t expert = heap_[at];
  for (; at > 0 && before(expert, heap_[(at - 1) / 2]); at = (at - 1) / 2)
    place(heap_[(at - 1) / 2], at);
  place(expert, at);
}

void ExpertCache::sift_down(std::size_t at) {
  const std::uint32_t expert = heap_[at];
  for (std::size_t child = 2 * at + 1; child < heap_.size(); child = 2 * at + 1) {
    if (child + 1 < heap_.size() && before(heap_[child + 1], heap_[child])) ++child;
    if (!before(heap_[child], expert)) break;
    place(heap_[child], at);
    at = child;
  }
  place(expert, at);
}

}  // namespace ollm::weights
