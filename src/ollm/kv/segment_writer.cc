#include "ollm/kv/segment_writer.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/io/write_all.h"
#include "ollm/kv/segment_folder.h"

namespace ollm::kv {
namespace {

std::uint64_t random_number() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

// What `call` of a sync gives, through interruptions, which report no lost page.
template <typename Call>
int sync_by(Call call) {
  constexpr int kInterruptions = 100;
  for (int tries = 0;; ++tries)
    if (call() == 0)
      return 0;
    else if (errno != EINTR || tries == kInterruptions)
      return errno;
}

}  // namespace

SegmentWriter::SegmentWriter(std::filesystem::path folder, std::uint64_t number,
                             io::SystemCalls& calls)
    : folder_(std::move(folder)),
      path_(segment_path(folder_, number)),
      number_(number),
      calls_(&calls) {}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::create(const std::filesystem::path& folder,
                                                             bool kept, io::SystemCalls& calls) {
  // Another file of the same number is next to impossible, and a lock that somebody tries is rare.
  constexpr int kTries = 8;
  for (int tries = 0;; ++tries) {
    std::unique_ptr<SegmentWriter> writer(new SegmentWriter(folder, random_number(), calls));
    if (kept) {
      OLLM_TRY(auto lock, try_lock(lock_path(folder, writer->number_), 0, calls));
      if (!lock && tries < kTries) continue;
      if (!lock) return io::system_error(folder, "lock a new file", EBUSY);
      writer->lock_ = std::move(*lock);
    } else {
      writer->path_ += kUnlinkedSuffix;
    }
    if (auto made = writer->make_file(); !made.ok()) {
      writer->unlink();
      return std::move(made).error();
    }
    return writer;
  }
}

Result<void> SegmentWriter::make_file() {
  OLLM_TRY_VOID(open_file(O_CREAT | O_EXCL));
  folder_synced_ = false;
  return write(0, encode_file_header(number_));
}

Result<void> SegmentWriter::open_file(int more_flags) {
  const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | more_flags;
  file_ = io::Descriptor(calls_->open(path_.c_str(), flags, 0600), *calls_);
  if (!file_) return write_error(path_, "open for writing", errno);
  return {};
}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::adopt(const std::filesystem::path& folder,
                                                            std::uint64_t number, VisitItem visit,
                                                            io::SystemCalls& calls) {
  std::unique_ptr<SegmentWriter> writer(new SegmentWriter(folder, number, calls));
  OLLM_TRY(auto lock, try_lock(lock_path(folder, number), 0, calls));
  if (!lock) return std::unique_ptr<SegmentWriter>();
  writer->lock_ = std::move(*lock);
  OLLM_TRY(const OpenedSegment segment, open_segment(folder, number, calls));
  if (segment.state != SegmentState::whole) return std::unique_ptr<SegmentWriter>();
  // What cannot be read to its end is not cut anywhere.
  OLLM_TRY(const Scan scan,
           scan_items(*segment.file, number, kPageBytes, [&](const ItemHeader& header, auto item) {
             writer->take_in(header, item);
             visit(header, item);
           }));
  OLLM_TRY_VOID(writer->open_file(0));
  OLLM_TRY_VOID(writer->cut_uncommitted(scan.committed_end));
  return writer;
}

void SegmentWriter::take_in(const ItemHeader& header, std::span<const std::byte> item) {
  if (header.type == ItemType::stripe) {
    stripes_.push_back({.data = header.data(),
                        .layers = header.layers,
                        .part_bytes = header.part_bytes,
                        .capacity = header.count,
                        .live = {}});
  } else if (header.type == ItemType::commit) {
    for_each_record(header, item, [&](const RecordPlace&, const BlockRecord& record) {
      mark(record.place, /*live=*/true);
    });
  } else if (header.type == ItemType::gone) {
    for (const GoneBlock& gone : decode_gone(header, item)) {
      if (gone.file_number != number_) continue;
      if (const Stripe* stripe = stripe_of(gone.offset))
        mark(place_in(*stripe, gone.offset), false);
    }
  }
}

void SegmentWriter::mark(const BlockPlace& place, bool live) {
  Stripe* const stripe = stripe_of(place.offset);
  if (stripe == nullptr || place_in(*stripe, place.offset) != place) return;
  const std::uint64_t block = (place.offset - stripe->data) / stripe->part_bytes;
  stripe->used = std::max(stripe->used, static_cast<std::uint32_t>(block + 1));
  if (stripe->live.size() <= block) stripe->live.resize(block + 1);
  stripe->live[block] = live;
}

SegmentWriter::Stripe* SegmentWriter::stripe_of(std::uint64_t offset) {
  const auto behind =
      std::upper_bound(stripes_.begin(), stripes_.end(), offset,
                       [](std::uint64_t at, const Stripe& stripe) { return at < stripe.data; });
  if (behind == stripes_.begin()) return nullptr;
  Stripe& stripe = *std::prev(behind);
  const std::uint64_t first_parts = std::uint64_t{stripe.capacity} * stripe.part_bytes;
  return offset - stripe.data < first_parts ? &stripe : nullptr;
}

BlockPlace SegmentWriter::place_in(const Stripe& stripe, std::uint64_t offset) const {
  return {.file_number = number_,
          .offset = offset,
          .stride = std::uint64_t{stripe.capacity} * stripe.part_bytes,
          .part_bytes = stripe.part_bytes,
          .layers = stripe.layers};
}

// What stands behind the last commit, and what was written into stripes before it and never
// committed, is nobody's.
Result<void> SegmentWriter::cut_uncommitted(std::uint64_t committed_end) {
  ends_ = {.end = committed_end, .committed_end = committed_end};
  std::erase_if(stripes_, [&](const Stripe& stripe) { return stripe.data >= committed_end; });
  struct stat status{};
  if (calls_->fstat(file_.get(), &status) != 0) return io::system_error(path_, "stat", errno);
  if (static_cast<std::uint64_t>(status.st_size) > committed_end &&
      calls_->ftruncate(file_.get(), static_cast<off_t>(committed_end)) != 0)
    return write_error(path_, "cut", errno);

  std::uint64_t bytes = committed_end;
  for (const Stripe& stripe : stripes_) {
    const auto live =
        static_cast<std::uint64_t>(std::count(stripe.live.begin(), stripe.live.end(), true));
    bytes -= (stripe.capacity - live) * stripe.layers * stripe.part_bytes;
  }
  // Blocks of 512 bytes, as stat counts. Asked first, as it is rare that something is to be done.
  if (static_cast<std::uint64_t>(status.st_blocks) * 512 > bytes)
    for (const Stripe& stripe : stripes_)
      if (!punch_unclaimed(stripe)) break;
  std::erase_if(stripes_, [](const Stripe& stripe) { return stripe.used == stripe.capacity; });
  for (Stripe& stripe : stripes_) stripe.live = {};
  return {};
}

bool SegmentWriter::punch_unclaimed(const Stripe& stripe) {
  const auto is_live = [&](std::uint32_t block) {
    return block < stripe.live.size() && stripe.live[block];
  };
  const std::uint64_t stride = std::uint64_t{stripe.capacity} * stripe.part_bytes;
  for (std::uint32_t block = 0; block < stripe.capacity;) {
    if (is_live(block)) {
      ++block;
      continue;
    }
    const std::uint32_t first = block;
    while (block < stripe.capacity && !is_live(block)) ++block;
    for (std::uint32_t layer = 0; layer < stripe.layers; ++layer) {
      const std::uint64_t at =
          stripe.data + layer * stride + std::uint64_t{first} * stripe.part_bytes;
      if (!punch(at, std::uint64_t{block - first} * stripe.part_bytes)) return false;
    }
  }
  return true;
}

std::uint64_t SegmentWriter::stripe_bytes(std::uint32_t layers, std::uint32_t part_bytes,
                                          std::uint32_t capacity) {
  return kPageBytes + std::uint64_t{layers} * part_bytes * capacity;
}

BlockPlace SegmentWriter::take_block(Stripe& stripe) {
  const std::uint64_t offset = stripe.data + std::uint64_t{stripe.used} * stripe.part_bytes;
  ++stripe.used;
  ++uncommitted_;
  return place_in(stripe, offset);
}

std::optional<BlockPlace> SegmentWriter::place_behind(const BlockPlace& before) {
  if (broken_ || before.file_number != number_) return std::nullopt;
  Stripe* const stripe = stripe_of(before.offset);
  if (stripe == nullptr || place_in(*stripe, before.offset).stride != before.stride ||
      stripe->layers != before.layers || stripe->part_bytes != before.part_bytes)
    return std::nullopt;
  const std::uint64_t block = (before.offset - stripe->data) / stripe->part_bytes;
  if (block + 1 != stripe->used) return std::nullopt;  // something else follows
  const BlockPlace place = take_block(*stripe);
  if (stripe->used == stripe->capacity)
    stripes_.erase(stripes_.begin() + (stripe - stripes_.data()));
  return place;
}

Result<BlockPlace> SegmentWriter::place_in_new_stripe(std::uint32_t layers,
                                                      std::uint32_t part_bytes,
                                                      std::uint32_t capacity) {
  OLLM_TRY_VOID(check_not_broken());
  const std::vector<std::byte> page =
      encode_stripe(number_, ends_.end, layers, part_bytes, capacity);
  if (auto written = write(ends_.end, page); !written.ok()) {
    cut(ends_);
    return std::move(written).error();
  }
  Stripe stripe{.data = ends_.end + kPageBytes,
                .layers = layers,
                .part_bytes = part_bytes,
                .capacity = capacity,
                .live = {}};
  ends_.end += stripe_bytes(layers, part_bytes, capacity);
  const BlockPlace place = take_block(stripe);
  if (capacity > 1) stripes_.push_back(std::move(stripe));
  return place;
}

Result<void> SegmentWriter::check_not_broken() const {
  if (!broken_) return {};
  return fail(ErrorKind::io,
              fmt::format("{}: a sync failed: it is not written to any more", path_.native()));
}

Result<void> SegmentWriter::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  std::size_t written = 0;
  const int error = io::write_all_at(*calls_, file_.get(), offset, bytes, &written);
  if (error == 0) return {};
  return write_error(path_, fmt::format("write at byte {}", offset + written), error);
}

