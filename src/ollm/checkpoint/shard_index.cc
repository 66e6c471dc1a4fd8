#include "ollm/checkpoint/shard_index.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "ollm/base/json_cursor.h"
#include "ollm/checkpoint/foreign_file.h"

namespace ollm::checkpoint {
namespace {

// `metadata` and whatever else a tool may add beside the map.
constexpr std::size_t kOtherDepth = 16;

// The path that a name stands for, in one spelling: "./a", "b//a" and "b/../a" are opened by Python
// as they are. Names come from a download: none leads out of the folder.
Result<std::string> shard_path(std::string_view name) {
  if (name.starts_with('/')) OLLM_TRY_VOID(check_plain_file_name(name));  // says why not
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t slash = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, slash - begin);
    begin = slash + 1;
    if (part.empty() || part == ".") continue;
    if (part == ".." && !parts.empty()) {
      parts.pop_back();
      continue;
    }
    OLLM_TRY_VOID(check_plain_file_name(part == ".." ? name : part));
    parts.push_back(part);
  }
  const std::string path = fmt::format("{}", fmt::join(parts, "/"));
  if (path.empty()) OLLM_TRY_VOID(check_plain_file_name(path));
  if (path.size() > ShardIndexLimits::kPathBytes)
    return fail(ErrorKind::corrupt, fmt::format("file name {} is longer than {} bytes",
                                                quote_name(path), ShardIndexLimits::kPathBytes));
  if (path.ends_with(".safetensors")) return path;
  if (auto foreign = foreign_weights_name(path)) return std::move(*foreign);
  return fail(ErrorKind::corrupt, fmt::format("{} does not end in .safetensors", quote_name(path)));
}

// The files of a map while it is read: each spelling is looked at once.
class ShardNumbers {
 public:
  explicit ShardNumbers(ShardIndex& index) : index_(index) {}

  Result<std::uint32_t> number_of(std::string_view name) {
    if (const auto known = by_spelling_.find(name); known != by_spelling_.end())
      return known->second;
    OLLM_TRY(std::string path, shard_path(name));
    if (!index_.unusual_name && (path != name || path.find('/') != std::string::npos))
      index_.unusual_name = name;
    auto known = by_spelling_.find(path);
    if (known == by_spelling_.end()) {
      if (index_.shards.size() == ShardIndexLimits::kShards)
        return fail(ErrorKind::unsupported,
                    fmt::format("names more than {} files", ShardIndexLimits::kShards));
      const auto number = static_cast<std::uint32_t>(index_.shards.size());
      index_.shards.push_back(path);
      known = by_spelling_.emplace(std::move(path), number).first;
    }
    const std::uint32_t number = known->second;
    by_spelling_.emplace(name, number);
    return number;
  }

 private:
  ShardIndex& index_;
  std::map<std::string, std::uint32_t, std::less<>> by_spelling_;
};

Result<void> parse_weight_map(JsonCursor& cursor, ShardIndex& index) {
  ShardNumbers numbers(index);
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
    const auto number = numbers.number_of(shard);
    if (!number.ok())
      return Error(number.error()).within(fmt::format("tensor {}", quote_name(tensor)));
    index.entries.push_back({std::string(tensor), *number});
  }
  return {};
}

// Sorts by name and keeps the last of those that stand twice.
void keep_last_entries(ShardIndex& index) {
  auto& entries = index.entries;
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.tensor < b.tensor; });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const bool again = kept != 0 && entries[kept - 1].tensor == entries[i].tensor;
    if (again) {
      if (!index.repeated_key) index.repeated_key = entries[i].tensor;
      entries[kept - 1].shard = entries[i].shard;
      continue;
    }
    if (kept != i) entries[kept] = std::move(entries[i]);
    ++kept;
  }
  entries.resize(kept);
}

// Leaves the files that an entry still names, in the order of their names, as the files of a model
// are numbered so.
void sort_shards(ShardIndex& index) {
  std::map<std::string, std::uint32_t> sorted;  // by name; the number before
  for (const ShardIndex::Entry& entry : index.entries)
    sorted.emplace(index.shards[entry.shard], entry.shard);
  std::vector<std::uint32_t> renumbered(index.shards.size());
  index.shards.clear();
  for (const auto& [name, number] : sorted) {
    renumbered[number] = static_cast<std::uint32_t>(index.shards.size());
    index.shards.push_back(name);
  }
  for (ShardIndex::Entry& entry : index.entries) entry.shard = renumbered[entry.shard];
}

Result<ShardIndex> parse(std::string& json) {
  if (json.size() > ShardIndexLimits::kFileBytes)
    return fail(ErrorKind::unsupported, fmt::format("has {} bytes; at most {} are read",
                                                    json.size(), ShardIndexLimits::kFileBytes));
  OLLM_TRY_VOID(check_utf8(json));
  blank_byte_order_mark(json);
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
    if (has_map) {
      index = ShardIndex();
      index.repeated_key = key;
    }
    has_map = true;
    if (auto parsed = parse_weight_map(cursor, index); !parsed.ok())
      return std::move(parsed).error().within("weight_map");
  }
  if (cursor.peek() != '\0' || cursor.position() != json.size())
    return cursor.expected("the end of the text");
  if (!has_map) return fail(ErrorKind::corrupt, "has no weight_map");
  if (index.entries.empty()) return fail(ErrorKind::corrupt, "weight_map: names no tensor");
  keep_last_entries(index);
  sort_shards(index);
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
