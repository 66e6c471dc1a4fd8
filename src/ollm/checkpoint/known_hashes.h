// SHA-256 of files that were read whole before, kept between runs in one small file, which
// docs/formats/content_hashes.md describes. Leaves to others: what is hashed (content_hash.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/base/sha256.h"
#include "ollm/io/file.h"
#include "ollm/io/system_calls.h"

namespace ollm::checkpoint {

/// What is known, each by the whole identity of its file: the time of its last change among it, so
/// that another file of the same size and date is not taken for it.
class KnownHashes {
 public:
  /// Of more, those that were added first are forgotten.
  static constexpr std::size_t kMaxEntries = 4096;

  /// What the file holds. Nothing where it is not there, cannot be read, is damaged, of another
  /// version or of another user, or may be written by others: files are hashed again then.
  static KnownHashes read(const std::filesystem::path& path, io::SystemCalls& calls);

  /// The same of a text; nothing where it is not what `text` writes.
  static KnownHashes parse(std::string_view text);

  /// The hash, or nullptr.
  const Digest* find(const io::FileIdentity& file) const;

  /// Takes the place of what was known of the file in another state.
  void add(const io::FileIdentity& file, const Digest& hash);

  std::size_t size() const { return entries_.size(); }

  /// The file as it is written.
  std::string text() const;

  /// Adds one to what the file holds by now, as other processes write it too: of two that do so at
  /// once one may be lost, and its file is hashed again. Errors: io; not_found without a folder.
  static Result<void> remember(const std::filesystem::path& path, const io::FileIdentity& file,
                               const Digest& hash, io::SystemCalls& calls);

 private:
  struct Entry {
    io::FileIdentity file;
    Digest hash;
  };
  std::vector<Entry> entries_;  // in the order in which they were added
};

/// Whether a change of the file after `now_ns` (since 1970) is sure to be seen in its identity: a
/// second change within one tick of the file system's clock leaves the same time.
bool is_settled(const io::FileIdentity& file, std::int64_t now_ns);

}  // namespace ollm::checkpoint
