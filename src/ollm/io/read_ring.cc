#include "ollm/io/read_ring.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/base/clock.h"
#include "ollm/io/read_progress.h"

namespace ollm::io {
namespace {

constexpr std::size_t kAlignment = File::kDirectAlignment;

// What a stretch of code costs this thread.
class CpuMeter {
 public:
  explicit CpuMeter(double& sum) : sum_(sum), begin_(thread_cpu_seconds()) {}
  ~CpuMeter() { sum_ += thread_cpu_seconds() - begin_; }
  CpuMeter(const CpuMeter&) = delete;
  CpuMeter& operator=(const CpuMeter&) = delete;

 private:
  double& sum_;
  const double begin_;
};

// Reads of equal size, near to `read_bytes`: an extent that is a page longer than two reads is not
// worth a third.
std::uint64_t piece_bytes(std::uint64_t space, std::size_t read_bytes) {
  const std::uint64_t pieces = std::max<std::uint64_t>(1, (space + read_bytes / 2) / read_bytes);
  return round_up((space + pieces - 1) / pieces, std::uint64_t{kAlignment});
}

// Whether it may be the queue that failed and not the file: the thread that began the read ended
// (ECANCELED, EFAULT), or the kernel does not serve such a read by a queue, or not now.
bool may_be_the_queue(std::int64_t result) {
  switch (-result) {
    case ECANCELED:
    case EFAULT:
    case EINVAL:
    case EOPNOTSUPP:
    case ENOSYS:
    case EPERM:
    case EACCES:
    case ENOMEM:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::span<std::byte> aligned_for_reads(std::span<std::byte> memory) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
  const std::size_t lead = round_up(begin, std::uintptr_t{kAlignment}) - begin;
  OLLM_CHECK(lead <= memory.size());
  return memory.subspan(lead);
}

// One aligned piece of one extent.
struct ReadRing::Read {
  const File* file = nullptr;
  std::uint64_t offset = 0;
  std::byte* out = nullptr;
  std::size_t size = 0;
  std::size_t needed = 0;  // bytes from offset on that the extent really holds
  std::size_t slot = 0;
  bool asked_again = false;  // of the file itself, by pread
  ReadProgress progress;
};

struct ReadRing::Slot {
  std::size_t open = 0;        // reads that are not finished
  std::optional<Error> error;  // the first that one of them met
};

std::size_t ReadRing::lead_bytes(std::uint64_t offset_bytes) {
  return static_cast<std::size_t>(offset_bytes % kAlignment);
}

std::uint64_t ReadRing::space_bytes(std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  return round_up(lead_bytes(offset_bytes) + size_bytes, std::uint64_t{kAlignment});
}

std::size_t ReadRing::reads(const Options& options, std::uint64_t offset_bytes,
                            std::uint64_t size_bytes) {
  const std::uint64_t space = space_bytes(offset_bytes, size_bytes);
  const std::uint64_t piece = piece_bytes(space, options.read_bytes);
  return static_cast<std::size_t>((space + piece - 1) / piece);
}

ReadRing::ReadRing(const Options& options, std::span<std::byte> memory,
                   std::unique_ptr<AsyncReads> reads)
    : options_(options), memory_(memory), reads_(std::move(reads)) {
  OLLM_CHECK(options.slot_bytes % kAlignment == 0 && options.read_bytes % kAlignment == 0);
  OLLM_CHECK(memory.size() >= options.slots * options.slot_bytes);
  OLLM_CHECK(reinterpret_cast<std::uintptr_t>(memory.data()) % kAlignment == 0);
  const std::size_t entries = options.slots * options.most_reads;
  slots_.resize(options.slots);
  table_.resize(entries);
  waiting_.resize(entries);
  free_.reserve(entries);
  for (std::size_t i = entries; i > 0; --i) free_.push_back(static_cast<std::uint32_t>(i - 1));
}

ReadRing::~ReadRing() { drain(); }

void ReadRing::begin(std::size_t slot, std::span<const Extent> extents) {
  const CpuMeter meter(cpu_seconds_);
  while (slots_[slot].open > 0) take_one();
  slots_[slot].error.reset();
  std::byte* place = memory_.data() + slot * options_.slot_bytes;
  const std::byte* end = place + options_.slot_bytes;
  for (const Extent& extent : extents) {
    const std::size_t lead = lead_bytes(extent.offset_bytes);
    const std::uint64_t space = space_bytes(extent.offset_bytes, extent.size_bytes);
    OLLM_CHECK(space <= static_cast<std::uint64_t>(end - place));
    const std::uint64_t piece = piece_bytes(space, options_.read_bytes);
    for (std::uint64_t at = 0; at < space; at += piece) {
      OLLM_CHECK(!free_.empty());
      const std::uint32_t entry = free_.back();
      free_.pop_back();
      Read& read = table_[entry];
      read.file = extent.file;
      read.offset = extent.offset_bytes - lead + at;
      read.out = place + at;
      read.size = static_cast<std::size_t>(std::min<std::uint64_t>(piece, space - at));
      read.needed = static_cast<std::size_t>(
          std::min<std::uint64_t>(read.size, lead + extent.size_bytes - at));
      read.slot = slot;
      read.asked_again = false;
      read.progress = ReadProgress(read.offset, read.size, read.file->size_bytes(),
                                   read.file->alignment_bytes());
      ++slots_[slot].open;
      waiting_[(waiting_first_ + waiting_count_++) % waiting_.size()] = entry;
    }
    place += space;
  }
  submit_waiting();
}

void ReadRing::submit_waiting() {
  while (waiting_count_ > 0 && under_way_ < reads_->depth()) {
    const std::uint32_t entry = waiting_[waiting_first_];
    waiting_first_ = (waiting_first_ + 1) % waiting_.size();
    --waiting_count_;
    const Read& read = table_[entry];
    const std::size_t done = read.progress.done();
    reads_->submit({read.file, read.offset + done, read.out + done, read.size - done, entry});
    ++under_way_;
  }
}

void ReadRing::take(const ReadDone& done) {
  --under_way_;
  const auto entry = static_cast<std::uint32_t>(done.tag);
  Read& read = table_[entry];
  Slot& slot = slots_[read.slot];
  std::int64_t result = done.result;
  if (may_be_the_queue(result) && !read.asked_again) {
    read.asked_again = true;
    const std::size_t at = read.progress.done();
    result = read.file->read_once(read.offset + at, {read.out + at, read.size - at});
  }
  if (result > 0) bytes_read_ += static_cast<std::uint64_t>(result);
  switch (read.progress.take(result)) {
    case ReadProgress::Next::later:
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      [[fallthrough]];
    case ReadProgress::Next::again:
      waiting_[(waiting_first_ + waiting_count_++) % waiting_.size()] = entry;
      return;
    case ReadProgress::Next::finished:
      if (read.progress.done() < read.needed && !slot.error)
        slot.error = read.file->end_error(read.offset, read.needed, read.progress.done());
      break;
    case ReadProgress::Next::failed:
      if (!slot.error)
        slot.error = read.file->read_error(read.offset, read.needed, read.progress.error());
      break;
  }
  if (read.file->access() == Access::buffered) read.file->drop_cached(read.offset, read.size);
  --slot.open;
  free_.push_back(entry);
}

void ReadRing::take_one() {
  submit_waiting();
  const double begin = monotonic_seconds();
  const ReadDone done = reads_->wait();
  wait_seconds_ += monotonic_seconds() - begin;
  take(done);
  submit_waiting();
}

Result<const std::byte*> ReadRing::wait(std::size_t slot) {
  const CpuMeter meter(cpu_seconds_);
  while (slots_[slot].open > 0) take_one();
  if (slots_[slot].error) return *slots_[slot].error;
  return static_cast<const std::byte*>(memory_.data() + slot * options_.slot_bytes);
}

void ReadRing::drain() {
  while (under_way_ > 0 || waiting_count_ > 0) take_one();
  for (Slot& slot : slots_) slot.error.reset();
}

}  // namespace ollm::io
