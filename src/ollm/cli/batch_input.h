// The requests of a batch: a file of rows that is read as a stream, as often as it takes, and what
// is held of each row between: who it is. Leaves to others: what a row says (openai/batch_row.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/openai/batch_row.h"

namespace ollm::cli {

/// One of several machines that share a file of requests: I of N.
struct Shard {
  std::uint64_t index = 1;  // from 1
  std::uint64_t count = 1;

  /// "3/16". Errors: invalid_argument.
  static Result<Shard> parse(std::string_view text);
  /// Whether a request is for this one: by FNV-1a-64 of its custom_id; what has none is the
  /// first's.
  bool has(const std::optional<std::string>& custom_id) const;
};

/// Source: Fowler, Noll, Vo, "The FNV Non-Cryptographic Hash Algorithm", 64 bits.
std::uint64_t fnv1a_64(std::string_view bytes);

/// A row, and its number in the file, from 1; blank lines count, and are passed over.
struct NumberedRow {
  std::size_t number = 0;
  std::size_t bytes = 0;
  openai::BatchRow row;
};

/// Reads rows from the first to the last, and again. Line ends may be those of Windows; a byte
/// order mark in front is passed over.
class BatchInput {
 public:
  /// Errors: not_found, io; invalid_argument for what is no regular file, which could not be read
  /// twice, and for UTF-16.
  static Result<BatchInput> open(const std::filesystem::path& path);

  /// Goes back to the first row.
  void rewind();
  /// The next row; nothing at the end. Errors: io.
  Result<std::optional<NumberedRow>> next();

  const std::filesystem::path& path() const { return path_; }

 private:
  struct Close {
    void operator()(std::FILE* stream) const { std::fclose(stream); }
  };
  BatchInput(std::filesystem::path path, std::FILE* stream);
  Result<bool> next_line(std::string& line, std::optional<std::string>& digest_of_long);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> stream_;
  std::vector<char> piece_;
  std::size_t at_ = 0, end_ = 0;  // in piece_
  std::size_t number_ = 0;
  std::string line_;
};

/// Who the requests are, and which of them have their answer.
class BatchIndex {
 public:
  enum class State : std::uint8_t { of_others, pending, kept };
  /// What is held of one row, and of its place in the order of names.
  static constexpr std::size_t kRowBytes = 40;

  void add(const openai::BatchRow& row, bool ours);
  /// After the last one. The places, from 0, of two rows with one custom_id; nothing where each has
  /// its own.
  std::optional<std::pair<std::size_t, std::size_t>> finish();

  std::size_t size() const { return entries_.size(); }
  State state(std::size_t place) const { return entries_[place].state; }
  /// Whether the row at a place is the one that was there before.
  bool is(std::size_t place, const openai::BatchRow& row) const;
  std::size_t count(State state) const;

  enum class Match { kept, twice, of_others, unknown, edited };
  /// Marks the request of an answer as kept: what it is an answer to.
  Match keep(const openai::AnswerHead& answer);

 private:
  struct Entry {
    std::array<std::uint8_t, 16> key{};  // of the custom_id, or of the row where it has none
    std::uint64_t id = 0;
    State state = State::of_others;
    bool named = false;
  };
  static Entry entry_of(const std::string& id, const std::optional<std::string>& custom_id);

  std::vector<Entry> entries_;         // in the order of rows
  std::vector<std::uint32_t> sorted_;  // places, by key
};

}  // namespace ollm::cli
