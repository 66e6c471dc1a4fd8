// The one thread that writes to a pool, so that sweeps wait for no disk. Leaves to others: which
// blocks are written and when they are committed (store.h), files (pool.h).
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "ollm/backend/kv_codes.h"
#include "ollm/base/result.h"
#include "ollm/base/thread.h"
#include "ollm/kv/pool.h"

namespace ollm::kv {

/// Jobs are done one after the other, in the order in which they were given. Where the system gives
/// no thread, each is done at once by who gives it.
class BlockWriter {
 public:
  /// `pool` must outlive it, and so must memory for the codes of a block of the most bytes; none
  /// where no write is `as_codes`.
  BlockWriter(Pool& pool, const backend::KvCodes& codes, std::byte* code_memory);
  /// Does all that was given, then ends.
  ~BlockWriter();
  BlockWriter(const BlockWriter&) = delete;
  BlockWriter& operator=(const BlockWriter&) = delete;

  /// A block's layers, `memory_stride` bytes apart, which stay as they are until it is done.
  struct Write {
    const std::byte* parts = nullptr;
    std::size_t memory_stride = 0;
    std::uint32_t layers = 0;
    std::uint32_t part_bytes = 0;  // that are written
    /// Where the parts are written as int8 codes: how they are laid out, and the tiles of each.
    struct Codes {
      const backend::KvLayout* layout = nullptr;
      std::size_t tiles = 0;
    };
    Codes as_codes;
    /// Behind which block it stands best: one that was placed, or the write of this ticket.
    BlockPlace before;
    std::uint64_t before_ticket = 0;
    bool alone = false;   // no block is to follow it
    bool needed = false;  // memory has no room for it
  };
  std::uint64_t write(const Write& write);
  std::uint64_t commit(std::vector<BlockRecord> records);

  /// What became of a job.
  struct Done {
    std::uint64_t ticket = 0;
    bool commit = false;
    Result<void> result;
    BlockPlace place;                  // of a write
    std::vector<Checksum> checksums;   // of a write
    std::vector<BlockRecord> records;  // of a commit
  };
  /// The next that is done, in their order; nothing where none is.
  std::optional<Done> poll();
  /// Sleeps until one is done; nothing where there is no job.
  std::optional<Done> wait();

 private:
  struct Job {
    std::uint64_t ticket = 0;
    std::optional<Write> write;
    std::vector<BlockRecord> records;  // of a commit
  };
  void run();
  Done perform(Job job);
  const std::byte* encode(const Write& write);
  std::uint64_t give(Job job);

  Pool& pool_;
  const backend::KvCodes codes_;
  std::byte* const code_memory_;
  // of who performs: the places of the last writes, of any group and line
  struct Placed {
    std::uint64_t ticket = 0;
    BlockPlace place;
  };
  static constexpr std::size_t kRecent = 64;
  std::array<Placed, kRecent> recent_{};

  std::mutex mutex_;
  std::condition_variable given_;
  std::condition_variable done_;
  // Guarded by mutex_.
  std::deque<Job> jobs_;
  std::deque<Done> finished_;
  std::uint64_t tickets_ = 0;
  bool busy_ = false;
  bool ends_ = false;
  std::optional<Thread> thread_;
};

}  // namespace ollm::kv
