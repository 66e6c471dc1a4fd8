// Rows of JSON that ask for tokens of a text, a text of tokens, or a conversation as one text, and
// their answers; whatever a row says, there is one. Leaves to others: where rows come from.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "ollm/ollm.h"

namespace ollm::openai {

/// {"error": {"kind", "message"}}.
nlohmann::ordered_json error_row(std::string_view kind, std::string_view message);

/// {"text", "add_special": true, "parse_special": false} to {"ids"}. `row` is an object, as of all.
nlohmann::ordered_json tokenize_row(const Text& text, const nlohmann::ordered_json& row);

/// {"ids", "skip_special": true, "stream": false} to {"text"}; streamed, also "pieces", one for
/// each id, and "rest", what the end still brings out.
nlohmann::ordered_json detokenize_row(const Text& text, const nlohmann::ordered_json& row);

/// Exactly the variables that the row has, to {"text"}. An error has "line" and "column" where it
/// is of a place in the template.
nlohmann::ordered_json render_row(const Text& text, const TemplateOptions& options,
                                  const nlohmann::ordered_json& row);

}  // namespace ollm::openai
