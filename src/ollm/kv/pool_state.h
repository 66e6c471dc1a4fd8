// What a pool holds: of the thread that writes, and behind a mutex of all of them. Found in
// pool.cc, placed and written in pool_writing.cc, committed in pool_commit.cc.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ollm/kv/block_index.h"
#include "ollm/kv/pool.h"
#include "ollm/kv/record.h"
#include "ollm/kv/segment_readers.h"
#include "ollm/kv/segment_writer.h"

namespace ollm::kv {

/// The error of every call in a child of the process that opened the pool.
Error after_fork();

struct Pool::State {
  /// Of the memory for the index, what an eviction takes while it runs, as a divisor.
  static constexpr std::size_t kEvictionShare = 4;
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
  std::uint64_t room = 0;  // bytes that may be written before it is measured again
  bool went_above_cap = false;
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
  std::vector<BlockPlace> holes;        // given back, of files without names
  std::uint64_t hole_bytes = 0;         // of them
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
  void make_holes(std::uint64_t at_least);
  Result<const io::File*> file_of(const SegmentWriter& writer);

  Result<void> measure_room(std::uint64_t bytes, bool within_cap = true);
  Result<void> make_room(std::uint64_t bytes, bool needed);
  void evict_above_cap();
  Result<void> evict_for(std::uint64_t bytes);
  Result<BlockPlace> place_once(std::uint32_t layers, std::uint32_t part_bytes,
                                const BlockPlace& before, bool alone);

  struct Commit;
  Result<void> commit(std::span<const BlockRecord> records);
  std::optional<Digest> known_fingerprint() const;
  Stamp next_stamp();
  Result<void> append_commit(Commit& commit);
  void append_notes(SegmentWriter& writer);
  void take_in_committed(const Commit& commit);
  void close();
};

}  // namespace ollm::kv
