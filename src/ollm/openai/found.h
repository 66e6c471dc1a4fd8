// Values of a body in words, for messages. Leaves to others: what was expected instead.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "ollm/openai/error.h"

namespace ollm::openai {

/// "the text 'yes'", "2.0", "a list of 3", "an object": numbers as they are written, so that 2.0 is
/// not taken for 2.
std::string describe_value(const nlohmann::ordered_json& value);

/// "PARAM: expected EXPECTED, found ..." The code tells whether the type or the value is wrong.
RequestError unexpected(std::string param, std::string_view expected,
                        const nlohmann::ordered_json& found, std::string_view code = kInvalidType);

}  // namespace ollm::openai
