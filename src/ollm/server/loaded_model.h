// The model that a server has loaded, with all that answers need of it. Leaves to others: routes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "ollm/base/thread.h"
#include "ollm/ollm.h"
#include "ollm/openai/encode.h"
#include "ollm/server/desk.h"

namespace ollm::server {

/// How a model is to be loaded.
struct LoadOptions {
  Settings settings;
  Allowances allowances = {};
  std::size_t sequences = 0;     // answers at once; 0: as many as pay
  std::size_t caller_bytes = 0;  // that the server itself takes, at most
};

class LoadedModel {
 public:
  /// Plans and loads. `on_plan`: what will run, as soon as that is known. Errors: those of
  /// make_plan, Plan::check, Text::open and Runtime::load.
  static Result<std::unique_ptr<LoadedModel>> load(const LoadOptions& options,
                                                   FunctionRef<void(const Plan&)> on_plan,
                                                   OnProgress on_progress,
                                                   const CancellationToken& cancel);
  ~LoadedModel() { ends_.cancel(); }
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;

  const Settings& settings() const { return settings_; }
  const Plan& plan() const { return plan_; }
  const Runtime& runtime() const { return runtime_; }
  const std::optional<Text>& text() const { return runtime_.text(); }
  const openai::ServedModel& served() const { return served_; }
  /// What counts where a body leaves it out.
  const GenerateOptions& defaults() const { return defaults_; }
  /// Empty as long as weights are hashed that no earlier run has hashed. Any thread.
  std::string system_fingerprint() const;
  std::int64_t loaded_at() const { return loaded_at_; }  // seconds since 1970
  std::size_t lines() const { return lines_; }           // answers at once
  AnswerDesk& desk() { return *desk_; }

 private:
  LoadedModel(const Settings& settings, Plan plan, Runtime runtime);
  Result<void> find_fingerprint();

  const Settings settings_;
  const Plan plan_;
  const Runtime runtime_;
  openai::ServedModel served_;
  GenerateOptions defaults_;
  std::int64_t loaded_at_ = 0;
  std::size_t lines_ = 1;
  mutable std::mutex mutex_;
  std::condition_variable found_;
  std::string system_fingerprint_;  // guarded by mutex_
  bool sought_ = false;             // guarded by mutex_
  CancellationToken ends_;
  std::unique_ptr<AnswerDesk> desk_;
  std::optional<Thread> hashes_;  // goes first
};

}  // namespace ollm::server
