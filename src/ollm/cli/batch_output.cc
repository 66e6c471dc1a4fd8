#include "ollm/cli/batch_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ollm/base/clock.h"

namespace ollm::cli {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 18;
constexpr double kSyncSeconds = 1;

// All of `bytes` at `offset`; false with errno where that cannot be.
bool write_at(int descriptor, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t wrote =
        ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
    offset += static_cast<std::uint64_t>(wrote);
  }
  return true;
}

// As many bytes as come at `offset`, 0 at the end; -1 with errno.
ssize_t read_at(int descriptor, std::vector<char>& piece, std::uint64_t offset) {
  for (;;) {
    const ssize_t got = ::pread(descriptor, piece.data(), piece.size(), static_cast<off_t>(offset));
    if (got >= 0 || errno != EINTR) return got;
  }
}

// Whether the path still names the file of the descriptor: another process may have put a new one
// in its place between the two.
bool is_at(int descriptor, const std::filesystem::path& path) {
  struct stat opened{}, named{};
  return ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Whether a line that is no answer may be one that was not written whole. What else stands there is
// somebody's, and not cut.
bool is_torn(std::string_view line, bool ended) {
  if (line.find('\0') != std::string_view::npos) return true;  // as a power cut may leave it
  constexpr std::string_view kBegin = R"({"id")";
  return !ended && kBegin.starts_with(line.substr(0, kBegin.size()));
}

void sync_folder(const std::filesystem::path& path) {
  const int folder = ::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  (void)::fsync(folder);
  (void)::close(folder);
}

}  // namespace

Error BatchOutput::failed(std::string_view doing) const {
  return fail(ErrorKind::io,
              fmt::format("{}: {}: {}", path_.string(), doing, std::strerror(errno)));
}

BatchOutput::BatchOutput(BatchOutput&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      synced_s_(other.synced_s_) {}

BatchOutput& BatchOutput::operator=(BatchOutput&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(synced_s_, other.synced_s_);
  return *this;
}

BatchOutput::~BatchOutput() {
  if (descriptor_ >= 0) (void)::close(descriptor_);
}

Result<BatchOutput> BatchOutput::open(const std::filesystem::path& path) {
  for (;;) {
    BatchOutput output(path);
    output.descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    if (output.descriptor_ < 0) return output.failed("open");
    struct stat is{};
    if (::fstat(output.descriptor_, &is) != 0) return output.failed("stat");
    if (!S_ISREG(is.st_mode)) {
      return fail(
          ErrorKind::invalid_argument,
          fmt::format("{}: is no regular file, which could be gone on with", path.string()));
    }
    if (::flock(output.descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return output.failed("lock");
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{}: another process writes to it; give each its own, or wait",
                              path.string()));
    }
    if (!is_at(output.descriptor_, path)) continue;
    // Where it is a link, what it leads to is gone on with, and replaced.
    std::error_code error;
    const std::filesystem::path real = std::filesystem::canonical(path, error);
    if (!error) output.path_ = real;
    output.size_ = static_cast<std::uint64_t>(is.st_size);
    output.synced_s_ = monotonic_seconds();
    return output;
  }
}

Result<void> BatchOutput::cut(std::uint64_t size) {
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) return failed("cut");
  size_ = size;
  return {};
}

Result<void> BatchOutput::clear() { return cut(0); }

Result<void> BatchOutput::read_back(
    FunctionRef<Result<bool>(const openai::AnswerHead& answer, std::size_t line)> stays) {
  std::vector<Range> kept;
  std::vector<char> piece(kPieceBytes);
  std::string line;
  std::size_t number = 0;
  std::size_t torn = 0;     // number of the first line that is no answer
  std::uint64_t whole = 0;  // bytes up to it
  std::uint64_t begin = 0;  // of `line`
  bool all_stay = true;
  const auto foreign = [&](std::size_t at) {
    return fail(ErrorKind::corrupt, fmt::format("{}: line {} is no answer; --overwrite begins anew",
                                                path_.string(), at));
  };
  for (std::uint64_t offset = 0;;) {
    const ssize_t got = read_at(descriptor_, piece, offset);
    if (got < 0) return failed("read");
    if (got == 0) break;
    std::string_view left(piece.data(), static_cast<std::size_t>(got));
    offset += left.size();
    for (std::size_t newline; (newline = left.find('\n')) != std::string_view::npos;) {
      line += left.substr(0, newline);
      left.remove_prefix(newline + 1);
      ++number;
      const std::uint64_t end = begin + line.size() + 1;
      if (const std::optional<openai::AnswerHead> head = openai::read_answer_head(line)) {
        if (torn != 0) return foreign(torn);
        OLLM_TRY(const bool stay, stays(*head, number));
        all_stay = all_stay && stay;
        if (stay && !kept.empty() && kept.back().end == begin) {
          kept.back().end = end;
        } else if (stay) {
          kept.push_back({begin, end});
        }
        whole = end;
      } else if (!is_torn(line, true)) {
        return foreign(number);
      } else if (torn == 0) {
        torn = number;
      }
      begin = end;
      line.clear();
    }
    line += left;
  }
  if (!line.empty() && !is_torn(line, false)) return foreign(number + 1);
  if (!all_stay) return replace_by(kept);
  return whole == size_ ? Result<void>() : cut(whole);
}

// By a file beside it that takes its place once it is whole. It has a name of its own, so that one
// that a kill left is written over.
Result<void> BatchOutput::replace_by(const std::vector<Range>& kept) {
  struct stat is{};
  if (::fstat(descriptor_, &is) != 0) return failed("stat");
  BatchOutput made(path_.string() + ".new");
  made.descriptor_ =
      ::open(made.path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, is.st_mode);
  if (made.descriptor_ < 0) return made.failed("open");
  const auto give_up = [&](std::string_view doing) {
    Error error = made.failed(doing);
    (void)::unlink(made.path_.c_str());
    return error;
  };
  if (::flock(made.descriptor_, LOCK_EX | LOCK_NB) != 0) return give_up("lock");
  std::vector<char> piece(kPieceBytes);
  for (const Range& range : kept) {
    for (std::uint64_t at = range.begin; at < range.end;) {
      const ssize_t got = read_at(descriptor_, piece, at);
      if (got <= 0) return give_up("copy");
      const std::uint64_t bytes =
          std::min<std::uint64_t>(static_cast<std::uint64_t>(got), range.end - at);
      if (!write_at(made.descriptor_, {piece.data(), static_cast<std::size_t>(bytes)}, made.size_))
        return give_up("write");
      made.size_ += bytes;
      at += bytes;
    }
  }
  if (::fsync(made.descriptor_) != 0) return give_up("sync");
  if (::rename(made.path_.c_str(), path_.c_str()) != 0) return give_up("rename");
  sync_folder(path_);
  made.path_ = path_;
  made.synced_s_ = monotonic_seconds();
  *this = std::move(made);
  return {};
}

Result<void> BatchOutput::append(std::string_view line) {
  const std::string bytes = std::string(line) + '\n';
  if (!write_at(descriptor_, bytes, size_)) {
    Error error = failed("write");
    (void)::ftruncate(descriptor_, static_cast<off_t>(size_));
    return error;
  }
  size_ += bytes.size();
  return monotonic_seconds() - synced_s_ < kSyncSeconds ? Result<void>() : sync();
}

Result<void> BatchOutput::sync() {
  if (::fdatasync(descriptor_) != 0) return failed("sync");
  synced_s_ = monotonic_seconds();
  return {};
}

}  // namespace ollm::cli