void SegmentWriter::drop_cached(std::uint64_t offset, std::uint64_t bytes) {
  calls_->fadvise(file_.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes),
                  POSIX_FADV_DONTNEED);
}

Result<void> SegmentWriter::append(std::span<const std::byte> item) {
  OLLM_CHECK(item.size() >= kPageBytes && item.size() % kPageBytes == 0);
  OLLM_TRY_VOID(check_not_broken());
  Result<void> written;
  if (item.size() > kPageBytes) written = write(ends_.end + kPageBytes, item.subspan(kPageBytes));
  if (written.ok()) written = write(ends_.end, item.first(kPageBytes));
  if (!written.ok()) {
    cut(ends_);
    return written;
  }
  ends_.end += item.size();
  ends_.committed_end = ends_.end;
  return {};
}

void SegmentWriter::cut(const Mark& mark) {
  // Where even that fails, who scans the file finds an item that was never synced, whole or torn:
  // its records are right or do not hold.
  calls_->ftruncate(file_.get(), static_cast<off_t>(mark.end));
  ends_ = mark;
}

void SegmentWriter::close_uncommitted() {
  const std::uint64_t committed_end = ends_.committed_end;
  if (committed_end == kPageBytes) {
    unlink();
  } else if (ends_.end > committed_end) {
    cut({.end = committed_end, .committed_end = committed_end});
  }
}

