// What a plan says every owner will hold, and when: the promise that the budget is held to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ollm::memory {

/// When bytes are held. `text` is before anything of the model is loaded: its tokenizer is read,
/// the prompt is rendered and encoded. What is held in one of `text`, `load` and `run` is gone in
/// the others; `always` begins with the load, but for what is there from the start.
enum class Phase { always, text, load, run };

/// "always", "text", "load", "run".
std::string_view to_string(Phase phase);

/// Who charges the bytes of a line to the budget.
enum class Charged {
  by_owner,  // as it makes its buffers
  on_load,   // the loader: they are no buffers
  at_start,  // as on_load, but they are there before anything is loaded
};

struct LedgerLine {
  std::string owner;  // "weights", "kv", "activations", ...
  Phase phase = Phase::always;
  std::uint64_t bytes = 0;
  Charged charged = Charged::by_owner;

  friend bool operator==(const LedgerLine&, const LedgerLine&) = default;
};

/// Bytes by owner and phase, in the order in which they were added.
class Ledger {
 public:
  void add(std::string_view owner, Phase phase, std::uint64_t bytes,
           Charged charged = Charged::by_owner);

  const std::vector<LedgerLine>& lines() const { return lines_; }
  std::uint64_t bytes(Phase phase) const;
  /// The most that is held before anything is loaded.
  std::uint64_t text_peak_bytes() const;
  /// The most that is held at once: that, or what is always there and the larger of the other
  /// phases.
  std::uint64_t peak_bytes() const;

 private:
  std::vector<LedgerLine> lines_;
};

}  // namespace ollm::memory
