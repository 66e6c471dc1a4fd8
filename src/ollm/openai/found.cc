#include "ollm/openai/found.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/json_reader.h"

namespace ollm::openai {

std::string describe_value(const Json& value) {
  if (value.is_number_float() && std::isfinite(value.get<double>())) return value.dump();
  return describe(value);
}

RequestError unexpected(std::string param, std::string_view expected, const Json& found,
                        std::string_view code) {
  return refuse(std::move(param),
                fmt::format("expected {}, found {}", expected, describe_value(found)), code);
}

}  // namespace ollm::openai
