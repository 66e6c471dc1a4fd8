// model.safetensors.index.json: which tensor lies in which file of a model.
// Leaves to others: opening those files and comparing (model_folder.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"

namespace ollm::checkpoint {

struct ShardIndexLimits {
  static constexpr std::uint64_t kFileBytes = 256'000'000;
  static constexpr std::size_t kTensors = 1'000'000;
  static constexpr std::size_t kShards = 4096;  // the largest published models have below 300
  static constexpr std::size_t kPathBytes = 1024;
};

/// The map as it was written, not yet compared with any file: the headers of the files decide where
/// they disagree.
struct ShardIndex {
  struct Entry {
    std::string tensor;
    std::uint32_t shard;  // index into shards
  };
  /// Paths below the folder, without ".", ".." and doubled slashes; sorted, each once.
  std::vector<std::string> shards;
  std::vector<Entry> entries;  // sorted by tensor name, each name once
  /// The first file name that was spelt in another way or lies in a folder of its own, as written.
  std::optional<std::string> unusual_name;
  /// The first key that stands twice; the last one counts, as in Python.
  std::optional<std::string> repeated_key;

  /// The entry of a tensor, or nullptr.
  const Entry* find(std::string_view tensor) const;
};

/// Parses the text of an index file. `file_name` stands in front of every message.
///
/// A byte order mark is passed over, NaN and Infinity beside the map are read as Python writes
/// them. Errors: corrupt for what is no JSON otherwise, has no weight_map, an empty one, a value
/// that is no text, or a file name that is empty, absolute, leads out of the folder, has a
/// backslash, a NUL or a part with a leading dot, or does not end in .safetensors; unsupported for
/// pickles by name and above our limits.
Result<ShardIndex> parse_shard_index(std::string json, std::string_view file_name);

/// That `name` is a plain file name, safe to join to a folder.
/// Errors: corrupt, saying what is wrong with it.
Result<void> check_plain_file_name(std::string_view name);

}  // namespace ollm::checkpoint
