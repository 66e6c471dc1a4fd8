// Sizes, counts and ages as people write them: "512MiB", "4GB", "32k", "7d".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ollm/base/result.h"

namespace ollm {

/// A number of bytes: `512MiB`, `4GiB`, `4G` (= GiB), `4GB` (10^9), a bare integer is bytes.
/// Upper and lower case are the same; one space before the unit and decimals ("1.5GiB") are taken.
/// Errors: invalid_argument for a sign, an unknown unit, anything behind it, or above 2^63.
Result<std::uint64_t> parse_bytes(std::string_view text);

/// A number of tokens: a bare integer, or thousands of 1024 as in `32k` = 32768.
/// Errors: invalid_argument, as above.
Result<std::uint64_t> parse_tokens(std::string_view text);

/// An age in whole seconds: `7d`, `12h`, `30min`, `2w`, a bare integer is seconds.
/// Errors: invalid_argument, as above.
Result<std::uint64_t> parse_age(std::string_view text);

/// Bytes for people: "812 B", "3.0 MiB", "15.1 GiB".
std::string format_bytes(std::uint64_t bytes);

}  // namespace ollm
