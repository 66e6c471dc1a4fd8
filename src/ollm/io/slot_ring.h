// Memory that is filled from files while the caller computes: slots, each with a list of extents
// under way. Leaves to others: in which order slots are used (weights/, kv/), in which order reads
// of several rings go to the disk, and what a short or failed one means (read_queue.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/file.h"
#include "ollm/io/read_queue.h"

namespace ollm::io {

/// Some bytes of a file, at any offset.
struct Extent {
  const File* file = nullptr;
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
};

/// The part of `memory` that a ring can use: from the first page border on.
std::span<std::byte> aligned_for_reads(std::span<std::byte> memory);

/// Slots of equal size, those of one client of a queue. The caller begins a slot, computes, waits
/// for the slot, uses its bytes and begins it again. One thread at a time, that of the queue.
///
/// Direct reads want whole aligned pieces: an extent is read from the page that it begins in to the
/// page that it ends in, and lies in its slot as it does in its page.
class SlotRing {
 public:
  struct Options {
    std::size_t slots = 0;
    std::size_t slot_bytes = 0;                     // a multiple of File::kDirectAlignment
    std::size_t read_bytes = std::size_t{2} << 20;  // of one read, about; the same multiple
    std::size_t most_reads = 64;                    // of one slot
  };

  /// Bytes of the tables of a ring beside its memory.
  static std::uint64_t table_bytes(const Options& options) {
    return std::uint64_t{options.slots} *
           (sizeof(ReadRequest) + options.most_reads * sizeof(QueuedRead));
  }

  /// Bytes that an extent takes of a slot, and where in them its first byte lies.
  static std::uint64_t space_bytes(std::uint64_t offset_bytes, std::uint64_t size_bytes);
  static std::size_t lead_bytes(std::uint64_t offset_bytes);
  /// Reads that an extent takes.
  static std::size_t reads(const Options& options, std::uint64_t offset_bytes,
                           std::uint64_t size_bytes);

  /// `memory` [slots * slot_bytes], aligned to File::kDirectAlignment, and the queue must outlive
  /// the ring; files must outlive it or its next `forget`.
  SlotRing(ReadQueue& queue, const Options& options, std::span<std::byte> memory);
  ~SlotRing();
  SlotRing(const SlotRing&) = delete;
  SlotRing& operator=(const SlotRing&) = delete;

  /// Begins to read the extents, one behind another, each at a multiple of kDirectAlignment; their
  /// spaces fit into the slot, their reads into Options::most_reads. What the slot was begun with
  /// before and nobody waited for is dropped.
  void begin(std::size_t slot, std::span<const Extent> extents,
             ReadPriority priority = ReadPriority::sweep);

  /// Sleeps until all of the slot's extents are there; its memory, all of it.
  /// Errors, naming file and byte: io; corrupt where a file ended first.
  Result<const std::byte*> wait(std::size_t slot);

  /// Takes back what of a slot's reads waits; what is under way need not arrive any more. The slot
  /// may be begun again at once, but that sleeps until it is `finished`.
  void give_up(std::size_t slot) { queue_.give_up(requests_[slot]); }
  /// Whether nothing of it waits or is under way, as far as the queue was asked.
  bool finished(std::size_t slot) const { return requests_[slot].finished(); }
  /// Sleeps until a slot that was given up is finished.
  void settle(std::size_t slot) { wait_seconds_ += queue_.drop(requests_[slot]); }

  /// Drops whatever waits or is under way, and forgets what came of it: no slot is begun.
  void forget();

  /// So far: bytes that were read into this ring, and seconds that the caller slept for it.
  std::uint64_t bytes_read() const;
  /// The same of one slot.
  std::uint64_t bytes_read(std::size_t slot) const { return requests_[slot].bytes_read(); }
  double wait_seconds() const { return wait_seconds_; }

 private:
  const Options options_;
  const std::span<std::byte> memory_;
  ReadQueue& queue_;
  std::vector<ReadRequest> requests_;  // of each slot
  std::vector<QueuedRead> reads_;      // of each slot, most_reads
  double wait_seconds_ = 0;
};

}  // namespace ollm::io
