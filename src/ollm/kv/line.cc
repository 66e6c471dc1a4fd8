#include "ollm/kv/line.h"

#include <algorithm>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/kv/sweep_reads.h"

namespace ollm::kv {

using backend::kTileTokens;

Line::Line(Store& store) : store_(&store) {
  groups_.reserve(store.tables());
  for (std::size_t group = 0; group < store.tables(); ++group) groups_.emplace_back(store, group);
  for (std::size_t group = store.tables(); group < store.groups(); ++group)
    states_.emplace_back(store, group);
  names_.resize(store.groups());
}

bool Line::can_make_room(std::size_t tokens) const {
  const std::size_t needed = blocks_for_tokens(store_->options(), tokens);
  for (std::size_t group = 0; group < groups_.size(); ++group)
    if (!store_->forgets(group) && !groups_[group].can_grow(needed)) return false;
  return true;
}

Result<void> Line::reserve(std::size_t tokens) {
  if (!can_make_room(tokens)) store_->wait_for_writes();
  if (!can_make_room(tokens)) return store_->full();
  make_room(tokens);
  return {};
}

// Groups that forget take their blocks as the rows come.
void Line::make_room(std::size_t tokens) {
  const std::size_t needed = blocks_for_tokens(store_->options(), tokens);
  for (std::size_t group = 0; group < groups_.size(); ++group)
    if (!store_->forgets(group)) groups_[group].grow(needed);
  room_ = needed * block_tokens();
  if (store_->has_pool()) ids_.reserve(room_);
  tiles_.reserve(needed * (block_tokens() / kTileTokens));
}

// The first block that rows behind so many tokens see in a group.
std::size_t Line::needed_from(std::size_t group, std::size_t tokens) const {
  if (!store_->forgets(group)) return 0;
  return kv::first_seen(store_->window(group), tokens) / block_tokens();
}

// Of blocks that are quantized the last has a copy.
std::size_t Line::exact_below(std::size_t tokens) const {
  const std::size_t block = tokens / block_tokens();
  const bool quantized = store_->quantizes() && block < tokens_ / block_tokens();
  const bool exact = !quantized || std::all_of(groups_.begin(), groups_.end(), [&](const auto& of) {
    return of.has_copy_of(block);
  });
  return exact ? tokens : block * block_tokens();
}

bool Line::holds_all_for(std::size_t tokens) const {
  for (std::size_t group = 0; group < groups_.size(); ++group)
    if (groups_[group].forgotten() > needed_from(group, tokens)) return false;
  return std::all_of(states_.begin(), states_.end(),
                     [&](const StateTable& states) { return states.holds(tokens); });
}

void Line::forget() {
  const std::size_t oldest = tokens_ - std::min(tokens_, kRewindTokens);
  for (std::size_t group = 0; group < groups_.size(); ++group)
    groups_[group].forget_before(needed_from(group, oldest));
  for (StateTable& states : states_) states.forget(tokens_);
}

Result<void> Line::prepare(std::size_t rows) {
  if (rows == 0) return {};
  OLLM_CHECK(tokens_ + rows <= room_);
  for (StateTable& states : states_)
    OLLM_TRY_VOID(states.prepare(tokens_, rows, entries_within(rows)));
  const std::size_t first = tokens_ / block_tokens();
  const std::size_t end = ceil_div(tokens_ + rows, block_tokens());
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    BlockTable& group = groups_[i];
    if (store_->forgets(i)) {
      if (!group.can_grow(end)) store_->wait_for_writes();
      if (!group.can_grow(end)) return store_->full();
      group.grow(end);
    }
    if (!store_->has_pool()) continue;
    for (std::size_t block = first; block < end; ++block)
      OLLM_TRY_VOID(store_->give_frame(group[block]));
    if (store_->quantizes()) OLLM_TRY_VOID(group.prepare_copy());
    for (std::size_t block = group.forgotten(); block < first; ++block) {
      if (!store_->has_frame(group[block]) && !store_->give_spare_frame(group[block])) break;
    }
  }
  return {};
}

std::byte* Line::tile_for_write(std::size_t layer, std::size_t token) {
  const LayerPlace& place = store_->place(layer);
  OLLM_CHECK(place.group < groups_.size());
  const BlockTable& group = groups_[place.group];
  OLLM_CHECK(place.stores && token >= tokens_ && token < group.blocks() * block_tokens());
  OLLM_DCHECK(group.is_private(token / block_tokens()));
  return group.data(token / block_tokens()) + place.offset +
         token % block_tokens() / kTileTokens * place.tile_bytes;
}

