// Where every segment of a tape lives: pinned in memory, or streamed, and then with which reads it
// comes. Pure arithmetic on the tensor index, the same for the plan and for the loader. Leaves to
// others: reading (tape.h, streamed_segments.h) and how many bytes may be pinned (plan/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/checkpoint/tensor_index.h"
#include "ollm/io/async_reads.h"
#include "ollm/io/file.h"
#include "ollm/io/slot_ring.h"
#include "ollm/tensor/weight_format.h"
#include "ollm/weights/expert_map.h"
#include "ollm/weights/loads.h"
#include "ollm/weights/tape_layout.h"

namespace ollm::weights {

/// What the plan chose.
struct Options {
  /// A segment holds as many whole rows as fit into this, at least one. It is the unit of pinning
  /// and of reading, so small that a layer of a 70B model never stands in memory whole.
  std::size_t segment_bytes = std::size_t{4} << 20;
  /// Bytes of segments that are pinned: read once and kept. The rest is streamed.
  std::uint64_t pinned_limit_bytes = std::numeric_limits<std::uint64_t>::max();
  /// Slots of the ring that are filled ahead, and the size of one read.
  std::size_t ring_slots = 8;
  std::size_t read_bytes = std::size_t{2} << 20;
  /// Experts that have room in memory at once; all where there are no more. At least as many as
  /// least_expert_slots.
  std::size_t expert_slots = std::numeric_limits<std::size_t>::max();
  /// Of them at most so many that experts pass through where not all have room (passing_slots).
  std::size_t most_passing_slots = 24;
  io::ReadMethod read_method = io::ReadMethod::threads;  // of the queue that the tape is given
  io::Access access = io::Access::buffered;
};

/// Some rows of one matrix: the unit that a linear layer consumes.
struct Segment {
  std::uint32_t matrix = 0;   // index into TapeLayout::matrices
  std::size_t first_row = 0;  // within the matrix
  std::size_t rows = 0;
  std::uint32_t file = 0;
  std::uint64_t offset_bytes = 0;  // in the file, at any byte
  std::uint64_t size_bytes = 0;
  FileExtent scales = {};  // of its rows; of no bytes: they have none
  bool pinned = true;
  std::uint64_t place = 0;         // pinned: byte of the storage; streamed: byte of its load's slot
  std::uint64_t scales_place = 0;  // the same of scales
  std::uint32_t load = 0;          // streamed: the load that brings it

  std::uint64_t held_bytes() const;  // in the storage, with its alignment
};

/// A vector: where it stands in its file, and where in the storage, widened to f32.
struct HeldVector {
  FileExtent extent;
  DType dtype = DType::f32;  // of the file
  std::uint64_t place = 0;   // byte of the storage
};

/// The part of a tape that one section is.
struct SectionPart {
  std::uint32_t first_load = 0;  // of the streamed ones, which stand together
  std::uint32_t loads = 0;
  std::uint64_t bytes = 0;         // of its matrices, wherever they are; none where it is gathered
  std::uint64_t stream_bytes = 0;  // of them, read from disk by each pass
};

struct TapeMap {
  std::vector<Segment> segments;             // by matrix, then by row
  std::vector<std::uint32_t> first_segment;  // of each matrix, and one behind the last
  std::vector<std::uint32_t> source;         // of each matrix: whose segments serve it
  std::vector<WeightFormat> formats;         // of each matrix
  std::vector<HeldVector> vectors;
  ExpertMap experts;

  Loads stream;                        // in the order of the layout; none holds two sections
  SectionPart parts[kSections];        // by Section
  std::uint64_t storage_bytes = 0;     // of everything pinned, with its alignment
  std::uint64_t held_bytes = 0;        // of them, what is always pinned: vectors, routers
  std::uint64_t pinned_bytes = 0;      // of the other matrices
  bool gathers_from_disk = false;      // some gathered rows are read one by one
  std::uint64_t gather_row_bytes = 0;  // of the longest

  const SectionPart& part(Section section) const {
    return parts[static_cast<std::size_t>(section)];
  }
  /// Of the matrices that a pass over all sections meets: wherever they are, and from disk.
  std::uint64_t sweep_bytes() const;
  std::uint64_t stream_bytes() const;
  bool all_pinned() const { return stream.loads.empty() && !gathers_from_disk; }
  std::span<const Segment> segments_of(std::uint32_t matrix) const {
    const std::uint32_t from = source[matrix];
    return {segments.data() + first_segment[from], first_segment[from + 1] - first_segment[from]};
  }
};

/// Which segments are pinned: all, if they fit into the limit; else as many of those that every
/// sweep reads, spread evenly over the sweep, so that reading never waits for a stretch of
/// computing. What is gathered is then left on disk: a sweep wants a few of its rows.
/// Errors: not_found where a tensor is missing; unsupported where its format is not built.
Result<TapeMap> map_tape(const checkpoint::TensorIndex& index, const TapeLayout& layout,
                         const Options& options);

/// Bytes of a slot, and reads, that one gathered row takes at most.
std::uint64_t gather_space(const TapeMap& map);
std::size_t gather_reads(const TapeMap& map, const Options& options);

/// The ring of a running tape: the slots that are filled ahead and, where rows are gathered from
/// disk, a last one for those. No slots where nothing is read.
io::SlotRing::Options ring_options(const TapeMap& map, const Options& options);

/// The ring that pinned bytes are read through while loading, and the largest slot of it.
io::SlotRing::Options load_ring_options(const Loads& loads, const Options& options);
std::uint64_t load_slot_bytes(const Options& options);

/// Bytes of a ring's memory.
std::uint64_t ring_bytes(const io::SlotRing::Options& ring);

/// Some bytes of a file and where in the storage they go.
struct PinnedExtent {
  FileExtent extent;
  std::uint64_t place = 0;
  std::uint32_t use = 0;  // index into the layout's matrices, and behind them its vectors
};
/// Everything that is pinned, in the order of the files, and the loads that bring it.
struct PinnedLoads {
  std::vector<PinnedExtent> wanted;
  std::vector<LoadItem> items;  // of each
  Loads loads;
};
PinnedLoads pinned_loads(const TapeMap& map, const Options& options);

/// What a tape charges: while it loads, and for as long as it streams.
std::uint64_t load_ring_bytes(const TapeMap& map, const Options& options);
std::uint64_t stream_bytes(const TapeMap& map, const Options& options);

}  // namespace ollm::weights
