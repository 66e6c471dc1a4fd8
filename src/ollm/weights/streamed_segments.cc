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

PassLoads::PassLoads(const TapeMap& map, Sections sections) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < kSections; ++i) {
    if (!sections.contains(static_cast<Section>(i)) || map.parts[i].loads == 0) continue;
    ranges_[used++] = {map.parts[i].first_load, map.parts[i].loads};
    count_ += map.parts[i].loads;
  }
  std::sort(ranges_.begin(), ranges_.begin() + static_cast<std::ptrdiff_t>(used),
            [](const Range& a, const Range& b) { return a.first < b.first; });
}

std::uint32_t PassLoads::at(std::uint32_t n) const {
  OLLM_DCHECK(n < count_);
  for (const Range& range : ranges_) {
    if (n < range.count) return range.first + n;
    n -= range.count;
  }
  return 0;
}

std::uint32_t PassLoads::find(std::uint32_t load) const {
  std::uint32_t before = 0;
  for (const Range& range : ranges_) {
    if (load >= range.first && load - range.first < range.count) return before + load - range.first;
    before += range.count;
  }
  return count_;
}

StreamedSegments::StreamedSegments(const TapeMap& map, std::span<const io::File> files,
                                   const Options& options)
    : map_(map),
      files_(files),
      slots_(map.stream.loads.empty() ? 0 : options.ring_slots),
      likely_(map, {Section::layers}) {}

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
    if (!ahead_ && next_begin_ == pass_.count()) {
      ahead_ = true;
      next_begin_ = 0;
    }
    const PassLoads& pass = ahead_ ? likely_ : pass_;
    if (next_begin_ == pass.count()) return;
    begin_load(pass.at(next_begin_++));
  }
}

void StreamedSegments::start() {
  OLLM_CHECK(begun_ == 0);
  ahead_ = true;
  fill();
}

void StreamedSegments::forget() {
  ring_->forget();
  begun_ = used_ = 0;
  next_begin_ = 0;
}

bool StreamedSegments::begins_as_read_ahead(const PassLoads& pass) const {
  if (pass.count() < next_begin_) return false;
  for (std::uint32_t n = 0; n < next_begin_; ++n)
    if (pass.at(n) != likely_.at(n)) return false;
  return true;
}

void StreamedSegments::begin_pass(Sections sections) {
  pass_ = PassLoads(map_, sections);
  if (!ahead_) next_begin_ = 0;
  if (inside_ || !begins_as_read_ahead(pass_)) forget();
  ahead_ = false;
  inside_ = true;
  next_use_ = 0;
  fill();
}

void StreamedSegments::release() {
  ++used_;
  ++next_use_;
  fill();
}

Result<const std::byte*> StreamedSegments::wait(std::uint32_t load) {
  const std::uint32_t wanted = pass_.find(load);
  OLLM_CHECK(inside_ && wanted < pass_.count());
  while (next_use_ < wanted) release();
  OLLM_CHECK(next_use_ == wanted);
  return ring_->wait(used_ % slots_);
}

void StreamedSegments::end_pass() {
  while (next_use_ < pass_.count()) release();
  inside_ = false;
}

Result<const std::byte*> StreamedSegments::gather(std::span<const io::Extent> extents) {
  ring_->begin(gather_slot_, extents);
  return ring_->wait(gather_slot_);
}

}  // namespace ollm::weights
