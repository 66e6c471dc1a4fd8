// Any bytes as a TOML file, and as values of the environment: settings or an error, never else; and
// what was taken is within the limits that its table states.
// links: ollm_settings nlohmann_json::nlohmann_json fmt::fmt
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "ollm/base/check.h"
#include "ollm/settings/layers.h"
#include "ollm/settings/payloads.h"

namespace {

void hold(const ollm::Result<ollm::settings::Settings>& settings) {
  if (!settings.ok()) {
    OLLM_CHECK(settings.error().kind == ollm::ErrorKind::invalid_argument);
    OLLM_CHECK(!settings.error().message.empty());
    return;
  }
  OLLM_CHECK(ollm::settings::check_settings(*settings).ok());
  // As settings_as_dict has it: a value of the environment may be no UTF-8.
  const auto handler = nlohmann::ordered_json::error_handler_t::replace;
  const std::string shown =
      ollm::settings::config_show_payload(*settings).dump(2, ' ', false, handler);
  OLLM_CHECK(!nlohmann::ordered_json::parse(shown, nullptr, false).is_discarded());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  hold(ollm::settings::merge_layers({ollm::settings::read_toml(text, "ollm.toml")}));

  // The first byte picks a field, the rest is its value; then a whole section.
  const auto fields = ollm::settings::settings_fields();
  ollm::io::Environment environment;
  environment.working_directory = "/";
  const std::string value(text.substr(size == 0 ? 0 : 1));
  const std::size_t index = size == 0 ? 0 : data[0] % fields.size();
  environment.variables[fields[index].environment_name()] = value;
  environment.variables["OLLM_RUNTIME"] = value;
  hold(ollm::settings::merge_layers({ollm::settings::read_environment(environment)}));

  // And a name: known, unknown and told by itself, or none of ours.
  const std::string name = "OLLM_" + std::string(text);
  const auto told = ollm::settings::unknown_variables({{{name, ""}}, "/"});
  OLLM_CHECK(told.size() <= 1);
  for (const std::string& words : told) OLLM_CHECK(words.starts_with(name + ": "));
  return 0;
}
