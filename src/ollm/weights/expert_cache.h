// Which experts are worth their memory: how often each was wanted, and whom a new one replaces.
// Numbers only. Leaves to others: the memory itself and what is read into it (experts.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ollm::weights {

/// Keeps those that were wanted most, with what is long ago weighing less: an expert takes a
/// place only from one that was wanted less, so that a sweep over all of them replaces nobody. One
/// thread; allocates nothing after it was made.
class ExpertCache {
 public:
  /// Sweeps after which a use weighs 1/e of what it did.
  static constexpr double kMemorySweeps = 8192;

  /// Of so many experts at most `kept` are kept.
  ExpertCache(std::size_t experts, std::size_t kept);
  static std::uint64_t table_bytes(std::size_t experts, std::size_t slots);

  /// A sweep begins: uses before it weigh a little less.
  void begin_sweep();
  /// An expert is wanted: once in a sweep, however many rows choose it.
  void want(std::uint32_t expert);

  bool keeps(std::uint32_t expert) const { return state_[expert] != kNowhere; }
  /// A kept expert is in use: nobody takes its place until it is released.
  void hold(std::uint32_t expert);
  void release(std::uint32_t expert);

  /// Whether an expert that is not kept is so from now on, and who is not any more for it.
  struct Admission {
    bool kept = false;
    std::optional<std::uint32_t> instead_of;
  };
  Admission offer(std::uint32_t expert);

  /// How much each is wanted, in uses of late; and as of an earlier run, before anything was
  /// wanted.
  double wanted(std::uint32_t expert) const { return counts_[expert] / weight_; }
  void remember(std::span<const float> wanted);

 private:
  static constexpr std::uint32_t kNowhere = 0xffffffff;  // not kept
  static constexpr std::uint32_t kHeld = 0xfffffffe;     // kept, and in use

  // Who is replaced first.
  bool before(std::uint32_t a, std::uint32_t b) const {
    return counts_[a] < counts_[b] || (counts_[a] == counts_[b] && a > b);
  }
  void place(std::uint32_t expert, std::size_t at);
  void push(std::uint32_t expert);
  void remove(std::uint32_t expert);
  void sift_up(std::size_t at);
  void sift_down(std::size_t at);

  const std::size_t most_;
  std::size_t kept_ = 0;
  double weight_ = 1;                 // of a use now
  std::vector<double> counts_;        // of each expert: its uses, each by its weight
  std::vector<std::uint32_t> state_;  // of each expert: its place in `heap_`, kHeld or kNowhere
  std::vector<std::uint32_t> heap_;   // of those that are kept and not in use; first who goes first
};

}  // namespace ollm::weights
