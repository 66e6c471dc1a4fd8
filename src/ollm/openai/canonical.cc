#include "ollm/openai/canonical.h"

#include <nlohmann/json.hpp>

namespace ollm::openai {

std::string canonical_json(const nlohmann::ordered_json& value) {
  using Sorted = nlohmann::json;
  return Sorted(value).dump(-1, ' ', false, Sorted::error_handler_t::replace);
}

}  // namespace ollm::openai
