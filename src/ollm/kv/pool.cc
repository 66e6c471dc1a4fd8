#include "ollm/kv/pool.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/io/private_folder.h"
#include "ollm/kv/block_index.h"
#include "ollm/kv/disk_room.h"
#include "ollm/kv/eviction.h"
#include "ollm/kv/record.h"
#include "ollm/kv/segment_folder.h"
#include "ollm/kv/segment_readers.h"
#include "ollm/kv/segment_writer.h"

namespace ollm::kv {
namespace {

// Other processes fill the disk too: after so many bytes the room is measured anew.
constexpr std::uint64_t kMeasuredBytes = std::uint64_t{256} << 20;
// More than is needed goes at once, so that not every block evicts.
constexpr std::uint64_t kMostEvictedAhead = std::uint64_t{64} << 20;
constexpr std::uint64_t kEvictedAheadShare = 16;  // of the cap, as a divisor
// What is kept free below the cap for records and notes: a thousandth of what is measured at once.
constexpr std::uint64_t kMostMargin = std::uint64_t{1} << 20;
constexpr std::uint64_t kMarginShare = 16;  // of the cap, as a divisor
// An eviction that gave too little is not tried again for every block.
constexpr unsigned kPlacesWithoutEviction = 32;
constexpr std::uint64_t kCachedBytes = std::uint64_t{8} << 20;
// Records of one match that are read: those that their sketches cannot tell apart.
constexpr int kMaxRecordsRead = 64;
// Of the memory for the index, what an eviction takes while it runs, as a divisor.
constexpr std::size_t kEvictionShare = 4;

Error after_fork() {
  return fail(ErrorKind::unsupported,
              "blocks on disk are of the process that opened them: this is "
              "a child of it");
}

}  // namespace

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

struct Pool::State {
  using PlaceKey = std::pair<std::uint64_t, std::uint64_t>;  // number of a file, offset in it

  State(PoolOptions with_options, io::SystemCalls& with_calls)
      : options(std::move(with_options)),
        calls(with_calls),
        index(options.index_bytes / kEvictionShare * (kEvictionShare - 1)),
        readers(options.folder, options.access, calls) {}

  const PoolOptions options;
  io::SystemCalls& calls;
  const pid_t process = ::getpid();

  // Of the thread that places, writes and commits.
  std::uint64_t room = 0;       // bytes that may be written before it is measured again
  std::uint64_t cap_bytes = 0;  // as it was measured
  unsigned places_without_eviction = 0;
  std::uint64_t cached_bytes = 0;  // written since the page cache was asked to forget

  mutable std::mutex mutex;
  // Guarded by mutex; writers are changed by the writing thread alone.
  BlockIndex index;
  SegmentReaders readers;
  std::vector<std::unique_ptr<SegmentWriter>> writers;  // the last one is the one that grows
  std::optional<Digest> fingerprint;
  std::uint64_t next_sequence = 1;
  std::unordered_map<Digest, std::uint32_t, DigestHash> in_use;
  std::set<PlaceKey> gone;              // blocks that are not to be found
  std::map<PlaceKey, Digest> unlinked;  // blocks of files without names
  bool found_gone = false;              // a note took a block from the index
  std::vector<GoneBlock> new_gone;      // not yet noted in a file
  std::vector<Digest> new_uses;
  PoolCounters counters;

  bool in_child() const { return ::getpid() != process; }

  void take_in(const ItemHeader& header, std::span<const std::byte> item);
  void take_in_commit(const ItemHeader& header, std::span<const std::byte> item);
  Result<void> refresh();
  std::optional<BlockRecord> read_record(const Digest& id, std::uint32_t group,
                                         const Digest& parent);
  std::optional<BlockRecord> read_stored_record(std::uint64_t file_number, RecordPlace where);
  void lose(const GoneBlock& block);

  SegmentWriter* writer_of(std::uint64_t file_number) const;
  bool grows(const SegmentWriter& writer, std::uint64_t bytes) const;
  Result<SegmentWriter*> writer_with_room(std::uint64_t bytes, std::uint64_t first_choice = 0);
  Result<std::unique_ptr<SegmentWriter>> adopt_one(std::uint64_t bytes, std::uint64_t first_choice);
  Result<SegmentWriter*> take_writer(std::unique_ptr<SegmentWriter> writer);
  void drop_settled_writers();
  Result<const io::File*> file_of(const SegmentWriter& writer);

