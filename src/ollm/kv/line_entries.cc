// Where later lines may start: what is stored for that of a line, and what is found again. A line
// may start at a position if every group holds what the rows behind it see: all blocks before it,
// or those that a window reaches. Leaves to others: names, files and what is in memory (store.h).
#include <algorithm>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/kv/line.h"

namespace ollm::kv {
namespace {

// Starts that turn out to be damaged, in one search.
constexpr int kMostDamaged = 64;

}  // namespace

// Finds the deepest position at which a line can go on, from what it has itself and what is stored.
class Line::StartSearch {
 public:
  StartSearch(Line& line, std::span<const TokenId> ids)
      : line_(line), store_(*line.store_), block_tokens_(line.block_tokens()), ids_(ids) {
    names_ = line.names_;
  }

  // A position that all groups can start at, the line's own where there is none behind it.
  std::size_t deepest() {
    const std::size_t tables = line_.groups_.size();
    std::size_t most = ids_.size();
    for (std::size_t group = 0; group < tables; ++group)
      if (!store_.forgets(group)) most = std::min(most, end_of_stored(group, most));
    for (std::size_t before = most + 1; most < before && most > line_.tokens_;) {
      before = most;
      for (std::size_t group = tables; group < names_.size(); ++group)
        most = start_at_states(group, most);
      for (std::size_t group = 0; group < tables; ++group)
        if (store_.forgets(group)) most = start_within_window(group, most);
    }
    return std::max(most, line_.tokens_);
  }

  // Has the line start there, which `deepest` gave; whether all of it could be had. Else the line
  // is empty.
  bool start_at(std::size_t tokens) {
    bool done = true;
    for (std::size_t group = 0; group < names_.size() && done; ++group)
      done = group < line_.groups_.size() ? take_blocks(group, tokens) : take_states(group, tokens);
    if (!done) {
      line_.note_rewind(0);
      for (BlockTable& table : line_.groups_) OLLM_CHECK(table.rewind(0).ok());
      for (StateTable& states : line_.states_) states.rewind(0);
      line_.tokens_ = 0;
      return false;
    }
    for (std::size_t group = 0; group < names_.size(); ++group) {
      const std::size_t full = tokens / store_.block_tokens(group);
      (void)parent(group, full);
      names_[group].resize(full);
    }
    line_.names_ = std::move(names_);
    line_.ids_.assign(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(tokens));
    line_.tokens_ = tokens;
    line_.forget();
    return true;
  }

 private:
  // The tokens of a block of a group, as far as they stand before `end`.
  std::span<const TokenId> ids_of(std::size_t group, std::size_t block, std::size_t end) const {
    const std::size_t size = store_.block_tokens(group);
    return ids_.subspan(block * size, std::min(end - block * size, size));
  }

  // The name of the block before one.
  BlockName parent(std::size_t group, std::size_t block) {
    std::vector<BlockName>& names = names_[group];
    while (names.size() < block) {
      const BlockName before = names.empty() ? store_.root() : names.back();
      const auto ids = ids_of(group, names.size(), ids_.size());
      names.push_back(store_.name_behind(group, before, ids));
    }
    return block == 0 ? store_.root() : names[block - 1];
  }

  // Whether the line has this block itself, sealed.
  bool has(std::size_t group, std::size_t block) const {
    return block < line_.tokens_ / block_tokens_ && block >= line_.groups_[group].forgotten();
  }

  // How many tokens of a block before `end` there are.
  std::size_t count(std::size_t group, std::size_t block, std::size_t end) {
    const std::span<const TokenId> ids = ids_of(group, block, end);
    if (has(group, block)) return ids.size();
    return store_.count_stored(group, parent(group, block), ids);
  }
  bool is_whole(std::size_t group, std::size_t block) {
    return count(group, block, (block + 1) * block_tokens_) == block_tokens_;
  }

  // Where the blocks of a group that follow one another end, no further than `most`.
  std::size_t end_of_stored(std::size_t group, std::size_t most) {
    std::size_t block = line_.tokens_ / block_tokens_;
    for (;; ++block) {
      const std::size_t first = block * block_tokens_;
      if (first >= most) return most;
      const std::size_t tokens = count(group, block, most);
      if (tokens < block_tokens_) return first + tokens;
    }
  }

