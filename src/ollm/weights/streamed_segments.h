// The streamed segments of a tape: reads that go ahead of the sweep, round and round. Leaves to
// others: which segments are streamed (tape_map.h) and how reads are made (io/slot_ring.h).
#pragma once

#include <array>
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

/// The loads of a pass: those of its sections, in order.
class PassLoads {
 public:
  PassLoads() = default;
  PassLoads(const TapeMap& map, Sections sections);

  std::uint32_t count() const { return count_; }
  /// The n-th load of the pass, n < count().
  std::uint32_t at(std::uint32_t n) const;
  /// Where in the pass a load is; count() where it is not in it.
  std::uint32_t find(std::uint32_t load) const;

 private:
  struct Range {
    std::uint32_t first = 0, count = 0;
  };
  std::array<Range, kSections> ranges_{};  // ascending
  std::uint32_t count_ = 0;
};

/// Owns the ring of one tape. One thread at a time; allocates nothing after `make`.
///
/// A pass uses its loads in order: wait, use, release. Reads run ahead by as many slots as the ring
/// has, over the end of a pass into the next one, as a sweep is mostly followed by another. Which
/// sections that one runs is not known yet: it is taken for the swept one alone, and what a pass of
/// other sections does not begin with is dropped.
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

  /// Begins a pass over some sections. What an abandoned pass left under way is forgotten.
  void begin_pass(Sections sections);
  /// Sleeps until the load is there: the memory that Segment::place counts in. Loads of the pass
  /// are asked for in order, any number of times until the next is; some may be left out.
  /// Errors, naming file and byte: io, corrupt.
  Result<const std::byte*> wait(std::uint32_t load);
  /// That the pass came to its end; without it the next one starts afresh.
  void end_pass();

  /// Reads gathered rows into the slot that is kept for them, and waits: `extents` of
  /// gather_space each at most. Errors: as wait.
  Result<const std::byte*> gather(std::span<const io::Extent> extents);
  std::size_t gather_rows() const { return gather_rows_; }

  const io::SlotRing& ring() const { return *ring_; }

 private:
  StreamedSegments(const TapeMap& map, std::span<const io::File> files, const Options& options);
  bool begins_as_read_ahead(const PassLoads& pass) const;
  void forget();
  void release();
  void fill();
  void begin_load(std::uint32_t load);

  // constant after make
  const TapeMap& map_;
  const std::span<const io::File> files_;
  const std::size_t slots_;
  const PassLoads likely_;  // the pass that is read ahead for
  std::size_t gather_slot_ = 0;
  std::size_t gather_rows_ = 0;  // at once

  memory::Buffer memory_;
  std::unique_ptr<io::SlotRing> ring_;
  std::vector<io::Extent> extents_;  // of the load that begins

  // Loads are counted on and on; the n-th lies in slot n % slots_.
  std::uint64_t begun_ = 0;
  std::uint64_t used_ = 0;        // released
  PassLoads pass_;                // that is under way
  std::uint32_t next_use_ = 0;    // its first load that is not released
  std::uint32_t next_begin_ = 0;  // the load that is begun next, of this pass or the likely one
  bool ahead_ = false;            // begins are in the pass after this one
  bool inside_ = false;           // a pass is under way, or was abandoned
};

}  // namespace ollm::weights