  Result<void> measure_room(std::uint64_t bytes);
  Result<void> make_room(std::uint64_t bytes);
  Result<void> evict_for(std::uint64_t bytes);
  Result<BlockPlace> place_once(std::uint32_t layers, std::uint32_t part_bytes,
                                const BlockPlace& before, bool alone);

  struct Commit;
  Result<void> commit(std::span<const BlockRecord> records);
  Stamp next_stamp();
  Result<void> append_commit(Commit& commit);
  void append_notes(SegmentWriter& writer);
  void take_in_committed(const Commit& commit);
  void close();
};

Pool::Pool(std::unique_ptr<State> state) : state_(std::move(state)) {}

Pool::~Pool() {
  if (!state_->in_child()) state_->close();
}

Result<std::unique_ptr<Pool>> Pool::open(PoolOptions options, io::SystemCalls& calls) {
  OLLM_TRY_VOID(io::open_private_folder(options.folder, calls));
  return std::unique_ptr<Pool>(new Pool(std::make_unique<State>(std::move(options), calls)));
}

// ---- finding -----------------------------------------------------------------------------------

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
                                       std::span<const TokenId> tokens) {
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
    if (best && common == best->common && !(is_whole && best->record.tokens.size() > common))
      continue;
    best = Match{.record = std::move(*record), .common = common};
    best_rank = candidate.rank;
  }
  if (best) ++state.in_use[best->record.id];
  return best;
}

// ---- placing and writing -----------------------------------------------------------------------

SegmentWriter* Pool::State::writer_of(std::uint64_t file_number) const {
  for (const auto& writer : writers)
    if (writer->number() == file_number) return writer.get();
  return nullptr;
}

bool Pool::State::grows(const SegmentWriter& writer, std::uint64_t bytes) const {
  if (writer.broken()) return false;
  // An empty file takes a stripe of any size.
  return writer.end() == kPageBytes || writer.end() + bytes <= options.file_bytes;
}

Result<SegmentWriter*> Pool::State::writer_with_room(std::uint64_t bytes,
                                                     std::uint64_t first_choice) {
  if (!writers.empty() && grows(*writers.back(), bytes)) return writers.back().get();
  std::unique_ptr<SegmentWriter> writer;
  if (options.kept) {
    OLLM_TRY(writer, adopt_one(bytes, first_choice));
  }
  if (!writer) {
    OLLM_TRY(writer, SegmentWriter::create(options.folder, options.kept, calls));
  }
  return take_writer(std::move(writer));
}

Result<std::unique_ptr<SegmentWriter>> Pool::State::adopt_one(std::uint64_t bytes,
                                                              std::uint64_t first_choice) {
  OLLM_TRY(std::vector<std::uint64_t> numbers, list_segments(options.folder, calls));
  std::stable_partition(numbers.begin(), numbers.end(),
                        [&](std::uint64_t number) { return number == first_choice; });
  for (const std::uint64_t number : numbers) {
    if (writer_of(number) != nullptr) continue;
    struct stat status{};
    if (calls.lstat(segment_path(options.folder, number).c_str(), &status) != 0) continue;
    if (static_cast<std::uint64_t>(status.st_size) + bytes > options.file_bytes) continue;
    auto adopted = SegmentWriter::adopt(
        options.folder, number, [](const ItemHeader&, std::span<const std::byte>) {}, calls);
    // One that makes trouble is left to others.
    if (adopted.ok() && *adopted && grows(**adopted, bytes)) return adopted;
  }
  return std::unique_ptr<SegmentWriter>();
}

// Opens it for reading too, and takes in what other processes left in it.
Result<SegmentWriter*> Pool::State::take_writer(std::unique_ptr<SegmentWriter> writer) {
  std::lock_guard lock(mutex);
  if (options.kept) {
    const auto visit = [this](const ItemHeader& header, auto item) { take_in(header, item); };
    if (readers.open(writer->number(), visit) == nullptr)
      return fail(ErrorKind::io, fmt::format("{}: cannot be read", writer->path().native()));
  } else {
    const auto opened = readers.open_unlinked(writer->number(), writer->path());
    writer->unlink();
    if (!opened.ok()) return opened.error();
  }
  drop_settled_writers();
  writers.push_back(std::move(writer));
  return writers.back().get();
}

// A file that does not grow any more is let go when its last block was committed or given back;
// one without a name is closed with it.
void Pool::State::drop_settled_writers() {
  std::erase_if(writers, [this](const std::unique_ptr<SegmentWriter>& writer) {
    if (writer->uncommitted() > 0) return false;
    if (!options.kept) readers.close(writer->number());
    return true;
  });
}

