// Where new blocks go: files that are taken over or made, stripes, room for them, and their bytes.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "ollm/base/checked_math.h"
#include "ollm/kv/disk_room.h"
#include "ollm/kv/eviction.h"
#include "ollm/kv/pool_state.h"
#include "ollm/kv/segment_folder.h"

namespace ollm::kv {
namespace {

// Other processes fill the disk too: after so many bytes the room is measured anew.
constexpr std::uint64_t kMeasuredBytes = std::uint64_t{256} << 20;
// More than is needed goes at once, so that not every block evicts.
constexpr std::uint64_t kMostEvictedAhead = std::uint64_t{64} << 20;
constexpr std::uint64_t kEvictedAheadShare = 16;  // of the cap, as a divisor
// Kept free below the cap for records and notes, which are a thousandth of what is measured at
// once.
constexpr std::uint64_t kMostMargin = std::uint64_t{1} << 20;
constexpr std::uint64_t kMarginShare = 16;  // of the cap, as a divisor
// An eviction that gave too little is not tried again for every block.
constexpr unsigned kPlacesWithoutEviction = 32;
// Of files that are not synced: after so many bytes the page cache is asked to forget them.
constexpr std::uint64_t kCachedBytes = std::uint64_t{8} << 20;
// Of the same files: so much may have been given back before its space is.
constexpr std::uint64_t kHoleBytes = std::uint64_t{64} << 20;

}  // namespace

SegmentWriter* Pool::State::writer_of(std::uint64_t file_number) const {
  for (const auto& writer : writers)
    if (writer->number() == file_number) return writer.get();
  return nullptr;
}

bool Pool::State::grows(const SegmentWriter& writer, std::uint64_t bytes) const {
  if (writer.broken()) return false;
  // An empty file takes a stripe of any size.
  return writer.end() == kPageBytes || writer.end() + bytes <= options.file_bytes;
}

Result<SegmentWriter*> Pool::State::writer_with_room(std::uint64_t bytes,
                                                     std::uint64_t first_choice) {
  if (!writers.empty() && grows(*writers.back(), bytes)) return writers.back().get();
  std::unique_ptr<SegmentWriter> writer;
  if (options.kept) {
    OLLM_TRY(writer, adopt_one(bytes, first_choice));
  }
  if (!writer) {
    OLLM_TRY(writer, SegmentWriter::create(options.folder, options.kept, calls));
  }
  return take_writer(std::move(writer));
}

Result<std::unique_ptr<SegmentWriter>> Pool::State::adopt_one(std::uint64_t bytes,
                                                              std::uint64_t first_choice) {
  OLLM_TRY(std::vector<std::uint64_t> numbers, list_segments(options.folder, calls));
  std::stable_partition(numbers.begin(), numbers.end(),
                        [&](std::uint64_t number) { return number == first_choice; });
  for (const std::uint64_t number : numbers) {
    if (writer_of(number) != nullptr) continue;
    struct stat status{};
    if (calls.lstat(segment_path(options.folder, number).c_str(), &status) != 0) continue;
    if (static_cast<std::uint64_t>(status.st_size) + bytes > options.file_bytes) continue;
    auto adopted = SegmentWriter::adopt(
        options.folder, number, [](const ItemHeader&, std::span<const std::byte>) {}, calls);
    // One that makes trouble is left to others.
    if (adopted.ok() && *adopted && grows(**adopted, bytes)) return adopted;
  }
  return std::unique_ptr<SegmentWriter>();
}

// Opens it for reading too, and takes in what other processes left in it.
Result<SegmentWriter*> Pool::State::take_writer(std::unique_ptr<SegmentWriter> writer) {
  std::lock_guard lock(mutex);
  if (options.kept) {
    const auto visit = [this](const ItemHeader& header, auto item) { take_in(header, item); };
    if (readers.open(writer->number(), visit) == nullptr)
      return fail(ErrorKind::io, fmt::format("{}: cannot be read", writer->path().native()));
  } else {
    const auto opened = readers.open_unlinked(writer->number(), writer->path());
    writer->unlink();
    if (!opened.ok()) return opened.error();
  }
  drop_settled_writers();
  writers.push_back(std::move(writer));
  return writers.back().get();
}

// A file that does not grow any more is let go when its last block was committed or given back;
// one without a name is closed with it.
void Pool::State::drop_settled_writers() {
  std::erase_if(writers, [this](const std::unique_ptr<SegmentWriter>& writer) {
    if (writer->uncommitted() > 0) return false;
    if (!options.kept) readers.close(writer->number());
    return true;
  });
}

Result<const io::File*> Pool::State::file_of(const SegmentWriter& writer) {
  std::lock_guard lock(mutex);
  const io::File* const file = readers.blocks(writer.number());
  if (file == nullptr)
    return fail(ErrorKind::io, fmt::format("{}: cannot be read", writer.path().native()));
  return file;
}

Result<void> Pool::State::evict_for(std::uint64_t bytes) {
  // What this process used counts too.
  if (!writers.empty() && !writers.back()->broken()) append_notes(*writers.back());
  const auto writer = [this](std::uint64_t number) { return writer_of(number); };
  const auto reading = [this](std::uint64_t number) {
    std::lock_guard lock(mutex);
    return readers.records(number);
  };
  const auto claim = [this](const Digest& id, std::uint64_t number, std::uint64_t offset) {
    std::lock_guard lock(mutex);
    if (in_use.contains(id)) return false;
    index.erase_at(id, number, offset);
    return true;
  };
  const auto forget = [this](std::uint64_t number) {
    std::lock_guard lock(mutex);
    readers.close(number);
  };
  const EvictionView view{.writer = writer, .reading = reading, .claim = claim, .forget = forget};
  EvictionGoal goal;
  goal.bytes = bytes + std::min(kMostEvictedAhead, cap_bytes / kEvictedAheadShare);
  OLLM_TRY(const Evicted evicted,
           evict(options.folder, goal, options.index_bytes / kEvictionShare, view, calls));
  std::lock_guard lock(mutex);
  counters.blocks_evicted += evicted.blocks;
  return {};
}

Result<void> Pool::State::measure_room(std::uint64_t bytes, bool within_cap) {
  // What is not kept counts to no cap.
  const std::uint64_t cap =
      options.kept && within_cap ? options.cap_bytes : std::numeric_limits<std::uint64_t>::max();
  OLLM_TRY(DiskRoom now, disk_room(options.folder, cap, options.free_share, calls));
  // Nor is anything left free for others beside what a run cannot do without.
  if (!options.kept || !within_cap) now.kept_free_bytes = 0;
  cap_bytes = now.cap_bytes;
  // Records, notes and the pages before stripes come on top of blocks.
  now.used_bytes += std::min(kMostMargin, cap_bytes / kMarginShare);
  room = std::min(now.left(), std::max(kMeasuredBytes, bytes));
  if (room >= bytes) return {};
  return fail(ErrorKind::out_of_budget,
              fmt::format("{}: no room for {} bytes: {} of {} that may be kept are used, {} are "
                          "free on the disk and {} stay free",
                          options.folder.native(), bytes, now.used_bytes, now.cap_bytes,
                          now.free_bytes, now.kept_free_bytes));
}

Result<void> Pool::State::make_room(std::uint64_t bytes, bool needed) {
  if (bytes > room) {
    Result<void> measured = measure_room(bytes);
    if (!measured.ok() && measured.error().kind == ErrorKind::out_of_budget && options.kept) {
      if (places_without_eviction > 0) {
        --places_without_eviction;
      } else {
        OLLM_TRY_VOID(evict_for(bytes));
        measured = measure_room(bytes);
        if (!measured.ok()) places_without_eviction = kPlacesWithoutEviction;
      }
      if (!measured.ok() && needed) {
        went_above_cap = true;
        measured = measure_room(bytes, /*within_cap=*/false);
      }
    }
    if (!measured.ok()) return measured;
  }
  room -= bytes;
  return {};
}

void Pool::State::evict_above_cap() {
  if (!went_above_cap) return;
  const Result<DiskRoom> now =
      disk_room(options.folder, options.cap_bytes, options.free_share, calls);
  if (now.ok() && now->used_bytes > now->cap_bytes)
    (void)evict_for(now->used_bytes - now->cap_bytes);
}

Result<BlockPlace> Pool::State::place_once(std::uint32_t layers, std::uint32_t part_bytes,
                                           const BlockPlace& before, bool alone) {
  BlockPlace place;
  // The first file that is taken is the one whose stripe is to be gone on with, where it is free.
  if (options.kept && writers.empty() && before)
    OLLM_TRY_VOID(writer_with_room(kPageBytes, before.file_number));
  SegmentWriter* writer = writer_of(before.file_number);
  std::optional<BlockPlace> behind;
  if (writer != nullptr && !alone) {
    // Whose last block another thread gives back, is cut: before the place is taken, or not at all.
    std::lock_guard lock(mutex);
    behind = writer->place_behind(before);
  }
  if (behind && behind->layers == layers && behind->part_bytes == part_bytes) {
    place = *behind;
  } else {
    const std::uint64_t capacity = alone ? 1 : ceil_div(options.stripe_part_bytes, part_bytes);
    const auto blocks = static_cast<std::uint32_t>(std::max<std::uint64_t>(capacity, 1));
    OLLM_TRY(writer, writer_with_room(SegmentWriter::stripe_bytes(layers, part_bytes, blocks)));
    OLLM_TRY(place, writer->place_in_new_stripe(layers, part_bytes, blocks));
  }
  OLLM_TRY(place.file, file_of(*writer));
  return place;
}

// A line that ends gives back thousands of blocks one by one, most often all of a file: then one
// call does it.
void Pool::State::make_holes(std::uint64_t at_least) {
  std::vector<BlockPlace> places;
  {
    std::lock_guard lock(mutex);
    if (hole_bytes < at_least) return;
    places.swap(holes);
    hole_bytes = 0;
    drop_settled_writers();
  }
  for (const BlockPlace& place : places)
    if (SegmentWriter* const writer = writer_of(place.file_number)) writer->punch(place);
}

Result<BlockPlace> Pool::place(std::uint32_t layers, std::uint32_t part_bytes,
                               const BlockPlace& before, bool alone, bool needed) {
  if (state_->in_child()) return after_fork();
  if (layers == 0 || layers > kMaxLayers || part_bytes == 0 || part_bytes % kPageBytes != 0 ||
      std::uint64_t{layers} * (part_bytes + state_->options.stripe_part_bytes) > kMaxStripeBytes)
    return fail(
        ErrorKind::invalid_argument,
        fmt::format("a block of {} layers of {} bytes cannot be stored", layers, part_bytes));
  const std::uint64_t bytes = SegmentWriter::stripe_bytes(layers, part_bytes, 1);
  if (!state_->options.kept) state_->make_holes(kHoleBytes);
  OLLM_TRY_VOID(state_->make_room(bytes, needed));
  Result<BlockPlace> place = state_->place_once(layers, part_bytes, before, alone);
  // The file system may be fuller than it says: quotas.
  if (place.ok() || place.error().kind != ErrorKind::out_of_budget) return place;
  if (state_->options.kept) {
    OLLM_TRY_VOID(state_->evict_for(bytes));
  } else {
    state_->make_holes(0);
  }
  return state_->place_once(layers, part_bytes, before, alone);
}

Result<std::vector<Checksum>> Pool::write(const BlockPlace& place, const std::byte* parts,
                                          std::size_t memory_stride) {
  State& state = *state_;
  if (state.in_child()) return after_fork();
  SegmentWriter* const writer = state.writer_of(place.file_number);
  if (writer == nullptr || writer->broken())
    return fail(ErrorKind::io,
                fmt::format("file {} is not written to any more", segment_name(place.file_number)));
  std::vector<Checksum> checksums;
  checksums.reserve(place.layers);
  for (std::uint32_t layer = 0; layer < place.layers; ++layer) {
    const std::uint64_t offset = place.offset + layer * place.stride;
    const std::span part(parts + layer * memory_stride, place.part_bytes);
    if (auto written = writer->write(offset, part); !written.ok()) {
      writer->punch(place);
      return std::move(written).error();
    }
    checksums.push_back(checksum_at(place.file_number, offset, part));
  }
  const std::uint64_t bytes = std::uint64_t{place.layers} * place.part_bytes;
  state.cached_bytes += bytes;
  // Nothing syncs a file that is not kept, so that its pages would stay until memory is short.
  if (!state.options.kept && state.cached_bytes >= kCachedBytes) {
    writer->drop_cached(0, writer->end());
    state.cached_bytes = 0;
  }
  std::lock_guard lock(state.mutex);
  state.counters.bytes_written += bytes;
  return checksums;
}

bool Pool::holds(const BlockPlace& place, std::uint32_t layer, const Checksum& checksum,
                 const std::byte* bytes) {
  return checksum_at(place.file_number, place.offset + layer * place.stride,
                     {bytes, place.part_bytes}) == checksum;
}

void Pool::give_back(const BlockPlace& place) {
  State& state = *state_;
  if (state.in_child()) return;
  std::lock_guard lock(state.mutex);
  SegmentWriter* const writer = state.writer_of(place.file_number);
  if (writer == nullptr) return;
  if (const auto found = state.unlinked.find({place.file_number, place.offset});
      found != state.unlinked.end()) {
    state.index.erase_at(found->second, place.file_number, place.offset);
    state.unlinked.erase(found);
  }
  writer->settle(1);
  if (state.options.kept) {
    writer->punch(place);
  } else if (writer->uncommitted() == 0 && writer != state.writers.back().get()) {
    writer->give_back_all();
  } else {
    state.holes.push_back(place);
    state.hole_bytes += std::uint64_t{place.layers} * place.part_bytes;
  }
}

}  // namespace ollm::kv
