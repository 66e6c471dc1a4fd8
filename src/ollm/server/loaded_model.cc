#include "ollm/server/loaded_model.h"

#include <chrono>
#include <ctime>
#include <utility>

#include "ollm/openai/fingerprint.h"

namespace ollm::server {
namespace {

// Answers for which lines are planned, where nobody says how many come at once.
constexpr std::size_t kPlannedRequests = 16;
// Of a request, where nobody says what comes: as chats have them.
constexpr std::size_t kPlannedPrompt = 1024;

// For which a start waits for the name of what answers: those that an earlier run has hashed have
// it at once, and small models within that time.
constexpr std::chrono::seconds kPatience{2};

Workload workload_of(const LoadOptions& options) {
  Workload workload;
  workload.max_new_tokens = static_cast<std::size_t>(options.settings.generation.max_new_tokens);
  workload.prompt_tokens = kPlannedPrompt;
  workload.sequences = options.sequences;
  workload.requests = options.sequences == 0 ? kPlannedRequests : options.sequences;
  workload.caller_bytes = options.caller_bytes;
  return workload;
}

// A model without a tokenizer runs on ids.
Result<std::optional<Text>> open_text(const Settings& settings) {
  Result<Text> text = Text::open(settings);
  if (text.ok()) return std::optional<Text>(std::move(text).value());
  if (text.error().kind == ErrorKind::not_found) return std::optional<Text>();
  return std::move(text).error();
}

}  // namespace

LoadedModel::LoadedModel(const Settings& settings, Plan plan, Runtime runtime)
    : settings_(settings), plan_(std::move(plan)), runtime_(std::move(runtime)) {
  const ExecutionPlan execution = runtime_.execution_plan();
  served_.reference = settings_.runtime.model_reference;
  served_.text = runtime_.text() ? &*runtime_.text() : nullptr;
  served_.vocabulary = execution.model.vocab_size;
  served_.context_tokens = plan_.workload().context_tokens;
  defaults_ = generate_options(settings_);
  loaded_at_ = static_cast<std::int64_t>(std::time(nullptr));
  lines_ = execution.kv.sequences;
}

Result<std::unique_ptr<LoadedModel>> LoadedModel::load(const LoadOptions& options,
                                                       FunctionRef<void(const Plan&)> on_plan,
                                                       OnProgress on_progress,
                                                       const CancellationToken& cancel) {
  OLLM_TRY(Plan plan,
           make_longest_plan(options.settings, workload_of(options), options.allowances));
  on_plan(plan);
  OLLM_TRY(std::optional<Text> text, open_text(options.settings));
  OLLM_TRY(Runtime runtime, Runtime::load(plan, std::move(text), on_progress, &cancel));
  std::unique_ptr<LoadedModel> model(
      new LoadedModel(options.settings, std::move(plan), std::move(runtime)));
  OLLM_TRY_VOID(model->find_fingerprint());
  OLLM_TRY(model->desk_, AnswerDesk::open(model->runtime_));
  return model;
}

Result<void> LoadedModel::find_fingerprint() {
  OLLM_TRY(Thread thread, Thread::start([this] {
             yield_to_all_others();
             const Result<std::string> name = plan_.fingerprint(nullptr, &ends_);
             const std::lock_guard lock(mutex_);
             if (name.ok()) system_fingerprint_ = openai::system_fingerprint(*name, defaults_);
             sought_ = true;
             found_.notify_all();
           }));
  hashes_.emplace(std::move(thread));
  std::unique_lock lock(mutex_);
  found_.wait_for(lock, kPatience, [&] { return sought_; });
  return {};
}

std::string LoadedModel::system_fingerprint() const {
  const std::lock_guard lock(mutex_);
  return system_fingerprint_;
}

}  // namespace ollm::server
