#include "ollm/engine/waiting_jobs.h"

#include <algorithm>
#include <utility>

namespace ollm::engine {

std::size_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  const std::size_t shorter = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(shorter), b.begin()).first -
      a.begin());
}

bool goes_before(const Entry& a, const Entry& b) {
  if (a.terms.priority != b.terms.priority) return a.terms.priority > b.terms.priority;
  return a.arrival < b.arrival;
}

void WaitingJobs::add(std::unique_ptr<Entry> entry) {
  const auto before = [](const auto& a, const auto& b) { return goes_before(*a, *b); };
  const auto place = std::upper_bound(entries_.begin(), entries_.end(), entry, before);
  entries_.insert(place, std::move(entry));
}

std::size_t WaitingJobs::window() const { return std::min(entries_.size(), kWindow); }

std::unique_ptr<Entry> WaitingJobs::take(FunctionRef<Fit(Entry&)> fits) {
  std::vector<std::size_t> order(window());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto preferred = [&](std::size_t a, std::size_t b) {
    const Entry& first = *entries_[a];
    const Entry& second = *entries_[b];
    const bool late = first.overtaken >= kMostOvertakes;
    if (late != (second.overtaken >= kMostOvertakes)) return late;
    if (late) return first.arrival < second.arrival;
    if (first.terms.priority != second.terms.priority)
      return first.terms.priority > second.terms.priority;
    return first.known > second.known;
  };
  // What was overtaken too often may stand behind the window, where more of a higher priority came.
  for (std::size_t i = order.size(); i < entries_.size(); ++i)
    if (entries_[i]->overtaken >= kMostOvertakes) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), preferred);
  for (const std::size_t index : order) {
    const Fit fit = fits(*entries_[index]);
    if (fit == Fit::none_does) return nullptr;
    if (fit == Fit::no) continue;
    std::unique_ptr<Entry> taken = std::move(entries_[index]);
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(index));
    for (const std::unique_ptr<Entry>& left : entries_)
      if (left->arrival < taken->arrival) ++left->overtaken;
    return taken;
  }
  return nullptr;
}

std::vector<std::unique_ptr<Entry>> WaitingJobs::take_all(FunctionRef<bool(const Entry&)> which) {
  std::vector<std::unique_ptr<Entry>> taken;
  for (std::unique_ptr<Entry>& entry : entries_)
    if (which(*entry)) taken.push_back(std::move(entry));
  std::erase(entries_, nullptr);
  return taken;
}

void WaitingJobs::learn(std::span<const TokenId> tokens) {
  for (std::size_t i = 0; i < window(); ++i) {
    Entry& entry = *entries_[i];
    if (entry.terms.reuses)
      entry.known = std::max(entry.known, common_prefix(entry.job->tokens(), tokens));
  }
}

void WaitingJobs::look_up(FunctionRef<std::size_t(std::span<const TokenId>)> stored) {
  for (std::size_t i = 0; i < window(); ++i) {
    Entry& entry = *entries_[i];
    if (entry.looked_up || !entry.terms.reuses) continue;
    entry.looked_up = true;
    entry.known = std::max(entry.known, stored(entry.job->tokens()));
  }
}

}  // namespace ollm::engine
