#include "ollm/cli/json_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace ollm::cli {

using Json = nlohmann::ordered_json;

int json_depth(std::string_view text) {
  int depth = 0, deepest = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_text) {
      if (c == '\\') ++i;
      if (c == '"') in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

Result<Json> parse_json_line(std::string_view line) {
  if (json_depth(line) > kJsonDepthMax) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("JSON that is nested deeper than {}", kJsonDepthMax));
  }
  Json value = Json::parse(line, nullptr, false);
  if (!value.is_object()) return fail(ErrorKind::invalid_argument, "expected a JSON object");
  return value;
}

std::string shown(const Json& value) {
  constexpr std::size_t kBytesMax = 64;  // enough to know a value again
  if (!value.is_number() && !value.is_string())
    return fmt::format("a value of type {}", value.type_name());
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kBytesMax) text = text.substr(0, kBytesMax) + "...";
  return text;
}

}  // namespace ollm::cli
