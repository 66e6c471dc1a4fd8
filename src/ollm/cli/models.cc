// ollm models list | info | path: which models there are, what one is, where it lies.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ollm/cli/command.h"
#include "ollm/cli/printed.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

template <typename Enum>
std::string comma_separated(const std::vector<Enum>& values) {
  std::vector<std::string_view> names;
  for (const Enum value : values) names.push_back(to_string(value));
  return fmt::format("{}", fmt::join(names, ", "));
}

class ModelsCommand {
 public:
  explicit ModelsCommand(CLI::App& app) {
    list_ = add(app, "list", "List aliases, the models folder and the hub's cache");
    list_flags_ = flags_of(*list_, false);
    list_->add_flag("--installed", installed_, "Only models that are on this machine");
    list_->add_flag("--json", json_, "Print one JSON object");

    info_ = add(app, "info", "Say what a model is and how it would run");
    info_flags_ = flags_of(*info_, true);
    info_->add_flag("--json", json_, "Print one JSON object");
    info_->add_flag("--plan-json", plan_json_, "Print the plan as `ollm plan --json` does");

    path_ = add(app, "path", "Print where a model lies, or where a download would go");
    path_flags_ = flags_of(*path_, true);
    path_->add_flag("--json", json_, "Print one JSON object");
    app.require_subcommand(1);
  }

  Outcome run() {
    if (list_->parsed()) return list();
    if (info_->parsed()) return info();
    return path();
  }

 private:
  static CLI::App* add(CLI::App& app, const char* name, const char* summary) {
    return app.add_subcommand(name, summary);
  }

  static std::unique_ptr<SettingsFlags> flags_of(CLI::App& app, bool positional_model) {
    return std::make_unique<SettingsFlags>(app, std::initializer_list<std::string_view>{"runtime"},
                                           positional_model);
  }

  Outcome list() {
    OLLM_TRY(const Settings settings, list_flags_->load());
    OLLM_TRY(std::vector<ModelInfo> models, list_models(settings));
    if (installed_) std::erase_if(models, [](const ModelInfo& info) { return !info.materialized; });
    if (json_) {
      print_json(models_json(models));
      return 0;
    }
    for (const ModelInfo& info : models) {
      const RuntimePlan& plan = info.runtime_plan;
      const std::string line =
          fmt::format("{} [{}] - {} - {}", plan.resolved_model().reference.raw,
                      info.discovery_source, to_string(plan.support_level()), plan.reason());
      print_words(stdout, line + "\n");
    }
    return 0;
  }

  Outcome info() {
    OLLM_TRY(const Settings settings, info_flags_->load());
    if (json_ && plan_json_) {
      return fail(ErrorKind::invalid_argument, "--json and --plan-json print one object: give one");
    }
    if (plan_json_) {
      Workload workload;
      workload.context_tokens = kAssumedContextTokens;
      OLLM_TRY(const Plan plan, make_plan(settings, workload));
      print_json(plan.json());
      return 0;
    }
    OLLM_TRY(const ModelInfo info, model_info(settings));
    if (json_) {
      print_json(info.json());
      return 0;
    }
    print(info);
    return 0;
  }

  static void print(const ModelInfo& info) {
    const RuntimePlan& plan = info.runtime_plan;
    const ResolvedModel& model = plan.resolved_model();
    const auto line = [](std::string_view name, const std::optional<std::string>& value) {
      if (value) print_words(stdout, fmt::format("{}: {}\n", name, *value));
    };
    const auto yes_or_no = [](bool value) { return std::string(value ? "true" : "false"); };
    line("reference", model.reference.raw);
    line("normalized", model.normalized_name);
    line("source", std::string(to_string(model.source_kind)));
    line("materialized", yes_or_no(info.materialized));
    line("support", std::string(to_string(plan.support_level())));
    line("specialization", yes_or_no(model.capabilities.supports_specialization));
    if (model.generic_model_kind)
      line("generic-kind", std::string(to_string(*model.generic_model_kind)));
    line("architecture", model.architecture);
    line("model-type", model.model_type);
    line("repo", model.repo_id);
    line("revision", model.revision);
    if (model.model_path) line("path", model.model_path->string());
    line("backend", plan.backend_id().value_or("none"));
    line("specialization-state", std::string(to_string(plan.specialization_state())));
    line("planned-passes", comma_separated(plan.specialization_pass_ids()));
    line("modalities", comma_separated(model.capabilities.modalities));
    print_words(stdout, plan.reason() + "\n");
    if (info.refusal) print_words(stdout, "It cannot run: " + info.refusal->message + "\n");
  }

  Outcome path() {
    OLLM_TRY(const Settings settings, path_flags_->load());
    OLLM_TRY(const ModelInfo info, model_info(settings));
    const ResolvedModel& model = info.runtime_plan.resolved_model();
    // Where nothing lies and nothing would be downloaded to, there is no path to tell.
    if (!info.materialized && !model.is_downloadable()) {
      if (info.refusal) return *info.refusal;
      return fail(ErrorKind::not_found, info.runtime_plan.reason());
    }
    if (json_) {
      const Json out = {{"model_reference", model.reference.raw},
                        {"path", model.model_path->string()},
                        {"materialized", info.materialized}};
      print_json(out.dump(2, ' ', false, Json::error_handler_t::replace));
      return 0;
    }
    print_data(stdout, model.model_path->string() + "\n");
    // Whoever takes the path further wants to know; stdout stays the path alone.
    if (!info.materialized) std::fputs("ollm: note: nothing is there yet\n", stderr);
    return 0;
  }

  CLI::App *list_ = nullptr, *info_ = nullptr, *path_ = nullptr;
  std::unique_ptr<SettingsFlags> list_flags_, info_flags_, path_flags_;
  bool installed_ = false, json_ = false, plan_json_ = false;
};

std::function<Outcome()> set_up(CLI::App& app) {
  auto command = std::make_shared<ModelsCommand>(app);  // shared: std::function is copied
  return [command] { return command->run(); };
}

}  // namespace

const Command kModels{.name = "models",
                      .summary = "List models, say what one is and where it lies",
                      .set_up = set_up};

}  // namespace ollm::cli
