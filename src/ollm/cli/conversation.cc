#include "ollm/cli/conversation.h"

#include <utility>

namespace ollm::cli {
namespace {

// Of a turn, where nobody knows yet what will be said.
constexpr std::size_t kPlannedPrompt = 1024;

Error nothing_said() {
  return fail(ErrorKind::invalid_argument, "there is no question with an answer yet");
}

}  // namespace

Conversation::Conversation(Settings settings, Allowances allowances, std::string system_prompt)
    : settings_(std::move(settings)),
      allowances_(std::move(allowances)),
      first_system_(std::move(system_prompt)) {
  said_.system_prompt = first_system_;
  said_.model_reference = settings_.runtime.model_reference;
}

Result<void> Conversation::load(FunctionRef<void(const Plan&)> on_plan, OnProgress on_progress,
                                const CancellationToken* cancel) {
  if (session_) return {};
  Workload workload;
  workload.prompt_tokens = kPlannedPrompt;
  workload.max_new_tokens = static_cast<std::size_t>(settings_.generation.max_new_tokens);
  OLLM_TRY(Plan plan, make_longest_plan(settings_, workload, allowances_));
  on_plan(plan);
  OLLM_TRY(Text text, Text::open(settings_));
  OLLM_TRY(Runtime runtime, Runtime::load(plan, std::move(text), on_progress, cancel));
  OLLM_TRY(Session session, runtime.new_session());
  plan_.emplace(std::move(plan));
  runtime_.emplace(std::move(runtime));
  session_.emplace(std::move(session));
  return {};
}

Result<Generation> Conversation::answer(std::vector<Message> messages,
                                        FunctionRef<void(std::string_view)> on_text,
                                        OnProgress on_progress, const CancellationToken* cancel) {
  OLLM_TRY_VOID(load([](const Plan&) {}, on_progress, cancel));
  std::vector<Message> whole;
  if (!said_.system_prompt.empty()) whole.push_back({"system", said_.system_prompt});
  whole.insert(whole.end(), messages.begin(), messages.end());
  OLLM_TRY(Generation made,
           session_->generate(Prompt::chat(std::move(whole)), generate_options(settings_), on_text,
                              on_progress, cancel));
  report_ = made.report;
  if (made.finish_reason == FinishReason::cancelled && made.text.empty()) return made;
  messages.push_back({"assistant", made.text});
  said_.messages = std::move(messages);
  OLLM_TRY_VOID(save());
  return made;
}

Result<Generation> Conversation::say(std::string text, FunctionRef<void(std::string_view)> on_text,
                                     OnProgress on_progress, const CancellationToken* cancel) {
  std::vector<Message> messages = said_.messages;
  messages.push_back({"user", std::move(text)});
  return answer(std::move(messages), on_text, on_progress, cancel);
}

Result<Generation> Conversation::retry(FunctionRef<void(std::string_view)> on_text,
                                       OnProgress on_progress, const CancellationToken* cancel) {
  if (said_.messages.size() < 2) return nothing_said();
  std::vector<Message> messages = said_.messages;
  messages.pop_back();
  if (messages.back().role != "user") return nothing_said();
  return answer(std::move(messages), on_text, on_progress, cancel);
}

Result<void> Conversation::undo() {
  std::vector<Message>& messages = said_.messages;
  const std::size_t size = messages.size();
  if (size < 2 || messages[size - 1].role != "assistant" || messages[size - 2].role != "user")
    return nothing_said();
  messages.resize(size - 2);
  return save();
}

Result<void> Conversation::clear(bool also_system) {
  said_.messages.clear();
  if (also_system) said_.system_prompt = first_system_;
  return save();
}

Result<void> Conversation::set_system_prompt(std::string text) {
  said_.system_prompt = std::move(text);
  return save();
}

Result<void> Conversation::set_model(std::string reference) {
  session_.reset();
  runtime_.reset();
  plan_.reset();
  settings_.runtime.model_reference = std::move(reference);
  said_.model_reference = settings_.runtime.model_reference;
  return save();
}

Result<void> Conversation::open(const std::string& path, bool keeps_model) {
  OLLM_TRY(Transcript transcript, read_transcript(path));
  const std::string had = settings_.runtime.model_reference;
  const bool other =
      !keeps_model && !transcript.model_reference.empty() && transcript.model_reference != had;
  const std::string wanted = other ? transcript.model_reference : had;
  said_ = std::move(transcript);
  said_.model_reference = wanted;
  path_ = path;
  if (other) return set_model(wanted);
  return {};
}

Result<void> Conversation::save() const {
  if (path_.empty()) return {};
  return write_transcript(path_, said_);
}

Result<void> Conversation::save_to(const std::string& path) {
  OLLM_TRY_VOID(write_transcript(path, said_));
  path_ = path;
  return {};
}

}  // namespace ollm::cli
