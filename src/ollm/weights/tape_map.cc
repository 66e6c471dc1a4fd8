#include "ollm/weights/tape_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/memory/buffer.h"

namespace ollm::weights {
namespace {

using checkpoint::TensorInfo;

// Rows that are gathered at once.
constexpr std::size_t kGatheredRows = 32;

Result<WeightFormat> built_format(const TensorInfo& tensor,
                                  const std::optional<WeightFormat>& told) {
  const std::optional<WeightFormat> format = told ? told : plain_format(tensor.dtype);
  const std::string reason = format
                                 ? unsupported_reason(*format)
                                 : fmt::format("{} is no type of weights", to_string(tensor.dtype));
  if (!reason.empty())
    return fail(ErrorKind::unsupported, fmt::format("tensor {}: {}", tensor.name, reason));
  return *format;
}

class Mapper {
 public:
  Mapper(const checkpoint::TensorIndex& index, const TapeLayout& layout, const Options& options)
      : index_(index), layout_(layout), options_(options) {}

  Result<TapeMap> map() {
    OLLM_TRY_VOID(cut());
    OLLM_TRY(map_.experts, map_experts(index_, layout_, options_.read_bytes));
    choose_pinned();
    place_pinned();
    make_loads();
    return std::move(map_);
  }

 private:
  Result<void> cut() {
    const auto count = static_cast<std::uint32_t>(layout_.matrices.size());
    for (std::uint32_t i = 0; i < count; ++i) map_.source.push_back(source_of(i));
    map_.first_segment.resize(count + 1);
    for (std::uint32_t i = 0; i < count; ++i) {
      map_.first_segment[i] = static_cast<std::uint32_t>(map_.segments.size());
      const MatrixUse& use = layout_.matrices[i];
      OLLM_TRY(const TensorInfo* tensor, index_.require(use.tensor));
      OLLM_TRY(const WeightFormat format, built_format(*tensor, use.format));
      map_.formats.push_back(format);
      const TensorInfo* scales = nullptr;
      if (!use.scales.empty()) {
        OLLM_TRY(scales, index_.require(use.scales));
      }
      if (map_.source[i] == i) cut(i, use, *tensor, scales);
    }
    map_.first_segment[count] = static_cast<std::uint32_t>(map_.segments.size());
    for (const VectorUse& use : layout_.vectors) {
      OLLM_TRY(const TensorInfo* tensor, index_.require(use.tensor));
      OLLM_TRY_VOID(built_format(*tensor, std::nullopt));
      const std::size_t element = size_bytes(tensor->dtype);
      map_.vectors.push_back(
          {{tensor->file, tensor->offset_bytes + use.first * element, use.size * element},
           tensor->dtype,
           0});
    }
    return {};
  }

  bool gathered(std::uint32_t matrix) const {
    return kind_of(layout_.matrices[matrix].section) == SectionKind::gathered;
  }

  // Where a head is tied to the embedding, its segments serve both.
  std::uint32_t source_of(std::uint32_t matrix) const {
    const auto count = static_cast<std::uint32_t>(layout_.matrices.size());
    if (!gathered(matrix)) return matrix;
    const MatrixUse& use = layout_.matrices[matrix];
    for (std::uint32_t i = 0; i < count; ++i) {
      const MatrixUse& other = layout_.matrices[i];
      if (!gathered(i) && other.tensor == use.tensor && other.first_row == use.first_row &&
          other.rows == use.rows)
        return i;
    }
    return matrix;
  }

  void cut(std::uint32_t matrix, const MatrixUse& use, const TensorInfo& tensor,
           const TensorInfo* scales) {
    const WeightFormat& format = map_.formats[matrix];
    const std::uint64_t row_bytes = size_bytes(format, use.cols);
    // Scales of rows by themselves, one after the other: formats whose blocks have several rows are
    // none that are built.
    const std::uint64_t scales_row_bytes =
        scales == nullptr ? 0 : use.cols / format.scale->cols * size_bytes(scales->dtype);
    const std::size_t rows_at_once =
        std::max<std::size_t>(1, options_.segment_bytes / std::max<std::uint64_t>(1, row_bytes));
    for (std::size_t row = 0; row < use.rows; row += rows_at_once) {
      const std::size_t rows = std::min(rows_at_once, use.rows - row);
      Segment segment;
      segment.matrix = matrix;
      segment.first_row = row;
      segment.rows = rows;
      segment.file = tensor.file;
      segment.offset_bytes = tensor.offset_bytes + (use.first_row + row) * row_bytes;
      segment.size_bytes = rows * row_bytes;
      if (scales != nullptr) {
        segment.scales = {scales->file,
                          scales->offset_bytes + (use.first_row + row) * scales_row_bytes,
                          rows * scales_row_bytes};
      }
      map_.segments.push_back(segment);
    }
  }

  bool held(std::uint32_t matrix) const { return layout_.matrices[matrix].held; }

