#include "ollm/settings/settings.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "ollm/io/file.h"
#include "ollm/kv/strategies.h"
#include "ollm/settings/cache_folder.h"
#include "ollm/settings/fields.h"
#include "ollm/settings/layers.h"
#include "ollm/settings/sources.h"

namespace ollm::settings {
namespace {

constexpr std::string_view kDefaultFile = "ollm.toml";
constexpr std::string_view kFileVariable = "OLLM_CONFIG_FILE";
constexpr std::size_t kMaxShownProblems = 100;
constexpr std::int64_t kDefaultWindowTokens = 256;  // of a ring that nobody gave a size

std::size_t index_of(const SettingsField& field) {
  return static_cast<std::size_t>(&field - settings_fields().data());
}

Error as_error(const std::vector<SettingsProblem>& problems) {
  const auto line = [](const SettingsProblem& problem) {
    return problem.place.empty() ? problem.message
                                 : fmt::format("{}: {}", problem.place, problem.message);
  };
  if (problems.size() == 1)
    return fail(ErrorKind::invalid_argument, fmt::format("settings: {}", line(problems.front())));
  std::string text = fmt::format("{} problems in the settings:", problems.size());
  for (std::size_t i = 0; i < std::min(problems.size(), kMaxShownProblems); ++i)
    text += "\n  " + line(problems[i]);
  if (problems.size() > kMaxShownProblems)
    text += fmt::format("\n  and {} more", problems.size() - kMaxShownProblems);
  return fail(ErrorKind::invalid_argument, std::move(text));
}

// Several fields that do not go together.
struct Contradiction {
  std::vector<std::string_view> fields;
  std::string message;
};

// Every rule that a single field's limits do not tell and that is broken, not the first alone.
std::vector<Contradiction> contradictions(const Settings& settings) {
  const RuntimeConfig& runtime = settings.runtime;
  std::vector<Contradiction> out;
  // By default a strategy that keeps nothing is runtime-scoped without a word.
  if (runtime.kv_cache_strategy == kv::kResident && runtime.kv_cache_lifecycle == "persistent" &&
      settings.given("runtime.kv_cache_lifecycle")) {
    out.push_back({{"runtime.kv_cache_strategy", "runtime.kv_cache_lifecycle"},
                   "resident keys and values are gone when the process ends, so they cannot be "
                   "persistent"});
  }
  if (runtime.kv_cache_window_tokens && runtime.kv_cache_strategy &&
      *runtime.kv_cache_strategy != kv::kSlidingWindow) {
    out.push_back({{"runtime.kv_cache_window_tokens", "runtime.kv_cache_strategy"},
                   fmt::format("a window is for the strategy {} alone, found {}",
                               kv::kSlidingWindow, *runtime.kv_cache_strategy)});
  }
  if (!runtime.use_cache && runtime.kv_ephemeral) {
    out.push_back({{"runtime.use_cache", "runtime.kv_ephemeral"},
                   "what is used again within the process is a cache, which is turned off"});
  }
  if (runtime.verbose && runtime.quiet)
    out.push_back({{"runtime.verbose", "runtime.quiet"}, "verbose and quiet exclude each other"});
  if (!runtime.use_specialization && runtime.backend == kOptimizedNative) {
    out.push_back({{"runtime.use_specialization", "runtime.backend"},
                   fmt::format("backend {} is what specialization brings, which is turned off",
                               kOptimizedNative)});
  }
  const bool accelerator = runtime.device_type() != "cpu";
  if (runtime.offload_cpu_layers > 0 && !accelerator) {
    out.push_back({{"runtime.offload_cpu_layers", "runtime.device"},
                   "layers go to the CPU beside an accelerator: this requires one"});
  }
  if (runtime.offload_gpu_layers > 0 && !accelerator) {
    out.push_back({{"runtime.offload_gpu_layers", "runtime.device"},
                   "layers go to an accelerator: this requires one"});
  }
  if (runtime.offload_cpu_layers > 0 && runtime.offload_gpu_layers > 0) {
    out.push_back({{"runtime.offload_cpu_layers", "runtime.offload_gpu_layers"},
                   "layers go to the CPU or to the accelerator, not both"});
  }
  const ServerSettings& server = settings.server;
  const bool plugin = server.response_store_backend == "plugin";
  if (plugin != server.response_store_factory.has_value()) {
    out.push_back({{"server.response_store_backend", "server.response_store_factory"},
                   plugin ? "the store of a plugin needs its factory"
                          : "a factory is for the store of a plugin alone"});
  }
  return out;
}

void check_together(const Settings& settings, const std::set<std::string>& broken,
                    std::vector<SettingsProblem>& problems) {
  for (const Contradiction& contradiction : contradictions(settings)) {
    // A field that is broken by itself stands at its default here and proves nothing.
    if (std::any_of(contradiction.fields.begin(), contradiction.fields.end(),
                    [&](std::string_view name) { return broken.contains(std::string(name)); }))
      continue;
    std::string fields;
    for (const std::string_view name : contradiction.fields) {
      const FieldOrigin& origin = settings.origin(name);
      fields += fmt::format("{}{} ({})", fields.empty() ? "" : ", ", name,
                            origin.place.empty() ? to_string(origin.origin) : origin.place);
    }
    problems.push_back({std::move(fields), contradiction.message});
  }
}

// The file that counts, and whether somebody asked for it.
struct ChosenFile {
  std::string name;
  bool asked_for = false;
};

ChosenFile choose_file(const SettingsSources& sources) {
  if (sources.config_file) return {*sources.config_file, true};
  if (const auto variable = sources.environment.find_filled(kFileVariable))
    return {std::string(*variable), true};
  return {std::string(kDefaultFile), false};
}

Layer read_file(const SettingsSources& sources, std::optional<std::filesystem::path>& found) {
  Layer layer{.origin = Origin::config_file};
  const ChosenFile file = choose_file(sources);
  if (file.name.empty()) {
    layer.problems.push_back({"--config", "expected a path, found none"});
    return layer;
  }
  if (file.name.find('\0') != std::string::npos) {
    layer.problems.push_back({"--config", "expected a path, found one with a zero byte"});
    return layer;
  }
  const std::filesystem::path path = io::absolute_path(file.name, sources.environment);
  auto text = io::read_whole_file(path, SettingsLimits::kFileBytes);
  if (!text.ok()) {
    if (!file.asked_for && text.error().kind == ErrorKind::not_found) return layer;
    layer.problems.push_back({file.name, text.error().message});
    return layer;
  }
  if (text->starts_with("\xFF\xFE") || text->starts_with("\xFE\xFF")) {
    layer.problems.push_back(
        {file.name, "is UTF-16, expected UTF-8: iconv -f UTF-16 -t UTF-8 turns it"});
    return layer;
  }
  found = path;
  return read_toml(*text, file.name);
}

Layer read_overrides(const std::vector<SettingsOverride>& overrides) {
  Layer layer{.origin = Origin::cli, .from_text = true};
  for (const SettingsOverride& given : overrides) {
    const std::size_t dot = given.field.find('.');
    const std::string_view field = given.field;
    add_named(layer, field.substr(0, dot),
              dot == std::string::npos ? std::string_view() : field.substr(dot + 1), given.value,
              given.place);
  }
  return layer;
}

// `--stop A --stop B` are two texts of one list.
SettingsValue joined(const SettingsValue& first, const SettingsValue& second) {
  std::vector<std::string> out;
  for (const SettingsValue* value : {&first, &second}) {
    if (const auto* text = std::get_if<std::string>(value)) {
      out.push_back(*text);
    } else if (const auto* texts = std::get_if<std::vector<std::string>>(value)) {
      out.insert(out.end(), texts->begin(), texts->end());
    } else {
      return second;  // no text: told when it is parsed
    }
  }
  return out;
}

}  // namespace

std::string_view RuntimeConfig::device_type() const {
  return std::string_view(device).substr(0, device.find(':'));
}

std::optional<std::size_t> RuntimeConfig::most_drafts() const {
  if (speculate == "auto") return std::nullopt;
  std::size_t drafts = 0;
  std::from_chars(speculate.data(), speculate.data() + speculate.size(), drafts);
  return drafts;
}

std::optional<std::int64_t> RuntimeConfig::resolved_window_tokens() const {
  const bool sliding =
      kv_cache_strategy ? *kv_cache_strategy == kv::kSlidingWindow
                        : kv_cache_window_tokens || strategy_selector_profile == "bounded-window";
  if (!sliding) return std::nullopt;
  return kv_cache_window_tokens.value_or(kDefaultWindowTokens);
}

std::string_view to_string(Origin origin) {
  switch (origin) {
    case Origin::cli:
      return "cli";
    case Origin::env:
      return "env";
    case Origin::config_file:
      return "config_file";
    case Origin::defaults:
      return "defaults";
  }
  return "";
}

const FieldOrigin& Settings::origin(std::string_view field) const {
  static const FieldOrigin by_default;
  const SettingsField* known = find_field(field);
  const std::size_t index = known == nullptr ? origins.size() : index_of(*known);
  return index < origins.size() ? origins[index] : by_default;
}

bool Settings::given(std::string_view field) const {
  return origin(field).origin != Origin::defaults;
}

void add_named(Layer& layer, std::string_view section, std::string_view name, SettingsValue value,
               std::string place) {
  const std::string qualified = fmt::format("{}.{}", section, name);
  if (const SettingsField* field = find_field(qualified)) {
    layer.values.push_back({field, std::move(value), std::move(place)});
    return;
  }
  std::vector<std::string> names;
  for (const SettingsField& field : settings_fields()) names.push_back(field.qualified_name());
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string_view nearest = nearest_name(qualified, views);
  layer.problems.push_back(
      {std::move(place),
       fmt::format("there is no setting {}{}", qualified,
                   nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest))});
}

