#include "ollm/weights/loads.h"

#include <algorithm>
#include <utility>

#include "ollm/io/slot_ring.h"

namespace ollm::weights {
namespace {

// Gaps up to here are read through: a further read costs more than the bytes (norms between the
// projections of a layer).
constexpr std::uint64_t kGapBytes = 16 << 10;

// Items of one load: a bound for the arithmetic below.
constexpr std::size_t kMostItems = 256;

}  // namespace

Laid lay_out(std::span<const LoadItem> items, std::size_t read_bytes) {
  if (items.size() == 1) {  // most loads of a large model
    const FileExtent& extent = items[0].extent;
    const io::SlotRing::Options ring{.read_bytes = read_bytes};
    return {{extent},
            {io::SlotRing::lead_bytes(extent.offset_bytes)},
            io::SlotRing::space_bytes(extent.offset_bytes, extent.size_bytes),
            io::SlotRing::reads(ring, extent.offset_bytes, extent.size_bytes)};
  }
  std::vector<std::size_t> order(items.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const FileExtent &left = items[a].extent, &right = items[b].extent;
    return std::pair(left.file, left.offset_bytes) < std::pair(right.file, right.offset_bytes);
  });
  Laid out;
  out.places.resize(items.size());
  std::vector<std::size_t> extent_of(items.size());
  for (const std::size_t i : order) {
    const FileExtent& item = items[i].extent;
    if (!out.extents.empty()) {
      FileExtent& last = out.extents.back();
      const std::uint64_t end = last.offset_bytes + last.size_bytes;
      if (last.file == item.file && item.offset_bytes <= end + kGapBytes) {
        const std::uint64_t new_end = std::max(end, item.offset_bytes + item.size_bytes);
        last.size_bytes = new_end - last.offset_bytes;
        extent_of[i] = out.extents.size() - 1;
        continue;
      }
    }
    extent_of[i] = out.extents.size();
    out.extents.push_back(item);
  }
  std::vector<std::uint64_t> begin(out.extents.size());
  const io::SlotRing::Options ring{.read_bytes = read_bytes};
  for (std::size_t e = 0; e < out.extents.size(); ++e) {
    const FileExtent& extent = out.extents[e];
    begin[e] = out.bytes;
    out.bytes += io::SlotRing::space_bytes(extent.offset_bytes, extent.size_bytes);
    out.reads += io::SlotRing::reads(ring, extent.offset_bytes, extent.size_bytes);
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    const FileExtent& extent = out.extents[extent_of[i]];
    out.places[i] = begin[extent_of[i]] + io::SlotRing::lead_bytes(extent.offset_bytes) +
                    items[i].extent.offset_bytes - extent.offset_bytes;
  }
  return out;
}

void add_loads(std::span<LoadItem> items, std::uint64_t slot_bytes, std::size_t read_bytes,
               Loads& loads) {
  for (std::size_t first = 0; first < items.size();) {
    std::size_t count = 1;
    Laid laid = lay_out(items.subspan(first, 1), read_bytes);
    std::uint64_t bytes = items[first].extent.size_bytes;
    while (first + count < items.size() && count < kMostItems) {
      bytes += items[first + count].extent.size_bytes;
      if (bytes > slot_bytes) break;  // items do not overlap: nothing to lay out
      Laid more = lay_out(items.subspan(first, count + 1), read_bytes);
      if (more.bytes > slot_bytes || more.reads > kMostReads) break;
      laid = std::move(more);
      ++count;
    }
    const auto load = static_cast<std::uint32_t>(loads.loads.size());
    loads.loads.push_back({static_cast<std::uint32_t>(loads.extents.size()),
                           static_cast<std::uint32_t>(laid.extents.size())});
    loads.extents.insert(loads.extents.end(), laid.extents.begin(), laid.extents.end());
    loads.largest_bytes = std::max(loads.largest_bytes, laid.bytes);
    loads.most_reads = std::max(loads.most_reads, laid.reads);
    for (std::size_t i = 0; i < count; ++i) {
      items[first + i].place = laid.places[i];
      items[first + i].load = load;
    }
    first += count;
  }
}

}  // namespace ollm::weights
