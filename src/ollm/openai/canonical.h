// One text for each value of JSON, to be hashed and compared. Leaves to others: what of.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace ollm::openai {

/// Keys sorted, no spaces, in UTF-8 without needless escapes: what Python's
/// json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False) writes. NaN and the
/// infinities are null.
std::string canonical_json(const nlohmann::ordered_json& value);

}  // namespace ollm::openai
