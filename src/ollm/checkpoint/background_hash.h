// The content hash of a model, made while the model already runs. Leaves to others: what is hashed
// (content_hash.h), what waits for it (the store's commits).
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>

#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/base/sha256.h"
#include "ollm/base/thread.h"
#include "ollm/checkpoint/content_hash.h"

namespace ollm::checkpoint {

/// Owns a thread of the lowest priority that hashes; it ends with this, at the next piece. Any
/// number of threads may call.
class BackgroundHash {
 public:
  /// What it adds to the memory of the process.
  static constexpr std::size_t kBytes =
      ContentHash::kPieceBytes + io::File::kDirectAlignment + Thread::kResidentBytes;

  /// As ContentHash::begin. Where all is known, the hash is there at once; where the system gives
  /// no thread, whoever waits hashes.
  static Result<std::unique_ptr<BackgroundHash>> start(ModelFolder folder,
                                                       std::filesystem::path memory,
                                                       memory::Budget& budget,
                                                       io::SystemCalls& calls);
  ~BackgroundHash();

  /// The hash, or why there is none; nothing as long as it is being made.
  std::optional<Result<Digest>> poll() const;

  /// The same when it is made: the caller's thread takes the work over, at its own priority, which
  /// the thread of the lowest might not get to end on a busy machine.
  /// Errors: as ContentHash::step; cancelled, and the thread goes on then.
  Result<Digest> wait(FunctionRef<void(std::uint64_t done, std::uint64_t total)> on_progress,
                      const CancellationToken& cancel);

 private:
  explicit BackgroundHash(ContentHash hash) : hash_(std::move(hash)) {}
  void run();
  void step();  // with mutex_ held

  mutable std::mutex mutex_;
  std::condition_variable waiters_left_;
  // Guarded by mutex_.
  ContentHash hash_;
  std::optional<Result<Digest>> outcome_;
  // Guarded by waiting_mutex_, which is never held while a piece is hashed.
  std::mutex waiting_mutex_;
  std::size_t waiters_ = 0;
  bool stopped_ = false;

  std::optional<Thread> thread_;  // constant after start
};

}  // namespace ollm::checkpoint
