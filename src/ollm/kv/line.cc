#include "ollm/kv/line.h"

#include <algorithm>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"

namespace ollm::kv {

using backend::kTileTokens;

Line::Line(Store& store) : store_(&store) {
  groups_.reserve(store.groups());
  for (std::size_t group = 0; group < store.groups(); ++group) groups_.emplace_back(store, group);
}

Result<void> Line::reserve(std::size_t tokens) {
  const std::size_t needed = blocks_for_tokens(store_->options(), tokens);
  const auto can = [&](const BlockTable& group) { return group.can_grow(needed); };
  if (!std::all_of(groups_.begin(), groups_.end(), can)) return store_->full();
  make_room(tokens);
  return {};
}

void Line::make_room(std::size_t tokens) {
  const std::size_t needed = blocks_for_tokens(store_->options(), tokens);
  for (BlockTable& group : groups_) group.grow(needed);
  tiles_.reserve(needed * (store_->options().block_tokens / kTileTokens));
}

std::byte* Line::tile_for_write(std::size_t layer, std::size_t token) {
  const LayerPlace& place = store_->place(layer);
  const BlockTable& group = groups_[place.group];
  const std::size_t block_tokens = store_->options().block_tokens;
  OLLM_CHECK(place.stores && token >= tokens_ && token < group.blocks() * block_tokens);
  OLLM_DCHECK(group.is_private(token / block_tokens));
  return group.block(token / block_tokens) + place.offset +
         token % block_tokens / kTileTokens * place.tile_bytes;
}

void Line::commit(std::size_t count) {
  for (const BlockTable& group : groups_)
    OLLM_CHECK(tokens_ + count <= group.blocks() * store_->options().block_tokens);
  tokens_ += count;
}

void Line::walk(std::size_t layer, std::size_t first_token, std::size_t end_token) {
  layer_ = layer;
  next_tile_ = first_token / kTileTokens;
  end_tile_ = ceil_div(end_token, kTileTokens);
  OLLM_CHECK(end_token <=
             groups_[store_->place(layer).group].blocks() * store_->options().block_tokens);
}

Result<TileRun> Line::next_run() {
  const LayerPlace& place = store_->place(layer_);
  const BlockTable& group = groups_[place.group];
  const std::size_t tiles_per_block = store_->options().block_tokens / kTileTokens;
  const std::size_t first_token = next_tile_ * kTileTokens;
  tiles_.clear();
  for (; next_tile_ < end_tile_; ++next_tile_) {
    tiles_.push_back(group.block(next_tile_ / tiles_per_block) + place.offset +
                     next_tile_ % tiles_per_block * place.tile_bytes);
  }
  return TileRun{tiles_, first_token, true};
}

Result<Line> Line::fork(std::size_t tokens) const {
  OLLM_CHECK(tokens <= tokens_);
  const auto can = [&](const BlockTable& group) { return group.can_fork(tokens); };
  if (!std::all_of(groups_.begin(), groups_.end(), can)) return store_->full();
  Line made(*store_);
  for (std::size_t i = 0; i < groups_.size(); ++i) made.groups_[i] = groups_[i].fork(tokens);
  made.tokens_ = tokens;
  made.make_room(tokens);
  return made;
}

Result<std::size_t> Line::rewind(std::size_t tokens) { return restart(tokens, tokens); }

Result<std::size_t> Line::restart(std::size_t kept, std::size_t tokens) {
  OLLM_CHECK(kept <= tokens_ && kept <= tokens);
  const std::size_t needed = blocks_for_tokens(store_->options(), tokens);
  const auto can = [&](const BlockTable& group) { return group.can_rewind(kept, needed); };
  if (!std::all_of(groups_.begin(), groups_.end(), can)) return store_->full();
  for (BlockTable& group : groups_) group.rewind(kept);
  tokens_ = kept;
  make_room(tokens);
  return kept;
}

}  // namespace ollm::kv
