// What a plan says every owner will hold, and when: the promise that the budget is held to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ollm::memory {

/// When bytes are held. What is held in one phase is gone in the others.
enum class Phase { always, load, run };

/// "always", "load", "run".
std::string_view to_string(Phase phase);

struct LedgerLine {
  std::string owner;  // "weights", "kv", "activations", ...
  Phase phase = Phase::always;
  std::uint64_t bytes = 0;

  friend bool operator==(const LedgerLine&, const LedgerLine&) = default;
};

/// Bytes by owner and phase, in the order in which they were added.
class Ledger {
 public:
  void add(std::string_view owner, Phase phase, std::uint64_t bytes);

  const std::vector<LedgerLine>& lines() const { return lines_; }
  std::uint64_t bytes(Phase phase) const;
  /// The most that is held at once: what is always there and the larger of the phases.
  std::uint64_t peak_bytes() const;

 private:
  std::vector<LedgerLine> lines_;
};

}  // namespace ollm::memory
