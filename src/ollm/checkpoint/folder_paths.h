// Which files of a model folder may be opened, and where their links end.
// Leaves to others: what the files are for (model_folder.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/io/system_calls.h"

namespace ollm::checkpoint {

inline constexpr std::size_t kMaxFolderNames = 100'000;

/// A file of a folder.
struct FolderFile {
  /// To be opened: its link is not yet followed, so that one that is pointed elsewhere later is
  /// noticed.
  std::filesystem::path path;
  /// Where its link ends, if that is out of the folder.
  std::optional<std::filesystem::path> outside;
};

/// A folder and the names in it, as they were when it was opened.
class FolderPaths {
 public:
  /// Errors: not_found; those of no_folder where `dir` is none; unsupported for a folder of more
  /// than kMaxFolderNames; io.
  static Result<FolderPaths> open(const std::filesystem::path& dir, io::SystemCalls& calls);

  const std::filesystem::path& path() const { return dir_; }             // as it was given
  const std::filesystem::path& canonical_path() const { return real_; }  // without links
  /// Sorted.
  const std::vector<std::string>& names() const { return names_; }
  bool has(std::string_view name) const;

  /// The file of that name. Links are followed, through any number of others and out of the folder:
  /// whoever put them there has weights on another disk, or a cache of files by their content.
  /// Those of a snapshot in the Hugging Face cache stay in its models--* folder, whose blobs/ they
  /// point to. Errors: corrupt for a name that is not plain, for a link that leads back to itself
  /// and for one of a snapshot that leads out of its models--* folder; not_found where nothing is
  /// there or the link leads nowhere; io. What a link ends at is looked at when it is opened
  /// (io::File).
  Result<FolderFile> resolve(std::string_view name) const;

  /// The same for a path below the folder, as parse_shard_index makes them.
  Result<FolderFile> resolve_below(std::string_view path) const;

 private:
  std::filesystem::path dir_;
  std::filesystem::path real_;
  std::filesystem::path root_;  // links that end in it do not leave the model
  std::vector<std::string> names_;
  io::SystemCalls* calls_ = nullptr;
};

/// What stands under a path that was named as a model and is no folder: a GGUF, a pickle, one file
/// of a model folder, a device; and what to name instead.
/// Errors: it is one: unsupported for formats that are not read; corrupt for what is not what its
/// name says; invalid_argument for all else; not_found; io.
Error no_folder(const std::filesystem::path& path, io::SystemCalls& calls);

}  // namespace ollm::checkpoint
