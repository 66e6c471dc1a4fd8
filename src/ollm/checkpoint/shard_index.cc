#include "ollm/checkpoint/shard_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ollm/checkpoint/foreign_file.h"
#include "ollm/checkpoint/json_cursor.h"

namespace ollm::checkpoint {
namespace {

// `metadata` and whatever else a tool may add beside the map.
constexpr std::size_t kOtherDepth = 16;

Result<void> check_shard_name(std::string_view name) {
  OLLM_TRY_VOID(check_plain_file_name(name));
  if (name.ends_with(".safetensors")) return {};
  if (auto foreign = foreign_weights_name(name)) return std::move(*foreign);
  return fail(ErrorKind::corrupt, fmt::format("{} does not end in .safetensors", quote_name(name)));
}

Result<void> parse_weight_map(JsonCursor& cursor, ShardIndex& index) {
  std::map<std::string, std::uint32_t, std::less<>> numbers;
  OLLM_TRY_VOID(cursor.expect('{', "an object"));
  for (bool first = true;; first = false) {
    OLLM_TRY(const bool another, cursor.more('}', first));
    if (!another) break;
    OLLM_TRY(const std::string_view tensor, cursor.key());
    if (index.entries.size() == ShardIndexLimits::kTensors)
      return fail(ErrorKind::unsupported,
                  fmt::format("names more than {} tensors", ShardIndexLimits::kTensors));
    OLLM_TRY(const std::string_view shard,
             cursor.string(fmt::format("a file name for tensor {}", quote_name(tensor))));
    auto number = numbers.find(shard);
    if (number == numbers.end()) {
      if (auto checked = check_shard_name(shard); !checked.ok())
        return std::move(checked).error().within(fmt::format("tensor {}", quote_name(tensor)));
      if (index.shards.size() == ShardIndexLimits::kShards)
        return fail(ErrorKind::unsupported,
                    fmt::format("names more than {} files", ShardIndexLimits::kShards));
      number = numbers.emplace(shard, static_cast<std::uint32_t>(index.shards.size())).first;
      index.shards.emplace_back(shard);
    }
    index.entries.push_back({std::string(tensor), number->second});
  }
  if (index.entries.empty()) return fail(ErrorKind::corrupt, "names no tensor");

  // In the order of their names, as the files of a model are numbered so.
  index.shards.clear();
  std::vector<std::uint32_t> renumbered(numbers.size());
  for (const auto& [name, number] : numbers) {
    renumbered[number] = static_cast<std::uint32_t>(index.shards.size());
    index.shards.push_back(name);
  }
  for (ShardIndex::Entry& entry : index.entries) entry.shard = renumbered[entry.shard];
  return {};
}

Result<void> check_unique_tensors(const ShardIndex& index) {
  const auto twice =
      std::adjacent_find(index.entries.begin(), index.entries.end(),
                         [](const auto& a, const auto& b) { return a.tensor == b.tensor; });
  if (twice == index.entries.end()) return {};
  const auto& one = index.shards[twice->shard];
  const auto& other = index.shards[twice[1].shard];
  if (one == other)
    return fail(ErrorKind::corrupt, fmt::format("duplicate key {}", quote_name(twice->tensor)));
  return fail(ErrorKind::corrupt, fmt::format("tensor {} is in two shards: {} and {}",
                                              quote_name(twice->tensor), one, other));
}

Result<ShardIndex> parse(std::string& json) {
  if (json.size() > ShardIndexLimits::kFileBytes)
    return fail(ErrorKind::unsupported, fmt::format("has {} bytes; at most {} are read",
                                                    json.size(), ShardIndexLimits::kFileBytes));
  OLLM_TRY_VOID(check_utf8(json));
  ShardIndex index;
  bool has_map = false;
  JsonCursor cursor(json);
  OLLM_TRY_VOID(cursor.expect('{', "an object"));
  for (bool first = true;; first = false) {
    OLLM_TRY(const bool another, cursor.more('}', first));
    if (!another) break;
    OLLM_TRY(const std::string_view key, cursor.key());
    if (key != "weight_map") {
      OLLM_TRY_VOID(cursor.skip_value(kOtherDepth));
      continue;
    }
    if (has_map) return cursor.error("duplicate key 'weight_map'");
    has_map = true;
    if (auto parsed = parse_weight_map(cursor, index); !parsed.ok())
      return std::move(parsed).error().within("weight_map");
  }
  if (cursor.peek() != '\0' || cursor.position() != json.size())
    return cursor.expected("the end of the text");
  if (!has_map) return fail(ErrorKind::corrupt, "has no weight_map");
  std::sort(index.entries.begin(), index.entries.end(),
            [](const auto& a, const auto& b) { return a.tensor < b.tensor; });
  OLLM_TRY_VOID(check_unique_tensors(index));
  return index;
}

}  // namespace

const ShardIndex::Entry* ShardIndex::find(std::string_view tensor) const {
  const auto found = std::lower_bound(
      entries.begin(), entries.end(), tensor,
      [](const Entry& entry, std::string_view wanted) { return entry.tensor < wanted; });
  return found != entries.end() && found->tensor == tensor ? &*found : nullptr;
}

Result<void> check_plain_file_name(std::string_view name) {
  constexpr std::size_t kNameMax = 255;  // of every file system in use
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::corrupt, fmt::format("file name {} {}", quote_name(name), why));
  };
  if (name.empty()) return refuse("is empty");
  if (name.size() > kNameMax) return refuse("is longer than 255 bytes");
  if (name.find('\0') != std::string_view::npos) return refuse("has a NUL in it");
  if (name[0] == '/') return refuse("is an absolute path; only files of the folder are read");
  if (name.find('\\') != std::string_view::npos) return refuse("has a backslash in it");
  if (name == ".." || name.starts_with("../") || name.find("/../") != std::string_view::npos ||
      name.ends_with("/.."))
    return refuse("leads out of the folder");
  if (name.find('/') != std::string_view::npos)
    return refuse("lies in another folder; only files of the folder itself are read");
  if (name[0] == '.') return refuse("begins with a dot");
  return {};
}

Result<ShardIndex> parse_shard_index(std::string json, std::string_view file_name) {
  auto index = parse(json);
  if (!index.ok()) return std::move(index).error().within(file_name);
  return index;
}

}  // namespace ollm::checkpoint