RecurrentChunk Line::chunk(std::size_t layer, std::size_t number) const {
  const LayerPlace& place = store_->place(layer);
  OLLM_CHECK(place.group >= groups_.size());
  const BlockRef block = states_[place.group - groups_.size()].chunk(number);
  if (!block) return {};
  std::byte* part = store_->data(block) + place.offset;
  return {part, part + rows_offset(*store_->options().layers[layer].recurrent)};
}

BlockContent Line::content(std::size_t group, std::size_t index,
                           std::span<const TokenId> tokens) const {
  const std::vector<BlockName>& names = names_[group];
  return {.parent = index == 0 ? store_->root() : names[index - 1],
          .name = {},
          .position = index,
          .tokens = tokens};
}

void Line::commit(std::span<const TokenId> tokens) {
  for (const BlockTable& group : groups_)
    OLLM_CHECK(tokens_ + tokens.size() <= group.blocks() * block_tokens());
  if (store_->quantizes()) {
    for (BlockTable& group : groups_)
      group.settle(tokens_ / block_tokens(), (tokens_ + tokens.size()) / block_tokens());
  }
  if (!store_->has_pool()) {
    tokens_ += tokens.size();
    forget();
    return;
  }
  const std::size_t end = tokens_ + tokens.size();
  while (!tokens.empty()) {
    const std::size_t step = states_.empty() ? block_tokens() : kChunkTokens;
    std::size_t count = std::min(tokens.size(), step - tokens_ % step);
    if (!states_.empty()) count = std::min(count, next_entry(tokens_) - tokens_);
    ids_.insert(ids_.end(), tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count));
    tokens = tokens.subspan(count);
    tokens_ += count;
    if (!states_.empty() && is_entry(tokens_)) keep_states(end);
    if (tokens_ % kChunkTokens == 0) name_last_chunk();
    if (tail_tokens() == 0) seal_last();
  }
  forget();
}

// The last chunk of each group of states is full.
void Line::name_last_chunk() {
  for (std::size_t i = groups_.size(); i < names_.size(); ++i) {
    const BlockContent full =
        content(i, tokens_ / kChunkTokens - 1, std::span(ids_).last(kChunkTokens));
    names_[i].push_back(store_->name_behind(i, full.parent, full.tokens));
  }
}

// The last block of each group is full.
void Line::seal_last() {
  const std::size_t index = tokens_ / block_tokens() - 1;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    BlockContent full = content(i, index, std::span(ids_).last(block_tokens()));
    full.name = store_->name_behind(i, full.parent, full.tokens);
    full.kept = entry_needs(i, index);
    store_->seal(groups_[i][index], groups_[i].before(index), full);
    names_[i].push_back(full.name);
  }
}

std::size_t Line::first_seen(std::size_t layer) const {
  return kv::first_seen(store_->options().layers[layer].window, tokens_);
}

// Walks -------------------------------------------------------------------------------------------

void Line::walk(std::size_t layer, std::size_t first_token, std::size_t end_token) {
  layer_ = layer;
  begin_tile_ = next_tile_ = first_token / kTileTokens;
  end_tile_ = ceil_div(end_token, kTileTokens);
  OLLM_CHECK(end_token <= groups_[store_->place(layer).group].blocks() * block_tokens());
}

void Line::push_tiles_in_memory() {
  const LayerPlace& place = store_->place(layer_);
  const BlockTable& group = groups_[place.group];
  const std::size_t tiles_per_block = block_tokens() / kTileTokens;
  for (; next_tile_ < end_tile_; ++next_tile_) {
    const std::size_t block = next_tile_ / tiles_per_block;
    if (!store_->in_memory(group[block], place.index + 1)) return;
    tiles_.push_back(group.data(block) + place.offset +
                     next_tile_ % tiles_per_block * place.tile_bytes);
  }
}

TileRun Line::next_run_in_memory() {
  const std::size_t first = next_tile_;
  tiles_.clear();
  push_tiles_in_memory();
  return {tiles_, first * kTileTokens, first == begin_tile_, next_tile_ == end_tile_};
}

Result<TileRun> Line::next_run() {
  TileRun run = next_run_in_memory();
  if (!run.tiles.empty() || run.last) return run;
  const LayerPlace& place = store_->place(layer_);
  const std::size_t tiles_per_block = block_tokens() / kTileTokens;
  const std::size_t block = next_tile_ / tiles_per_block;
  Result<SweepReads::Arrived> arrived = store_->sweep_reads()->take(*this, layer_, block);
  if (!arrived.ok()) {
    damaged_block_ = store_->sweep_reads()->blamed();
    damage_ = arrived.error();
    return std::move(arrived).error();
  }
  if (arrived->parts == nullptr) return next_run_in_memory();
  const std::size_t part_bytes = store_->part_bytes(place.group);
  const std::size_t end = std::min(end_tile_, (block + arrived->blocks) * tiles_per_block);
  for (; next_tile_ < end; ++next_tile_) {
    const std::size_t tile = next_tile_ - block * tiles_per_block;
    tiles_.push_back(arrived->parts + tile / tiles_per_block * part_bytes +
                     tile % tiles_per_block * place.tile_bytes);
  }
  run.tiles = tiles_;
  run.last = next_tile_ == end_tile_;
  return run;
}

