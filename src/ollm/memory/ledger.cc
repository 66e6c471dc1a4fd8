#include "ollm/memory/ledger.h"

#include <algorithm>

namespace ollm::memory {

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::always:
      return "always";
    case Phase::text:
      return "text";
    case Phase::load:
      return "load";
    case Phase::run:
      return "run";
  }
  return "always";
}

void Ledger::add(std::string_view owner, Phase phase, std::uint64_t bytes, Charged charged) {
  lines_.push_back({std::string(owner), phase, bytes, charged});
}

std::uint64_t Ledger::bytes(Phase phase) const {
  std::uint64_t sum = 0;
  for (const LedgerLine& line : lines_)
    if (line.phase == phase) sum += line.bytes;
  return sum;
}

std::uint64_t Ledger::text_peak_bytes() const {
  std::uint64_t sum = bytes(Phase::text);
  for (const LedgerLine& line : lines_)
    if (line.phase == Phase::always && line.charged == Charged::at_start) sum += line.bytes;
  return sum;
}

std::uint64_t Ledger::peak_bytes() const {
  return std::max(text_peak_bytes(),
                  bytes(Phase::always) + std::max(bytes(Phase::load), bytes(Phase::run)));
}

}  // namespace ollm::memory
