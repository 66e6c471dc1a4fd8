// The streamed segments of a tape: reads that go ahead of the sweep, round and round. Leaves to
// others: which segments are streamed (tape_map.h) and how reads are made (io/slot_ring.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/file.h"
#include "ollm/io/slot_ring.h"
#include "ollm/memory/buffer.h"
#include "ollm/weights/tape_map.h"

namespace ollm::weights {

/// The extents of one load, in the files as they were opened; `out` keeps its memory.
void extents_of(const Loads& loads, std::uint32_t load, std::span<const io::File> files,
                std::vector<io::Extent>& out);

/// Owns the ring of one tape. One thread at a time; allocates nothing after `make`.
///
/// A pass uses its loads in order: wait, use, release. Reads run ahead by as many slots as the ring
/// has, over the end of a pass into the next one, as a sweep is mostly followed by another.
class StreamedSegments {
 public:
  /// `map`, `files` and `queue` must outlive it. Errors: out_of_budget.
  static Result<std::unique_ptr<StreamedSegments>> make(const TapeMap& map,
                                                        std::span<const io::File> files,
                                                        const Options& options,
                                                        memory::Budget& budget,
                                                        io::ReadQueue& queue);

  /// Begins to read for the first pass.
  void start();

  /// Begins a pass over the loads [0, loads). What an abandoned pass left under way is forgotten.
  void begin_pass(std::uint32_t loads);
  /// Sleeps until the load is there: the memory that Segment::place counts in. Loads are asked for
  /// in order, any number of times until the next is.
  /// Errors, naming file and byte: io, corrupt.
  Result<const std::byte*> wait(std::uint32_t load);
  /// That the pass came to its end; without it the next one starts afresh.
  void end_pass();

  /// Reads rows of the embedding into the slot that is kept for them, and waits: `extents` of
  /// gather_space each at most. Errors: as wait.
  Result<const std::byte*> gather(std::span<const io::Extent> extents);
  std::size_t gather_rows() const { return gather_rows_; }

  const io::SlotRing& ring() const { return *ring_; }

 private:
  StreamedSegments(const TapeMap& map, std::span<const io::File> files, const Options& options);
  void release();
  void fill();
  void begin_load(std::uint32_t load);

  // constant after make
  const TapeMap& map_;
  const std::span<const io::File> files_;
  const std::size_t slots_;
  std::size_t gather_slot_ = 0;
  std::size_t gather_rows_ = 0;  // at once

  memory::Buffer memory_;
  std::unique_ptr<io::SlotRing> ring_;
  std::vector<io::Extent> extents_;  // of the load that begins

  // Loads are counted on and on; the n-th lies in slot n % slots_.
  std::uint64_t begun_ = 0;
  std::uint64_t used_ = 0;        // released
  std::uint32_t next_begin_ = 0;  // the load that is begun next
  std::uint32_t next_use_ = 0;    // the first load of the pass that is not released
  std::uint32_t pass_loads_ = 0;
  bool ahead_ = false;   // begins are in the pass after this one
  bool inside_ = false;  // a pass is under way, or was abandoned
};

}  // namespace ollm::weights
