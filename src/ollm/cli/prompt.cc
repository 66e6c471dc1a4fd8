// ollm prompt: one prompt, its answer as it is made.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cstdio>
#include <initializer_list>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "ollm/base/value_document.h"
#include "ollm/cli/command.h"
#include "ollm/cli/exit_code.h"
#include "ollm/cli/input.h"
#include "ollm/cli/interrupt.h"
#include "ollm/cli/json_line.h"
#include "ollm/cli/printed.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/cli/terminal.h"
#include "ollm/load_settings.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

class PromptCommand {
 public:
  explicit PromptCommand(CLI::App& app) : settings_flags_(app, {"runtime", "generation"}, false) {
    prompt_ = app.add_option("PROMPT", prompt_text_, "The prompt; - reads standard input")
                  ->type_name("text");
    ids_ = app.add_option("--ids", ids_text_, "Token ids as the prompt: 1,2,3")->type_name("ids");
    file_ = app.add_option("--file", file_path_, "A document that goes before the prompt")
                ->type_name("path");
    system_ = app.add_option("--system", system_text_, "A system message")->type_name("text");
    app.add_flag("--raw", raw_, "The text as it is, without the model's chat template");
    app.add_flag("--parse-special", parse_special_,
                 "Control tokens written in the prompt are control tokens");
    app.add_option("--chat-template", template_name_,
                   "A template of the folder by name, or a file with one")
        ->type_name("name|path");
    app.add_option("--template-var", template_vars_,
                   "A variable of the chat template: NAME=VALUE, VALUE as JSON or text")
        ->type_name("name=value")
        ->take_all();
    app.add_option("--logit-bias", biases_, "Adds BIAS to the logit of a token: ID=BIAS")
        ->type_name("id=bias")
        ->take_all();
    app.add_flag("--model-defaults", model_defaults_,
                 "Sample as the model's generation_config.json says");
    add_allowances(app, allowances_);
    app.add_flag("--show-prompt", show_prompt_,
                 "Print the rendered prompt on stderr, control tokens marked");
    app.add_flag("--json", json_, "Print one JSON object instead of the text");
    app.add_flag("--plan-json", plan_json_, "Print the plan as JSON and stop");
  }

  Outcome run() {
    OLLM_TRY(const Settings settings, settings_flags_.load());
    OLLM_TRY_VOID(check_flags());
    OLLM_TRY_VOID(check_sampling(settings));
    Workload workload;
    workload.max_new_tokens = static_cast<std::size_t>(settings.generation.max_new_tokens);
    // Before anything is read: a document may be larger than all that was granted. A plan says so.
    const std::size_t document = file_->count() > 0 ? known_bytes(file_path_) : 0;
    workload.text_bytes = document == 0 ? 0 : document + prompt_text_.size();
    Result<void> fits = check_text_fits(settings, allowances_, workload.text_bytes);
    if (!fits.ok() && !plan_json_) return std::move(fits).error();
    Prompt prompt;
    GenerateOptions options;
    std::optional<Text> text;
    if (fits.ok()) {
      OLLM_TRY(prompt, read_prompt(input_limit(settings)));
      OLLM_TRY(options, generate_options(settings));
      OLLM_TRY(text, encode(settings, options.chat_template, prompt, workload));
    }
    OLLM_TRY(const Plan plan, make_plan(settings, workload, allowances_));
    if (plan_json_) {
      print_json(plan.json());
      return 0;
    }
    return generate(settings, plan, std::move(text), prompt, options);
  }

 private:
  // Makes ids of a prompt of another form, as much of it as workload.text_bytes says was found to
  // fit. Nothing where there is no tokenizer: such a folder can still be planned, or run on ids.
  Result<std::optional<Text>> encode(const Settings& settings, const TemplateOptions& templates,
                                     Prompt& prompt, Workload& workload) const {
    const std::size_t checked = std::exchange(workload.text_bytes, 0);
    workload.prompt_tokens = prompt.ids.size();
    if (!prompt.ids.empty()) return std::optional<Text>();
    if (prompt.text) workload.text_bytes = prompt.text->size();
    for (const Message& message : prompt.messages) workload.text_bytes += message.content.size();
    if (checked == 0) OLLM_TRY_VOID(check_text_fits(settings, allowances_, workload.text_bytes));
    Result<Text> text = open_text_to_run(settings, allowances_);
    if (!text.ok()) {
      if (plan_json_) return std::optional<Text>();
      return std::move(text).error();
    }
    OLLM_TRY(EncodedPrompt encoded, text->encode_prompt(prompt, templates));
    workload.prompt_tokens = encoded.ids.size();
    if (show_prompt_) {
      OLLM_TRY(const std::string shown, text->decode_marked(encoded.ids));
      print_data(stderr, shown + "\n");
    }
    prompt = Prompt::tokens(std::move(encoded.ids));
    if (workload.prompt_tokens == 0)
      return usage("the prompt is empty: there is no token to go on from");
    return std::optional<Text>(std::move(text).value());
  }

