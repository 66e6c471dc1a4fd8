// What the models of stored keys and values were called, by fingerprint: for people, who do not
// know a model by its hash. Leaves to others: the fingerprint (fingerprint.h), what is stored
// (kv/pool.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/base/sha256.h"
#include "ollm/io/system_calls.h"

namespace ollm::runtime {

/// A small file beside the segment files. What it says decides nothing but what `ollm cache` shows
/// and takes as --model.
class ModelNames {
 public:
  /// Of more, those that were noted first are forgotten.
  static constexpr std::size_t kMaxEntries = 1024;

  static std::filesystem::path path_in(const std::filesystem::path& kv_folder) {
    return kv_folder / "models.json";
  }

  /// What the file holds; nothing where it is not there, cannot be read, or is no such file.
  static ModelNames read(const std::filesystem::path& path, io::SystemCalls& calls);

  /// The name, or nullptr.
  const std::string* find(std::string_view fingerprint) const;

  /// Notes what the model of a fingerprint is called from now on; nothing is written where the file
  /// has it already. Of two processes that do so at once one may be lost. Errors: io; not_found
  /// without a folder.
  static Result<void> note(const std::filesystem::path& path, const Digest& fingerprint,
                           std::string_view name, io::SystemCalls& calls);

 private:
  std::string text() const;

  std::vector<std::pair<std::string, std::string>> names_;  // fingerprint, name
};

}  // namespace ollm::runtime
