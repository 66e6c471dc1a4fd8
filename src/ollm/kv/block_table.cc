#include "ollm/kv/block_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"

namespace ollm::kv {

BlockRef BlockTable::before(std::size_t index) const {
  return index == 0 ? BlockRef() : blocks_[index - 1];
}

void BlockTable::forget_before(std::size_t index) {
  for (; forgotten_ < std::min(index, blocks_.size()); ++forgotten_) blocks_[forgotten_] = {};
}

void BlockTable::start_at(std::size_t index) {
  blocks_.resize(std::max(blocks_.size(), index));
  forget_before(index);
  forgotten_ = index;
}

bool BlockTable::lacks_copy(std::size_t needed) const {
  return store_->quantizes() && needed > 0 && !copy_;
}

bool BlockTable::can_grow(std::size_t needed) const {
  return needed + (lacks_copy(needed) ? 1 : 0) <= blocks_.size() + store_->free_blocks(group_);
}

void BlockTable::grow(std::size_t needed) {
  blocks_.reserve(needed);
  while (blocks_.size() < needed) blocks_.push_back(store_->take(group_));
  if (lacks_copy(needed)) copy_ = store_->take(group_);
}

Result<void> BlockTable::prepare_copy() { return store_->give_frame(copy_); }

void BlockTable::settle(std::size_t first, std::size_t end) {
  if (first == end) return;
  copy_of_ = end - 1;
  std::memcpy(store_->data(copy_), data(end - 1),
              store_->part_bytes(group_) * store_->layers_of(group_));
  for (std::size_t i = first; i < end; ++i) store_->quantize(blocks_[i]);
}

bool BlockTable::copies_tail(std::size_t tokens) const {
  return tokens % block_tokens() != 0 && !is_private(tokens / block_tokens());
}

bool BlockTable::takes_copy(std::size_t tokens) const {
  return tokens % block_tokens() != 0 && has_copy_of(tokens / block_tokens());
}

bool BlockTable::can_rewind(std::size_t tokens, std::size_t needed) const {
  const std::size_t kept = ceil_div(tokens, block_tokens());
  std::size_t free = store_->free_blocks(group_);
  for (std::size_t i = kept; i < blocks_.size(); ++i) free += is_private(i) ? 1 : 0;
  std::size_t taken = needed > kept ? needed - kept : 0;
  if (takes_copy(tokens)) {
    free += is_private(tokens / block_tokens()) ? 1 : 0;
    taken += needed > 0 ? 1 : 0;  // for the next copy
  } else {
    taken += (copies_tail(tokens) ? 1 : 0) + (lacks_copy(needed) ? 1 : 0);
  }
  return taken <= free;
}

Result<void> BlockTable::rewind(std::size_t tokens) {
  const bool restores = takes_copy(tokens);
  const bool copies = copies_tail(tokens);
  blocks_.resize(ceil_div(tokens, block_tokens()));
  forgotten_ = std::min(forgotten_, blocks_.size());
  if (copy_of_ && *copy_of_ * block_tokens() >= tokens) copy_of_.reset();
  if (tokens % block_tokens() == 0) return {};
  BlockRef& tail = blocks_.back();
  if (restores) {
    tail = std::move(copy_);
    copy_of_.reset();
  } else if (copies) {
    OLLM_TRY(tail, store_->copy(tail));
  } else if (store_->sealed(tail)) {
    return store_->open_again(tail);
  }
  return {};
}

bool BlockTable::can_fork(std::size_t tokens) const {
  const std::size_t tail = tokens % block_tokens() == 0 ? 0 : 1;
  const std::size_t copy = store_->quantizes() && tokens > 0 ? 1 : 0;
  return store_->free_blocks(group_) >= tail + copy;
}

Result<BlockTable> BlockTable::fork(std::size_t tokens) const {
  BlockTable made(*store_, group_);
  const std::size_t full = tokens / block_tokens();
  made.blocks_.assign(blocks_.begin(), blocks_.begin() + static_cast<std::ptrdiff_t>(full));
  made.forgotten_ = forgotten_;
  if (copy_of_ && *copy_of_ < full) {
    OLLM_TRY(made.copy_, store_->copy(copy_));
    made.copy_of_ = copy_of_;
  }
  if (tokens % block_tokens() == 0) return made;
  OLLM_TRY(BlockRef tail, store_->copy(has_copy_of(full) ? copy_ : blocks_[full]));
  made.blocks_.push_back(std::move(tail));
  return made;
}

void BlockTable::put(std::size_t index, BlockRef block) {
  OLLM_CHECK(index <= blocks_.size());
  blocks_.resize(index);
  blocks_.push_back(std::move(block));
}

}  // namespace ollm::kv
