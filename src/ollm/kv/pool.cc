#include "ollm/kv/pool.h"

#include <algorithm>
#include <utility>

#include "ollm/io/private_folder.h"
#include "ollm/kv/pool_state.h"

namespace ollm::kv {
namespace {

// Records of one match that are read: those that their sketches cannot tell apart.
constexpr int kMaxRecordsRead = 64;

}  // namespace

Error after_fork() {
  return fail(ErrorKind::unsupported,
              "blocks on disk are of the process that opened them, and this is a child of it");
}

Digest root_id(std::string_view salt) { return sha256(salt); }

Digest block_id(const Digest& fingerprint, std::uint32_t group, const Digest& parent,
                std::span<const TokenId> tokens) {
  return Sha256()
      .add(fingerprint)
      .add(std::uint64_t{group})
      .add(parent)
      .add(std::as_bytes(tokens))
      .finish();
}

Pool::Pool(std::unique_ptr<State> state) : state_(std::move(state)) {}

Pool::~Pool() {
  if (state_->in_child()) return;
  state_->evict_above_cap();
  state_->close();
}

Result<std::unique_ptr<Pool>> Pool::open(PoolOptions options, io::SystemCalls& calls) {
  OLLM_TRY_VOID(io::open_private_folder(options.folder, calls));
  return std::unique_ptr<Pool>(new Pool(std::make_unique<State>(std::move(options), calls)));
}

void Pool::State::take_in(const ItemHeader& header, std::span<const std::byte> item) {
  next_sequence = std::max(next_sequence, header.sequence + 1);
  switch (header.type) {
    case ItemType::stripe:
      break;
    case ItemType::commit:
      if (fingerprint == header.fingerprint) take_in_commit(header, item);
      break;
    case ItemType::uses:
      for (const Digest& id : decode_uses(header, item)) index.use(id, header.sequence);
      break;
    case ItemType::gone:
      for (const GoneBlock& block : decode_gone(header, item)) {
        const bool was_found = index.erase_at(block.id, block.file_number, block.offset);
        // Within one file a note stands behind what it is about.
        if (block.file_number == header.file_number) continue;
        gone.emplace(block.file_number, block.offset);
        found_gone |= was_found;
      }
      break;
  }
}

void Pool::State::take_in_commit(const ItemHeader& header, std::span<const std::byte> item) {
  for_each_record(header, item, [&](const RecordPlace& where, const BlockRecord& record) {
    if (!gone.contains({header.file_number, record.place.offset}))
      index.add(record, where, header.sequence);
  });
}

Result<void> Pool::State::refresh() {
  const auto visit = [this](const ItemHeader& header, auto item) { take_in(header, item); };
  const auto vanished = [this](std::uint64_t number) { index.erase_file(number); };
  found_gone = false;
  OLLM_TRY_VOID(readers.refresh(visit, vanished));
  if (!found_gone) return {};
  // A note about another file came behind a record that hid a later one of the same name.
  readers.start_over();
  return readers.refresh(visit, vanished);
}

Result<void> Pool::set_fingerprint(const Digest& fingerprint) {
  if (state_->in_child()) return after_fork();
  std::lock_guard lock(state_->mutex);
  state_->fingerprint = fingerprint;
  if (!state_->options.kept) return {};
  state_->readers.start_over();
  return state_->refresh();
}

Result<void> Pool::refresh() {
  if (state_->in_child()) return after_fork();
  std::lock_guard lock(state_->mutex);
  if (!state_->options.kept || !state_->fingerprint) return {};
  return state_->refresh();
}

// A block whose record is not what was written, or not there.
void Pool::State::lose(const GoneBlock& block) {
  gone.emplace(block.file_number, block.offset);
  index.erase_at(block.id, block.file_number, block.offset);
  ++counters.blocks_set_aside;
}

std::optional<BlockRecord> Pool::State::read_stored_record(std::uint64_t file_number,
                                                           RecordPlace where) {
  std::vector<std::byte> bytes(where.bytes);
  if (!readers.records(file_number)->read_at(where.offset, bytes).ok()) return std::nullopt;
  return decode_record(bytes, file_number, where.offset);
}

std::optional<BlockRecord> Pool::State::read_record(const Digest& id, std::uint32_t group,
                                                    const Digest& parent) {
  const IndexEntry* entry = index.find(id);
  if (entry == nullptr) return std::nullopt;
  if (entry->own_record) return *entry->own_record;
  const std::uint64_t file_number = entry->file_number;
  const io::File* const file = readers.open(
      file_number, [this](const ItemHeader& header, auto item) { take_in(header, item); });
  if (file == nullptr) {  // evicted, or being evicted
    index.erase(id);
    return std::nullopt;
  }
  entry = index.find(id);  // opening shows what was evicted since
  if (entry == nullptr || entry->file_number != file_number) return std::nullopt;
  std::optional<BlockRecord> record = read_stored_record(file_number, entry->record);
  if (!record || record->id != id || record->parent != parent || record->group != group ||
      block_id(*fingerprint, group, parent, record->tokens) != id) {
    lose({.id = id, .file_number = file_number, .offset = entry->offset});
    return std::nullopt;
  }
  record->place.file = file;
  return record;
}

std::optional<Pool::Match> Pool::match(std::uint32_t group, const Digest& parent,
                                       std::span<const TokenId> tokens, Fit fit) {
  State& state = *state_;
  if (state.in_child()) return std::nullopt;
  std::lock_guard lock(state.mutex);
  if (!state.fingerprint) return std::nullopt;
  std::optional<Match> best;
  unsigned best_rank = 0;
  int read = 0;
  for (const BlockIndex::Candidate& candidate : state.index.candidates(group, parent, tokens)) {
    if ((best && candidate.rank < best_rank) || read == kMaxRecordsRead) break;
    std::optional<BlockRecord> record = state.read_record(candidate.id, group, parent);
    ++read;
    if (!record) continue;
    const auto differ =
        std::mismatch(record->tokens.begin(), record->tokens.end(), tokens.begin(), tokens.end());
    const auto common = static_cast<std::size_t>(differ.first - record->tokens.begin());
    const bool is_whole = common == record->tokens.size();
    if (common == 0 || (best && common < best->common)) continue;
    if (fit == Fit::whole && !is_whole) continue;
    if (best && common == best->common && !(is_whole && best->record.tokens.size() > common))
      continue;
    best = Match{.record = std::move(*record), .common = common};
    best_rank = candidate.rank;
  }
  if (best) ++state.in_use[best->record.id];
  return best;
}

void Pool::set_aside(const Digest& id, const BlockPlace& place) {
  State& state = *state_;
  if (state.in_child()) return;
  std::lock_guard lock(state.mutex);
  // What was never committed is found by nobody.
  const IndexEntry* const entry = state.index.find(id);
  if (entry == nullptr) return;
  const GoneBlock block{.id = id,
                        .file_number = place ? place.file_number : entry->file_number,
                        .offset = place ? place.offset : entry->offset};
  state.lose(block);
  if (state.options.kept) state.new_gone.push_back(block);
}

void Pool::release(const Digest& id) {
  State& state = *state_;
  if (state.in_child()) return;
  std::lock_guard lock(state.mutex);
  const auto found = state.in_use.find(id);
  if (found != state.in_use.end() && --found->second == 0) state.in_use.erase(found);
}

void Pool::used(const Digest& id) {
  State& state = *state_;
  if (state.in_child()) return;
  std::lock_guard lock(state.mutex);
  state.index.use(id, state.next_sequence);
  if (!state.options.kept || state.new_uses.size() == kMaxNoteEntries) return;
  if (std::find(state.new_uses.begin(), state.new_uses.end(), id) == state.new_uses.end())
    state.new_uses.push_back(id);
}

PoolCounters Pool::counters() const {
  std::lock_guard lock(state_->mutex);
  return state_->counters;
}

}  // namespace ollm::kv