  // Whether a sweep meets these segments as it goes: all but those that are gathered alone or met
  // at any time.
  bool swept(const Segment& segment) const {
    return !gathered(segment.matrix) && !held(segment.matrix);
  }

  void choose_pinned() {
    std::uint64_t all = 0, swept_bytes = 0;
    for (const Segment& segment : map_.segments) {
      if (held(segment.matrix)) continue;
      const std::uint64_t space = segment.held_bytes();
      all += space;
      if (swept(segment)) swept_bytes += space;
    }
    if (all <= options_.pinned_limit_bytes) return;
    // Spread by carrying the fraction on: after every segment the bytes pinned are as near to the
    // wanted share of the bytes passed as whole segments allow.
    const std::uint64_t wanted = std::min(options_.pinned_limit_bytes, swept_bytes);
    const double share =
        swept_bytes == 0 ? 0 : static_cast<double>(wanted) / static_cast<double>(swept_bytes);
    std::uint64_t pinned = 0;
    double passed = 0;
    for (Segment& segment : map_.segments) {
      segment.pinned = held(segment.matrix);
      if (!swept(segment)) continue;
      const std::uint64_t space = segment.held_bytes();
      passed += static_cast<double>(space);
      if (static_cast<double>(pinned + space / 2) > passed * share) continue;
      if (pinned + space > wanted) continue;
      segment.pinned = true;
      pinned += space;
    }
  }

  void place_pinned() {
    std::uint64_t end = 0;
    const Segment* before = nullptr;
    for (Segment& segment : map_.segments) {
      if (segment.pinned) {
        // Segments that stand together are one: a product then runs over all of their rows.
        const bool goes_on = before != nullptr && before->matrix == segment.matrix;
        segment.place = goes_on ? end : round_up(end, memory::kCacheLineBytes);
        end = segment.place + segment.size_bytes;
        if (segment.scales.size_bytes != 0) {
          segment.scales_place = round_up(end, memory::kCacheLineBytes);
          end = segment.scales_place + segment.scales.size_bytes;
        }
        if (held(segment.matrix))
          map_.held_bytes += segment.held_bytes();
        else
          map_.pinned_bytes += segment.size_bytes + segment.scales.size_bytes;
      }
      before = segment.pinned && segment.scales.size_bytes == 0 ? &segment : nullptr;
    }
    const std::uint64_t first_vector = round_up(end, memory::kCacheLineBytes);
    for (std::size_t i = 0; i < map_.vectors.size(); ++i) {
      map_.vectors[i].place = round_up(end, memory::kCacheLineBytes);
      end = map_.vectors[i].place + layout_.vectors[i].size * sizeof(float);
    }
    map_.storage_bytes = round_up(end, memory::kCacheLineBytes);
    map_.held_bytes += map_.storage_bytes - first_vector;
  }

  void make_loads() {
    const std::uint64_t slot_bytes = load_slot_bytes(options_);
    const auto count = static_cast<std::uint32_t>(layout_.matrices.size());
    std::vector<LoadItem> items;
    std::vector<Segment*> of_item;
    const auto flush = [&] {
      add_loads(items, slot_bytes, options_.read_bytes, map_.stream);
      for (std::size_t i = 0; i < items.size(); ++i) {
        of_item[i]->place = items[i].place;
        of_item[i]->scales_place = items[i].scales_place;
        of_item[i]->load = items[i].load;
      }
      items.clear();
      of_item.clear();
    };
    for (std::uint32_t matrix = 0; matrix < count; ++matrix) {
      const Section section = layout_.matrices[matrix].section;
      if (gathered(matrix)) {
        note_gathered(matrix);
        continue;
      }
      const bool first = matrix == 0 || layout_.matrices[matrix - 1].section != section;
      SectionPart& part = map_.parts[static_cast<std::size_t>(section)];
      if (first) {
        OLLM_CHECK(part.bytes == 0);  // a section stands together
        part.first_load = static_cast<std::uint32_t>(map_.stream.loads.size());
      }
      for (std::uint32_t s = map_.first_segment[matrix]; s < map_.first_segment[matrix + 1]; ++s) {
        Segment& segment = map_.segments[s];
        const std::uint64_t bytes = segment.size_bytes + segment.scales.size_bytes;
        if (!held(matrix)) part.bytes += bytes;
        if (segment.pinned) continue;
        part.stream_bytes += bytes;
        items.push_back({{segment.file, segment.offset_bytes, segment.size_bytes}, segment.scales});
        of_item.push_back(&segment);
      }
      if (matrix + 1 == count || layout_.matrices[matrix + 1].section != section) {
        flush();
        part.loads = static_cast<std::uint32_t>(map_.stream.loads.size()) - part.first_load;
      }
    }
  }

