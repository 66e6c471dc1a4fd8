// Memory that is filled from files while the caller computes: slots, each with a list of extents
// under way. Leaves to others: in which order slots are used (weights/, kv/) and how a single read
// is made (async_reads.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/async_reads.h"
#include "ollm/io/file.h"

namespace ollm::io {

/// Some bytes of a file, at any offset.
struct Extent {
  const File* file = nullptr;
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
};

/// The part of `memory` that a ring can use: from the first page border on.
std::span<std::byte> aligned_for_reads(std::span<std::byte> memory);

/// Slots of equal size. The caller begins a slot, computes, waits for the slot, uses its bytes and
/// begins it again. One thread at a time.
///
/// Direct reads want whole aligned pieces: an extent is read from the page that it begins in to the
/// page that it ends in, and lies in its slot as it does in its page. Short reads, EINTR and EAGAIN
/// are read on from where they stopped. An error that may be the queue's own (a thread that ends
/// takes the reads that it began with it) is asked of the file once more, by pread. After an error
/// of one slot the others go on.
class ReadRing {
 public:
  struct Options {
    std::size_t slots = 0;
    std::size_t slot_bytes = 0;                     // a multiple of File::kDirectAlignment
    std::size_t read_bytes = std::size_t{2} << 20;  // of one read, about; the same multiple
    std::size_t most_reads = 64;                    // of one slot
  };

  /// Bytes that an extent takes of a slot, and where in them its first byte lies.
  static std::uint64_t space_bytes(std::uint64_t offset_bytes, std::uint64_t size_bytes);
  static std::size_t lead_bytes(std::uint64_t offset_bytes);
  /// Reads that an extent takes.
  static std::size_t reads(const Options& options, std::uint64_t offset_bytes,
                           std::uint64_t size_bytes);

  /// `memory` [slots * slot_bytes], aligned to File::kDirectAlignment, must outlive the ring.
  ReadRing(const Options& options, std::span<std::byte> memory, std::unique_ptr<AsyncReads> reads);
  ~ReadRing();

  /// Begins to read the extents, one behind another, each at a multiple of kDirectAlignment; their
  /// spaces fit into the slot. What was under way in the slot is waited for first.
  void begin(std::size_t slot, std::span<const Extent> extents);

  /// Sleeps until all of the slot's extents are there; its memory, all of it.
  /// Errors, naming file and byte: io; corrupt where a file ended first.
  Result<const std::byte*> wait(std::size_t slot);

  /// Waits for everything under way, and forgets what came of it.
  void drain();

  /// What reads now.
  ReadMethod method() const { return reads_->method(); }

  /// So far: bytes that were read, seconds that `wait` slept, and seconds of CPU that reading took,
  /// on this thread and on those of its own.
  std::uint64_t bytes_read() const { return bytes_read_; }
  double wait_seconds() const { return wait_seconds_; }
  double cpu_seconds() const { return cpu_seconds_ + reads_->own_cpu_seconds(); }

 private:
  struct Read;
  struct Slot;

  void submit_waiting();
  void take(const ReadDone& done);
  void take_one();

  const Options options_;
  const std::span<std::byte> memory_;
  const std::unique_ptr<AsyncReads> reads_;
  std::vector<Slot> slots_;
  std::vector<Read> table_;             // slots * most_reads
  std::vector<std::uint32_t> free_;     // entries of table_ that are not in use
  std::vector<std::uint32_t> waiting_;  // entries not yet under way, a queue of fixed capacity
  std::size_t waiting_first_ = 0;
  std::size_t waiting_count_ = 0;
  std::size_t under_way_ = 0;

  std::uint64_t bytes_read_ = 0;
  double wait_seconds_ = 0;
  double cpu_seconds_ = 0;
};

}  // namespace ollm::io