Result<const io::File*> Pool::State::file_of(const SegmentWriter& writer) {
  std::lock_guard lock(mutex);
  const io::File* const file = readers.blocks(writer.number());
  if (file == nullptr)
    return fail(ErrorKind::io, fmt::format("{}: cannot be read", writer.path().native()));
  return file;
}

Result<void> Pool::State::evict_for(std::uint64_t bytes) {
  // What this process used counts too.
  if (!writers.empty() && !writers.back()->broken()) append_notes(*writers.back());
  const auto writer = [this](std::uint64_t number) { return writer_of(number); };
  const auto reading = [this](std::uint64_t number) {
    std::lock_guard lock(mutex);
    return readers.records(number);
  };
  const auto claim = [this](const Digest& id, std::uint64_t number, std::uint64_t offset) {
    std::lock_guard lock(mutex);
    if (in_use.contains(id)) return false;
    index.erase_at(id, number, offset);
    return true;
  };
  const auto forget = [this](std::uint64_t number) {
    std::lock_guard lock(mutex);
    readers.close(number);
  };
  const EvictionView view{.writer = writer, .reading = reading, .claim = claim, .forget = forget};
  EvictionGoal goal;
  goal.bytes = bytes + std::min(kMostEvictedAhead, cap_bytes / kEvictedAheadShare);
  OLLM_TRY(const Evicted evicted,
           evict(options.folder, goal, options.index_bytes / kEvictionShare, view, calls));
  std::lock_guard lock(mutex);
  counters.blocks_evicted += evicted.blocks;
  return {};
}

Result<void> Pool::State::measure_room(std::uint64_t bytes) {
  // What is not kept counts to no cap.
  const std::uint64_t cap =
      options.kept ? options.cap_bytes : std::numeric_limits<std::uint64_t>::max();
  OLLM_TRY(DiskRoom now, disk_room(options.folder, cap, options.free_share, calls));
  cap_bytes = now.cap_bytes;
  // Records, notes and the pages before stripes come on top of blocks.
  now.used_bytes += std::min(kMostMargin, cap_bytes / kMarginShare);
  room = std::min(now.left(), std::max(kMeasuredBytes, bytes));
  if (room >= bytes) return {};
  return fail(ErrorKind::out_of_budget,
              fmt::format("{}: no room for {} bytes: {} of {} that may be kept are used, {} are "
                          "free on the disk and {} stay free",
                          options.folder.native(), bytes, now.used_bytes, now.cap_bytes,
                          now.free_bytes, now.kept_free_bytes));
}

Result<void> Pool::State::make_room(std::uint64_t bytes) {
  if (bytes > room) {
    Result<void> measured = measure_room(bytes);
    if (!measured.ok() && measured.error().kind == ErrorKind::out_of_budget && options.kept) {
      if (places_without_eviction > 0) {
        --places_without_eviction;
        return measured;
      }
      OLLM_TRY_VOID(evict_for(bytes));
      measured = measure_room(bytes);
      if (!measured.ok()) places_without_eviction = kPlacesWithoutEviction;
    }
    if (!measured.ok()) return measured;
  }
  room -= bytes;
  return {};
}

Result<BlockPlace> Pool::State::place_once(std::uint32_t layers, std::uint32_t part_bytes,
                                           const BlockPlace& before, bool alone) {
  BlockPlace place;
  // The first file that is taken is the one whose stripe is to be gone on with, where it is free.
  if (options.kept && writers.empty() && before)
    OLLM_TRY_VOID(writer_with_room(kPageBytes, before.file_number));
  SegmentWriter* writer = writer_of(before.file_number);
  const std::optional<BlockPlace> behind =
      writer != nullptr && !alone ? writer->place_behind(before) : std::nullopt;
  if (behind && behind->layers == layers && behind->part_bytes == part_bytes) {
    place = *behind;
  } else {
    const std::uint64_t capacity = alone ? 1 : ceil_div(options.stripe_part_bytes, part_bytes);
    const auto blocks = static_cast<std::uint32_t>(std::max<std::uint64_t>(capacity, 1));
    OLLM_TRY(writer, writer_with_room(SegmentWriter::stripe_bytes(layers, part_bytes, blocks)));
    OLLM_TRY(place, writer->place_in_new_stripe(layers, part_bytes, blocks));
  }
  OLLM_TRY(place.file, file_of(*writer));
  return place;
}

