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

std::uint64_t size_of(const LoadItem& item) {
  return item.extent.size_bytes + item.scales.size_bytes;
}

}  // namespace

Laid lay_out(std::span<const LoadItem> items, std::size_t read_bytes) {
  const io::SlotRing::Options ring{.read_bytes = read_bytes};
  if (items.size() == 1 && items[0].scales.size_bytes == 0) {  // most loads of a large model
    const FileExtent& extent = items[0].extent;
    return {{extent},
            {{io::SlotRing::lead_bytes(extent.offset_bytes), 0}},
            io::SlotRing::space_bytes(extent.offset_bytes, extent.size_bytes),
            io::SlotRing::reads(ring, extent.offset_bytes, extent.size_bytes)};
  }
  struct Piece {
    FileExtent extent;
    std::uint64_t Laid::Place::* place;  // of its item's that is set
    std::size_t item;
    std::size_t in = 0;  // index of the extent that it is read with
  };
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < items.size(); ++i) {
    pieces.push_back({items[i].extent, &Laid::Place::data, i});
    if (items[i].scales.size_bytes != 0)
      pieces.push_back({items[i].scales, &Laid::Place::scales, i});
  }
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return std::pair(a.extent.file, a.extent.offset_bytes) <
           std::pair(b.extent.file, b.extent.offset_bytes);
  });
  Laid out;
  for (Piece& piece : pieces) {
    const FileExtent& item = piece.extent;
    FileExtent* last = out.extents.empty() ? nullptr : &out.extents.back();
    const std::uint64_t end = last == nullptr ? 0 : last->offset_bytes + last->size_bytes;
    if (last != nullptr && last->file == item.file && item.offset_bytes <= end + kGapBytes) {
      last->size_bytes = std::max(end, item.offset_bytes + item.size_bytes) - last->offset_bytes;
    } else {
      out.extents.push_back(item);
    }
    piece.in = out.extents.size() - 1;
  }
  std::vector<std::uint64_t> begin(out.extents.size());
  for (std::size_t e = 0; e < out.extents.size(); ++e) {
    const FileExtent& extent = out.extents[e];
    begin[e] = out.bytes;
    out.bytes += io::SlotRing::space_bytes(extent.offset_bytes, extent.size_bytes);
    out.reads += io::SlotRing::reads(ring, extent.offset_bytes, extent.size_bytes);
  }
  out.places.resize(items.size());
  for (const Piece& piece : pieces) {
    const FileExtent& extent = out.extents[piece.in];
    out.places[piece.item].*piece.place = begin[piece.in] +
                                          io::SlotRing::lead_bytes(extent.offset_bytes) +
                                          piece.extent.offset_bytes - extent.offset_bytes;
  }
  return out;
}

std::uint32_t Loads::add(const Laid& laid) {
  const auto number = static_cast<std::uint32_t>(loads.size());
  loads.push_back({static_cast<std::uint32_t>(extents.size()),
                   static_cast<std::uint32_t>(laid.extents.size())});
  extents.insert(extents.end(), laid.extents.begin(), laid.extents.end());
  largest_bytes = std::max(largest_bytes, laid.bytes);
  most_reads = std::max(most_reads, laid.reads);
  return number;
}

void add_loads(std::span<LoadItem> items, std::uint64_t slot_bytes, std::size_t read_bytes,
               Loads& loads) {
  for (std::size_t first = 0; first < items.size();) {
    std::size_t count = 1;
    Laid laid = lay_out(items.subspan(first, 1), read_bytes);
    std::uint64_t bytes = size_of(items[first]);
    while (first + count < items.size() && count < kMostItems) {
      bytes += size_of(items[first + count]);
      if (bytes > slot_bytes) break;  // items do not overlap: nothing to lay out
      Laid more = lay_out(items.subspan(first, count + 1), read_bytes);
      if (more.bytes > slot_bytes || more.reads > kMostReads) break;
      laid = std::move(more);
      ++count;
    }
    const std::uint32_t load = loads.add(laid);
    for (std::size_t i = 0; i < count; ++i) {
      items[first + i].place = laid.places[i].data;
      items[first + i].scales_place = laid.places[i].scales;
      items[first + i].load = load;
    }
    first += count;
  }
}

}  // namespace ollm::weights