  Result<void> check_flags() const {
    const bool has_text = prompt_->count() > 0 || file_->count() > 0;
    if (ids_->count() > 0 && has_text)
      return usage("--ids stands for the whole prompt: give either");
    if (ids_->count() > 0 && system_->count() > 0)
      return usage("--system goes through the chat template, --ids passes it by");
    if (raw_ && system_->count() > 0)
      return usage("--system goes through the chat template, --raw passes it by");
    if ((raw_ || ids_->count() > 0) && (!template_name_.empty() || !template_vars_.empty())) {
      return usage(fmt::format("{} is for the chat template, {} passes it by",
                               template_name_.empty() ? "--template-var" : "--chat-template",
                               raw_ ? "--raw" : "--ids"));
    }
    if (json_ && plan_json_) return usage("--json runs the prompt, --plan-json does not: give one");
    return {};
  }

  // Settings of sampling that another one leaves without effect.
  Result<void> check_sampling(const Settings& settings) const {
    const std::vector<std::string> filters =
        given_of(settings, {"top_p", "top_k", "min_p", "typical_p"});
    if (model_defaults_) {
      // The command line is above all layers, so of two wishes on it none is the higher.
      for (const char* name :
           {"temperature", "top_p", "top_k", "min_p", "typical_p", "repetition_penalty"}) {
        const settings::FieldOrigin& origin = settings.origin(fmt::format("generation.{}", name));
        if (origin.origin == settings::Origin::cli) {
          return usage(fmt::format(
              "--model-defaults takes {} from generation_config.json, {} from here: give either",
              name, origin.place));
        }
      }
      return {};
    }
    if (settings.runtime.quiet || !ollm::generate_options(settings).sampling.greedy()) return {};
    std::vector<std::string> idle = filters;
    if (settings.given("generation.seed")) idle.emplace_back("seed");
    if (!idle.empty()) {
      print_warning(fmt::format(
          "at temperature 0 the best token is always taken, nothing is drawn: {} {} no effect",
          fmt::join(idle, ", "), idle.size() == 1 ? "has" : "have"));
    }
    return {};
  }

  // Those of `names` that were set to something.
  static std::vector<std::string> given_of(const Settings& settings,
                                           std::initializer_list<const char*> names) {
    std::vector<std::string> given;
    for (const char* name : names) {
      const SettingsField* field = settings::find_field(fmt::format("generation.{}", name));
      if (field != nullptr && !std::holds_alternative<std::monostate>(field->get(settings)))
        given.emplace_back(name);
    }
    return given;
  }

  Result<Prompt> read_prompt(std::size_t limit_bytes) const {
    if (ids_->count() > 0) {
      OLLM_TRY(std::vector<TokenId> ids, parse_ids(ids_text_));
      return Prompt::tokens(std::move(ids));
    }
    std::string text = prompt_text_;
    const bool from_stdin =
        prompt_text_ == "-" || (prompt_->count() == 0 && file_->count() == 0 && !plan_json_);
    if (from_stdin) {
      if (prompt_->count() == 0 && ::isatty(STDIN_FILENO) != 0)
        return usage("no prompt: give PROMPT, --file, --ids, or - for standard input");
      OLLM_TRY(text, read_stdin(limit_bytes));
      if (text.ends_with('\n')) {
        text.pop_back();
        if (text.ends_with('\r')) text.pop_back();  // of a line end as Windows writes it
      }
    }
    if (file_->count() > 0) {
      OLLM_TRY(std::string document, read_text_file(file_path_, limit_bytes));
      if (prompt_->count() == 0) {
        text = std::move(document);
      } else {
        while (document.ends_with('\n') || document.ends_with('\r')) document.pop_back();
        text = document + "\n\n" + text;
      }
    }
    // Also where a template or a begin token would make tokens of it: nobody asks nothing.
    if (text.empty() && !plan_json_) return usage("the prompt is empty");
    if (raw_) return Prompt::raw(std::move(text));
    std::vector<Message> messages;
    if (system_->count() > 0) messages.push_back({"system", system_text_});
    messages.push_back({"user", std::move(text)});
    return Prompt::chat(std::move(messages));
  }