Result<void> SegmentWriter::sync() {
  const int error = sync_by([&] { return calls_->fdatasync(file_.get()); });
  if (error != 0) {
    // Linux reports it once and may call the lost pages clean: another sync would tell nothing.
    broken_ = true;
    return write_error(path_, "sync", error);
  }
  if (folder_synced_) return {};
  OLLM_TRY_VOID(sync_folder());
  folder_synced_ = true;
  return {};
}

Result<void> SegmentWriter::sync_folder() {
  const io::Descriptor folder(calls_->open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0),
                              *calls_);
  if (!folder) return io::system_error(folder_, "open", errno);
  const int error = sync_by([&] { return calls_->fsync(folder.get()); });
  if (error == 0 || error == EINVAL) return {};  // there are file systems that sync no folders
  broken_ = true;
  return write_error(folder_, "sync", error);
}

bool SegmentWriter::punch(std::uint64_t offset, std::uint64_t bytes) {
  return calls_->fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           static_cast<off_t>(offset), static_cast<off_t>(bytes)) == 0;
}

bool SegmentWriter::punch(const BlockPlace& place) {
  for (std::uint32_t layer = 0; layer < place.layers; ++layer)
    if (!punch(place.offset + layer * place.stride, place.part_bytes)) return false;
  return true;
}

void SegmentWriter::give_back_all() { calls_->ftruncate(file_.get(), 0); }

void SegmentWriter::unlink() {
  calls_->unlink(path_.c_str());
  if (lock_) calls_->unlink(lock_path(folder_, number_).c_str());
}

Result<void> append_gone(SegmentWriter& writer, std::span<const GoneBlock> blocks,
                         const Stamp& stamp) {
  while (!blocks.empty()) {
    const auto some = blocks.first(std::min(kMaxNoteEntries, blocks.size()));
    OLLM_TRY_VOID(writer.append(encode_gone(writer.number(), writer.end(), stamp, some)));
    blocks = blocks.subspan(some.size());
  }
  return writer.sync();
}

}  // namespace ollm::kv
