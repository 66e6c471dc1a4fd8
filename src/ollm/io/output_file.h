// A file that is written piece by piece and appears under its name only when it is whole: readers
// see the old one or the new one, whatever happens. What is there and no file (a device, a FIFO,
// /dev/stdout) is written to. Leaves to others: small files in one call (atomic_replace.h) and
// files that grow for ever (kv/).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "ollm/base/result.h"
#include "ollm/io/output_target.h"
#include "ollm/io/system_calls.h"

namespace ollm::io {

/// Owns a temporary file in the folder of `path`, which goes with it unless `finish` put it under
/// its name; behind a link that is the name that the link leads to, and the link stays. Or, where
/// something else than a file is there, writes to that. Messages name `path`, as the caller gave
/// it.
class OutputFile {
 public:
  /// `mode` are the permissions of a new file, before the umask: as every program makes files; 0600
  /// for what is private. A file that is replaced keeps its own. `calls` has to outlive the file.
  /// Errors: those of find_output_target; not_found where the folder is not there; io, also for a
  /// file that may not be written to.
  static Result<OutputFile> create(const std::filesystem::path& path, mode_t mode = 0666,
                                   SystemCalls& calls = posix());

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  ~OutputFile();

  /// Whether bytes can only be written one behind the other: a pipe, a terminal.
  bool in_order_only() const { return in_order_only_; }

  /// Writes all of `bytes` at `offset`, through interrupted and short writes.
  /// Errors: io, naming path and byte; invalid_argument for another order than is possible.
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  /// Syncs the file, renames it over `path` and syncs the folder; to be called once. After an error
  /// the old file stands untouched and the temporary one is gone; a failed sync is never tried
  /// again, since Linux reports it once and may call the lost pages clean. Only an error of the
  /// last step leaves the new content in place, perhaps not durable.
  /// Errors: io.
  Result<void> finish();

 private:
  OutputFile(std::filesystem::path path, OutputTarget target, SystemCalls& calls);
  Result<void> open_temporary(mode_t mode);
  Result<void> check_writable();
  Result<void> open_stream();
  void discard();
  Result<void> sync_folder();

  std::filesystem::path path_;
  OutputTarget target_;
  std::filesystem::path temporary_;  // empty for a stream, after being moved from, finished
  int fd_ = -1;
  bool in_order_only_ = false;
  std::uint64_t written_ = 0;  // the byte behind the last that was written
  SystemCalls* calls_ = nullptr;
};

}  // namespace ollm::io
