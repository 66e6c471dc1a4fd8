// Blocks of keys and values on disk: files in one folder that several processes share, in which a
// block is found by what it is the KV of. Leaves to others: which blocks are kept and when
// (store.h), what is in them (backend/kv_layout.h), how they are read in a sweep (block_reads.h).
// docs/formats/kv.md describes the files byte by byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/base/sha256.h"
#include "ollm/base/token_id.h"
#include "ollm/io/file.h"
#include "ollm/io/system_calls.h"

namespace ollm::kv {

/// XXH3-128 of some bytes of a block, seeded by their place (file and offset), so that bytes that
/// were written or read elsewhere do not pass.
struct Checksum {
  std::uint64_t low = 0, high = 0;
  friend bool operator==(const Checksum&, const Checksum&) = default;
};

/// The name of a line's beginning: SHA-256 of the salt. The parent of a line's first block.
Digest root_id(std::string_view salt = {});

/// The name of a block: SHA-256 of the fingerprint of all that its numbers depend on beside the
/// tokens, its group of layers, the block before it, and its tokens.
Digest block_id(const Digest& fingerprint, std::uint32_t group, const Digest& parent,
                std::span<const TokenId> tokens);

/// Where a block's bytes stand: layer l's part at offset + l * stride. All of it is a multiple of
/// io::File::kDirectAlignment.
struct BlockPlace {
  const io::File* file = nullptr;  // the pool's, open as long as the pool
  std::uint64_t file_number = 0;   // of the pool, for who asks it to go on behind this place
  std::uint64_t offset = 0;
  std::uint64_t stride = 0;
  std::uint32_t part_bytes = 0;  // of one layer
  std::uint32_t layers = 0;

  explicit operator bool() const { return file != nullptr; }
  friend bool operator==(const BlockPlace&, const BlockPlace&) = default;
};

/// What stands in a block.
enum class BlockKind : std::uint32_t {
  keys_and_values = 0,  // of its tokens
  states = 1,           // of recurrent layers behind its tokens
};

/// A block as it is committed: its name, what it is of, and where it stands.
struct BlockRecord {
  Digest id;
  Digest parent;
  std::uint32_t group = 0;
  std::vector<TokenId> tokens;
  BlockPlace place;
  std::vector<Checksum> checksums;  // of each layer's part
  BlockKind kind = BlockKind::keys_and_values;
};

struct PoolOptions {
  std::filesystem::path folder;  // "…/kv"; made with mode 0700 where it is not there
  /// Else the files have no names: nothing that stands there is read, and all of it is gone with
  /// the process.
  bool kept = true;
  io::Access access = io::Access::direct;  // of reads; buffered where that is not to be had
  std::uint64_t file_bytes = std::uint64_t{1} << 30;
  /// Space for as many blocks as make a layer's part of a stripe at least this, allocated at once:
  /// one layer of consecutive blocks is one read.
  std::uint64_t stripe_part_bytes = std::uint64_t{512} << 10;
  /// What may be kept after a run, and what of the file system stays free; `cap_bytes` 0: a tenth
  /// of the file system's size, at most 64 GiB.
  std::uint64_t cap_bytes = 0;
  double free_share = 0.05;
  /// Of the index in memory: blocks beyond are not found.
  std::size_t index_bytes = std::size_t{16} << 20;
};

/// What a pool did since it was opened.
struct PoolCounters {
  std::uint64_t bytes_written = 0;  // payload and records
  std::uint64_t blocks_committed = 0;
  std::uint64_t blocks_set_aside = 0;  // as they were not what their checksums say
  std::uint64_t blocks_evicted = 0;
};

/// One process's view of the folder. Any number of threads may look up at once; placing, writing
/// and committing is for one thread. In a child process after fork every call is refused.
class Pool {
 public:
  /// Makes or opens the folder; reads nothing of its files yet, and takes none for writing.
  /// Errors: invalid_argument for a folder of another user, or that others may write to, or a path
  /// with such a link at its end; io, not_found.
  static Result<std::unique_ptr<Pool>> open(PoolOptions options, io::SystemCalls& calls);
  ~Pool();

  /// From now on blocks of this fingerprint are found. Reads the records of all files that are
  /// there; a file that cannot be read, is of another version, is a link or of another user is
  /// passed over. To be called once, before the first `match` or `commit`.
  Result<void> set_fingerprint(const Digest& fingerprint);

  /// Takes in what other processes committed or evicted since. Errors: io.
  Result<void> refresh();

  /// The block of `group` behind `parent` that begins with the most of `tokens`, at least one;
  /// whole blocks before others, where they have as many. Its record is read and checked; one that
  /// is damaged is set aside and another taken. Nothing where there is none.
  struct Match {
    BlockRecord record;
    std::size_t common = 0;  // tokens that both begin with
  };
  /// `whole`: one of which all tokens are among the first of these.
  enum class Fit { beginning, whole };
  std::optional<Match> match(std::uint32_t group, const Digest& parent,
                             std::span<const TokenId> tokens, Fit fit = Fit::beginning);

  /// Space for a block of `layers` parts of `part_bytes`, a multiple of kDirectAlignment: behind
  /// `before` in its stripe where that is ours and has room, else in a new one. Evicts where the
  /// cap or the file system wants it.
  /// Errors: out_of_budget where the cap leaves no room or the disk is full (ENOSPC, EDQUOT,
  /// EFBIG); io.
  /// `alone`: no other block is to follow it, as it is not full. `needed`: memory has no room for
  /// it, so that the cap, which is of what is kept after a run, does not bound it; what is above
  /// the cap goes when the pool ends.
  Result<BlockPlace> place(std::uint32_t layers, std::uint32_t part_bytes, const BlockPlace& before,
                           bool alone = false, bool needed = false);

  /// Writes the parts, `memory_stride` bytes from one to the next in memory, and gives their
  /// checksums. May be read as soon as it returned. Errors: out_of_budget as above; io.
  Result<std::vector<Checksum>> write(const BlockPlace& place, const std::byte* parts,
                                      std::size_t memory_stride);

  /// Makes blocks durable and findable, in this order: what was written is synced, then the records
  /// are written and synced. Parents come before their children, in this call or an earlier one.
  /// Of a pool that is not kept: makes them findable in this process.
  /// Errors: io, out_of_budget; none of them is findable then, and the file is not written to any
  /// more after a failed sync.
  Result<void> commit(std::span<const BlockRecord> records);

  /// Gives back the space of a block that was placed and never committed.
  void give_back(const BlockPlace& place);

  /// Whether these bytes are what was written there.
  static bool holds(const BlockPlace& place, std::uint32_t layer, const Checksum& checksum,
                    const std::byte* bytes);

  /// A block whose bytes were read and are not what its checksums say, or cannot be read: it is
  /// not found any more, by no process. Without a place it is the one that `match` gives: there may
  /// be two of one name, which two processes computed at the same time.
  void set_aside(const Digest& id, const BlockPlace& place = {});

  /// A block that `match` gave or `commit` took is in use, and is not evicted by this process,
  /// until this was called as often.
  void release(const Digest& id);

  /// Notes that a line used the block and all before it: what was used last is evicted last.
  void used(const Digest& id);

  PoolCounters counters() const;

 private:
  struct State;
  explicit Pool(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ollm::kv
