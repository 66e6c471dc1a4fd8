// A conversation on a loaded model: what was said, what goes on, and where it is kept. Leaves to
// others: what a person types and sees (chat.cc).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/cli/transcript.h"
#include "ollm/ollm.h"

namespace ollm::cli {

class Conversation {
 public:
  /// Plans and loads when it is first asked.
  Conversation(Settings settings, Allowances allowances, std::string system_prompt);

  /// Before the first answer, so that a person waits once. Errors: those of make_longest_plan and
  /// Runtime::load.
  Result<void> load(FunctionRef<void(const Plan&)> on_plan, OnProgress on_progress,
                    const CancellationToken* cancel);

  /// Asks, and goes on from what was said. Both messages stand in the conversation afterwards, also
  /// of an answer that was stopped; on an error, and where nothing was answered, it is as it was.
  /// Errors: those of Session::generate; of writing the transcript.
  Result<Generation> say(std::string text, FunctionRef<void(std::string_view)> on_text,
                         OnProgress on_progress, const CancellationToken* cancel);
  /// The last question again; on an error the old answer stays.
  Result<Generation> retry(FunctionRef<void(std::string_view)> on_text, OnProgress on_progress,
                           const CancellationToken* cancel);
  /// Takes back the last question with its answer. Errors: invalid_argument where there is none.
  Result<void> undo();
  /// Forgets what was said; `also_system`: the system prompt goes back to that of the beginning.
  Result<void> clear(bool also_system);

  const std::string& system_prompt() const { return said_.system_prompt; }
  Result<void> set_system_prompt(std::string text);
  /// Another model; it is loaded when it is asked. Errors: of writing the transcript.
  Result<void> set_model(std::string reference);
  const std::string& model() const { return settings_.runtime.model_reference; }
  const Settings& settings() const { return settings_; }

  const std::vector<Message>& messages() const { return said_.messages; }
  /// Tokens that stand in its line.
  std::size_t tokens() const { return session_ ? session_->tokens() : 0; }
  const std::optional<Plan>& plan() const { return plan_; }
  const std::optional<Runtime>& runtime() const { return runtime_; }
  const std::optional<Report>& last_report() const { return report_; }

  /// Goes on from a transcript, whose model is taken unless `keeps_model`.
  Result<void> open(const std::string& path, bool keeps_model);
  /// Writes it now, and after every answer from now on.
  Result<void> save_to(const std::string& path);

 private:
  Result<Generation> answer(std::vector<Message> messages,
                            FunctionRef<void(std::string_view)> on_text, OnProgress on_progress,
                            const CancellationToken* cancel);
  Result<void> save() const;

  Settings settings_;
  const Allowances allowances_;
  const std::string first_system_;
  Transcript said_;
  std::string path_;  // empty: kept nowhere
  std::optional<Plan> plan_;
  std::optional<Runtime> runtime_;
  std::optional<Session> session_;
  std::optional<Report> report_;
};

}  // namespace ollm::cli
