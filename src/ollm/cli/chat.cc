// ollm chat: a conversation at a terminal. Lines that begin with a slash are commands.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "ollm/base/text_form.h"
#include "ollm/cli/command.h"
#include "ollm/cli/conversation.h"
#include "ollm/cli/exit_code.h"
#include "ollm/cli/interrupt.h"
#include "ollm/cli/line_editor.h"
#include "ollm/cli/printed.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/cli/terminal.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

class ChatCommand {
 public:
  explicit ChatCommand(CLI::App& app) : settings_flags_(app, {"runtime", "generation"}, false) {
    app.add_option("--system", system_, "A system message")->type_name("text");
    app.add_option("--resume", resume_, "Go on from this transcript, and write to it")
        ->type_name("path");
    app.add_option("--save", save_, "Write the transcript here after each answer")
        ->type_name("path");
    app.add_option("--history-file", history_file_, "Keep what is typed for later chats")
        ->type_name("path");
    app.add_flag("--plain", plain_, "Without colours");
    app.add_flag("--plan-json", plan_json_, "Print the plan as JSON and stop");
    add_allowances(app, allowances_);
  }

  Outcome run() {
    OLLM_TRY(const Settings settings, settings_flags_.load());
    if (plan_json_) {
      Workload workload;
      workload.context_tokens = kAssumedContextTokens;
      OLLM_TRY(const Plan plan, make_plan(settings, workload, allowances_));
      print_json(plan.json());
      return 0;
    }
    if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0)
      return usage(
          "a chat is typed: standard input and output have to be a terminal; "
          "`ollm prompt` answers without one");
    words_ = verbosity(settings);
    colored_ = !plain_ && error_has_color();
    Conversation talk(settings, allowances_, system_);
    if (!resume_.empty())
      OLLM_TRY_VOID(talk.open(resume_, settings.given("runtime.model_reference")));
    if (!save_.empty()) OLLM_TRY_VOID(talk.save_to(save_));
    OLLM_TRY(LineEditor editor, LineEditor::open("user> "));
    if (!history_file_.empty()) OLLM_TRY_VOID(editor.use_history_file(history_file_));
    talk_ = &talk;
    const CancellationToken& cancel = cancel_on_interrupt();
    {
      ProgressLine progress(words_);
      OLLM_TRY_VOID(
          talk.load([&](const Plan& plan) { say_plan(plan, words_); }, progress, &cancel));
    }
    say(plain_ ? fmt::format("oLLM chat ({})", talk.model())
               : fmt::format("oLLM chat using {}; /help lists commands", talk.model()));
    while (turn(editor, cancel)) continue;
    say("Exiting chat.");
    if (talk.runtime()) warn_of_what_is_not_kept(*talk.runtime(), words_);
    return 0;
  }

 private:
  struct Slash {
    std::string_view name;
    std::string_view argument;  // as /help shows it: "PATH", "[TEXT]", ""
    std::string_view does;
    Result<void> (ChatCommand::*run)(const std::string& argument);
  };
  static std::span<const Slash> slashes();

  // False at the end.
  bool turn(LineEditor& editor, const CancellationToken& cancel) {
    forget_interrupt();
    LineEditor::Read read = editor.read();
    if (read.event == LineEditor::Event::left) return false;
    const std::string_view line = trimmed(read.text);
    if (read.event == LineEditor::Event::interrupted || line.empty()) return true;
    editor.remember();
    leaves_ = false;
    Result<void> done = line.front() == '/' ? run_slash(line) : ask(read.text, cancel);
    if (!done.ok()) say_error(done.error());
    return !leaves_;
  }

  Result<void> run_slash(std::string_view line) {
    const std::size_t space = line.find_first_of(" \t\n");
    const std::string name = lower(line.substr(0, space));
    const std::string argument(space == std::string_view::npos ? "" : trimmed(line.substr(space)));
    for (const Slash& slash : slashes()) {
      if (slash.name != name) continue;
      const bool required = !slash.argument.empty() && slash.argument.front() != '[';
      if (required && argument.empty())
        return usage(fmt::format("{} needs {}", name, slash.argument));
      return (this->*slash.run)(argument);
    }
    return usage(fmt::format("unknown slash command {}; /help lists them", name));
  }

  Result<void> ask(const std::string& text, const CancellationToken& cancel) {
    return show_answer([&](auto on_text, ProgressLine& progress) {
      return talk_->say(text, on_text, progress, &cancel);
    });
  }

  template <typename Ask>
  Result<void> show_answer(Ask answer) {
    ProgressLine progress(words_);
    bool begun = false;
    const bool streams = talk_->settings().generation.stream;
    const auto on_text = [&](std::string_view piece) {
      progress.clear();
      if (!streams || piece.empty()) return;
      if (!std::exchange(begun, true)) std::fputs("assistant> ", stdout);
      print_data(stdout, piece);
      std::fflush(stdout);
    };
    Result<Generation> made = answer(on_text, progress);
    progress.clear();
    if (begun) std::fputs("\n", stdout);
    if (!made.ok()) return std::move(made).error();
    if (!streams && !made->text.empty()) {
      std::fputs("assistant> ", stdout);
      print_data(stdout, made->text + "\n");
    }
    std::fflush(stdout);
    const bool stopped = made->finish_reason == FinishReason::cancelled;
    if (stopped) {
      note("(stopped)");
    } else if (trimmed(made->text).empty()) {
      note("(the model answered nothing)");
    }
    if (words_ != Verbosity::quiet) note(report_line(made->report));
    return {};
  }

  // The commands ----------------------------------------------------------------------------------

  Result<void> help(const std::string&) {
    for (const Slash& slash : slashes())
      say(fmt::format("{:<22} {}", fmt::format("{} {}", slash.name, slash.argument), slash.does));
    return {};
  }
  Result<void> clear(const std::string&) {
    OLLM_TRY_VOID(talk_->clear(false));
    say("Conversation cleared.");
    return {};
  }
  Result<void> reset(const std::string&) {
    OLLM_TRY_VOID(talk_->clear(true));
    say("Conversation and system prompt reset.");
    return {};
  }
  Result<void> system(const std::string& text) {
    if (text.empty()) {
      say(talk_->system_prompt());
      return {};
    }
    OLLM_TRY_VOID(talk_->set_system_prompt(text));
    say("System prompt updated.");
    return {};
  }
  Result<void> model(const std::string& reference) {
    if (reference.empty()) {
      say(talk_->model());
      return {};
    }
    Settings other = talk_->settings();
    other.runtime.model_reference = reference;
    Workload any;
    any.prompt_tokens = any.max_new_tokens = 1;
    OLLM_TRY(const Plan plan, make_plan(other, any, allowances_));
    OLLM_TRY_VOID(plan.check());  // before the one that is loaded goes
    OLLM_TRY_VOID(talk_->set_model(reference));
    say(fmt::format("Model switched to {}.", reference));
    return {};
  }
  Result<void> plan(const std::string&) {
    if (talk_->plan()) print_words(stdout, talk_->plan()->explain());
    if (!talk_->plan()) say("The model is not loaded yet.");
    return {};
  }
  Result<void> stats(const std::string&) {
    say(fmt::format("stats={} model={} messages={} tokens={}", words_ != Verbosity::quiet,
                    talk_->model(), talk_->messages().size(), talk_->tokens()));
    if (talk_->last_report()) say(report_line(*talk_->last_report()));
    return {};
  }
  Result<void> save(const std::string& path) {
    OLLM_TRY_VOID(talk_->save_to(path));
    say(fmt::format("Saved transcript to {}", path));
    return {};
  }
  Result<void> load(const std::string& path) {
    OLLM_TRY_VOID(talk_->open(path, false));
    say(fmt::format("Loaded transcript from {}", path));
    return {};
  }
  Result<void> retry(const std::string&) {
    const CancellationToken& cancel = cancel_on_interrupt();
    return show_answer([&](auto on_text, ProgressLine& progress) {
      return talk_->retry(on_text, progress, &cancel);
    });
  }
  Result<void> undo(const std::string&) {
    OLLM_TRY_VOID(talk_->undo());
    say("Removed the last user/assistant exchange.");
    return {};
  }
  Result<void> attach(const std::string&) {
    return fail(ErrorKind::unsupported, "this build reads no images and no audio");
  }
  Result<void> attachments(const std::string&) {
    say("No queued attachments.");
    return {};
  }
  Result<void> clear_attachments(const std::string&) {
    say("Cleared queued attachments.");
    return {};
  }
  Result<void> send(const std::string& text) {
    if (text.empty()) return usage("/send: there is neither a text nor an attachment");
    return ask(text, cancel_on_interrupt());
  }
  Result<void> exit(const std::string&) {
    leaves_ = true;
    return {};
  }

  // What is shown ---------------------------------------------------------------------------------

  static void say(std::string_view text) { print_words(stdout, std::string(text) + "\n"); }
  void note(std::string_view text) const { colored("\033[2m", text); }
  void say_error(const Error& error) const {
    colored("\033[31m", error.kind == ErrorKind::cancelled ? "(stopped)" : error.message);
  }
  void colored(std::string_view color, std::string_view text) const {
    if (colored_) std::fwrite(color.data(), 1, color.size(), stdout);
    print_words(stdout, std::string(text));
    std::fputs(colored_ ? "\033[m\n" : "\n", stdout);
    std::fflush(stdout);
  }

  SettingsFlags settings_flags_;
  std::string system_, resume_, save_, history_file_;
  bool plain_ = false, plan_json_ = false, colored_ = false, leaves_ = false;
  Allowances allowances_;
  Verbosity words_ = Verbosity::normal;
  Conversation* talk_ = nullptr;
};