Result<BlockPlace> Pool::place(std::uint32_t layers, std::uint32_t part_bytes,
                               const BlockPlace& before, bool alone) {
  if (state_->in_child()) return after_fork();
  if (layers == 0 || layers > kMaxLayers || part_bytes == 0 || part_bytes % kPageBytes != 0 ||
      std::uint64_t{layers} * (part_bytes + state_->options.stripe_part_bytes) > kMaxStripeBytes)
    return fail(
        ErrorKind::invalid_argument,
        fmt::format("a block of {} layers of {} bytes cannot be stored", layers, part_bytes));
  const std::uint64_t bytes = SegmentWriter::stripe_bytes(layers, part_bytes, 1);
  OLLM_TRY_VOID(state_->make_room(bytes));
  Result<BlockPlace> place = state_->place_once(layers, part_bytes, before, alone);
  // The file system may be fuller than it says: quotas.
  if (place.ok() || place.error().kind != ErrorKind::out_of_budget || !state_->options.kept)
    return place;
  OLLM_TRY_VOID(state_->evict_for(bytes));
  return state_->place_once(layers, part_bytes, before, alone);
}

Result<std::vector<Checksum>> Pool::write(const BlockPlace& place, const std::byte* parts,
                                          std::size_t memory_stride) {
  State& state = *state_;
  if (state.in_child()) return after_fork();
  SegmentWriter* const writer = state.writer_of(place.file_number);
  if (writer == nullptr || writer->broken())
    return fail(ErrorKind::io,
                fmt::format("file {} is not written to any more", segment_name(place.file_number)));
  std::vector<Checksum> checksums;
  checksums.reserve(place.layers);
  for (std::uint32_t layer = 0; layer < place.layers; ++layer) {
    const std::uint64_t offset = place.offset + layer * place.stride;
    const std::span part(parts + layer * memory_stride, place.part_bytes);
    if (auto written = writer->write(offset, part); !written.ok()) {
      writer->punch(place);
      return std::move(written).error();
    }
    checksums.push_back(checksum_at(place.file_number, offset, part));
  }
  const std::uint64_t bytes = std::uint64_t{place.layers} * place.part_bytes;
  state.cached_bytes += bytes;
  // Nothing syncs a file that is not kept, so that its pages would stay until memory is short.
  if (!state.options.kept && state.cached_bytes >= kCachedBytes) {
    writer->drop_cached(0, writer->end());
    state.cached_bytes = 0;
  }
  std::lock_guard lock(state.mutex);
  state.counters.bytes_written += bytes;
  return checksums;
}

bool Pool::holds(const BlockPlace& place, std::uint32_t layer, const Checksum& checksum,
                 const std::byte* bytes) {
  return checksum_at(place.file_number, place.offset + layer * place.stride,
                     {bytes, place.part_bytes}) == checksum;
}

void Pool::give_back(const BlockPlace& place) {
  State& state = *state_;
  if (state.in_child()) return;
  std::lock_guard lock(state.mutex);
  SegmentWriter* const writer = state.writer_of(place.file_number);
  if (writer == nullptr) return;
  if (const auto found = state.unlinked.find({place.file_number, place.offset});
      found != state.unlinked.end()) {
    state.index.erase_at(found->second, place.file_number, place.offset);
    state.unlinked.erase(found);
  }
  writer->punch(place);
  writer->settle(1);
}

// ---- committing --------------------------------------------------------------------------------

// What one call commits in one file.
struct Pool::State::Commit {
  SegmentWriter* writer = nullptr;
  SegmentWriter::Mark before;  // where the file ended
  bool appended = false;
  std::vector<BlockRecord> records;
  std::vector<std::vector<std::byte>> items;  // as they were written
};

Stamp Pool::State::next_stamp() {
  std::lock_guard lock(mutex);
  return {.sequence = next_sequence++, .time_s = std::time(nullptr)};
}

Result<void> Pool::State::append_commit(Commit& commit) {
  std::span<const BlockRecord> left(commit.records);
  while (!left.empty()) {
    const std::size_t count = records_in_one_commit(left);
    const Stamp stamp = next_stamp();
    commit.items.push_back(encode_commit(commit.writer->number(), commit.writer->end(), stamp,
                                         *fingerprint, left.first(count)));
    OLLM_TRY_VOID(commit.writer->append(commit.items.back()));
    left = left.subspan(count);
  }
  return {};
}

