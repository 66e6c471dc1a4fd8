// A large file that is written piece by piece and appears under its name only when it is whole.
// Leaves to others: small files (atomic_replace.h) and files that grow for ever (kv/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "ollm/base/result.h"
#include "ollm/io/system_calls.h"

namespace ollm::io {

/// Owns a temporary file beside `path`, which goes with it unless `finish` was called.
class OutputFile {
 public:
  /// Errors: not_found where the folder is not there; io.
  static Result<OutputFile> create(const std::filesystem::path& path, SystemCalls& calls = posix());

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  ~OutputFile();

  /// Writes all of `bytes` at `offset`, through interruptions. Errors: io, naming path and byte.
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  /// Puts the file under its name. Errors: io; the file is gone then.
  Result<void> finish();

 private:
  OutputFile(std::filesystem::path path, std::filesystem::path temporary, int fd,
             SystemCalls& calls);
  void discard();

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;  // -1 after being moved from or finished
  SystemCalls* calls_ = nullptr;
};

}  // namespace ollm::io