  void note_gathered(std::uint32_t matrix) {
    const std::span<const Segment> segments = map_.segments_of(matrix);
    if (segments.empty()) return;
    map_.gather_row_bytes =
        std::max(map_.gather_row_bytes, segments.front().size_bytes / segments.front().rows);
    for (const Segment& segment : segments) map_.gathers_from_disk |= !segment.pinned;
  }

  const checkpoint::TensorIndex& index_;
  const TapeLayout& layout_;
  const Options& options_;
  TapeMap map_;
};

}  // namespace

Result<TapeMap> map_tape(const checkpoint::TensorIndex& index, const TapeLayout& layout,
                         const Options& options) {
  return Mapper(index, layout, options).map();
}

std::uint64_t Segment::held_bytes() const {
  return round_up(size_bytes, memory::kCacheLineBytes) +
         round_up(scales.size_bytes, std::uint64_t{memory::kCacheLineBytes});
}

std::uint64_t TapeMap::sweep_bytes() const {
  std::uint64_t sum = 0;
  for (const SectionPart& part : parts) sum += part.bytes;
  return sum;
}

std::uint64_t TapeMap::stream_bytes() const {
  std::uint64_t sum = 0;
  for (const SectionPart& part : parts) sum += part.stream_bytes;
  return sum;
}

std::uint64_t gather_space(const TapeMap& map) {
  return io::SlotRing::space_bytes(io::File::kDirectAlignment - 1, map.gather_row_bytes);
}

std::size_t gather_reads(const TapeMap& map, const Options& options) {
  const io::SlotRing::Options ring{.read_bytes = options.read_bytes};
  // A row takes one of two numbers of pages, by where it begins.
  return std::max(io::SlotRing::reads(ring, 0, map.gather_row_bytes),
                  io::SlotRing::reads(ring, io::File::kDirectAlignment - 1, map.gather_row_bytes));
}

io::SlotRing::Options ring_options(const TapeMap& map, const Options& options) {
  io::SlotRing::Options ring;
  ring.read_bytes = options.read_bytes;
  ring.most_reads = std::max(kMostReads, map.stream.most_reads);
  ring.slot_bytes = map.stream.largest_bytes;
  if (!map.stream.loads.empty()) ring.slots = options.ring_slots;
  if (map.gathers_from_disk) {
    ++ring.slots;
    ring.most_reads = std::max(ring.most_reads, gather_reads(map, options));
    ring.slot_bytes = std::max(ring.slot_bytes, kGatheredRows * gather_space(map));
  }
  return ring;
}

std::uint64_t load_slot_bytes(const Options& options) {
  return round_up(std::uint64_t{options.segment_bytes}, std::uint64_t{io::File::kDirectAlignment}) +
         2 * io::File::kDirectAlignment;
}

io::SlotRing::Options load_ring_options(const Loads& loads, const Options& options) {
  io::SlotRing::Options ring;
  ring.slots = std::min<std::size_t>(options.ring_slots, loads.loads.size());
  ring.slot_bytes = loads.largest_bytes;
  ring.read_bytes = options.read_bytes;
  ring.most_reads = std::max(kMostReads, loads.most_reads);
  return ring;
}

std::uint64_t ring_bytes(const io::SlotRing::Options& ring) {
  return std::uint64_t{ring.slots} * ring.slot_bytes;
}

PinnedLoads pinned_loads(const TapeMap& map, const Options& options) {
  PinnedLoads out;
  for (const Segment& segment : map.segments) {
    if (segment.pinned) {
      out.wanted.push_back({{segment.file, segment.offset_bytes, segment.size_bytes},
                            segment.place,
                            segment.matrix});
      if (segment.scales.size_bytes != 0)
        out.wanted.push_back({segment.scales, segment.scales_place, segment.matrix});
    }
  }
  for (std::size_t i = 0; i < map.vectors.size(); ++i) {
    const HeldVector& vector = map.vectors[i];
    out.wanted.push_back(
        {vector.extent, vector.place, static_cast<std::uint32_t>(map.source.size() + i)});
  }
  std::sort(out.wanted.begin(), out.wanted.end(), [](const auto& a, const auto& b) {
    return std::pair(a.extent.file, a.extent.offset_bytes) <
           std::pair(b.extent.file, b.extent.offset_bytes);
  });
  for (const PinnedExtent& one : out.wanted) out.items.push_back({one.extent});
  add_loads(out.items, load_slot_bytes(options), options.read_bytes, out.loads);
  return out;
}

std::uint64_t load_ring_bytes(const TapeMap& map, const Options& options) {
  const Loads loads = pinned_loads(map, options).loads;
  if (loads.loads.empty()) return 0;
  return ring_bytes(load_ring_options(loads, options)) + io::File::kDirectAlignment;
}

std::uint64_t stream_bytes(const TapeMap& map, const Options& options) {
  if (map.all_pinned()) return 0;
  // Direct reads want pages; buffers below a huge page are aligned to less.
  return ring_bytes(ring_options(map, options)) + io::File::kDirectAlignment;
}

}  // namespace ollm::weights
