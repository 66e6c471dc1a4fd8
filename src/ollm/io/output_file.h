// A file that is written piece by piece and appears under its name only when it is whole: readers
// see the old one or the new one, whatever happens. Leaves to others: small files in one call
// (atomic_replace.h) and files that grow for ever (kv/).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "ollm/base/result.h"
#include "ollm/io/system_calls.h"

namespace ollm::io {

/// Owns a temporary file in the folder of `path`, which goes with it unless `finish` put it under
/// its name. Messages name `path`, the file that the caller asked for.
class OutputFile {
 public:
  /// `mode` are the permissions of the new file, before the umask; the default is the owner alone.
  /// `calls` has to outlive the file.
  /// Errors: not_found where the folder is not there; io.
  static Result<OutputFile> create(const std::filesystem::path& path, mode_t mode = 0600,
                                   SystemCalls& calls = posix());

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  ~OutputFile();

  /// Writes all of `bytes` at `offset`, through interrupted and short writes.
  /// Errors: io, naming path and byte.
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  /// Syncs the file, renames it over `path` and syncs the folder; to be called once. After an error
  /// the old file stands untouched and the temporary one is gone; a failed sync is never tried
  /// again, since Linux reports it once and may call the lost pages clean. Only an error of the
  /// last step leaves the new content in place, perhaps not durable.
  /// Errors: io.
  Result<void> finish();

 private:
  OutputFile(std::filesystem::path path, std::filesystem::path temporary, int fd,
             SystemCalls& calls);
  void discard();
  Result<void> sync_folder();

  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty after being moved from or finished
  int fd_ = -1;
  SystemCalls* calls_ = nullptr;
};

}  // namespace ollm::io
