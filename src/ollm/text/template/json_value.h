// Variables of a rendering, from JSON; strings of a conversation come marked as the user's.
// Leaves to others: which variables those are (chat_template.h).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "ollm/text/template/interpreter.h"
#include "ollm/text/template/value.h"

namespace ollm::text::jinja {

/// The value of `json`, all its strings and keys marked where `literal` says so. Each of its parts
/// is a step; parts nested too deeply end the budget. Bytes that are no UTF-8 become U+FFFD.
///
/// One string of a conversation is not marked: the role of a message, if it is a plain word.
/// Templates build control tokens around it (`'<|' ~ message.role ~ '|>'`), it is the program that
/// chooses it, and a word alone holds no token.
Value value_from_json(Interpreter& in, const nlohmann::ordered_json& json, bool literal);

}  // namespace ollm::text::jinja