  // The deepest position, no further than `most`, before which a group has all that a window
  // reaches; no further than the line where there is none behind it.
  std::size_t start_within_window(std::size_t group, std::size_t most) {
    while (most > line_.tokens_) {
      const std::size_t last = (most - 1) / block_tokens_;
      const std::size_t end = last * block_tokens_ + count(group, last, most);
      if (end <= line_.tokens_ || end == last * block_tokens_) {
        most = last * block_tokens_;
        continue;
      }
      const std::size_t first = line_.needed_from(group, end);
      std::size_t block = last;
      while (block > first && is_whole(group, block - 1)) --block;
      if (block <= first) return end;
      most = block * block_tokens_;
      // The one before it is not whole.
      const std::size_t begun = most - block_tokens_;
      most = begun + count(group, block - 1, most);
    }
    return most;
  }

  // The deepest position, no further than `most`, of which states are stored; the line's own where
  // there is none behind it.
  std::size_t start_at_states(std::size_t group, std::size_t most) {
    while (most > line_.tokens_) {
      const std::size_t first = (most - 1) / kChunkTokens * kChunkTokens;
      const std::size_t found = first + count_states(group, first, most);
      if (found > std::max(first, line_.tokens_)) return found;
      most = first;
    }
    return line_.tokens_;
  }
  std::size_t count_states(std::size_t group, std::size_t first, std::size_t end) {
    const std::size_t chunk = first / kChunkTokens;
    return store_.count_stored(group, parent(group, chunk), ids_of(group, chunk, end));
  }

  bool take_states(std::size_t group, std::size_t tokens) {
    StateTable& states = line_.states_[group - line_.groups_.size()];
    states.rewind(0);
    const std::size_t chunk = (tokens - 1) / kChunkTokens;
    const auto ids = ids_of(group, chunk, tokens);
    auto found = store_.find(group, parent(group, chunk), chunk, ids);
    if (!found || found->tokens < ids.size() || !store_.open_again(found->block).ok()) return false;
    states.start_at(tokens, std::move(found->block));
    return true;
  }

  bool take_blocks(std::size_t group, std::size_t tokens) {
    BlockTable& table = line_.groups_[group];
    std::size_t block = line_.tokens_ / block_tokens_;
    // Of what the line has itself, that which is still seen.
    std::vector<BlockRef> own;
    const std::size_t end_of_own = block;
    if (store_.forgets(group)) {
      block = line_.needed_from(group, tokens);
      for (std::size_t i = std::max(block, table.forgotten()); i < end_of_own; ++i)
        own.push_back(table[i]);
      table.start_at(block);
    }
    for (; block * block_tokens_ < tokens; ++block) {
      if (block < end_of_own && block + own.size() >= end_of_own) {
        table.put(block, own[block + own.size() - end_of_own]);
      } else if (!take_block(group, block, tokens)) {
        return false;
      }
    }
    return true;
  }

  bool take_block(std::size_t group, std::size_t block, std::size_t end) {
    const std::span<const TokenId> ids = ids_of(group, block, end);
    auto found = store_.find(group, parent(group, block), block, ids);
    if (!found || found->tokens < ids.size()) return false;
    if (ids.size() == block_tokens_) {
      (void)store_.give_spare_frame(found->block);
    } else if (!store_.open_again(found->block).ok()) {
      return false;
    }
    line_.groups_[group].put(block, std::move(found->block));
    return true;
  }

  Line& line_;
  Store& store_;
  const std::size_t block_tokens_;
  const std::span<const TokenId> ids_;
  std::vector<std::vector<BlockName>> names_;  // of each group, as far as they were needed
};

void Line::add_entry(std::size_t tokens) {
  entries_.push_back(tokens);
  if (startable_below(tokens) != tokens) entries_.push_back(startable_below(tokens));
}

// Where a later line can start once the block that these tokens end in is full: inside of it only
// where blocks stay what they were.
std::size_t Line::startable_below(std::size_t tokens) const {
  return store_->quantizes() ? tokens - tokens % block_tokens() : tokens;
}

// Whether a later line may see the block.
bool Line::entry_needs(std::size_t group, std::size_t block) const {
  if (!store_->forgets(group)) return true;
  const std::size_t begin = block * block_tokens();
  const std::size_t end = begin + block_tokens();
  const auto needs = [&](std::size_t entry) {
    return entry > begin && kv::first_seen(store_->window(group), entry) < end;
  };
  // The first multiple behind its beginning reaches back the furthest.
  const std::size_t multiple = round_up(begin + 1, store_->options().entry_tokens);
  return needs(multiple) || std::any_of(entries_.begin(), entries_.end(), needs);
}

void Line::take_stored(std::span<const TokenId> ids) {
  if (!store_->has_pool() || ids.size() <= tokens_) return;
  store_->refresh();
  if (store_->forgets_some()) return take_start(ids);
  for (;;) {
    const std::size_t begin = tokens_ / block_tokens() * block_tokens();
    if (ids.size() <= tokens_ ||
        !take_block(ids.subspan(begin, std::min(block_tokens(), ids.size() - begin))))
      return;
  }
}

// Takes the stored block that begins with the most of these tokens, of which the first may stand
// in the open tail already; whether it was a whole one, so that there may be more behind it.
bool Line::take_block(std::span<const TokenId> rest) {
  const std::size_t index = tokens_ / block_tokens();
  std::vector<Store::Found> found;
  std::size_t common = rest.size();
  bool whole = true;
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    auto block = store_->find(group, content(group, index, {}).parent, index, rest);
    if (!block) return false;
    common = std::min(common, block->tokens);
    whole = whole && block->whole;
    found.push_back(*std::move(block));
  }
  if (common <= tail_tokens()) return false;
  if (!whole) {
    for (Store::Found& block : found)
      if (!store_->open_again(block.block).ok()) return false;
  }
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    if (whole) {
      (void)store_->give_spare_frame(found[group].block);
      names_[group].push_back(store_->name_behind(group, content(group, index, {}).parent, rest));
    }
    groups_[group].put(index, std::move(found[group].block));
  }
  ids_.resize(index * block_tokens());
  ids_.insert(ids_.end(), rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(common));
  tokens_ = ids_.size();
  forget();
  return whole;
}

