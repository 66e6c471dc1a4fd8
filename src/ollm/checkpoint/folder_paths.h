// Which files of a model folder may be opened: plain names, and links that stay where they belong.
// Leaves to others: what the files are for (model_folder.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/system_calls.h"

namespace ollm::checkpoint {

inline constexpr std::size_t kMaxFolderNames = 100'000;

/// A folder and the names in it, as they were when it was opened.
class FolderPaths {
 public:
  /// Errors: not_found; invalid_argument where `dir` is no folder; unsupported for a folder of more
  /// than kMaxFolderNames; io.
  static Result<FolderPaths> open(const std::filesystem::path& dir, io::SystemCalls& calls);

  const std::filesystem::path& path() const { return dir_; }             // as it was given
  const std::filesystem::path& canonical_path() const { return real_; }  // without links
  /// Sorted.
  const std::vector<std::string>& names() const { return names_; }
  bool has(std::string_view name) const;

  /// The path to open for a file of that name, its link not yet followed, so that one that is
  /// pointed elsewhere later is noticed.
  /// Errors: corrupt for a name that is not plain and for a link that leads out of the folder (or,
  /// for a snapshot in the Hugging Face cache, out of its models--* folder); not_found where
  /// nothing is there or the link leads nowhere; io.
  Result<std::filesystem::path> resolve(std::string_view name) const;

 private:
  std::filesystem::path dir_;
  std::filesystem::path real_;
  std::filesystem::path root_;  // links have to end in it
  std::vector<std::string> names_;
  io::SystemCalls* calls_ = nullptr;
};

}  // namespace ollm::checkpoint
