#include "ollm/server/overrides.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/load_settings.h"
#include "ollm/openai/found.h"

namespace ollm::server {
namespace {

using Json = nlohmann::ordered_json;
using openai::RequestError;

constexpr std::string_view kRuntimeFields[] = {"model_reference", "kv_cache_strategy",
                                               "kv_cache_window_tokens"};

// Nothing for what no setting takes.
std::optional<settings::SettingsValue> as_setting(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_unsigned()) return std::nullopt;  // above 2^63
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return std::nullopt;
  std::vector<std::string> texts;
  for (const Json& text : value) {
    if (!text.is_string()) return std::nullopt;
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

std::optional<RequestError> read_section(const Json& body, std::string_view section,
                                         bool (*may_set)(std::string_view), Settings& out) {
  const auto found = body.find(section);
  if (found == body.end() || found->is_null()) return std::nullopt;
  if (!found->is_object()) return openai::unexpected(std::string(section), "an object", *found);
  for (const auto& [name, value] : found->items()) {
    const std::string param = fmt::format("{}.{}", section, printable(name));
    const SettingsField* field = settings::find_field(fmt::format("{}.{}", section, name));
    if (field == nullptr || !may_set(name))
      return openai::refuse(param, "is nothing that a request sets", openai::kUnsupportedParameter);
    if (value.is_null()) continue;
    const auto given = as_setting(value);
    if (!given) return openai::unexpected(param, field->expects(), value);
    const auto parsed = settings::parse_value(*field, *given, false);
    if (!parsed.ok()) return openai::refuse(param, parsed.error().message);
    field->set(out, *parsed);
  }
  return std::nullopt;
}

}  // namespace

std::optional<RequestError> read_generation(const Json& body, Settings& out) {
  return read_section(
      body, "generation", [](std::string_view name) { return name != "stream"; }, out);
}

std::optional<RequestError> read_runtime(const Json& body, Settings& out) {
  return read_section(
      body, "runtime",
      [](std::string_view name) {
        return std::find(std::begin(kRuntimeFields), std::end(kRuntimeFields), name) !=
               std::end(kRuntimeFields);
      },
      out);
}

std::optional<RequestError> check_model(const openai::ServedModel& served,
                                        const Settings& settings) {
  const std::string& name = settings.runtime.model_reference;
  if (name == served.reference || name == served.id()) return std::nullopt;
  return RequestError{.status = 404,
                      .message = "runtime.model_reference: this is '" + served.id() + "'",
                      .param = "runtime.model_reference",
                      .code = std::string(openai::kModelNotFound)};
}

}  // namespace ollm::server
