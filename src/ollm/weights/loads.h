// Which bytes of files are read together, and where they then lie: pure arithmetic. Leaves to
// others: what they are (tape_map.h, expert_map.h) and how they are read (io/slot_ring.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ollm::weights {

/// Bytes of one of the tensor index's files.
struct FileExtent {
  std::uint32_t file = 0;
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
};

/// What one slot of the ring is filled with at once: neighbours in the order of use, read in the
/// order of the file, with small gaps read through.
struct Load {
  std::uint32_t first_extent = 0;
  std::uint32_t extents = 0;
};

/// What is to be read: a caller gives extents, add_loads sets the rest.
struct LoadItem {
  FileExtent extent;
  FileExtent scales = {};   // that come with it, in the same load; of no bytes: none do
  std::uint64_t place = 0;  // of the item's first byte in the slot
  std::uint64_t scales_place = 0;
  std::uint32_t load = 0;
};

/// Items that share a slot.
struct Laid {
  struct Place {
    std::uint64_t data = 0, scales = 0;
  };
  std::vector<FileExtent> extents;
  std::vector<Place> places;  // of each item
  std::uint64_t bytes = 0;    // of the slot
  std::size_t reads = 0;
};

/// What is read together, in the order of use.
struct Loads {
  std::vector<FileExtent> extents;
  std::vector<Load> loads;
  std::uint64_t largest_bytes = 0;  // of a slot that holds any of them
  std::size_t most_reads = 0;       // of a slot

  std::span<const FileExtent> extents_of(std::uint32_t load) const {
    return {extents.data() + loads[load].first_extent, loads[load].extents};
  }
  /// One load more, behind the others; its number.
  std::uint32_t add(const Laid& laid);
};

/// Groups `items`, in their order, behind the loads that are there already; no load holds items of
/// two calls. A load takes at most `slot_bytes` unless one item alone is larger.
void add_loads(std::span<LoadItem> items, std::uint64_t slot_bytes, std::size_t read_bytes,
               Loads& loads);

/// Sorted by file and offset, small gaps read through.
Laid lay_out(std::span<const LoadItem> items, std::size_t read_bytes);

/// Reads of one load at most, as long as one item alone does not need more.
inline constexpr std::size_t kMostReads = 64;

}  // namespace ollm::weights
