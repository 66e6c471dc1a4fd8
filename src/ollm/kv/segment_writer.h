// One segment file that this process appends to: space for blocks, items behind each other, syncs,
// and what becomes of it when the disk is full or a sync fails. Leaves to others: which file is
// taken (pool.cc), what is evicted (eviction.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/descriptor.h"
#include "ollm/io/system_calls.h"
#include "ollm/kv/record.h"
#include "ollm/kv/segment_scan.h"

namespace ollm::kv {

/// Holds the file's lock as long as it lives. One thread at a time, but for `punch`,
/// `settle` and `give_back_all`.
class SegmentWriter {
 public:
  /// A new file with a random number; one that is not `kept` has no lock, as its name is to be
  /// taken from it with `unlink`. Errors: out_of_budget, io.
  static Result<std::unique_ptr<SegmentWriter>> create(const std::filesystem::path& folder,
                                                       bool kept, io::SystemCalls& calls);

  /// A file that is there, cut behind its last committed item, with each of its items shown to
  /// `visit`; nothing where another process appends to it or it is none that may be written to.
  /// Errors: io.
  static Result<std::unique_ptr<SegmentWriter>> adopt(const std::filesystem::path& folder,
                                                      std::uint64_t number, VisitItem visit,
                                                      io::SystemCalls& calls);

  std::uint64_t number() const { return number_; }
  const std::filesystem::path& path() const { return path_; }
  /// Where the next item will stand: the file's size, as its holes count.
  std::uint64_t end() const { return ends_.end; }
  /// Whether a sync failed: nothing is written to it any more.
  bool broken() const { return broken_; }
  /// Errors: io, where it is.
  Result<void> check_not_broken() const;
  /// Blocks that were placed and are neither committed nor given back.
  std::uint64_t uncommitted() const { return uncommitted_; }

  /// Space behind `before`, where that is the last of a stripe with room for one more like it.
  std::optional<BlockPlace> place_behind(const BlockPlace& before);
  /// Space in a new stripe for `capacity` blocks. Errors: out_of_budget, io.
  Result<BlockPlace> place_in_new_stripe(std::uint32_t layers, std::uint32_t part_bytes,
                                         std::uint32_t capacity);
  static std::uint64_t stripe_bytes(std::uint32_t layers, std::uint32_t part_bytes,
                                    std::uint32_t capacity);

  /// Writes bytes of a block that was placed. Errors: out_of_budget, io.
  Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Asks the page cache to write back what stands there, and to forget what is written back.
  void drop_cached(std::uint64_t offset, std::uint64_t bytes);

  /// Writes an item that was encoded for end(). Its first page is written last, so that who reads
  /// the file meanwhile finds the item whole or not at all. Nothing of it is left after an error.
  /// Errors: out_of_budget, io.
  Result<void> append(std::span<const std::byte> item);
  /// What was appended so far, to go back to.
  struct Mark {
    std::uint64_t end = kPageBytes;
    std::uint64_t committed_end = kPageBytes;  // behind the last item that is no stripe
  };
  Mark mark() const { return ends_; }
  /// Forgets what was appended since.
  void cut(const Mark& mark);

  /// Makes durable what was written; the folder too, where the file is new. After an error the file
  /// is broken. Errors: out_of_budget, io.
  Result<void> sync();

  /// That so many blocks were committed or given back.
  void settle(std::uint64_t blocks) { uncommitted_ -= blocks; }

  /// Gives back the space of a block; false where the file system cannot.
  bool punch(const BlockPlace& place);

  /// Gives back the space of all blocks: none is needed any more, and none will be placed.
  void give_back_all();

  /// Takes the name from the file, and removes its lock.
  void unlink();
  /// Gives back what was never committed, where no block is needed any more that was not: the whole
  /// file where nothing else is in it.
  void close_uncommitted();

 private:
  // Space for some blocks: layer l of block b at data + l * capacity * part_bytes + b * part_bytes.
  struct Stripe {
    std::uint64_t data = 0;
    std::uint32_t layers = 0;
    std::uint32_t part_bytes = 0;
    std::uint32_t capacity = 0;
    std::uint32_t used = 0;  // blocks that were placed in it; none is placed twice
    std::vector<bool> live;  // while the file is taken over: those that are committed
  };

  SegmentWriter(std::filesystem::path folder, std::uint64_t number, io::SystemCalls& calls);
  Result<void> make_file();
  Result<void> open_file(int more_flags);
  Result<void> cut_uncommitted(std::uint64_t committed_end);
  Result<void> sync_folder();
  void take_in(const ItemHeader& header, std::span<const std::byte> item);
  void mark(const BlockPlace& place, bool live);
  Stripe* stripe_of(std::uint64_t offset);
  BlockPlace place_in(const Stripe& stripe, std::uint64_t offset) const;
  BlockPlace take_block(Stripe& stripe);
  bool punch_unclaimed(const Stripe& stripe);
  bool punch(std::uint64_t offset, std::uint64_t bytes);

  std::filesystem::path folder_;
  std::filesystem::path path_;
  std::uint64_t number_;
  io::SystemCalls* calls_;
  io::Descriptor lock_;
  io::Descriptor file_;
  Mark ends_;
  std::atomic<std::uint64_t> uncommitted_ = 0;
  std::vector<Stripe> stripes_;  // with room for more, by data
  bool folder_synced_ = true;
  bool broken_ = false;
};

/// Notes in the file that these blocks are not to be found any more, and makes it durable.
/// Errors: as append and sync.
Result<void> append_gone(SegmentWriter& writer, std::span<const GoneBlock> blocks,
                         const Stamp& stamp);

}  // namespace ollm::kv
