#include "ollm/cli/batch_input.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/base/sha256.h"

namespace ollm::cli {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 18;

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::uint64_t fnv1a_64(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : bytes) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x100000001b3;
  }
  return hash;
}

Result<Shard> Shard::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const auto index = whole_number(text.substr(0, slash));
    const auto count = whole_number(text.substr(slash + 1));
    if (index && count && *index >= 1 && *index <= *count) return Shard{*index, *count};
  }
  return fail(ErrorKind::invalid_argument,
              fmt::format("--shard: expected I/N with 1 <= I <= N, as in 3/16, found '{}'", text));
}

bool Shard::has(const std::optional<std::string>& custom_id) const {
  if (!custom_id) return index == 1;
  return fnv1a_64(*custom_id) % count == index - 1;
}

BatchInput::BatchInput(std::filesystem::path path, std::FILE* stream)
    : path_(std::move(path)), stream_(stream), piece_(kPieceBytes) {}

Result<BatchInput> BatchInput::open(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    return fail(
        ErrorKind::invalid_argument,
        fmt::format("{}: is no regular file, and requests are read more than once", path.string()));
  }
  std::FILE* stream = std::fopen(path.c_str(), "rb");
  if (stream == nullptr) {
    return fail(errno == ENOENT ? ErrorKind::not_found : ErrorKind::io,
                fmt::format("{}: {}", path.string(), std::strerror(errno)));
  }
  BatchInput input(path, stream);
  char mark[2] = {};
  const std::size_t got = std::fread(mark, 1, sizeof mark, stream);
  const std::string_view begin(mark, got);
  if (begin == "\xFF\xFE" || begin == "\xFE\xFF") {
    return fail(ErrorKind::invalid_argument,
                fmt::format("{}: is UTF-16, expected UTF-8: iconv -f UTF-16 -t UTF-8 turns it",
                            path.string()));
  }
  input.rewind();
  return input;
}

void BatchInput::rewind() {
  std::rewind(stream_.get());
  at_ = end_ = number_ = 0;
}

// A line without its end, whatever it is; of one that is too long its digest alone.
Result<bool> BatchInput::next_line(std::string& line, std::optional<std::string>& digest_of_long) {
  line.clear();
  digest_of_long.reset();
  std::optional<Sha256> hash;
  bool any = false;
  for (;;) {
    if (at_ == end_) {
      end_ = std::fread(piece_.data(), 1, piece_.size(), stream_.get());
      at_ = 0;
      if (end_ == 0 && std::ferror(stream_.get()) != 0)
        return fail(ErrorKind::io, fmt::format("{}: {}", path_.string(), std::strerror(errno)));
      if (end_ == 0) break;
    }
    any = true;
    const std::string_view left(piece_.data() + at_, end_ - at_);
    const std::size_t newline = left.find('\n');
    const std::string_view part = left.substr(0, newline);
    at_ += newline == std::string_view::npos ? part.size() : newline + 1;
    if (!hash && line.size() + part.size() > openai::BodyLimits::kRowBytes)
      hash.emplace().add(line);
    if (hash) {
      line.clear();
      hash->add(part);
    } else {
      line += part;
    }
    if (newline != std::string_view::npos) break;
  }
  if (hash) digest_of_long = hash->finish().hex();
  return any;
}

Result<std::optional<NumberedRow>> BatchInput::next() {
  std::optional<std::string> digest_of_long;
  for (;;) {
    OLLM_TRY(const bool any, next_line(line_, digest_of_long));
    if (!any) return std::optional<NumberedRow>();
    ++number_;
    if (digest_of_long)
      return std::optional(NumberedRow{number_, 0, openai::too_long_row(*digest_of_long)});
    std::string_view row = line_;
    if (number_ == 1 && row.starts_with(kByteOrderMark)) row.remove_prefix(kByteOrderMark.size());
    if (row.ends_with('\r')) row.remove_suffix(1);
    if (is_blank(row)) continue;
    return std::optional(NumberedRow{number_, row.size(), openai::read_batch_row(row)});
  }
}

BatchIndex::Entry BatchIndex::entry_of(const std::string& id,
                                       const std::optional<std::string>& custom_id) {
  Entry entry;
  entry.named = custom_id.has_value();
  const Digest digest = sha256(entry.named ? "n" + *custom_id : "r" + id);
  std::copy_n(digest.bytes.begin(), entry.key.size(), entry.key.begin());
  const std::size_t digits = id.find('_') + 1;
  (void)std::from_chars(id.data() + digits, id.data() + id.size(), entry.id, 16);
  return entry;
}

void BatchIndex::add(const openai::BatchRow& row, bool ours) {
  Entry entry = entry_of(row.id, row.custom_id);
  entry.state = ours ? State::pending : State::of_others;
  entries_.push_back(entry);
}

std::optional<std::pair<std::size_t, std::size_t>> BatchIndex::finish() {
  sorted_.resize(entries_.size());
  for (std::size_t i = 0; i < sorted_.size(); ++i) sorted_[i] = static_cast<std::uint32_t>(i);
  std::sort(sorted_.begin(), sorted_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::pair(entries_[a].key, a) < std::pair(entries_[b].key, b);
  });
  for (std::size_t i = 1; i < sorted_.size(); ++i) {
    const Entry& before = entries_[sorted_[i - 1]];
    if (before.named && before.key == entries_[sorted_[i]].key)
      return std::pair<std::size_t, std::size_t>(sorted_[i - 1], sorted_[i]);
  }
  return std::nullopt;
}

bool BatchIndex::is(std::size_t place, const openai::BatchRow& row) const {
  if (place >= entries_.size()) return false;
  const Entry now = entry_of(row.id, row.custom_id);
  return now.key == entries_[place].key && now.id == entries_[place].id;
}

std::size_t BatchIndex::count(State state) const {
  return static_cast<std::size_t>(std::count_if(
      entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.state == state; }));
}

BatchIndex::Match BatchIndex::keep(const openai::AnswerHead& answer) {
  const Entry wanted = entry_of(answer.id, answer.custom_id);
  const auto first = std::lower_bound(
      sorted_.begin(), sorted_.end(), wanted.key,
      [&](std::uint32_t place, const auto& key) { return entries_[place].key < key; });
  Match match = Match::unknown;
  // Rows without a name may be several alike: each answer is one's.
  for (auto at = first; at != sorted_.end() && entries_[*at].key == wanted.key; ++at) {
    Entry& entry = entries_[*at];
    if (entry.id != wanted.id) return Match::edited;
    match = entry.state == State::of_others ? Match::of_others : Match::twice;
    if (entry.state != State::pending) continue;
    entry.state = State::kept;
    return Match::kept;
  }
  return match;
}

}  // namespace ollm::cli