TileRun Line::filled_as_seen(std::size_t layer, std::size_t block) {
  const LayerPlace& place = store_->place(layer);
  const std::byte* tile = store_->quantized_part(groups_[place.group][block], place);
  tiles_.clear();
  for (std::size_t i = 0; i < block_tokens() / kTileTokens; ++i, tile += place.tile_bytes)
    tiles_.push_back(tile);
  return {tiles_, block * block_tokens()};
}

// Changes -----------------------------------------------------------------------------------------

Result<Line> Line::fork(std::size_t tokens) const {
  OLLM_CHECK(tokens <= tokens_);
  const auto can = [&](const BlockTable& group) { return group.can_fork(tokens); };
  if (!holds_all_for(tokens)) {
    return fail(ErrorKind::invalid_argument,
                "some layers have forgotten what the first tokens need");
  }
  if (exact_below(tokens) != tokens) {
    return fail(ErrorKind::invalid_argument,
                "the last block of the first tokens is held as codes only");
  }
  const auto can_states = [&](const StateTable& states) { return states.can_fork(tokens); };
  if (!std::all_of(groups_.begin(), groups_.end(), can) ||
      !std::all_of(states_.begin(), states_.end(), can_states))
    return store_->full();
  Line made(*store_);
  made.ids_ = ids_;
  made.names_ = names_;
  made.note_rewind(tokens);
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    OLLM_TRY(BlockTable forked, groups_[i].fork(tokens));
    made.groups_[i] = std::move(forked);
  }
  for (std::size_t i = 0; i < states_.size(); ++i) made.states_[i] = states_[i].fork(tokens);
  made.tokens_ = tokens;
  made.make_room(tokens);
  return made;
}

// What is known of the tokens that stay in a rewind to `tokens`.
void Line::note_rewind(std::size_t tokens) {
  if (!store_->has_pool()) return;
  ids_.resize(tokens);
  for (std::size_t i = 0; i < names_.size(); ++i)
    names_[i].resize(tokens / store_->block_tokens(i));
}

Result<std::size_t> Line::rewind(std::size_t tokens) { return restart(tokens, tokens); }

Result<std::size_t> Line::restart(std::size_t kept, std::size_t tokens,
                                  std::span<const TokenId> ids) {
  OLLM_CHECK(kept <= tokens_ && kept <= tokens);
  // What is written holds its blocks until it is done.
  store_->wait_for_writes();
  const std::size_t needed = blocks_for_tokens(store_->options(), tokens);
  kept = exact_below(kept);
  if (!holds_all_for(kept)) kept = 0;
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    const std::size_t wanted = store_->forgets(group) ? 0 : needed;
    if (!groups_[group].can_rewind(kept, wanted)) return store_->full();
  }
  for (const StateTable& states : states_)
    if (!states.can_rewind(kept)) return store_->full();
  note_rewind(kept);
  bool whole = true;
  for (BlockTable& group : groups_) whole = group.rewind(kept).ok() && whole;
  if (!whole) {
    kept -= kept % block_tokens();
    if (!holds_all_for(kept)) kept = 0;
    note_rewind(kept);
    for (BlockTable& group : groups_) OLLM_CHECK(group.rewind(kept).ok());
  }
  for (StateTable& states : states_) states.rewind(kept);
  tokens_ = kept;
  damage_.reset();
  entries_.clear();
  take_stored(ids);
  make_room(tokens);
  return tokens_;
}

std::size_t Line::mend(std::span<const TokenId> ids) {
  OLLM_CHECK(damage_);
  const std::size_t room = room_;
  std::size_t left = std::min(tokens_, damaged_block_ * block_tokens());
  store_->wait_for_writes();
  if (!holds_all_for(left)) left = 0;
  note_rewind(left);
  for (BlockTable& group : groups_) OLLM_CHECK(group.rewind(left).ok());
  for (StateTable& states : states_) states.rewind(left);
  tokens_ = left;
  damage_.reset();
  take_stored(ids);
  // What was given back may be another line's too, so that it is not free.
  make_room(can_make_room(room) ? room : tokens_);
  return tokens_;
}

}  // namespace ollm::kv
