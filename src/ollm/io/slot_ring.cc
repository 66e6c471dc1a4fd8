#include "ollm/io/slot_ring.h"

#include <algorithm>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"

namespace ollm::io {
namespace {

constexpr std::size_t kAlignment = File::kDirectAlignment;

// Reads of equal size, near to `read_bytes`: an extent that is a page longer than two reads is not
// worth a third.
std::uint64_t piece_bytes(std::uint64_t space, std::size_t read_bytes) {
  const std::uint64_t pieces = std::max<std::uint64_t>(1, (space + read_bytes / 2) / read_bytes);
  return round_up((space + pieces - 1) / pieces, std::uint64_t{kAlignment});
}

}  // namespace

std::span<std::byte> aligned_for_reads(std::span<std::byte> memory) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
  const std::size_t lead = round_up(begin, std::uintptr_t{kAlignment}) - begin;
  OLLM_CHECK(lead <= memory.size());
  return memory.subspan(lead);
}

std::size_t SlotRing::lead_bytes(std::uint64_t offset_bytes) {
  return static_cast<std::size_t>(offset_bytes % kAlignment);
}

std::uint64_t SlotRing::space_bytes(std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  return round_up(lead_bytes(offset_bytes) + size_bytes, std::uint64_t{kAlignment});
}

std::size_t SlotRing::reads(const Options& options, std::uint64_t offset_bytes,
                            std::uint64_t size_bytes) {
  const std::uint64_t space = space_bytes(offset_bytes, size_bytes);
  const std::uint64_t piece = piece_bytes(space, options.read_bytes);
  return static_cast<std::size_t>((space + piece - 1) / piece);
}

SlotRing::SlotRing(ReadQueue& queue, const Options& options, std::span<std::byte> memory)
    : options_(options),
      memory_(memory),
      queue_(queue),
      requests_(options.slots),
      reads_(options.slots * options.most_reads) {
  OLLM_CHECK(options.slot_bytes % kAlignment == 0 && options.read_bytes % kAlignment == 0);
  OLLM_CHECK(memory.size() >= options.slots * options.slot_bytes);
  OLLM_CHECK(reinterpret_cast<std::uintptr_t>(memory.data()) % kAlignment == 0);
}

SlotRing::~SlotRing() { forget(); }

void SlotRing::begin(std::size_t slot, std::span<const Extent> extents, ReadPriority priority) {
  ReadRequest& request = requests_[slot];
  wait_seconds_ += queue_.drop(request);
  std::byte* place = memory_.data() + slot * options_.slot_bytes;
  const std::byte* end = place + options_.slot_bytes;
  const std::span<QueuedRead> free =
      std::span(reads_).subspan(slot * options_.most_reads, options_.most_reads);
  std::size_t used = 0;
  for (const Extent& extent : extents) {
    const std::size_t lead = lead_bytes(extent.offset_bytes);
    const std::uint64_t space = space_bytes(extent.offset_bytes, extent.size_bytes);
    OLLM_CHECK(space <= static_cast<std::uint64_t>(end - place));
    const std::uint64_t piece = piece_bytes(space, options_.read_bytes);
    for (std::uint64_t at = 0; at < space; at += piece) {
      OLLM_CHECK(used < free.size());
      QueuedRead& read = free[used++];
      read.file = extent.file;
      read.offset = extent.offset_bytes - lead + at;
      read.out = place + at;
      read.size = static_cast<std::size_t>(std::min<std::uint64_t>(piece, space - at));
      read.needed = static_cast<std::size_t>(
          std::min<std::uint64_t>(read.size, lead + extent.size_bytes - at));
      ReadQueue::add(request, read);
    }
    place += space;
  }
  queue_.begin(request, priority);
}

Result<const std::byte*> SlotRing::wait(std::size_t slot) {
  ReadRequest& request = requests_[slot];
  wait_seconds_ += queue_.finish(request);
  if (request.error()) return *request.error();
  return static_cast<const std::byte*>(memory_.data() + slot * options_.slot_bytes);
}

void SlotRing::forget() {
  for (ReadRequest& request : requests_) queue_.give_up(request);
  for (ReadRequest& request : requests_) wait_seconds_ += queue_.drop(request);
}

std::uint64_t SlotRing::bytes_read() const {
  std::uint64_t sum = 0;
  for (const ReadRequest& request : requests_) sum += request.bytes_read();
  return sum;
}

}  // namespace ollm::io