Result<Settings> merge_layers(const std::vector<Layer>& layers) {
  // The value of each field that counts: that of the highest layer, and in it the last.
  struct Winner {
    const Layer* layer = nullptr;
    LayerValue given;
  };
  std::vector<Winner> winners(settings_fields().size());
  for (const Layer& layer : layers) {
    for (const LayerValue& given : layer.values) {
      Winner& winner = winners[index_of(*given.field)];
      const bool again = winner.layer == &layer && layer.origin == Origin::cli;
      LayerValue merged = given;
      if (again && given.field->type == FieldType::texts)
        merged.value = joined(winner.given.value, given.value);
      winner = {&layer, std::move(merged)};
    }
  }
  Settings settings;
  settings.origins.resize(settings_fields().size());
  std::vector<SettingsProblem> problems;
  std::set<std::string> broken;
  for (const Layer& layer : layers) {
    problems.insert(problems.end(), layer.problems.begin(), layer.problems.end());
    for (const LayerValue& written : layer.values) {
      const std::string name = written.field->qualified_name();
      Winner& winner = winners[index_of(*written.field)];
      if (winner.layer != &layer) continue;
      winner.layer = nullptr;  // once
      const LayerValue& given = winner.given;
      auto parsed = parse_value(*given.field, given.value, layer.from_text);
      if (!parsed.ok()) {
        problems.push_back({given.place, fmt::format("{}: {}", name, parsed.error().message)});
        broken.insert(name);
        continue;
      }
      given.field->set(settings, *parsed);
      settings.origins[index_of(*given.field)] = {layer.origin, given.place};
    }
  }
  check_together(settings, broken, problems);
  if (!problems.empty()) return as_error(problems);
  return settings;
}

Result<Settings> load_settings(const SettingsSources& sources) {
  std::optional<std::filesystem::path> file;
  std::vector<Layer> layers;
  layers.push_back(read_file(sources, file));
  layers.push_back(read_environment(sources.environment));
  layers.push_back(read_overrides(sources.overrides));
  OLLM_TRY(Settings settings, merge_layers(layers));
  settings.config_file = std::move(file);
  // Shown as it will be used; who has no home is told when the folder is needed.
  if (!settings.runtime.cache_dir) {
    if (const auto folder = cache_folder(settings.runtime, sources.environment); folder.ok())
      settings.runtime.cache_dir = folder->string();
  }
  return settings;
}

Result<void> check_settings(const Settings& settings) {
  std::vector<SettingsProblem> problems;
  std::set<std::string> broken;
  for (const SettingsField& field : settings_fields()) {
    const std::string name = field.qualified_name();
    const auto parsed = parse_value(field, field.get(settings), false);
    if (parsed.ok()) continue;
    problems.push_back(
        {settings.origin(name).place, fmt::format("{}: {}", name, parsed.error().message)});
    broken.insert(name);
  }
  check_together(settings, broken, problems);
  if (!problems.empty()) return as_error(problems);
  return {};
}

}  // namespace ollm::settings
