// One line of standard input or of a file as a JSON object. Leaves to others: what its fields mean.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm::cli {

/// How deep a line may nest: what walks a value does so by recursion.
inline constexpr int kJsonDepthMax = 64;

/// How deep brackets nest, whether or not the text is JSON.
int json_depth(std::string_view text);

/// The object that a line is. Errors: invalid_argument for what is no JSON, no object, or nested
/// deeper than kJsonDepthMax.
Result<nlohmann::ordered_json> parse_json_line(std::string_view line);

/// A value in a message: numbers and texts as they are, of all else its type.
std::string shown(const nlohmann::ordered_json& value);

}  // namespace ollm::cli
