// The hash table behind a vocabulary (vocabulary.h).
// Leaves the hash itself to hash.h.
#include "ollm/text/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "ollm/text/hash.h"

namespace ollm::text {
namespace {

constexpr std::size_t kMaxStringBytes = UINT32_MAX;

}  // namespace

void Vocabulary::reserve(std::size_t tokens, std::size_t bytes) {
  strings_.reserve(bytes);
  entries_.reserve(tokens);
  grow(std::bit_ceil(tokens + tokens / 2 + 16));
}

Result<void> Vocabulary::check_id(std::string_view token, std::int64_t id) const {
  if (id < 0 || id > kMaxTokenId) {
    return fail(ErrorKind::corrupt,
                fmt::format("token '{}' has id {}; ids are 0 to {}", token, id, kMaxTokenId));
  }
  if (strings_.size() + token.size() > kMaxStringBytes) {
    return fail(ErrorKind::corrupt, "more than 4 GiB of tokens");
  }
  if (static_cast<std::size_t>(id) < entries_.size() &&
      entries_[static_cast<std::size_t>(id)].length != kHole) {
    return fail(ErrorKind::corrupt, fmt::format("tokens '{}' and '{}' both have id {}",
                                                text(static_cast<TokenId>(id)), token, id));
  }
  return {};
}

void Vocabulary::append(std::string_view token, TokenId id) {
  const auto index = static_cast<std::size_t>(id);
  if (index >= entries_.size()) entries_.resize(index + 1);
  entries_[index] = {static_cast<std::uint32_t>(strings_.size()),
                     static_cast<std::uint32_t>(token.size())};
  strings_ += token;
}

Result<void> Vocabulary::add(std::string_view token, std::int64_t id) {
  OLLM_TRY_VOID(check_id(token, id));
  if ((count_ + 1) * 3 > slots_.size() * 2) grow(std::max<std::size_t>(64, slots_.size() * 2));
  const std::uint64_t hash = hash_bytes(token, hash_seed());
  Slot& slot = slots_[slot_of(token, hash)];
  if (slot.id >= 0) {
    return fail(ErrorKind::corrupt,
                fmt::format("token '{}' stands twice, with ids {} and {}", token, slot.id, id));
  }
  append(token, static_cast<TokenId>(id));
  slot = {static_cast<std::uint32_t>(hash >> 32), static_cast<TokenId>(id)};
  ++count_;
  return {};
}

Result<void> Vocabulary::add_or_replace(std::string_view token, std::int64_t id) {
  OLLM_TRY_VOID(check_id(token, id));
  if ((count_ + 1) * 3 > slots_.size() * 2) grow(std::max<std::size_t>(64, slots_.size() * 2));
  const std::uint64_t hash = hash_bytes(token, hash_seed());
  Slot& slot = slots_[slot_of(token, hash)];
  append(token, static_cast<TokenId>(id));
  slot = {static_cast<std::uint32_t>(hash >> 32), static_cast<TokenId>(id)};
  ++count_;
  return {};
}

std::optional<TokenId> Vocabulary::find(std::string_view token) const {
  if (slots_.empty()) return std::nullopt;
  const Slot& slot = slots_[slot_of(token, hash_bytes(token, hash_seed()))];
  if (slot.id < 0) return std::nullopt;
  return slot.id;
}

void Vocabulary::find_all(std::span<const std::string_view> tokens, std::span<TokenId> ids) const {
  constexpr std::size_t kGroup = 32;
  std::array<std::uint64_t, kGroup> hashes;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t begin = 0; begin < tokens.size(); begin += kGroup) {
    const std::size_t count = std::min(kGroup, tokens.size() - begin);
    if (slots_.empty()) {
      std::fill_n(ids.begin() + static_cast<std::ptrdiff_t>(begin), count, -1);
      continue;
    }
    // A look-up waits for slot, entry and string, one behind the other.
    for (std::size_t i = 0; i < count; ++i) {
      hashes[i] = hash_bytes(tokens[begin + i], hash_seed());
      __builtin_prefetch(&slots_[hashes[i] & mask]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const Slot& slot = slots_[hashes[i] & mask];
      if (slot.id >= 0) __builtin_prefetch(&entries_[static_cast<std::size_t>(slot.id)]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const Slot& slot = slots_[hashes[i] & mask];
      if (slot.id >= 0) __builtin_prefetch(text(slot.id).data());
    }
    for (std::size_t i = 0; i < count; ++i) {
      ids[begin + i] = slots_[slot_of(tokens[begin + i], hashes[i])].id;
    }
  }
}

std::optional<std::string_view> Vocabulary::at(TokenId id) const {
  const auto index = static_cast<std::size_t>(id);
  if (id < 0 || index >= entries_.size() || entries_[index].length == kHole) return std::nullopt;
  return text(id);
}

std::size_t Vocabulary::slot_of(std::string_view token, std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  std::size_t index = hash & mask;
  while (slots_[index].id >= 0 && (slots_[index].tag != tag || text(slots_[index].id) != token)) {
    index = (index + 1) & mask;
  }
  return index;
}

void Vocabulary::grow(std::size_t slots) {
  if (slots <= slots_.size()) return;
  std::vector<Slot> old(slots);
  std::swap(old, slots_);
  for (const Slot& slot : old) {
    if (slot.id < 0) continue;
    const std::uint64_t hash = hash_bytes(text(slot.id), hash_seed());
    slots_[slot_of(text(slot.id), hash)] = slot;
  }
}

std::size_t Vocabulary::memory_bytes() const {
  return strings_.capacity() + entries_.capacity() * sizeof(Entry) +
         slots_.capacity() * sizeof(Slot);
}

}  // namespace ollm::text
