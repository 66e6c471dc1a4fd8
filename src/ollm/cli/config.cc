// ollm config show: every setting with its value and where it came from.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "ollm/cli/command.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

class ConfigCommand {
 public:
  explicit ConfigCommand(CLI::App& app) {
    show_ = app.add_subcommand("show", "Print every setting")->allow_extras();
    flags_ = std::make_unique<SettingsFlags>(
        *show_,
        std::initializer_list<std::string_view>{"runtime", "generation", "server", "benchmark"},
        false);
    show_->add_flag("--origin", origin_, "Say where each value came from");
    show_->add_flag("--json", json_, "Print one JSON object, origins included");
    app.require_subcommand(1);
  }

  Outcome run() {
    OLLM_TRY(const Settings settings, flags_->load());
    const std::string text = settings_json(settings);
    if (json_) {
      std::printf("%s\n", text.c_str());
      return 0;
    }
    const Json all = Json::parse(text);
    for (const auto& [section, fields] : all.items()) {
      std::printf("[%s]\n", section.c_str());
      for (const auto& [name, field] : fields.items()) {
        std::printf("%s = %s", name.c_str(), field.at("value").dump().c_str());
        if (origin_) {
          const std::string where = origin_of(settings, section + "." + name);
          std::printf("  # %s", where.c_str());
        }
        std::printf("\n");
      }
    }
    return 0;
  }

 private:
  static std::string origin_of(const Settings& settings, const std::string& field) {
    const plan::FieldOrigin& origin = settings.origin(field);
    std::string text(to_string(origin.origin));
    if (!origin.place.empty()) text += " (" + origin.place + ")";
    return text;
  }

  CLI::App* show_ = nullptr;
  std::unique_ptr<SettingsFlags> flags_;
  bool origin_ = false, json_ = false;
};

std::function<Outcome()> set_up(CLI::App& app) {
  auto command = std::make_shared<ConfigCommand>(app);  // shared: std::function is copied
  return [command] { return command->run(); };
}

}  // namespace

const Command kConfig{
    .name = "config", .summary = "Show settings and where they come from", .set_up = set_up};

}  // namespace ollm::cli
