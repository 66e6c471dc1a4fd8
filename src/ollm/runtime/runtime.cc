// Loading what was planned, and nothing else: the loader decides nothing.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "ollm/base/clock.h"
#include "ollm/machine/expert_history.h"
#include "ollm/models/inventory.h"
#include "ollm/models/stored_head.h"
#include "ollm/plan/passes.h"
#include "ollm/runtime/load_faults.h"
#include "ollm/runtime/state.h"

namespace ollm {
namespace {

// End tokens of generation_config.json, else of config.json; those outside the vocabulary never
// come out.
std::vector<TokenId> end_tokens(const plan::PlannedRun& run,
                                const checkpoint::GenerationConfig& generation) {
  if (!generation.eos_token_ids.empty()) return generation.eos_token_ids;
  std::vector<TokenId> ids;
  for (const std::int64_t id : run.reference.selection.config->eos_token_ids)
    if (id >= 0) ids.push_back(static_cast<TokenId>(id));
  return ids;
}

// What the ledger counts in this phase and no buffer is charged with, so that buffers stay within
// the rest.
Result<void> charge_what_is_no_buffer(Runtime::State& state, memory::Phase phase) {
  for (const memory::LedgerLine& line : state.execution().memory.lines()) {
    if (line.phase != phase || line.charged == memory::Charged::by_owner) continue;
    OLLM_TRY(memory::Charge charge, state.budget.charge(line.owner, line.bytes));
    state.charges.push_back(std::move(charge));
  }
  return {};
}

Result<void> load_weights(Runtime::State& state, const checkpoint::ModelFolder& folder,
                          OnProgress on_progress, const CancellationToken& cancel) {
  const auto progress = [&](std::uint64_t done, std::uint64_t total) {
    if (on_progress) on_progress({Stage::load, done, total});
  };
  const weights::Options& options = state.execution().weights;
  state.reads = std::make_unique<io::ReadQueue>(options.read_method);
  OLLM_TRY(state.tape, weights::Tape::load(folder, state.composition().tape, options, state.budget,
                                           *state.pool, *state.reads, progress, cancel));
  const models::Composition& model = state.composition();
  const auto* head = models::stored_tied_head(folder.tensors(), model);
  if (head == nullptr) return {};
  const std::string& embedding = model.tape.matrices[model.embedding.index].tensor;
  OLLM_TRY(const auto* held, folder.tensors().require(embedding));
  if (models::compared_whole(*head, *held)) return {};  // by the plan
  return models::check_same_values(folder, *head, *held);
}

// No result depends on either, so less than was planned is slower and no failure.
void note_what_the_system_gave(Runtime::State& state) {
  const plan::LoadPlan& planned = state.execution();
  state.load_decisions.clear();
  if (state.pool->threads() < planned.threads) {
    state.load_decisions.push_back(
        {"threads", fmt::format("{}", state.pool->threads()),
         fmt::format("the system gave no more of the {} planned (ulimit -u, a control group's "
                     "pids.max, memory)",
                     planned.threads)});
  }
  const std::optional<io::ReadMethod> reads = state.tape->read_method();
  if (reads && *reads != planned.weights.read_method) {
    state.load_decisions.push_back(
        {"weights.reads", std::string(to_string(*reads)),
         fmt::format("the system serves no {} queue", to_string(planned.weights.read_method))});
  }
}

// Where nothing has to go to disk, a folder that cannot be written to costs what would be kept, not
// the run.
Result<void> build_kv(Runtime::State& state, const checkpoint::ModelFolder& folder) {
  kv::Options options = state.execution().kv;
  kv::Store::Disk disk;
  state.refused_kv.reset();
  if (options.pool) {
    auto kept = runtime::KeptKv::open(state.execution(), state.composition(), folder,
                                      state.plan->run.config.model_reference, state.budget);
    if (kept.ok()) {
      state.kept_kv = std::move(kept).value();
      disk = {&state.kept_kv->pool(), state.reads.get()};
    } else if (options.spills() || kept.error().kind == ErrorKind::invalid_argument) {
      return std::move(kept).error();
    } else {
      options.pool.reset();
      state.load_decisions.push_back({"kv.store", "none", kept.error().message});
      state.refused_kv = kept.error();
    }
  }
  OLLM_TRY(state.kv, kv::Store::make(std::move(options), state.budget, disk));
  if (state.kept_kv) state.kept_kv->attach(*state.kv);
  return {};
}

// What every backend needs alike: threads, kernels, weights, KV.
Result<void> build_shared(Runtime::State& state, OnProgress on_progress,
                          const CancellationToken& cancel) {
  const checkpoint::ModelFolder& folder = *state.plan->run.folder();
  state.pool = std::make_unique<ThreadPool>(state.execution().threads);
  OLLM_TRY(state.backend, backend::make_backend(state.execution().backend, *state.pool));
  OLLM_TRY_VOID(charge_what_is_no_buffer(state, memory::Phase::always));
  OLLM_TRY_VOID(load_weights(state, folder, on_progress, cancel));
  if (weights::Experts* experts = state.tape->experts())
    experts->remember(state.plan->run.inputs.storage.wanted_experts);
  OLLM_TRY_VOID(charge_what_is_no_buffer(state, memory::Phase::run));
  note_what_the_system_gave(state);
  OLLM_TRY_VOID(build_kv(state, folder));
  return {};
}

// What runs the composition that was planned, the provider's or the generic one.
Result<void> build_engine(Runtime::State& state, const runtime::LoadFaults& faults) {
  if (faults.building) return *faults.building;
  OLLM_TRY(state.engine, engine::Engine::make(state.composition(), *state.tape, *state.backend,
                                              state.execution().engine, state.budget));
  engine::Scheduler::Options options;
  options.lines = state.execution().workload.sequences;
  options.speculation = state.execution().speculation;
  options.finds_again = [&state] {
    return state.kept_kv && state.execution().kv.reuses && state.kv->knows_fingerprint();
  };
  options.before_lookup = [&state](std::size_t tokens) {
    static const CancellationToken kNever;
    if (state.kept_kv) state.kept_kv->settle(tokens, nullptr, kNever);
  };
  options.after_sweep = [&state] {
    if (state.kept_kv) state.kept_kv->poll();
  };
  options.after_compute = [&state] { state.sweep_cost = runtime::take_cost(state); };
  state.scheduler = std::make_unique<engine::Scheduler>(*state.engine, *state.kv, *state.pool,
                                                        std::move(options));
  return {};
}

// Gives everything back, last built first, so that the fallback has the whole budget.
void tear_down(Runtime::State& state) {
  state.scheduler.reset();
  state.engine.reset();
  state.end_kv();
  state.tape.reset();
  state.reads.reset();
  state.charges.clear();
  state.backend.reset();
  state.pool.reset();
}

// Which passes the loaded model really does.
plan::LoadedArtifacts artifacts(const Runtime::State& state, const runtime::LoadFaults& faults) {
  plan::LoadedArtifacts loaded;
  auto& provided = loaded.provided_pass_ids;
  if (state.engine->options().feed_forward_rows < state.engine->options().max_rows)
    provided.push_back(SpecializationPassId::mlp_chunking);
  if (!state.tape->map().stream.loads.empty())
    provided.push_back(SpecializationPassId::weight_streaming);
  if (state.tape->map().pinned_bytes > 0) provided.push_back(SpecializationPassId::weight_pinning);
  if (state.engine->options().max_rows > 0)
    provided.push_back(SpecializationPassId::chunked_prefill);
  // Where the folder could not be written to, load_decisions say so, and nothing else is lost.
  loaded.supports_disk_cache = state.execution().kv.pool.has_value();
  if (loaded.supports_disk_cache) provided.push_back(SpecializationPassId::disk_cache);
  if (loaded.supports_disk_cache && state.execution().kv.reuses)
    provided.push_back(SpecializationPassId::prefix_reuse);
  const bool has_sinks = std::any_of(
      state.composition().layers.begin(), state.composition().layers.end(), [](const auto& layer) {
        const models::AttentionSpec* mixer = models::attention_of(layer);
        return mixer != nullptr && mixer->sinks;
      });
  if (has_sinks) provided.push_back(SpecializationPassId::attention_replacement);
  if (const weights::Experts* experts = state.tape->experts()) {
    provided.push_back(SpecializationPassId::moe_routing);
    if (!experts->holds_all()) provided.push_back(SpecializationPassId::expert_cache);
  }
  if (state.execution().speculation.on())
    provided.push_back(SpecializationPassId::speculative_decoding);
  for (const SpecializationPassId id : faults.withheld) std::erase(provided, id);
  return loaded;
}

// Builds and applies what was planned. A failure of the provider comes back as a value; what would
// fail for every backend (files, memory, ways of reading, a KV strategy, cancellation) is the
// error.
Result<std::optional<SpecializationFailure>> apply(Runtime::State& state,
                                                   const runtime::LoadFaults& faults,
                                                   OnProgress on_progress,
                                                   const CancellationToken& cancel) {
  const plan::PlanDraft& planned = state.plan->run.runtime();
  const bool specialized = planned.specialization_state == SpecializationState::planned;
  OLLM_TRY_VOID(build_shared(state, on_progress, cancel));
  Result<void> built = build_engine(state, faults);
  if (!built.ok()) {
    if (!specialized || built.error().kind != ErrorKind::unsupported)
      return std::move(built).error();
    return std::optional(plan::load_failure(planned, std::move(built).error()));
  }
  const plan::LoadedArtifacts loaded = artifacts(state, faults);
  if (specialized) {
    if (auto broken = plan::broken_contract(planned, loaded)) return broken;
  }
  state.runtime_plan = RuntimePlan(plan::finalize_applied(planned, loaded));
  return std::optional<SpecializationFailure>();
}

}  // namespace

void Runtime::State::keep_expert_history() const {
  const weights::Experts* experts = tape ? tape->experts() : nullptr;
  if (experts == nullptr || experts->counts().wanted == 0) return;
  if (!plan->run.config.use_cache || loaded_by != ::getpid()) return;
  machine::ExpertHistory history{plan->run.config.model_reference, {}};
  const std::vector<weights::ExpertMap::Layer>& layers = tape->map().experts.layers;
  for (std::uint32_t layer = 0; layer < layers.size(); ++layer)
    for (std::uint32_t id = 0; id < layers[layer].experts; ++id)
      history.wanted.push_back(static_cast<float>(experts->wanted({layer}, id)));
  (void)machine::save_expert_history(history, plan->run.expert_history_key, plan->run.environment);
}

Result<void> runtime::check_may_call(Runtime::State& state) {
  if (state.scheduler->driven_here()) {
    return fail(ErrorKind::invalid_argument,
                "called from inside a call that hashes the model or fills a session: nothing else "
                "runs on this runtime meanwhile");
  }
  if (!state.kept_kv || !state.kept_kv->in_child()) return {};
  return fail(ErrorKind::unsupported,
              "the process was forked after the model was loaded: its keys and values on disk are "
              "those of the parent; load it in the child");
}

runtime::Turn::Turn(Runtime::State& state) {
  if (!state.kept_kv || !state.kept_kv->in_child()) owner_.emplace(*state.scheduler);
}

Runtime::Runtime(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<Runtime> Runtime::load(const Plan& plan, std::optional<Text> text, OnProgress on_progress,
                              const CancellationToken* cancel, SpecializationFailure* failure) {
  static const CancellationToken kNever;
  return load(plan, std::move(text), on_progress, cancel ? *cancel : kNever, {}, failure);
}

Result<Runtime> Runtime::load(const Plan& plan, std::optional<Text> text, OnProgress on_progress,
                              const CancellationToken& cancel, const runtime::LoadFaults& faults,
                              SpecializationFailure* told) {
  const double begin = monotonic_seconds();
  OLLM_TRY_VOID(plan.check());
  auto state = std::make_shared<State>(plan.state_);
  const plan::PlannedRun& run = plan.state_->run;
  const checkpoint::ModelFolder& folder = *run.folder();
  const auto in_load = [&](Error error) {
    return std::move(error).within(fmt::format("load {}", run.config.model_reference));
  };

  OLLM_TRY_VOID(folder.check_unchanged());  // config.json too, which the tape knows nothing of
  state->generation = folder.generation_config();
  state->end_tokens = end_tokens(run, state->generation);
  if (text) {
    state->text = std::move(text);
  } else if (folder.has_file("tokenizer.json") || folder.has_file("tokenizer.model") ||
             folder.has_file("spiece.model")) {
    OLLM_TRY(state->text, Text::open_folder(folder));
  }
  auto failure = apply(*state, faults, on_progress, cancel);
  if (!failure.ok()) return in_load(std::move(failure).error());
  if (*failure) {
    if (told != nullptr) *told = **failure;
    tear_down(*state);
    auto fallback = plan::plan_fallback(run, **failure);
    if (!fallback.ok()) return in_load(std::move(fallback).error());
    state->fallback = std::move(fallback).value();
    if (Result<void> built = build_shared(*state, on_progress, cancel); !built.ok())
      return in_load(std::move(built).error());
    if (Result<void> built = build_engine(*state, {}); !built.ok())
      return in_load(std::move(built).error());
    state->runtime_plan =
        RuntimePlan(plan::finalize_applied(state->fallback->selection.plan, artifacts(*state, {})));
  }
  state->load_s = monotonic_seconds() - begin;
  return Runtime(std::move(state));
}

Result<Runtime> runtime::LoadFaults::load(const Plan& plan, SpecializationFailure* failure) const {
  static const CancellationToken kNever;
  return Runtime::load(plan, std::nullopt, nullptr, kNever, *this, failure);
}

const RuntimePlan& Runtime::runtime_plan() const { return state_->runtime_plan; }

ExecutionPlan Runtime::execution_plan() const {
  ExecutionPlan loaded = plan::execution_plan(state_->execution());
  for (const Decision& decision : state_->load_decisions) loaded.decisions.push_back(decision);
  return loaded;
}

const std::optional<Text>& Runtime::text() const { return state_->text; }

Result<void> Runtime::keep() const {
  OLLM_TRY_VOID(runtime::check_may_call(*state_));
  const runtime::Turn turn(*state_);
  return state_->keep();
}

}  // namespace ollm
