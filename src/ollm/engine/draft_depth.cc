#include "ollm/engine/draft_depth.h"

#include <algorithm>

namespace ollm::engine {
namespace {

// How much a guess moves the share, and how much a guess that was not made does towards trying it
// again.
constexpr double kStep = 0.2;
constexpr double kForget = 0.01;
constexpr double kUnknown = 0.3;

}  // namespace

std::size_t DraftDepth::length_class(std::size_t match) {
  if (match <= 3) return 0;
  if (match <= 5) return 1;
  if (match <= 9) return 2;
  return match <= 17 ? 3 : 4;
}

std::size_t DraftDepth::depth(std::size_t match, std::size_t most) {
  double& share = held_[length_class(match)];
  // One more row pays as long as the chance that it brings a token is above what it costs of those
  // that the sweep brings anyhow.
  double chance = share;
  double tokens = 1;
  std::size_t depth = 0;
  while (depth < most &&
         chance * (1 + row_cost_ * static_cast<double>(depth)) > row_cost_ * tokens) {
    tokens += chance;
    chance *= share;
    ++depth;
  }
  if (depth == 0 && most > 0) share += kForget * (kUnknown - share);
  return depth;
}

void DraftDepth::judge(std::size_t match, std::size_t drafts, std::size_t accepted) {
  double& share = held_[length_class(match)];
  for (std::size_t i = 0; i < accepted; ++i) share += kStep * (1 - share);
  if (accepted < drafts) share -= kStep * share;
}

}  // namespace ollm::engine
