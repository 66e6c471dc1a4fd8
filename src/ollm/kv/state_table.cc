#include "ollm/kv/state_table.h"

#include <algorithm>
#include <utility>

#include "ollm/base/check.h"

namespace ollm::kv {

BlockRef StateTable::chunk(std::size_t index) const {
  for (const Chunk& chunk : chunks_)
    if (chunk.index == index) return chunk.block;
  return {};
}

bool StateTable::has(std::size_t index) const { return bool(chunk(index)); }

bool StateTable::holds(std::size_t tokens) const {
  return tokens == 0 || has(tokens / kChunkTokens);
}

// What a sweep that failed was to leave.
void StateTable::drop_behind(std::size_t tokens) {
  std::erase_if(chunks_, [&](const Chunk& chunk) { return chunk.index > tokens / kChunkTokens; });
}

Result<void> StateTable::prepare(std::size_t tokens, std::size_t rows,
                                 std::span<const std::size_t> entries) {
  drop_behind(tokens);
  const std::size_t first = tokens / kChunkTokens;
  const std::size_t last = (tokens + rows) / kChunkTokens;
  OLLM_CHECK(holds(tokens));
  const auto take = [&](std::size_t index) {
    if (has(index)) return true;
    if (store_->free_blocks(group_) == 0) store_->wait_for_writes();
    if (store_->free_blocks(group_) == 0) return false;
    chunks_.push_back({index, store_->take(group_)});
    return true;
  };
  for (std::size_t index = std::max(first, last == 0 ? 0 : last - 1); index <= last; ++index)
    if (!take(index)) return store_->full();
  if (!take(first)) return store_->full();
  for (const std::size_t entry : entries)
    if (entry / kChunkTokens > first && !take(entry / kChunkTokens)) break;
  return {};
}

void StateTable::forget(std::size_t tokens) {
  const std::size_t oldest = (tokens - std::min(tokens, kRewindTokens)) / kChunkTokens;
  std::erase_if(chunks_, [&](const Chunk& chunk) { return chunk.index < oldest; });
}

bool StateTable::can_rewind(std::size_t tokens) const {
  const BlockRef open = tokens == 0 ? BlockRef() : chunk(tokens / kChunkTokens);
  // `open` is a reference itself.
  return !open || open.count() == 2 || can_fork(tokens);
}

bool StateTable::can_fork(std::size_t tokens) const {
  return tokens == 0 || store_->free_blocks(group_) > 0;
}

BlockRef StateTable::copy(const BlockRef& block) const {
  Result<BlockRef> copied = store_->copy(block);
  OLLM_CHECK(copied.ok());  // it is in memory, and so is its frame
  return std::move(copied).value();
}

void StateTable::rewind(std::size_t tokens) {
  drop_behind(tokens);
  if (tokens == 0) return chunks_.clear();
  OLLM_CHECK(holds(tokens));
  for (Chunk& chunk : chunks_)
    if (chunk.index == tokens / kChunkTokens && chunk.block.count() > 1)
      chunk.block = copy(chunk.block);
}

StateTable StateTable::fork(std::size_t tokens) const {
  StateTable made(*store_, group_);
  if (tokens == 0) return made;
  for (const Chunk& chunk : chunks_) {
    const bool open = chunk.index == tokens / kChunkTokens;
    if (chunk.index < tokens / kChunkTokens) made.chunks_.push_back(chunk);
    if (open) made.chunks_.push_back({chunk.index, copy(chunk.block)});
  }
  return made;
}

void StateTable::start_at(std::size_t tokens, BlockRef block) {
  chunks_.clear();
  chunks_.push_back({tokens / kChunkTokens, std::move(block)});
}

}  // namespace ollm::kv
