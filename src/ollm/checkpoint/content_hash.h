// What a model is, wherever its folder lies: a SHA-256 of the files that decide its numbers. Leaves
// to others: hashes that are known from earlier runs (known_hashes.h), who has the time
// (background_hash.h), what else decides a result (runtime/fingerprint.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/base/sha256.h"
#include "ollm/checkpoint/model_folder.h"
#include "ollm/io/file.h"
#include "ollm/io/system_calls.h"
#include "ollm/memory/buffer.h"

namespace ollm::checkpoint {

/// SHA-256 over config.json and all files of weights in the order of the index: of each its name
/// within the folder, its size and the SHA-256 of its bytes. Links are followed, and neither names
/// of folders nor dates are a part of it.
///
/// Made piece by piece; weights are read past the page cache where that can be had. One thread at a
/// time.
class ContentHash {
 public:
  /// Of one step; what it holds for reading.
  static constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

  /// Begins. Files that `memory` knows (known_hashes.h) are not read again; what is hashed is
  /// remembered there. An empty path: nothing is known. `calls` has to outlive this.
  /// Errors: out_of_budget.
  static Result<ContentHash> begin(ModelFolder folder, std::filesystem::path memory,
                                   memory::Budget& budget, io::SystemCalls& calls);

  /// Hashes the next piece. True when the hash is there.
  /// Errors: corrupt where a file is not the one that the folder opened, or changes while it is
  /// read; io. They come again with every further step.
  Result<bool> step();

  /// Goes on to the end. Errors: as step; cancelled.
  Result<Digest> finish(FunctionRef<void(std::uint64_t done, std::uint64_t total)> on_progress,
                        const CancellationToken& cancel);

  /// Of files that are to be read.
  std::uint64_t done_bytes() const { return done_bytes_; }
  std::uint64_t total_bytes() const { return total_bytes_; }
  /// Nothing before the last step.
  const std::optional<Digest>& hash() const { return hash_; }

 private:
  ContentHash(ModelFolder folder, std::filesystem::path memory, memory::Buffer piece,
              io::SystemCalls& calls);
  Result<void> open_next();
  Result<void> end_file();
  Result<void> check_same(std::uint32_t file) const;
  Digest combined() const;

  ModelFolder folder_;
  std::filesystem::path memory_;
  memory::Buffer piece_;
  io::SystemCalls* calls_;
  std::vector<std::optional<Digest>> files_;  // in the order of the index
  std::uint64_t total_bytes_ = 0;
  std::uint64_t done_bytes_ = 0;
  std::optional<Digest> hash_;

  // Of the file that is being read.
  std::uint32_t current_ = 0;
  std::optional<io::File> open_;
  std::int64_t opened_ns_ = 0;  // since 1970
  std::uint64_t offset_ = 0;
  Sha256 of_file_;
};

}  // namespace ollm::checkpoint
