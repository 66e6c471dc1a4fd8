#include "ollm/kv/segment_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <thread>
#include <utility>

#include "ollm/kv/record.h"

namespace ollm::kv {
namespace {

constexpr std::string_view kSuffix = ".kv";
constexpr std::string_view kLockSuffix = ".lock";
constexpr std::size_t kNumberDigits = 16;
// A folder with more names is not one that we made.
constexpr std::size_t kMaxNames = 1 << 17;
constexpr mode_t kOthersMayWrite = S_IWGRP | S_IWOTH;
// An eviction takes a few milliseconds for each file.
constexpr int kBusyTries = 5;

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(10)); }

bool is_refused(const struct stat& status) {
  return !S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || status.st_nlink > 1 ||
         (status.st_mode & kOthersMayWrite) != 0;
}

}  // namespace

std::string segment_name(std::uint64_t number) { return fmt::format("{:016x}{}", number, kSuffix); }

std::optional<std::uint64_t> segment_number(std::string_view name) {
  if (name.size() != kNumberDigits + kSuffix.size() || !name.ends_with(kSuffix))
    return std::nullopt;
  std::uint64_t number = 0;
  const char* const end = name.data() + kNumberDigits;
  const auto [stop, error] = std::from_chars(name.data(), end, number, 16);
  if (error != std::errc() || stop != end || segment_name(number) != name) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> locked_segment_number(std::string_view name) {
  if (!name.ends_with(kLockSuffix)) return std::nullopt;
  return segment_number(name.substr(0, name.size() - kLockSuffix.size()));
}

bool is_left_over(std::string_view name) {
  return name.ends_with(kUnlinkedSuffix) &&
         segment_number(name.substr(0, name.size() - kUnlinkedSuffix.size())).has_value();
}

std::filesystem::path segment_path(const std::filesystem::path& folder, std::uint64_t number) {
  return folder / segment_name(number);
}

std::filesystem::path lock_path(const std::filesystem::path& folder, std::uint64_t number) {
  return folder / (segment_name(number) + std::string(kLockSuffix));
}

Result<std::vector<std::uint64_t>> list_segments(const std::filesystem::path& folder,
                                                 io::SystemCalls& calls) {
  std::vector<std::string> names;
  if (calls.list(folder.c_str(), kMaxNames, &names) != 0)
    return io::system_error(folder, "list", errno);
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : names)
    if (const auto number = segment_number(name)) numbers.push_back(*number);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::string_view to_string(SegmentState state) {
  switch (state) {
    case SegmentState::whole:
      return "whole";
    case SegmentState::other_version:
      return "other_version";
    case SegmentState::damaged:
      return "damaged";
    case SegmentState::refused:
      return "refused";
    case SegmentState::busy:
      return "busy";
    case SegmentState::absent:
      return "absent";
  }
  return "absent";
}

Result<OpenedSegment> open_segment(const std::filesystem::path& folder, std::uint64_t number,
                                   io::SystemCalls& calls) {
  const std::filesystem::path path = segment_path(folder, number);
  OpenedSegment out;
  struct stat status{};
  if (calls.lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return out;
    return io::system_error(path, "look at", errno);
  }
  out.state = SegmentState::refused;
  if (is_refused(status)) return out;
  Result<io::File> opened = io::File::open_growing(path, io::Access::buffered, calls);
  if (!opened.ok()) {
    if (opened.error().kind != ErrorKind::not_found) return std::move(opened).error();
    out.state = SegmentState::absent;
    return out;
  }
  io::File file = std::move(opened).value();
  // Between the two looks another file may have come under the name.
  if (calls.fstat(file.descriptor(), &status) != 0) return io::system_error(path, "stat", errno);
  if (is_refused(status)) return out;

  out.state = SegmentState::busy;
  for (int tries = 0; !try_flock(file.descriptor(), LOCK_SH, calls); ++tries) {
    if (tries == kBusyTries) return out;
    pause();
  }
  // Who had the lock may have removed the file.
  if (calls.fstat(file.descriptor(), &status) != 0) return io::system_error(path, "stat", errno);
  if (status.st_nlink == 0) {
    out.state = SegmentState::absent;
    return out;
  }
  Page page{};
  OLLM_TRY(const std::size_t read, file.read_up_to(0, page));
  const FileHeader header = read == page.size() ? decode_file_header(page) : FileHeader{};
  out.version = header.version;
  if (header.state == FileHeader::State::other_version) {
    out.state = SegmentState::other_version;
  } else if (header.state == FileHeader::State::damaged || header.file_number != number) {
    out.state = SegmentState::damaged;
  } else {
    out.state = SegmentState::whole;
    out.file = std::move(file);
  }
  return out;
}

bool try_flock(int fd, int operation, io::SystemCalls& calls) {
  constexpr int kInterruptions = 100;
  for (int tries = 0; tries < kInterruptions; ++tries) {
    if (calls.flock(fd, operation | LOCK_NB) == 0) return true;
    if (errno != EINTR) return false;
  }
  return false;
}

Result<std::optional<io::Descriptor>> try_lock(const std::filesystem::path& path, int tries,
                                               io::SystemCalls& calls) {
  for (int done = 0;; ++done) {
    io::Descriptor lock(
        calls.open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600),
        calls);
    if (!lock) return write_error(path, "open lock", errno);
    if (try_flock(lock.get(), LOCK_EX, calls)) {
      // Who had it may have removed it: then it locks nothing any more.
      struct stat held{}, named{};
      if (calls.fstat(lock.get(), &held) == 0 && calls.lstat(path.c_str(), &named) == 0 &&
          held.st_ino == named.st_ino && held.st_dev == named.st_dev)
        return std::optional<io::Descriptor>(std::move(lock));
    }
    if (done >= tries) return std::optional<io::Descriptor>();
    pause();
  }
}

Error write_error(const std::filesystem::path& path, std::string_view doing, int error) {
  Error out = io::system_error(path, doing, error);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) out.kind = ErrorKind::out_of_budget;
  return out;
}

}  // namespace ollm::kv
