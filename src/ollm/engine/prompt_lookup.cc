#include "ollm/engine/prompt_lookup.h"

#include <algorithm>
#include <bit>

namespace ollm::engine {
namespace {

constexpr std::size_t kMostPlaces = 32;
constexpr std::size_t kMostCompared = 64;

std::size_t buckets(std::size_t tokens) { return std::bit_ceil(std::max<std::size_t>(16, tokens)); }

}  // namespace

PromptLookup::PromptLookup(std::size_t most_tokens)
    : most_tokens_(std::min(most_tokens, kMostTokens)),
      latest_(buckets(most_tokens_)),
      before_(most_tokens_ + 1) {}

std::uint64_t PromptLookup::size_bytes(std::size_t most_tokens) {
  const std::uint64_t tokens = std::min(most_tokens, kMostTokens);
  return (buckets(tokens) + tokens + 1) * sizeof(std::uint32_t);
}

std::size_t PromptLookup::bucket(std::span<const TokenId> line, std::size_t end) const {
  std::uint64_t hash = 0;
  for (std::size_t i = end - kLeastMatch; i < end; ++i)
    hash = (hash ^ static_cast<std::uint32_t>(line[i])) * 0x9E3779B97F4A7C15U;
  return static_cast<std::size_t>(hash >> 20) & (latest_.size() - 1);
}

void PromptLookup::follow(std::span<const TokenId> line) {
  const std::size_t end = std::min(line.size(), most_tokens_);
  for (; known_ < end; ++known_) {
    const std::size_t behind = known_ + 1;
    if (behind < kLeastMatch) continue;
    std::uint32_t& latest = latest_[bucket(line, behind)];
    before_[behind] = latest;
    latest = static_cast<std::uint32_t>(behind);
  }
}

std::optional<PromptLookup::Match> PromptLookup::find(std::span<const TokenId> line) const {
  const std::size_t size = line.size();
  if (size != known_ || size < kLeastMatch) return std::nullopt;
  Match best;
  std::uint32_t place = before_[size];
  for (std::size_t i = 0; i < kMostPlaces && place != 0; ++i, place = before_[place]) {
    const std::size_t most = std::min<std::size_t>(place, kMostCompared);
    std::size_t equal = 0;
    while (equal < most && line[place - 1 - equal] == line[size - 1 - equal]) ++equal;
    if (equal > best.tokens) best = {place, equal};
  }
  if (best.tokens < kLeastMatch) return std::nullopt;
  return best;
}

}  // namespace ollm::engine
