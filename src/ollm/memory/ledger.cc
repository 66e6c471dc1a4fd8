#include "ollm/memory/ledger.h"

#include <algorithm>

namespace ollm::memory {

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::always:
      return "always";
    case Phase::load:
      return "load";
    case Phase::run:
      return "run";
  }
  return "always";
}

void Ledger::add(std::string_view owner, Phase phase, std::uint64_t bytes) {
  lines_.push_back({std::string(owner), phase, bytes});
}

std::uint64_t Ledger::bytes(Phase phase) const {
  std::uint64_t sum = 0;
  for (const LedgerLine& line : lines_)
    if (line.phase == phase) sum += line.bytes;
  return sum;
}

std::uint64_t Ledger::peak_bytes() const {
  return bytes(Phase::always) + std::max(bytes(Phase::load), bytes(Phase::run));
}

}  // namespace ollm::memory
