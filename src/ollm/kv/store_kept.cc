// What a store keeps: names, writes and commits, and what it finds again.
#include <algorithm>
#include <cstring>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/base/clock.h"
#include "ollm/kv/store.h"
#include "ollm/kv/strategies.h"
#include "ollm/kv/sweep_reads.h"

namespace ollm::kv {

using backend::kTileTokens;

namespace {

// A kill loses at most what was computed since the last commit.
constexpr std::uint64_t kCommitBytes = std::uint64_t{64} << 20;
constexpr double kCommitSeconds = 10;

}  // namespace

bool Store::writes_behind() const {
  return find_strategy(options_.strategy)->writing == Writing::behind;
}

// Names -------------------------------------------------------------------------------------------

Result<void> Store::set_fingerprint(const Digest& fingerprint) {
  OLLM_CHECK(has_pool() && !fingerprint_);
  OLLM_TRY_VOID(disk_.pool->set_fingerprint(fingerprint));
  fingerprint_ = fingerprint;
  for (NameToCome& name : to_come_) {
    name.id = block_id(fingerprint, name.group, *id_of(name.parent), name.tokens);
    name.tokens = {};
  }
  return {};
}

// Null where it is still to come.
const Digest* Store::id_of(const BlockName& name) const {
  if (name.to_come == 0) return &name.id;
  return fingerprint_ ? &to_come_[name.to_come - 1].id : nullptr;
}

BlockName Store::name_behind(std::size_t group, const BlockName& parent,
                             std::span<const TokenId> tokens) {
  if (!has_pool() || !options_.reuses) return {};
  const auto index = static_cast<std::uint32_t>(group);
  if (fingerprint_) return {block_id(*fingerprint_, index, *id_of(parent), tokens)};
  to_come_.push_back({index, parent, {tokens.begin(), tokens.end()}, {}});
  return {.id = {}, .to_come = static_cast<std::uint32_t>(to_come_.size())};
}

Store::Pending* Store::find_pending(std::uint64_t number) {
  // Numbers ascend.
  const auto at = std::lower_bound(
      pending_.begin(), pending_.end(), number,
      [](const Pending& pending, std::uint64_t wanted) { return pending.number < wanted; });
  return at != pending_.end() && at->number == number ? &*at : nullptr;
}

std::uint64_t Store::add_pending(std::uint32_t group, const BlockContent& content) {
  Pending pending;
  pending.parent = content.parent;
  pending.name = content.name;
  pending.number = next_record_++;
  pending.group = group;
  pending.tokens.assign(content.tokens.begin(), content.tokens.end());
  pending_.push_back(std::move(pending));
  return pending_.back().number;
}

// Sealing -----------------------------------------------------------------------------------------

bool Store::sealed(const BlockRef& block) const { return at(block).tokens != 0; }

std::span<const TokenId> Store::tokens(const BlockRef& block) const {
  const Group& group = groups_[block.group_];
  return std::span(group.tokens).subspan(block.index_ * group.block_tokens, at(block).tokens);
}

// What the pool has behind a block of this name.
std::optional<Pool::Match> Store::match_behind(std::uint32_t group, const BlockName& parent,
                                               std::span<const TokenId> tokens) {
  if (!fingerprint_) return std::nullopt;
  // Of blocks of keys and values the first tokens do; states are those behind the last one.
  const auto fit =
      groups_[group].kind == BlockKind::states ? Pool::Fit::whole : Pool::Fit::beginning;
  return disk_.pool->match(group, *id_of(parent), tokens, fit);
}

// That the block is the one that the pool gave.
void Store::take_record(const BlockRef& ref, const BlockRecord& record) {
  Block& block = at(ref);
  block.name = {record.id};
  block.committed = block.held = true;
  block.place = record.place;
  block.on_disk = OnDisk::yes;
  std::copy(record.checksums.begin(), record.checksums.end(), checksums_of(ref.group_, ref.index_));
}

// Whether the pool has the same block already, whoever stored it.
bool Store::take_stored(const BlockRef& ref, const BlockContent& content) {
  const auto match = match_behind(ref.group_, content.parent, content.tokens);
  if (!match) return false;
  const std::size_t size = content.tokens.size();
  if (match->common != size || match->record.tokens.size() != size) {
    disk_.pool->release(match->record.id);
    return false;
  }
  take_record(ref, match->record);
  return true;
}

// Whether the frames that keep the beginnings of lines are all in use, this block's own left out.
bool Store::will_lose_frame(const Group& group) const {
  if (!group.spills) return false;
  const auto kept = std::count_if(group.blocks.begin(), group.blocks.end(), [](const Block& block) {
    return block.references != 0 && block.frame >= 0 && block.tokens != 0 &&
           block.on_disk == OnDisk::no;
  });
  return static_cast<std::size_t>(kept) + std::min(options_.tail_frames, group.frames) >
         group.frames;
}

void Store::seal(const BlockRef& ref, const BlockRef& before, const BlockContent& content) {
  const std::span<const TokenId> tokens = content.tokens;
  OLLM_CHECK(has_pool() && tokens.size() == options_.block_tokens);
  take_done();
  Block& block = at(ref);
  Group& group = groups_[ref.group_];
  block.position = static_cast<std::uint32_t>(content.position);
  block.before = before ? static_cast<std::int32_t>(before.index_) : -1;
  block.tokens = static_cast<std::uint32_t>(tokens.size());
  block.loaded = block.requested = static_cast<std::uint32_t>(group.layers);
  std::copy(tokens.begin(), tokens.end(),
            group.tokens.begin() + static_cast<std::ptrdiff_t>(ref.index_ * group.block_tokens));
  block.name = content.name;
  block.lost = (before && at(before).lost) || write_error_.has_value();
  const bool kept = options_.reuses && !block.lost && content.kept;
  if (kept) add_record(ref, content);
  if (block.on_disk != OnDisk::no) return;
  // In the order of their tokens, so that they stand one behind the other on disk. What will be
  // forgotten cannot wait.
  if (will_lose_frame(group) || (kept && (writes_behind() || group.forgets)))
    begin_write(ref.group_, ref.index_);
}

// Whether it is stored already, or will be with its record.
void Store::add_record(const BlockRef& ref, const BlockContent& content) {
  Block& block = at(ref);
  if (block.on_disk == OnDisk::no && take_stored(ref, content)) return;
  block.record = add_pending(ref.group_, content);
}

void Store::keep(const BlockRef& ref, const BlockContent& content) {
  take_done();
  Block& block = at(ref);
  if (!options_.reuses || write_error_ || block.lost || block.committed || block.record != 0 ||
      block.on_disk == OnDisk::failed)
    return;
  add_record(ref, content);
  if (block.record == 0) return;
  // Memory had no room for it, so that it is on disk, or on its way.
  if (block.on_disk == OnDisk::yes) {
    finish_record(pending_.back(), block.place,
                  {checksums_of(ref.group_, ref.index_), groups_[ref.group_].layers});
    return;
  }
  if (block.on_disk == OnDisk::no) return begin_write(ref.group_, ref.index_);
  for (UnderWay& write : under_way_)
    if (write.block && &at(write.block) == &block) write.records.push_back(block.record);
}

void Store::write_sealed() {
  if (!has_pool() || !options_.reuses || writes_behind()) return;
  for (const Pending& pending : pending_) {
    Group& group = groups_[pending.group];
    for (std::uint32_t i = 0; i < group.blocks.size(); ++i) {
      const Block& block = group.blocks[i];
      if (block.record == pending.number && block.on_disk == OnDisk::no)
        begin_write(pending.group, i);
    }
  }
}

void Store::keep_tail(const BlockRef& ref, const BlockRef& before, const BlockContent& content) {
  const std::span<const TokenId> tokens = content.tokens;
  OLLM_CHECK(has_pool() && tokens.size() < options_.block_tokens);
  if (tokens.empty() || !options_.reuses || write_error_ || (before && at(before).lost)) return;
  if (const auto match = match_behind(ref.group_, content.parent, tokens)) {
    disk_.pool->release(match->record.id);
    if (match->common == tokens.size()) return;
  }
  const std::uint64_t record = add_pending(ref.group_, content);
  BlockWriter::Write write = write_of(ref, before ? &at(before) : nullptr, tokens.size());
  write.alone = true;
  begin(write, BlockRef(), record);
  wait_for_writes();
}

void Store::keep_state(const BlockRef& ref, const BlockContent& content, bool open) {
  OLLM_CHECK(has_pool() && !content.tokens.empty() && content.tokens.size() <= kChunkTokens);
  take_done();
  if (!options_.reuses || write_error_) return;
  if (const auto match = match_behind(ref.group_, content.parent, content.tokens)) {
    disk_.pool->release(match->record.id);
    return;
  }
  const Group& group = groups_[ref.group_];
  // States at the beginning of a chunk stay as they are; rows behind others may share a page.
  open = open && content.tokens.size() < kChunkTokens;
  BlockRef held = ref;
  if (open && !group.free.empty()) {
    held = take(ref.group_);
    std::memcpy(data(held), data(ref), group.block_bytes);
    open = false;
  }
  BlockWriter::Write write = write_of(held, nullptr, content.tokens.size());
  write.alone = true;
  begin(write, BlockRef(), add_pending(ref.group_, content));
  under_way_.back().held = std::move(held);
  if (open) wait_for_writes();
}

// Writing -----------------------------------------------------------------------------------------

// Whether a block of so many tokens stands on disk as codes. One that is not full is the own block
// of rows to come, which see it as it was written.
bool Store::holds_codes(const Group& group, std::size_t tokens) const {
  return quantizes_ && !group.of.recurrent && tokens == options_.block_tokens;
}

// Bytes of one layer of a block that holds so many tokens, as they are stored.
std::uint32_t Store::stored_bytes(const Group& group, std::size_t tokens) const {
  if (const auto& layout = group.of.recurrent) {
    // At the end of a chunk nothing of its rows is needed any more.
    const std::size_t rows = tokens % kChunkTokens;
    return static_cast<std::uint32_t>(
        rows_offset(*layout) + round_up(rows * layout->row_bytes, io::File::kDirectAlignment));
  }
  if (tokens == options_.block_tokens) return static_cast<std::uint32_t>(group.full_bytes);
  return static_cast<std::uint32_t>(round_up(
      ceil_div(tokens, kTileTokens) * group.of.layout.tile_bytes(), io::File::kDirectAlignment));
}

// It stands best behind the block before it.
BlockWriter::Write Store::write_of(const BlockRef& ref, const Block* before, std::size_t tokens) {
  const Group& group = groups_[ref.group_];
  BlockWriter::Write write;
  write.parts = data(ref);
  write.memory_stride = group.part_bytes;
  write.layers = static_cast<std::uint32_t>(group.layers);
  write.part_bytes = stored_bytes(group, tokens);
  if (holds_codes(group, tokens))
    write.as_codes = {&group.of.layout, options_.block_tokens / kTileTokens};
  if (before == nullptr) return write;
  if (before->on_disk == OnDisk::yes) write.before = before->place;
  for (const UnderWay& other : under_way_)
    if (other.block && &at(other.block) == before) write.before_ticket = other.ticket;
  return write;
}

void Store::begin_write(std::uint32_t group_index, std::uint32_t index) {
  Block& block = groups_[group_index].blocks[index];
  ++block.references;
  BlockRef ref(this, group_index, index);
  const Block* before = block.before < 0
                            ? nullptr
                            : &groups_[group_index].blocks[static_cast<std::size_t>(block.before)];
  if (before != nullptr && (before->references == 0 || before->position + 1 != block.position))
    before = nullptr;
  BlockWriter::Write write = write_of(ref, before, block.tokens);
  write.needed = groups_[group_index].spills;
  block.on_disk = OnDisk::queued;
  begin(write, std::move(ref), block.record);
}

void Store::begin(const BlockWriter::Write& write, BlockRef block, std::uint64_t record) {
  UnderWay entry;
  entry.block = std::move(block);
  if (record != 0) entry.records.push_back(record);
  entry.ticket = writer_->write(write);
  under_way_.push_back(std::move(entry));
}

bool Store::writing() const {
  return std::any_of(under_way_.begin(), under_way_.end(),
                     [](const UnderWay& entry) { return !entry.commit; });
}

void Store::take_done() {
  while (auto done = writer_->poll()) finish(*done);
  commit_if_due();
}

void Store::finish(const BlockWriter::Done& done) {
  const auto at_entry =
      std::find_if(under_way_.begin(), under_way_.end(),
                   [&](const UnderWay& entry) { return entry.ticket == done.ticket; });
  OLLM_CHECK(at_entry != under_way_.end());
  const UnderWay entry = std::move(*at_entry);
  under_way_.erase(at_entry);
  if (!done.result.ok()) {
    if (!write_error_) write_error_ = done.result.error();
    if (!first_write_error_) first_write_error_ = done.result.error();
  }
  if (entry.commit) {
    finish_commit(entry, done);
  } else {
    finish_write(entry, done);
  }
}

void Store::finish_write(const UnderWay& of, const BlockWriter::Done& done) {
  if (!done.result.ok()) {
    lose(of.records);
    if (of.block) at(of.block).on_disk = OnDisk::failed;
    return;
  }
  if (of.block) {
    Block& block = at(of.block);
    block.on_disk = OnDisk::yes;
    block.place = done.place;
    std::copy(done.checksums.begin(), done.checksums.end(),
              checksums_of(of.block.group_, of.block.index_));
  }
  for (const std::uint64_t number : of.records) {
    if (Pending* pending = find_pending(number))
      finish_record(*pending, done.place, done.checksums);
  }
}

// That what it speaks of is written.
void Store::finish_record(Pending& pending, const BlockPlace& place,
                          std::span<const Checksum> checksums) {
  pending.written = true;
  pending.place = place;
  pending.checksums.assign(checksums.begin(), checksums.end());
  if (uncommitted_bytes_ == 0) uncommitted_since_ = monotonic_seconds();
  uncommitted_bytes_ += std::uint64_t{place.layers} * place.part_bytes;
}

void Store::finish_commit(const UnderWay& of, const BlockWriter::Done& done) {
  if (!done.result.ok()) {
    for (Pending& pending : pending_)
      if (std::binary_search(of.records.begin(), of.records.end(), pending.number))
        pending.in_commit = false;
    lose(of.records);
    return;
  }
  const auto is_done = [&](std::uint64_t number) {
    return number != 0 && std::binary_search(of.records.begin(), of.records.end(), number);
  };
  std::vector<std::uint64_t> held;
  for (Group& group : groups_) {
    for (Block& block : group.blocks) {
      if (!is_done(block.record)) continue;
      held.push_back(block.record);
      block.committed = block.held = true;
      block.record = 0;
    }
  }
  // The pool holds what it took for us: tails, and blocks that went meanwhile, are not in use.
  for (const Pending& pending : pending_) {
    if (is_done(pending.number) &&
        std::find(held.begin(), held.end(), pending.number) == held.end())
      disk_.pool->release(*id_of(pending.name));
  }
  std::erase_if(pending_, [&](const Pending& pending) { return is_done(pending.number); });
}

// That the block is no longer what it was sealed as. What was written of it goes its way into the
// pool by itself, and what nothing will find gives its place back.
void Store::give_up(Block& block) {
  if (block.record != 0 && block.on_disk == OnDisk::no) lose({&block.record, 1});
  if (block.on_disk == OnDisk::yes && !block.committed && block.record == 0)
    disk_.pool->give_back(block.place);
  if (block.held) disk_.pool->release(*id_of(block.name));
}

// These records will not be committed, nor any behind them.
void Store::lose(std::span<const std::uint64_t> records) {
  std::vector<std::uint64_t> lost(records.begin(), records.end());
  std::vector<BlockName> names;
  for (const Pending& pending : pending_) {
    // What is in a commit under way comes back with that: it may well be durable by then.
    if (pending.in_commit) continue;
    const bool first = std::find(lost.begin(), lost.end(), pending.number) != lost.end();
    const bool behind = std::find(names.begin(), names.end(), pending.parent) != names.end();
    if (!first && !behind) continue;
    if (!first) lost.push_back(pending.number);
    names.push_back(pending.name);
  }
  std::vector<std::uint64_t> of_blocks;
  for (Group& group : groups_) {
    for (Block& block : group.blocks) {
      if (block.record == 0 || std::find(lost.begin(), lost.end(), block.record) == lost.end())
        continue;
      of_blocks.push_back(block.record);
      block.lost = true;
      block.record = 0;
    }
  }
  // What is in a commit under way comes back with it. The place of one that no block has any more
  // is given back; those of the others are when their blocks go.
  std::erase_if(pending_, [&](const Pending& pending) {
    const auto is_in = [&](const std::vector<std::uint64_t>& numbers) {
      return std::find(numbers.begin(), numbers.end(), pending.number) != numbers.end();
    };
    if (pending.in_commit || !is_in(lost)) return false;
    if (pending.written && !is_in(of_blocks)) disk_.pool->give_back(pending.place);
    return true;
  });
}

// Commits -----------------------------------------------------------------------------------------

void Store::commit_if_due() {
  if (uncommitted_bytes_ == 0) return;
  if (uncommitted_bytes_ >= kCommitBytes ||
      monotonic_seconds() - uncommitted_since_ >= kCommitSeconds)
    commit();
}

void Store::commit() {
  if (!has_pool() || !options_.reuses || !fingerprint_) return;
  UnderWay entry;
  entry.commit = true;
  std::vector<BlockRecord> records;
  for (Pending& pending : pending_) {
    if (!pending.written || pending.in_commit) continue;
    pending.in_commit = true;
    entry.records.push_back(pending.number);
    records.push_back({*id_of(pending.name), *id_of(pending.parent), pending.group, pending.tokens,
                       pending.place, pending.checksums, groups_[pending.group].kind});
  }
  if (records.empty()) return;
  uncommitted_bytes_ = 0;
  entry.ticket = writer_->commit(std::move(records));
  under_way_.push_back(std::move(entry));
}

void Store::wait_for_writes() {
  if (!has_pool()) return;
  take_done();
  while (writing()) {
    if (auto done = writer_->wait()) finish(*done);
  }
}

void Store::wait_for_commits() {
  wait_for_writes();
  if (!has_pool()) return;
  commit();
  while (!under_way_.empty()) {
    if (auto done = writer_->wait()) finish(*done);
  }
}

// Finding -----------------------------------------------------------------------------------------

void Store::refresh() {
  if (!has_pool() || !options_.reuses || !fingerprint_) return;
  take_done();
  write_error_.reset();  // there may be room again
  (void)disk_.pool->refresh();
}

// Blocks of other sizes are of other strategies. Codes of some of a block's tokens are not what the
// rows behind these see.
bool Store::fits(const Group& group, const Pool::Match& match) const {
  const BlockRecord& record = match.record;
  const std::size_t size = record.tokens.size();
  return record.kind == group.kind && size <= group.block_tokens &&
         record.place.layers == group.layers &&
         record.place.part_bytes == stored_bytes(group, size) &&
         record.checksums.size() == group.layers &&
         (match.common == size || !holds_codes(group, size));
}

std::size_t Store::count_stored(std::size_t group, const BlockName& parent,
                                std::span<const TokenId> tokens) {
  if (!has_pool() || !options_.reuses || tokens.empty()) return 0;
  const auto match = match_behind(static_cast<std::uint32_t>(group), parent, tokens);
  if (!match) return 0;
  disk_.pool->release(match->record.id);
  return fits(groups_[group], *match) ? match->common : 0;
}

std::optional<Store::Found> Store::find(std::size_t group_index, const BlockName& parent,
                                        std::size_t position, std::span<const TokenId> tokens) {
  if (!has_pool() || !options_.reuses || tokens.empty()) return std::nullopt;
  Group& group = groups_[group_index];
  const auto match = match_behind(static_cast<std::uint32_t>(group_index), parent, tokens);
  if (!match) return std::nullopt;
  const BlockRecord& record = match->record;
  const std::size_t size = record.tokens.size();
  if (!fits(group, *match) || group.free.empty()) {
    disk_.pool->release(record.id);
    return std::nullopt;
  }
  Found found;
  found.block = take(group_index);
  found.tokens = match->common;
  found.whole = size == group.block_tokens && match->common == size;
  Block& block = at(found.block);
  block.tokens = static_cast<std::uint32_t>(size);
  block.position = static_cast<std::uint32_t>(position);
  take_record(found.block, record);
  std::copy(
      record.tokens.begin(), record.tokens.end(),
      group.tokens.begin() + static_cast<std::ptrdiff_t>(found.block.index_ * group.block_tokens));
  disk_.pool->used(record.id);
  return found;
}

Result<void> Store::open_again(const BlockRef& ref) {
  OLLM_CHECK(ref.count() == 1);
  if (holds_codes(groups_[ref.group_], at(ref).tokens))
    return fail(ErrorKind::invalid_argument, "a block of keys and values is held as codes only");
  OLLM_TRY_VOID(load(ref));
  Block& block = at(ref);
  give_up(block);
  block.tokens = 0;
  block.on_disk = OnDisk::no;
  block.committed = block.lost = block.held = false;
  block.name = {};
  block.record = 0;
  block.place = {};
  return {};
}

bool Store::holds(const BlockRef& ref, std::size_t layer, const std::byte* bytes) const {
  const Group& group = groups_[ref.group_];
  return Pool::holds(at(ref).place, static_cast<std::uint32_t>(layer),
                     group.checksums[std::size_t{ref.index_} * group.layers + layer], bytes);
}

void Store::damaged(const BlockRef& ref) {
  // What is not committed yet is not to be.
  if (const std::uint64_t record = at(ref).record; record != 0) lose({&record, 1});
  if (options_.reuses && !at(ref).lost && fingerprint_) {
    disk_.pool->set_aside(*id_of(at(ref).name), at(ref).place);
  } else {
    ++corrupt_blocks_;
  }
}

StoreCounters Store::counters() const {
  StoreCounters out;
  if (!has_pool()) return out;
  out.bytes_read = loaded_bytes_ + reads_->bytes_read();
  out.bytes_written = disk_.pool->counters().bytes_written;
  out.corrupt_blocks = corrupt_blocks_ + disk_.pool->counters().blocks_set_aside;
  out.wait_s = reads_->wait_seconds();
  return out;
}

}  // namespace ollm::kv
