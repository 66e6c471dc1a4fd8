// The answers of a batch: a file that is gone on with after any end of an earlier run, by one
// process at a time. Leaves to others: what an answer says (openai/batch_row.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/openai/batch_row.h"

namespace ollm::cli {

/// Owns the descriptor and with it the lock of the file; moves, never copies.
class BatchOutput {
 public:
  /// Opens or makes the file and locks it. Errors: invalid_argument where another process writes to
  /// it, and for what is no regular file; io.
  static Result<BatchOutput> open(const std::filesystem::path& path);
  BatchOutput(BatchOutput&& other) noexcept;
  BatchOutput& operator=(BatchOutput&& other) noexcept;
  ~BatchOutput();

  /// Begins it anew.
  Result<void> clear();

  /// Reads what is there, line by line, and asks of each answer whether it stays. A torn end, as a
  /// kill or a power cut leaves it, is cut off; what does not stay is removed, all at once: until
  /// then the file is as it was. Errors: those of `stays`; corrupt for a line that is no answer
  /// with answers behind it; io.
  Result<void> read_back(
      FunctionRef<Result<bool>(const openai::AnswerHead& answer, std::size_t line)> stays);

  /// Puts a line behind the others, whole or not at all. Errors: io; the file is then as it was.
  Result<void> append(std::string_view line);
  /// What was appended outlives a power cut; else that of a second ago does. Errors: io.
  Result<void> sync();

  const std::filesystem::path& path() const { return path_; }

 private:
  struct Range {
    std::uint64_t begin = 0, end = 0;
  };
  explicit BatchOutput(std::filesystem::path path) : path_(std::move(path)) {}
  Error failed(std::string_view doing) const;
  Result<void> cut(std::uint64_t size);
  Result<void> replace_by(const std::vector<Range>& kept);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;  // of whole lines
  double synced_s_ = 0;
};

}  // namespace ollm::cli
