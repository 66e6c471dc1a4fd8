#include "ollm/kv/segment_readers.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace ollm::kv {

Result<void> SegmentReaders::refresh(VisitItem visit,
                                     FunctionRef<void(std::uint64_t file_number)> vanished) {
  OLLM_TRY(const std::vector<std::uint64_t> numbers, list_segments(folder_, calls_));
  for (auto known = segments_.begin(); known != segments_.end();) {
    const bool is_there = std::binary_search(numbers.begin(), numbers.end(), known->first);
    // One that is open is read to its end, whatever became of its name.
    if (is_there || known->second.records) {
      ++known;
      continue;
    }
    vanished(known->first);
    known = segments_.erase(known);
  }
  for (const std::uint64_t number : numbers) {
    if (const auto known = segments_.find(number);
        known != segments_.end() && known->second.records) {
      show(number, known->second, *known->second.records, visit);
      continue;
    }
    const auto opened = open_segment(folder_, number, calls_);
    if (opened.ok() && opened->state == SegmentState::whole)
      show(number, segments_[number], *opened->file, visit);
  }
  return {};
}

void SegmentReaders::start_over() {
  for (auto& [number, segment] : segments_) segment.shown = kPageBytes;
}

bool SegmentReaders::show(std::uint64_t file_number, Segment& segment, const io::File& file,
                          VisitItem visit) {
  const auto scan = scan_items(file, file_number, segment.shown, visit);
  if (!scan.ok()) return false;
  segment.shown = scan->committed_end;
  return true;
}

const io::File* SegmentReaders::open(std::uint64_t file_number, VisitItem visit) {
  const auto known = segments_.find(file_number);
  if (known != segments_.end() && known->second.blocks) return &*known->second.blocks;
  auto opened = open_segment(folder_, file_number, calls_);
  if (!opened.ok() || opened->state != SegmentState::whole) return nullptr;
  auto blocks = open_blocks(segment_path(folder_, file_number));
  if (!blocks.ok()) return nullptr;
  Segment& segment = segments_[file_number];
  if (!show(file_number, segment, *opened->file, visit)) return nullptr;
  segment.records = std::move(opened->file);
  segment.blocks = std::move(blocks).value();
  return &*segment.blocks;
}

Result<const io::File*> SegmentReaders::open_unlinked(std::uint64_t file_number,
                                                      const std::filesystem::path& path) {
  OLLM_TRY(io::File blocks, open_blocks(path));
  Segment& segment = segments_[file_number];
  segment.blocks = std::move(blocks);
  return &*segment.blocks;
}

// Some file systems take O_DIRECT when a file is opened, and refuse the reads.
Result<io::File> SegmentReaders::open_blocks(const std::filesystem::path& path) const {
  if (access_ == io::Access::direct) {
    auto direct = io::File::open_growing(path, io::Access::direct, calls_);
    alignas(kPageBytes) Page page{};
    if (direct.ok() && direct->read_once(0, page) != -EINVAL) return direct;
    if (!direct.ok() && direct.error().kind != ErrorKind::unsupported) return direct;
  }
  return io::File::open_growing(path, io::Access::buffered, calls_);
}

void SegmentReaders::close(std::uint64_t file_number) { segments_.erase(file_number); }

const io::File* SegmentReaders::records(std::uint64_t file_number) const {
  const auto known = segments_.find(file_number);
  return known != segments_.end() && known->second.records ? &*known->second.records : nullptr;
}

const io::File* SegmentReaders::blocks(std::uint64_t file_number) const {
  const auto known = segments_.find(file_number);
  return known != segments_.end() && known->second.blocks ? &*known->second.blocks : nullptr;
}

void SegmentReaders::mark_shown(std::uint64_t file_number, std::uint64_t end) {
  segments_[file_number].shown = end;
}

}  // namespace ollm::kv
