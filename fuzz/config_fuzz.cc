// Any bytes as config.json and generation_config.json: refused, or the document that another parser
// reads, with every field counted. Leaves to others: what a model makes of it (models/).
// links: ollm_checkpoint nlohmann_json::nlohmann_json
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "ollm/base/check.h"
#include "ollm/base/json_reader.h"
#include "ollm/checkpoint/config_object.h"
#include "ollm/checkpoint/generation_config.h"

namespace {

using ollm::Json;
using ollm::checkpoint::ConfigObject;
using ollm::checkpoint::IntegerRange;
using ollm::checkpoint::NumberRange;

// Reads every field as every type; what comes back lies in its range.
void read_all(const ConfigObject& config, const Json& object) {
  for (const auto& [key, value] : object.items()) {
    const auto size = config.optional<int>(key, IntegerRange::positive(1 << 20));
    if (size.ok() && *size) OLLM_CHECK(**size >= 1 && **size <= 1 << 20);
    const auto number = config.optional<double>(key, NumberRange::above(0, 1e6));
    if (number.ok() && *number) OLLM_CHECK(**number > 0 && **number <= 1e6);
    (void)config.required<bool>(key).ok();
    (void)config.value_or<std::string>(key, "").ok();
    (void)config.list<std::uint32_t>(key).ok();
    const auto nested = config.optional_object(key);
    if (nested.ok() && *nested) read_all(**nested, value);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto generation = ollm::checkpoint::parse_generation_config(text, "generation_config.json");
  OLLM_CHECK(generation.unreadable_ids <= generation.unreadable.size());
  OLLM_CHECK(generation.check_sampling().ok() ==
             (generation.unreadable_ids == generation.unreadable.size()));
  const auto document = ollm::parse_json(text, "config.json");
  if (!document.ok()) return 0;
  // The other parser has no NaN and Infinity.
  if (Json::accept(text)) OLLM_CHECK(*document == Json::parse(text));
  const auto config = ConfigObject::make(*document, "config.json");
  if (!config.ok()) return 0;
  OLLM_CHECK(config->unused_keys().size() == document->size());
  read_all(*config, *document);
  OLLM_CHECK(config->unused_keys().empty());
  return 0;
}