// What of a start is damaged is found out when it is read: then it is set aside, and the next one
// is as good.
void Line::take_start(std::span<const TokenId> ids) {
  if (!store_->knows_fingerprint()) return;
  for (int i = 0; i < kMostDamaged; ++i) {
    StartSearch search(*this, ids);
    const std::size_t start = search.deepest();
    if (start == tokens_ || search.start_at(start)) return;
  }
}

std::size_t Line::count_stored(std::span<const TokenId> ids) {
  if (!store_->has_pool() || !store_->knows_fingerprint() || ids.size() <= tokens_) return tokens_;
  return StartSearch(*this, ids).deepest();
}

std::size_t Line::next_entry(std::size_t tokens) const {
  std::size_t next = round_up(tokens + 1, store_->options().entry_tokens);
  for (const std::size_t entry : entries_)
    if (entry > tokens) next = std::min(next, entry);
  return next;
}

bool Line::is_entry(std::size_t tokens) const { return next_entry(tokens - 1) == tokens; }

// Those that the next rows of a sweep come to, where they will be stored.
std::vector<std::size_t> Line::entries_within(std::size_t rows) const {
  std::vector<std::size_t> out;
  if (!store_->has_pool() || !store_->options().reuses) return out;
  for (std::size_t at = next_entry(tokens_); at <= tokens_ + rows; at = next_entry(at))
    out.push_back(at);
  return out;
}

// The states behind the last token, of a commit of the tokens before `end`.
void Line::keep_states(std::size_t end) {
  const std::size_t last = (tokens_ - 1) / kChunkTokens;
  for (std::size_t i = groups_.size(); i < names_.size(); ++i) {
    const BlockRef chunk = states_[i - groups_.size()].chunk(tokens_ / kChunkTokens);
    if (!chunk) continue;  // there was no room
    BlockContent states = content(i, last, std::span(ids_).last(tokens_ - last * kChunkTokens));
    states.name = store_->name_behind(i, states.parent, states.tokens);
    store_->keep_state(chunk, states, tokens_ / kChunkTokens == end / kChunkTokens);
  }
}

void Line::keep() {
  if (!store_->has_pool()) return;
  const std::size_t full = tokens_ / block_tokens();
  // Who asks the same again begins one token before the end.
  const std::size_t last = tokens_ - std::min<std::size_t>(tokens_, 1);
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    if (!store_->forgets(i)) continue;  // they are kept from when they were full
    const std::size_t first = std::max(needed_from(i, last), groups_[i].forgotten());
    for (std::size_t block = first; block < full; ++block) {
      BlockContent kept = content(i, block, store_->tokens(groups_[i][block]));
      kept.name = names_[i][block];
      store_->keep(groups_[i][block], kept);
    }
  }
  if (tokens_ != 0) keep_states(tokens_);
  store_->write_sealed();
  for (std::size_t i = 0; i < groups_.size() && tail_tokens() != 0; ++i) {
    BlockContent tail = content(i, full, tail_ids());
    tail.name = store_->name_behind(i, tail.parent, tail.tokens);
    store_->keep_tail(groups_[i][full], groups_[i].before(full), tail);
  }
  store_->commit();
}

}  // namespace ollm::kv
