#include "ollm/weights/streamed_segments.h"

#include <algorithm>
#include <utility>

#include "ollm/base/check.h"

namespace ollm::weights {
void extents_of(const Loads& loads, std::uint32_t load, std::span<const io::File> files,
                std::vector<io::Extent>& out) {
  out.clear();
  for (const FileExtent& extent : loads.extents_of(load))
    out.push_back({&files[extent.file], extent.offset_bytes, extent.size_bytes});
}

StreamedSegments::StreamedSegments(const TapeMap& map, std::span<const io::File> files,
                                   const Options& options)
    : map_(map), files_(files), slots_(map.stream.loads.empty() ? 0 : options.ring_slots) {}

Result<std::unique_ptr<StreamedSegments>> StreamedSegments::make(const TapeMap& map,
                                                                 std::span<const io::File> files,
                                                                 const Options& options,
                                                                 memory::Budget& budget,
                                                                 io::ReadQueue& queue) {
  std::unique_ptr<StreamedSegments> streamed(new StreamedSegments(map, files, options));
  const io::SlotRing::Options ring = ring_options(map, options);
  streamed->gather_slot_ = streamed->slots_;
  if (map.gathers_from_disk) {
    streamed->gather_rows_ = std::min<std::size_t>(ring.most_reads / gather_reads(map, options),
                                                   ring.slot_bytes / gather_space(map));
  }
  std::size_t most_extents = streamed->gather_rows_;
  for (const Load& load : map.stream.loads)
    most_extents = std::max<std::size_t>(most_extents, load.extents);
  streamed->extents_.reserve(most_extents);
  OLLM_TRY(streamed->memory_, memory::Buffer::make(budget, "ring", stream_bytes(map, options)));
  streamed->ring_ =
      std::make_unique<io::SlotRing>(queue, ring, io::aligned_for_reads(streamed->memory_.bytes()));
  return streamed;
}

void StreamedSegments::begin_load(std::uint32_t load) {
  extents_of(map_.stream, load, files_, extents_);
  ring_->begin(begun_++ % slots_, extents_);
}

void StreamedSegments::fill() {
  if (slots_ == 0) return;
  while (begun_ - used_ < slots_) {
    if (!ahead_ && next_begin_ == pass_loads_) {
      ahead_ = true;
      next_begin_ = 0;
    }
    // Whether the next pass wants the head is not known yet.
    if (ahead_ && next_begin_ >= map_.body_loads) return;
    begin_load(next_begin_++);
  }
}

void StreamedSegments::start() {
  OLLM_CHECK(begun_ == 0);
  ahead_ = true;
  fill();
}

void StreamedSegments::begin_pass(std::uint32_t loads) {
  if (inside_) {
    ring_->forget();
    begun_ = used_ = 0;
    next_begin_ = 0;
    ahead_ = false;
  } else if (!ahead_) {
    next_begin_ = 0;
  }
  ahead_ = false;
  inside_ = true;
  pass_loads_ = loads;
  next_use_ = 0;
  fill();
}

void StreamedSegments::release() {
  ++used_;
  ++next_use_;
  fill();
}

Result<const std::byte*> StreamedSegments::wait(std::uint32_t load) {
  OLLM_CHECK(inside_ && load < pass_loads_);
  while (next_use_ < load) release();
  OLLM_CHECK(next_use_ == load);
  return ring_->wait(used_ % slots_);
}

void StreamedSegments::end_pass() {
  while (next_use_ < pass_loads_) release();
  inside_ = false;
}

Result<const std::byte*> StreamedSegments::gather(std::span<const io::Extent> extents) {
  ring_->begin(gather_slot_, extents);
  return ring_->wait(gather_slot_);
}

}  // namespace ollm::weights