// Hints for who opens the file next; those that cannot be written wait for the next time.
void Pool::State::append_notes(SegmentWriter& writer) {
  std::vector<GoneBlock> blocks;
  std::vector<Digest> ids;
  const Stamp stamp = next_stamp();
  {
    std::lock_guard lock(mutex);
    blocks.swap(new_gone);
    ids.swap(new_uses);
  }
  const auto pieces = [&](auto& list, auto& queue, auto encode) {
    while (!list.empty()) {
      const std::size_t count = std::min(kMaxNoteEntries, list.size());
      if (!writer.append(encode(std::span(list).first(count))).ok()) break;
      list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(count));
    }
    std::lock_guard lock(mutex);
    queue.insert(queue.end(), list.begin(), list.end());
  };
  pieces(blocks, new_gone, [&](std::span<const GoneBlock> some) {
    return encode_gone(writer.number(), writer.end(), stamp, some);
  });
  pieces(ids, new_uses, [&](std::span<const Digest> some) {
    return encode_uses(writer.number(), writer.end(), stamp, some);
  });
}

void Pool::State::take_in_committed(const Commit& commit) {
  std::uint64_t offset = commit.before.end;
  for (const std::vector<std::byte>& item : commit.items) {
    const auto header = decode_item_header(item, commit.writer->number(), offset);
    OLLM_CHECK(header.has_value());
    take_in(*header, item);
    offset = header->end();
    counters.bytes_written += item.size();
  }
  readers.mark_shown(commit.writer->number(), commit.writer->end());
  commit.writer->settle(commit.records.size());
  counters.blocks_committed += commit.records.size();
  for (const BlockRecord& record : commit.records) ++in_use[record.id];
}

Result<void> Pool::State::commit(std::span<const BlockRecord> records) {
  std::vector<Commit> commits;
  for (const auto& writer : writers) {
    Commit commit;
    commit.writer = writer.get();
    commit.before = writer->mark();
    for (const BlockRecord& record : records)
      if (record.place.file_number == writer->number()) commit.records.push_back(record);
    if (!commit.records.empty()) commits.push_back(std::move(commit));
  }
  std::size_t count = 0;
  for (const Commit& commit : commits) {
    count += commit.records.size();
    OLLM_TRY_VOID(commit.writer->check_not_broken());
  }
  if (count != records.size())
    return fail(ErrorKind::invalid_argument, "blocks of a file that this process does not write");

  const auto all = [&]() -> Result<void> {
    for (Commit& commit : commits) OLLM_TRY_VOID(commit.writer->sync());
    for (Commit& commit : commits) {
      commit.appended = true;
      OLLM_TRY_VOID(append_commit(commit));
    }
    append_notes(*commits.back().writer);
    for (Commit& commit : commits) OLLM_TRY_VOID(commit.writer->sync());
    return {};
  };
  if (auto done = all(); !done.ok()) {
    for (Commit& commit : commits)
      if (commit.appended) commit.writer->cut(commit.before);
    return done;
  }
  for (const Commit& commit : commits) {
    std::uint64_t first = commit.before.end;
    for (const BlockRecord& record : commit.records) first = std::min(first, record.place.offset);
    commit.writer->drop_cached(first, commit.before.end - first);
    std::lock_guard lock(mutex);
    take_in_committed(commit);
  }
  return {};
}

Result<void> Pool::commit(std::span<const BlockRecord> records) {
  State& state = *state_;
  if (state.in_child()) return after_fork();
  if (!state.fingerprint)
    return fail(ErrorKind::invalid_argument, "blocks cannot be committed without a fingerprint");
  if (records.empty()) return {};
  if (state.options.kept) return state.commit(records);
  std::lock_guard lock(state.mutex);
  for (const BlockRecord& record : records) {
    if (state.index.add_with_record(record))
      state.unlinked.emplace(State::PlaceKey(record.place.file_number, record.place.offset),
                             record.id);
    ++state.in_use[record.id];
  }
  state.counters.blocks_committed += records.size();
  return {};
}

// ---- afterwards --------------------------------------------------------------------------------

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

void Pool::State::close() {
  if (!options.kept) return;
  if (!new_gone.empty() || !new_uses.empty()) {
    auto writer = writer_with_room(kPageBytes);
    if (writer.ok()) append_notes(**writer);
  }
  for (const auto& writer : writers) writer->close_uncommitted();
}

}  // namespace ollm::kv