std::span<const ChatCommand::Slash> ChatCommand::slashes() {
  using C = ChatCommand;
  static constexpr Slash kSlashes[] = {
      {"/help", "", "list the commands", &C::help},
      {"/clear", "", "forget what was said", &C::clear},
      {"/reset", "", "and go back to the system prompt of the beginning", &C::reset},
      {"/system", "[TEXT]", "set the system prompt, or show it", &C::system},
      {"/model", "[REF]", "go on with another model, or name this one", &C::model},
      {"/plan", "", "what runs, in how much memory and how fast", &C::plan},
      {"/stats", "", "what the last answer took", &C::stats},
      {"/save", "PATH", "write the transcript, now and after each answer", &C::save},
      {"/load", "PATH", "go on from a transcript", &C::load},
      {"/retry", "", "ask the last question again", &C::retry},
      {"/undo", "", "take back the last question and its answer", &C::undo},
      {"/image", "PATH", "not built", &C::attach},
      {"/audio", "PATH", "not built", &C::attach},
      {"/attachments", "", "list what would be sent along", &C::attachments},
      {"/clear-attachments", "", "send none of it", &C::clear_attachments},
      {"/send", "[TEXT]", "send a text, be it one with a slash in front", &C::send},
      {"/exit", "", "leave", &C::exit},
  };
  return kSlashes;
}

std::function<Outcome()> set_up(CLI::App& app) {
  auto command = std::make_shared<ChatCommand>(app);  // shared: std::function is copied
  return [command] { return command->run(); };
}

}  // namespace

const Command kChat{.name = "chat", .summary = "Talk to a model at the terminal", .set_up = set_up};

}  // namespace ollm::cli
