#include "ollm/plan/plan_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/backend/backend.h"
#include "ollm/base/json_cursor.h"
#include "ollm/base/sha256.h"
#include "ollm/base/text_size.h"
#include "ollm/io/read_probes.h"
#include "ollm/kv/strategies.h"
#include "ollm/machine/expert_history.h"
#include "ollm/models/inventory.h"
#include "ollm/models/stored_head.h"
#include "ollm/plan/choose.h"
#include "ollm/plan/kv_decisions.h"
#include "ollm/plan/passes.h"
#include "ollm/plan/payloads.h"
#include "ollm/settings/cache_folder.h"
#include "ollm/settings/payloads.h"

namespace ollm::plan {
namespace {

template <typename T>
std::optional<T> as(const std::optional<std::int64_t>& value) {
  if (!value) return std::nullopt;
  return static_cast<T>(*value);
}

Result<Wishes> wishes_of(const settings::RuntimeConfig& config) {
  Wishes wishes;
  wishes.memory_bytes = as<std::uint64_t>(config.memory);
  wishes.threads = as<std::size_t>(config.threads);
  wishes.prefill_chunk = as<std::size_t>(config.prefill_chunk);
  wishes.context_tokens = as<std::size_t>(config.context);
  if (config.compute) {
    wishes.compute =
        *config.compute == "bf16" ? backend::ComputeMode::bf16 : backend::ComputeMode::f32;
  }
  if (config.isa) {
    OLLM_TRY(wishes.isa, backend::parse_isa(*config.isa));
  }
  wishes.feed_forward_rows = as<std::size_t>(config.dense_projection_chunk_rows);
  wishes.most_drafts = config.most_drafts();
  return wishes;
}

// Whether the files of weights can be read past the page cache: each is opened so, and one of each
// file system is read from, as there are some that take the open and refuse the read.
Storage storage_of(const checkpoint::ModelFolder& folder) {
  Storage storage;
  storage.direct = true;
  const auto files = folder.tensors().files();
  for (std::uint32_t i = 0; i < files.size(); ++i) {
    const bool of_another_device = storage.device != files[i].identity.device;
    storage.device = files[i].identity.device;
    if (!storage.direct) continue;
    storage.direct = of_another_device ? io::probe_direct_read(folder.file(i)).ok()
                                       : folder.file(i).reopen(io::Access::direct).ok();
  }
  return storage;
}

// Sizes of what the tokenizer is made of, without reading it: planning reads headers and nothing
// else.
TextFiles text_files(const checkpoint::ModelFolder& folder, io::SystemCalls& calls) {
  const auto size = [&](const char* name) -> std::uint64_t {
    struct stat status{};
    const std::filesystem::path path = folder.canonical_path() / name;
    return calls.stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
  };
  TextFiles files;
  files.tokenizer_json_bytes = size("tokenizer.json");
  if (files.tokenizer_json_bytes == 0) {
    files.sentencepiece_bytes = size("tokenizer.model");
    if (files.sentencepiece_bytes == 0) files.sentencepiece_bytes = size("spiece.model");
  }
  return files;
}

// What stands for a mixture's history: its experts' tensors, and the files that they are in.
// Another model under the same key would cost time, not answers.
std::string expert_history_key(const models::Composition& composition,
                               const checkpoint::ModelFolder& folder) {
  if (composition.tape.experts.empty()) return {};
  Sha256 hash;
  for (const weights::ExpertsUse& use : composition.tape.experts) {
    hash.add(std::uint64_t{use.experts});
    for (const weights::ExpertMatrix& matrix : use.form().matrices)
      hash.add(matrix.tensors.front())
          .add(std::uint64_t{matrix.rows})
          .add(std::uint64_t{matrix.cols});
  }
  for (const checkpoint::WeightFile& file : folder.tensors().files())
    hash.add(file.path.filename().string()).add(file.identity.size_bytes);
  return hash.finish().hex().substr(0, 32);
}

std::vector<float> wanted_experts(const PlannedRun& plan, const io::Environment& environment,
                                  io::SystemCalls& calls) {
  std::size_t experts = 0;
  for (const weights::ExpertsUse& use : plan.composition()->tape.experts) experts += use.experts;
  auto history = machine::load_expert_history(environment, plan.expert_history_key, experts, calls);
  return history ? std::move(history->wanted) : std::vector<float>();
}

// The settings with what the workload has to say: all logits are computed anew, whatever is stored,
// and nobody asks for their keys and values again.
settings::RuntimeConfig config_for(settings::RuntimeConfig config, const Workload& workload) {
  if (workload.all_logits) config.use_cache = config.kv_ephemeral = false;
  return config;
}

// What keys and values on disk need to know of the machine. Who has no home and keeps nothing is no
// worse off than with a disk that is full.
Result<CacheStorage> cache_storage_of(const settings::RuntimeConfig& config,
                                      const io::Environment& environment, io::SystemCalls& calls) {
  if (config.kv_cache_strategy == kv::kResident) return CacheStorage{};
  const auto folder = settings::cache_folder(config, environment);
  if (folder.ok()) return cache_storage(*folder / "kv", calls);
  if (!config.use_cache) return CacheStorage{};
  return folder.error();
}

KvWishes kv_wishes(const settings::RuntimeConfig& config, const KvSelection& selection) {
  KvWishes wishes;
  wishes.strategy = selection.applied;
  wishes.by_name = !selection.requested_override.empty();
  wishes.kept = keeps_kv(config, selection);
  wishes.reused = reuses_kv(config, selection);
  wishes.cap_bytes = as<std::uint64_t>(config.kv_cache_max_bytes);
  return wishes;
}

Result<LoadPlan> choose_for(const PlannedRun& plan, const models::Composition& composition) {
  const ExecutionInputs& inputs = plan.inputs;
  return choose(composition, plan.folder()->tensors(), inputs.text, inputs.storage, inputs.machine,
                inputs.wishes, inputs.workload);
}

SelectorMachine selector_machine(const machine::Machine& machine) {
  SelectorMachine out;
  out.host_memory_bytes = machine.total_bytes;
  return out;
}

// The selection's choices come first: they were made first.
void put_first(LoadPlan& execution, const Selection& selection, const KvSelection& kv) {
  std::vector<Decision> decisions = selection.decisions;
  for (const Decision& decision : kv.decisions) decisions.push_back(decision);
  for (Decision& decision : execution.decisions) decisions.push_back(std::move(decision));
  execution.decisions = std::move(decisions);
}

// The strategy of a selection with the bytes that it takes. Memory has the last word twice: where
// it does not hold what a rule would keep in it, the rule's next choice is taken; and where nothing
// is stored and it holds all of it, no disk cache is planned.
Result<LoadPlan> choose_with_kv(PlannedRun& run, Selection& selection, KvSelection& kv) {
  const settings::RuntimeConfig config = config_for(run.config, run.inputs.workload);
  const SelectorMachine machine = selector_machine(run.inputs.machine);
  const auto choose_now = [&] {
    run.inputs.wishes.kv = kv_wishes(config, kv);
    return choose_for(run, *selection.composition);
  };
  OLLM_TRY(LoadPlan execution, choose_now());
  if (!execution.fits && kv.applied == kv::kResident && kv.fallback_chain.size() > 1) {
    PlanDraft again = selection.plan;
    again.supports_disk_cache = true;  // as when the rule was asked
    const auto why_not = [](std::string_view strategy) -> std::optional<std::string> {
      if (strategy != kv::kResident) return std::nullopt;
      return "the budget does not hold all of it";
    };
    OLLM_TRY(kv, select_kv(again, config, machine, why_not));
    OLLM_TRY(execution, choose_now());
  } else if (execution.fits && execution.kv.strategy != kv.applied) {
    PlanDraft without = selection.plan;
    without.supports_disk_cache = false;
    OLLM_TRY(kv, select_kv(without, config, machine));
  }
  selection.plan = with_selection(std::move(selection.plan), kv);
  return execution;
}

PassConditions conditions_of(const LoadPlan& execution, const settings::RuntimeConfig& config) {
  PassConditions conditions = with_settings({}, config);
  conditions.prompt_tokens = execution.workload.prompt_tokens;
  conditions.prefill_chunk_tokens = execution.engine.max_rows;
  conditions.weights_pinned = execution.pinned_bytes != 0;
  conditions.weights_streamed = execution.streamed_bytes != 0;
  conditions.mlp_rows_explicit = config.dense_projection_chunk_rows.has_value();
  if (execution.engine.feed_forward_rows < execution.engine.max_rows)
    conditions.mlp_chunk_rows = execution.engine.feed_forward_rows;
  conditions.kv_on_disk = execution.kv.pool.has_value();
  conditions.prefix_reuse = execution.kv.reuses;
  conditions.mixture = execution.experts.has_value();
  conditions.expert_cache =
      execution.experts && execution.experts->kept < execution.experts->experts;
  conditions.draft_rows = execution.speculation.on() ? execution.speculation.most_drafts : 0;
  return conditions;
}

Result<void> check_fits(const LoadPlan& execution, const ExecutionInputs& inputs) {
  if (execution.fits) return {};
  std::string message = fmt::format(
      "will not fit: the budget is {}, the smallest that would do is {} MiB (--memory {}MiB):",
      format_bytes(execution.budget_bytes), execution.minimum_bytes >> 20,
      execution.minimum_bytes >> 20);
  for (const memory::LedgerLine& line : execution.memory.lines()) {
    message += fmt::format("\n  {:<14} {:>12}  {}", line.owner, format_bytes(line.bytes),
                           to_string(line.phase));
  }
  if (!execution.kv.spills()) {
    message += fmt::format("\n  --context would lower kv ({} for {} tokens)",
                           format_bytes(kv::frames_bytes(execution.kv)), execution.context_tokens);
  }
  const std::string disk = why_not_on_disk(execution, inputs.storage.cache, inputs.wishes.kv);
  if (!disk.empty()) message += "\n  " + disk;
  return fail(ErrorKind::out_of_budget, message);
}

// A head that is stored beside the embedding it is tied to runs where its numbers are others. It
// is no part of the selection, which reads headers alone.
Result<void> settle_head(Selection& selection, const checkpoint::ModelFolder& folder) {
  models::Composition& model = *selection.composition;
  const checkpoint::TensorInfo* head = models::stored_tied_head(folder.tensors(), model);
  if (head == nullptr) return {};
  OLLM_TRY(const checkpoint::TensorInfo* embedding,
           folder.tensors().require(model.tape.matrices[model.embedding.index].tensor));
  OLLM_TRY(const auto row, models::first_different_row(folder, *head, *embedding));
  if (!row) return {};
  models::untie(model);
  selection.config->tie_word_embeddings = false;
  selection.decisions.push_back(
      {"head", "stored",
       printable(fmt::format("tie_word_embeddings is true, but {} differs from {} in row {}: what "
                             "is stored is used",
                             head->name, embedding->name, *row))});
  return {};
}

// The window of the strategy is one of every layer: a row sees the last tokens up to it, whatever
// the chunk.
void settle_window(Selection& selection, const KvSelection& kv,
                   const settings::RuntimeConfig& config) {
  if (kv::find_strategy(kv.applied)->window != kv::WindowPolicy::sliding_window) return;
  settings::RuntimeConfig effective = config;
  effective.kv_cache_strategy = kv.applied;
  const auto window = static_cast<std::size_t>(effective.resolved_window_tokens().value_or(1));
  for (models::LayerSpec& layer : selection.composition->layers) {
    auto* attention = std::get_if<models::AttentionSpec>(&layer.mixer);
    if (attention == nullptr) continue;
    attention->window = attention->window == 0 ? window : std::min(attention->window, window);
  }
  const auto& layers = selection.composition->layers;
  const bool states = std::any_of(layers.begin(), layers.end(), [](const auto& layer) {
    return models::attention_of(layer) == nullptr;
  });
  selection.decisions.insert(
      selection.decisions.begin(),
      Decision{"kv.window", fmt::format("{}", window),
               fmt::format("each token sees so many of the last ones and no others{}: the answer "
                           "is not that of the whole text",
                           states ? ", but for layers that keep a state of all" : "")});
}

// What of the composition depends on the planned context, and why it fell that way.
void settle_context(Selection& selection, const LoadPlan& execution) {
  const std::size_t context = execution.context_tokens;
  const auto original = models::settle_context(*selection.composition, context);
  if (!original) return;
  const bool beyond = context > *original;
  selection.decisions.push_back(
      {"rotary.longrope", beyond ? "long_factor" : "short_factor",
       fmt::format("{} tokens are planned, {} than original_max_position_embeddings {}", context,
                   beyond ? "more" : "not more", *original)});
}

}  // namespace

Result<LoadPlan> choose_again(const PlannedRun& run, std::uint64_t memory_bytes) {
  PlannedRun other = run;
  other.inputs.wishes.memory_bytes = memory_bytes;
  return choose_for(other, *other.composition());
}

const checkpoint::ModelFolder* PlannedRun::folder() const {
  const auto& inspection = reference.resolution.inspection;
  return inspection && inspection->folder ? &*inspection->folder : nullptr;
}

const models::Composition* PlannedRun::composition() const {
  return reference.selection.composition ? &*reference.selection.composition : nullptr;
}

Result<PlannedRun> plan_run(const RunInputs& inputs, io::SystemCalls& calls) {
  const settings::RuntimeConfig config = config_for(inputs.settings.runtime, inputs.workload);
  OLLM_TRY(const Wishes wishes, wishes_of(config));
  PlannedRun plan;
  plan.config = inputs.settings.runtime;
  plan.environment = inputs.environment;
  plan.allowances = inputs.allowances;
  SelectOptions options;
  options.allowances = inputs.allowances;
  OLLM_TRY(plan.reference, plan_reference(config, inputs.environment,
                                          selector_machine(inputs.machine), options, calls));
  if (!plan.runtime().is_executable() || plan.composition() == nullptr || plan.folder() == nullptr)
    return plan;

  OLLM_TRY_VOID(settle_head(plan.reference.selection, *plan.folder()));
  plan.inputs = {text_files(*plan.folder(), calls), storage_of(*plan.folder()), inputs.machine,
                 wishes, inputs.workload};
  OLLM_TRY(plan.inputs.storage.cache, cache_storage_of(config, inputs.environment, calls));
  plan.expert_history_key = expert_history_key(*plan.composition(), *plan.folder());
  if (!plan.expert_history_key.empty())
    plan.inputs.storage.wanted_experts = wanted_experts(plan, inputs.environment, calls);
  settle_window(plan.reference.selection, plan.reference.kv, config);
  OLLM_TRY(LoadPlan execution, choose_with_kv(plan, plan.reference.selection, plan.reference.kv));
  plan.reference.effective = effective_config(config, plan.reference.kv);
  settle_context(plan.reference.selection, execution);
  execution.model = *plan.reference.selection.config;
  put_first(execution, plan.reference.selection, plan.reference.kv);

  plan.reference.selection.plan =
      refine_passes(std::move(plan.reference.selection.plan), config.multimodal,
                    conditions_of(execution, config), &execution.decisions);
  plan.execution = std::move(execution);
  return plan;
}

Result<FallbackRun> plan_fallback(const PlannedRun& failed, const SpecializationFailure& failure) {
  SelectOptions options;
  options.allowances = failed.allowances;
  FallbackRun out;
  OLLM_TRY(out.selection, fall_back(failed.runtime(), failed.reference.resolution, failed.config,
                                    options, failure.type, failure.error));
  out.selection.plan.failure = failure;
  // The provider's passes are gone with it, so the strategy is chosen again.
  const settings::RuntimeConfig config = config_for(failed.config, failed.inputs.workload);
  OLLM_TRY(KvSelection kv,
           select_kv(out.selection.plan, config, selector_machine(failed.inputs.machine)));
  out.selection.decisions.insert(
      out.selection.decisions.begin(),
      Decision{"backend", std::string(kNativeGeneric), out.selection.plan.reason});
  OLLM_TRY_VOID(settle_head(out.selection, *failed.folder()));
  PlannedRun run = failed;
  settle_window(out.selection, kv, failed.config);
  OLLM_TRY(out.execution, choose_with_kv(run, out.selection, kv));
  settle_context(out.selection, out.execution);
  out.execution.model = *out.selection.config;
  put_first(out.execution, out.selection, kv);
  out.selection.plan =
      refine_passes(std::move(out.selection.plan), config.multimodal,
                    conditions_of(out.execution, config), &out.execution.decisions);
  OLLM_TRY_VOID(check_fits(out.execution, run.inputs));
  return out;
}

Result<void> check_can_run(const PlannedRun& plan) {
  if (plan.reference.selection.refusal) return *plan.reference.selection.refusal;
  if (!plan.runtime().is_executable() || !plan.execution)
    return fail(ErrorKind::unsupported, plan.runtime().reason);
  return check_fits(*plan.execution, plan.inputs);
}

nlohmann::ordered_json plan_payload(const PlannedRun& plan) {
  nlohmann::ordered_json payload;
  payload["runtime_config"] = settings::runtime_config_payload(plan.config, plan.environment);
  payload["resolved_model"] = resolved_model_payload(plan.runtime().resolved_model);
  payload["runtime_plan"] = as_dict(plan.runtime());
  payload["execution_plan"] =
      plan.execution ? execution_plan_json(execution_plan(*plan.execution)) : nullptr;
  return payload;
}

}  // namespace ollm::plan
