// ollm config show | limits: every setting with its value and where it came from; every limit.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/base/value_document.h"
#include "ollm/cli/command.h"
#include "ollm/cli/input.h"
#include "ollm/cli/json_line.h"
#include "ollm/cli/printed.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/ollm.h"
#include "ollm/openai/fields.h"
#include "ollm/server/limits.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

class ConfigCommand {
 public:
  explicit ConfigCommand(CLI::App& app) {
    show_ = app.add_subcommand("show", "Print every setting");
    flags_ = std::make_unique<SettingsFlags>(
        *show_,
        std::initializer_list<std::string_view>{"runtime", "generation", "server", "benchmark"},
        false);
    show_->add_flag("--origin", origin_, "Say where each value came from");
    show_->add_flag("--json", json_, "Print one JSON object, origins included");
    limits_ = app.add_subcommand("limits", "Print every limit that is held");
    limits_->add_flag("--json", json_, "Print one JSON object");
    app.require_subcommand(1);
  }

  Outcome run() {
    if (limits_->parsed()) return limits();
    return show();
  }

 private:
  Outcome show() {
    OLLM_TRY(const Settings settings, flags_->load());
    const Value all = settings_as_dict(settings);
    if (json_) {
      print_json(all.json(kJsonIndent));
      return 0;
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Value fields = all.at(i);
      print_words(stdout, fmt::format("[{}]\n", all.key(i)));
      for (std::size_t j = 0; j < fields.size(); ++j) {
        std::string line = fmt::format("{} = {}", fields.key(j), fields.at(j).find("value").json());
        if (origin_) line += "  # " + origin_of(settings, all.key(i) + "." + fields.key(j));
        print_words(stdout, line + "\n");
      }
    }
    return 0;
  }

  // Those of the library, and the command line's own.
  Outcome limits() const {
    std::vector<Limit> all(ollm::limits().begin(), ollm::limits().end());
    all.insert(all.end(), openai::limits().begin(), openai::limits().end());
    all.insert(all.end(), server::limits().begin(), server::limits().end());
    all.push_back({"input", "bytes", kMaxInputBytes, "of standard input and of --file"});
    all.push_back({"input", "json_line_depth", kJsonDepthMax, "of a line of --jsonl, --ids-file"});
    if (!json_) {
      for (const Limit& limit : all) {
        const std::string line =
            fmt::format("{:<32} {:>14}  {}", fmt::format("{}.{}", limit.area, limit.name),
                        limit.value, limit.what);
        print_words(stdout, line + "\n");
      }
      return 0;
    }
    Json out = Json::object();
    for (const Limit& limit : all)
      out[std::string(limit.area)][std::string(limit.name)] = {{"value", limit.value},
                                                               {"what", limit.what}};
    print_json(out.dump(2));
    return 0;
  }

  static std::string origin_of(const Settings& settings, const std::string& field) {
    const settings::FieldOrigin& origin = settings.origin(field);
    std::string text(to_string(origin.origin));
    if (!origin.place.empty()) text += " (" + origin.place + ")";
    return text;
  }

  CLI::App *show_ = nullptr, *limits_ = nullptr;
  std::unique_ptr<SettingsFlags> flags_;
  bool origin_ = false, json_ = false;
};

std::function<Outcome()> set_up(CLI::App& app) {
  auto command = std::make_shared<ConfigCommand>(app);  // shared: std::function is copied
  return [command] { return command->run(); };
}

}  // namespace

const Command kConfig{.name = "config",
                      .summary = "Show settings, where they come from, and limits",
                      .set_up = set_up};

}  // namespace ollm::cli
