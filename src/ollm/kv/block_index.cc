#include "ollm/kv/block_index.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

namespace ollm::kv {
namespace {

// Of an entry with its nodes in both tables, as the standard library makes them.
constexpr std::size_t kEntryBytes = 256;

std::uint64_t parent_key(std::uint32_t group, const Digest& parent) {
  return XXH3_64bits_withSeed(parent.bytes.data(), parent.bytes.size(), group);
}

}  // namespace

std::size_t DigestHash::operator()(const Digest& digest) const {
  std::size_t out = 0;
  std::memcpy(&out, digest.bytes.data(), sizeof out);
  return out;
}

TokenSketch::TokenSketch(std::span<const TokenId> tokens) {
  for (std::size_t count = 1; levels_ < kLevels && count <= tokens.size(); count *= 2)
    hashes_[levels_++] =
        static_cast<std::uint16_t>(XXH3_64bits(tokens.data(), count * sizeof(TokenId)));
}

unsigned TokenSketch::rank(const TokenSketch& other) const {
  unsigned equal = 0;
  while (equal < std::min(levels_, other.levels_) && hashes_[equal] == other.hashes_[equal])
    ++equal;
  return equal;
}

BlockIndex::BlockIndex(std::size_t bytes) : max_entries_(bytes / kEntryBytes) {}

IndexEntry* BlockIndex::insert(const BlockRecord& record) {
  if (entries_.size() >= max_entries_) return nullptr;
  const auto [place, is_new] = entries_.try_emplace(record.id);
  if (!is_new) return nullptr;
  IndexEntry& entry = place->second;
  entry.parent_key = parent_key(record.group, record.parent);
  entry.file_number = record.place.file_number;
  entry.offset = record.place.offset;
  entry.sketch = TokenSketch(record.tokens);
  children_.emplace(entry.parent_key, &*place);
  return &entry;
}

bool BlockIndex::add(const BlockRecord& record, const RecordPlace& where, std::uint64_t sequence) {
  IndexEntry* const entry = insert(record);
  if (entry == nullptr) return false;
  entry->record = where;
  entry->last_use = sequence;
  return true;
}

bool BlockIndex::add_with_record(const BlockRecord& record) {
  IndexEntry* const entry = insert(record);
  if (entry == nullptr) return false;
  entry->own_record = std::make_unique<BlockRecord>(record);
  return true;
}

const IndexEntry* BlockIndex::find(const Digest& id) const {
  const auto found = entries_.find(id);
  return found != entries_.end() ? &found->second : nullptr;
}

void BlockIndex::use(const Digest& id, std::uint64_t sequence) {
  const auto found = entries_.find(id);
  if (found != entries_.end()) found->second.last_use = std::max(found->second.last_use, sequence);
}

void BlockIndex::erase(Entries::iterator entry) {
  const auto [first, last] = children_.equal_range(entry->second.parent_key);
  const auto child =
      std::find_if(first, last, [&](const auto& at) { return at.second == &*entry; });
  if (child != last) children_.erase(child);
  entries_.erase(entry);
}

void BlockIndex::erase(const Digest& id) {
  const auto found = entries_.find(id);
  if (found != entries_.end()) erase(found);
}

bool BlockIndex::erase_at(const Digest& id, std::uint64_t file_number, std::uint64_t offset) {
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second.file_number != file_number ||
      found->second.offset != offset)
    return false;
  erase(found);
  return true;
}

void BlockIndex::erase_file(std::uint64_t file_number) {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto next = std::next(entry);
    if (entry->second.file_number == file_number) erase(entry);
    entry = next;
  }
}

std::vector<BlockIndex::Candidate> BlockIndex::candidates(std::uint32_t group, const Digest& parent,
                                                          std::span<const TokenId> tokens) const {
  const TokenSketch wanted(tokens);
  std::vector<Candidate> out;
  const auto [first, last] = children_.equal_range(parent_key(group, parent));
  for (auto child = first; child != last; ++child) {
    const auto& [id, entry] = *child->second;
    if (const unsigned rank = entry.sketch.rank(wanted); rank > 0)
      out.push_back({.id = id, .rank = rank, .last_use = entry.last_use});
  }
  std::sort(out.begin(), out.end(), [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.last_use > b.last_use;
  });
  return out;
}

}  // namespace ollm::kv