  Result<GenerateOptions> generate_options(const Settings& settings) const {
    GenerateOptions options = ollm::generate_options(settings);
    for (const std::string& bias : biases_) {
      TokenId id = 0;
      float value = 0;
      char rest = 0;
      if (std::sscanf(bias.c_str(), "%d=%f%c", &id, &value, &rest) != 2)
        return usage(fmt::format("--logit-bias: expected ID=BIAS as in 42=-1.5, found '{}'", bias));
      options.sampling.logit_bias.emplace_back(id, value);
    }
    options.model_defaults = model_defaults_;
    OLLM_TRY(options.chat_template, template_options());
    return options;
  }

  Result<TemplateOptions> template_options() const {
    TemplateOptions options;
    options.parse_special = parse_special_;
    OLLM_TRY_VOID(choose_template(template_name_, options));
    Json variables = Json::object();
    for (const std::string& assignment : template_vars_) {
      const std::size_t equals = assignment.find('=');
      if (equals == std::string::npos || equals == 0) {
        return usage(fmt::format("--template-var: expected NAME=VALUE, found '{}'", assignment));
      }
      const std::string value = assignment.substr(equals + 1);
      if (json_depth(value) > kJsonDepthMax)
        return usage(fmt::format("--template-var: nested deeper than {}", kJsonDepthMax));
      Json parsed = Json::parse(value, nullptr, false);
      variables[assignment.substr(0, equals)] = parsed.is_discarded() ? Json(value) : parsed;
    }
    if (!variables.empty())
      options.variables = variables.dump(-1, ' ', false, Json::error_handler_t::replace);
    return options;
  }

  Outcome generate(const Settings& settings, const Plan& plan, std::optional<Text> text,
                   const Prompt& prompt, GenerateOptions options) const {
    const CancellationToken& cancel = cancel_on_interrupt();
    const Verbosity words = verbosity(settings);
    say_plan(plan, words);
    ProgressLine progress(words);
    OLLM_TRY(const Runtime runtime, Runtime::load(plan, std::move(text), progress, &cancel));
    OLLM_TRY(Session session, runtime.new_session());
    options.max_new_tokens = plan.workload().max_new_tokens;
    const bool streams = settings.generation.stream && !json_;
    bool line_open = false;
    const auto on_text = [&](std::string_view piece) {
      progress.clear();
      if (!streams) return;
      print_data(stdout, piece);
      std::fflush(stdout);
      line_open = true;
    };
    Result<Generation> made = session.generate(prompt, options, on_text, progress, &cancel);
    progress.clear();
    if (!made.ok()) {
      if (line_open) print_data(stdout, "\n");
      return std::move(made).error();
    }
    if (json_) {
      print_object(*made, runtime);
    } else {
      print_data(stdout, streams ? "\n" : made->text + "\n");
    }
    std::fflush(stdout);
    if (words != Verbosity::quiet) print_words(stderr, report_line(made->report) + "\n");
    warn_of_what_is_not_kept(runtime, words);
    return made->finish_reason == FinishReason::cancelled ? kExitInterrupted : 0;
  }

  static void print_object(const Generation& made, const Runtime& runtime) {
    const Json out = {{"text", made.text},
                      {"ids", made.ids},
                      {"prompt_tokens", made.report.prompt_tokens},
                      {"cached_tokens", made.report.cached_tokens},
                      {"finish_reason", to_string(made.finish_reason)},
                      {"runtime_plan", json_of(runtime.runtime_plan().as_dict())},
                      {"execution_plan", json_of(runtime.execution_plan().as_dict())},
                      {"report", json_of(made.report.as_dict())}};
    print_json(json_dump(out, kJsonIndent));
  }

  SettingsFlags settings_flags_;
  CLI::Option *prompt_, *ids_, *file_, *system_;
  std::string prompt_text_, ids_text_, file_path_, system_text_, template_name_;
  std::vector<std::string> template_vars_, biases_;
  Allowances allowances_;
  bool raw_ = false, parse_special_ = false, model_defaults_ = false;
  bool show_prompt_ = false, json_ = false, plan_json_ = false;
};

std::function<Outcome()> set_up(CLI::App& app) {
  auto command = std::make_shared<PromptCommand>(app);  // shared: std::function is copied
  return [command] { return command->run(); };
}

}  // namespace

const Command kPrompt{.name = "prompt", .summary = "Answer one prompt", .set_up = set_up};

}  // namespace ollm::cli
