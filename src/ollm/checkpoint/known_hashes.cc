#include "ollm/checkpoint/known_hashes.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <utility>

#include "ollm/io/atomic_replace.h"

namespace ollm::checkpoint {
namespace {

constexpr std::string_view kFirstLine = "ollm content hashes 1\n";
// A line has at most five numbers of twenty digits, a hash and what parts them.
constexpr std::uint64_t kMaxFileBytes = KnownHashes::kMaxEntries * 192;

// Takes the text up to `end` and what ends it off the front; nothing where it does not end.
std::optional<std::string_view> take(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at + 1);
  return taken;
}

template <typename Number>
bool take_number(std::string_view& line, Number& out) {
  const auto word = take(line, ' ');
  if (!word) return false;
  const auto [end, error] = std::from_chars(word->data(), word->data() + word->size(), out);
  return error == std::errc() && end == word->data() + word->size();
}

bool read_hex(std::string_view text, Digest& out) {
  if (text.size() != 2 * out.bytes.size()) return false;
  for (std::size_t i = 0; i < out.bytes.size(); ++i) {
    const char* const digits = text.data() + 2 * i;
    const auto [end, error] = std::from_chars(digits, digits + 2, out.bytes[i], 16);
    if (error != std::errc() || end != digits + 2) return false;
  }
  return true;
}

// Others who may write to it could name one model's bytes by another's hash.
bool is_ours(const std::filesystem::path& path, io::SystemCalls& calls) {
  struct stat status{};
  return calls.lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         status.st_uid == ::geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

}  // namespace

KnownHashes KnownHashes::read(const std::filesystem::path& path, io::SystemCalls& calls) {
  if (!is_ours(path, calls)) return {};
  const Result<std::string> text = io::read_whole_file(path, kMaxFileBytes, calls);
  return text.ok() ? parse(*text) : KnownHashes();
}

KnownHashes KnownHashes::parse(std::string_view text) {
  const std::size_t end =
      text.size() < 2 ? std::string_view::npos : text.rfind('\n', text.size() - 2);
  if (end == std::string_view::npos || !text.starts_with(kFirstLine)) return {};
  std::string_view lines = text.substr(0, end + 1);
  if (text.substr(end + 1) != sha256(lines).hex() + "\n") return {};

  lines.remove_prefix(kFirstLine.size());
  KnownHashes known;
  while (!lines.empty()) {
    std::string_view line = *take(lines, '\n');
    Entry entry;
    if (!take_number(line, entry.file.device) || !take_number(line, entry.file.inode) ||
        !take_number(line, entry.file.size_bytes) || !take_number(line, entry.file.mtime_ns) ||
        !take_number(line, entry.file.ctime_ns) || !read_hex(line, entry.hash))
      return {};
    known.entries_.push_back(entry);
  }
  return known.entries_.size() <= kMaxEntries ? std::move(known) : KnownHashes();
}

const Digest* KnownHashes::find(const io::FileIdentity& file) const {
  for (const Entry& entry : entries_)
    if (entry.file == file) return &entry.hash;
  return nullptr;
}

void KnownHashes::add(const io::FileIdentity& file, const Digest& hash) {
  std::erase_if(entries_, [&](const Entry& entry) {
    return entry.file.device == file.device && entry.file.inode == file.inode;
  });
  if (entries_.size() == kMaxEntries) entries_.erase(entries_.begin());
  entries_.push_back({file, hash});
}

std::string KnownHashes::text() const {
  std::string out(kFirstLine);
  for (const auto& [file, hash] : entries_) {
    fmt::format_to(std::back_inserter(out), "{} {} {} {} {} {}\n", file.device, file.inode,
                   file.size_bytes, file.mtime_ns, file.ctime_ns, hash.hex());
  }
  return out + sha256(out).hex() + "\n";
}

Result<void> KnownHashes::remember(const std::filesystem::path& path, const io::FileIdentity& file,
                                   const Digest& hash, io::SystemCalls& calls) {
  KnownHashes known = read(path, calls);
  known.add(file, hash);
  return io::atomic_replace(path, known.text(), 0600, calls);
}

bool is_settled(const io::FileIdentity& file, std::int64_t now_ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  // Whole seconds are what file systems write that count in them, or in two; else it is a tick of
  // the kernel's clock, 10 ms at most.
  const std::int64_t tick = file.ctime_ns % kSecond == 0 ? 2 * kSecond : kSecond / 20;
  return now_ns - file.ctime_ns > tick;
}

}  // namespace ollm::checkpoint
