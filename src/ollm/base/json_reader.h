// JSON documents from outside, as values: strict, bounded, without duplicate keys.
// Leaves to others: what the fields mean (config_object.h), documents too large for values
// (safetensors.h, shard_index.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm {

/// A document that keeps the order of its keys.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  /// Values take up to 33 times the space of their text (lists in lists; measured): 1 MiB keeps
  /// reading a hostile config.json well below 64 MiB. Published ones have a few KiB.
  std::uint64_t size_bytes = 1u << 20;
  std::size_t depth = 64;
  std::size_t keys_per_object = 10'000;
};

/// Parses one document. Stricter than most: no duplicate keys, no comments, no lone surrogates,
/// nothing behind the document. NaN, Infinity and -Infinity are numbers, as Python writes them
/// (time_step_limit of Mamba); a byte order mark is passed over. Whole numbers stay exact in 64
/// bits; larger ones become f64.
/// Errors: corrupt, "FILE: byte 123: ..." with found and expected; unsupported above a limit, with
/// the limit named. `member`, if given, gets the member of the outermost object in which an error
/// lies, or nothing.
Result<Json> parse_json(std::string_view text, std::string_view file_name,
                        const JsonLimits& limits = {}, std::string* member = nullptr);

/// A value in short, for messages: `the text 'yarn'`, `-1`, `a list of 3`, `an object`, `null`.
std::string describe(const Json& value);

}  // namespace ollm
