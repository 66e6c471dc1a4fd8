// The two plans as values. RuntimePlan: before anything is loaded, which backend will run a model
// reference, with which support level and passes, and why; afterwards, what was applied.
// ExecutionPlan: where every byte will lie and what it will cost. Leaves to others: how they are
// made (plan_run.h), and what the loader needs of them beside (load_plan.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/base/value.h"
#include "ollm/plan/resolved_model.h"

namespace ollm {

namespace plan {
struct PlanDraft;
}

/// How far the passes of a plan are.
enum class SpecializationState {
  not_planned,  // "not-planned"
  planned,      // passes were chosen, nothing is loaded
  applied,      // loaded, and every pass kept its contract
  fallback,     // the generic backend took over, with the reason
};

/// The eight of the seed, then ours; this is the order in which they stand in a plan.
enum class SpecializationPassId {
  disk_cache,
  cpu_offload,
  gpu_offload,
  mlp_chunking,
  moe_routing,
  attention_replacement,
  multimodal_shell,
  gds_export_weights,
  weight_streaming,
  weight_pinning,
  chunked_prefill,
  prefix_reuse,
  speculative_decoding,
  expert_cache,
};

/// The wire value, e.g. "not-planned", "chunked-prefill".
///@{
OLLM_API std::string_view to_string(SpecializationState value);
OLLM_API std::string_view to_string(SpecializationPassId value);
///@}

template <>
OLLM_API std::span<const SpecializationState> all_values<SpecializationState>();
template <>
OLLM_API std::optional<SpecializationState> from_wire<SpecializationState>(std::string_view text);
template <>
OLLM_API std::span<const SpecializationPassId> all_values<SpecializationPassId>();
template <>
OLLM_API std::optional<SpecializationPassId> from_wire<SpecializationPassId>(std::string_view text);

/// Which backend controls a pass brings.
struct PassTraits {
  bool supports_disk_cache = false;   // keys and values on disk
  bool supports_cpu_offload = false;  // layers on the CPU beside an accelerator
  bool supports_gpu_offload = false;  // layers on an accelerator

  friend bool operator==(const PassTraits&, const PassTraits&) = default;
};

/// One pass that a plan has.
struct SpecializationPass {
  SpecializationPassId pass_id = SpecializationPassId::disk_cache;  // which
  std::string summary;                                              // what it does, for people
  PassTraits traits;                                                // what it brings
  Details details;                                                  // with which numbers

  /// {pass_id, summary, traits, details}.
  OLLM_API Value as_dict() const;

  friend bool operator==(const SpecializationPass&, const SpecializationPass&) = default;
};

/// The passes that a provider planned for a model.
struct PlannedSpecialization {
  std::string provider_id;                     // "llama-native"
  std::vector<SpecializationPassId> pass_ids;  // in the order of the plan
  std::vector<SpecializationPass> passes;      // the same, each with what it is
  PassTraits traits;                           // all that they bring together
  Details details;                             // of the pipeline: how many, with which numbers

  /// {provider_id, pass_ids, passes, traits, details}.
  OLLM_API Value as_dict() const;

  friend bool operator==(const PlannedSpecialization&, const PlannedSpecialization&) = default;
};

/// The passes that kept their contracts when the model was loaded.
struct AppliedSpecialization {
  std::string provider_id;                             // "llama-native"
  std::vector<SpecializationPassId> planned_pass_ids;  // all that were planned
  std::vector<SpecializationPassId> applied_pass_ids;  // all of them: one that fails fails the load
  PassTraits traits;                                   // all that they bring together
  Details details;                                     // what loading set in the plan's details

  /// {provider_id, planned_pass_ids, applied_pass_ids, skipped_pass_ids, traits, details}; no pass
  /// is ever skipped.
  OLLM_API Value as_dict() const;

  friend bool operator==(const AppliedSpecialization&, const AppliedSpecialization&) = default;
};

/// The wire values of `fallback_error_type`.
enum class SpecializationErrorType { load_error, application_error };
OLLM_API std::string_view to_string(
    SpecializationErrorType type);  // "SpecializationLoadError", ...

/// Why a provider could not be applied to what was loaded.
struct SpecializationFailure {
  SpecializationErrorType type = SpecializationErrorType::load_error;  // before passes, or by one
  std::string provider_id;                                             // "llama-native"
  std::vector<SpecializationPassId> planned_pass_ids;                  // all that were planned
  std::vector<SpecializationPassId> applied_pass_ids;  // that had kept their contracts before
  /// The pass whose contract was broken; nothing where loading failed before any was asked.
  std::optional<SpecializationPassId> failed_pass_id;
  std::string reason;  // what the contract asked for and did not get, or why loading failed
  Error error{ErrorKind::unsupported, {}};  // all of it, for people

  /// {error_type, provider_id, planned_pass_ids, applied_pass_ids, failed_pass_id, reason, error}.
  OLLM_API Value as_dict() const;

  friend bool operator==(const SpecializationFailure& a, const SpecializationFailure& b) {
    return a.type == b.type && a.provider_id == b.provider_id &&
           a.planned_pass_ids == b.planned_pass_ids && a.applied_pass_ids == b.applied_pass_ids &&
           a.failed_pass_id == b.failed_pass_id && a.reason == b.reason &&
           a.error.kind == b.error.kind && a.error.message == b.error.message;
  }
};

/// Which backend runs a reference, and why. A handle on a value that never changes once it was
/// made: what happened at load is a new plan. Equal inputs give equal plans, byte for byte in JSON.
class RuntimePlan {
 public:
  /// A plan of nothing: no backend, unsupported.
  OLLM_API RuntimePlan();
  /// The plan that was drafted; on the inside alone.
  explicit RuntimePlan(plan::PlanDraft draft);
  /// Copies share one object; moving copies too, so that no handle is ever empty.
  ///@{
  RuntimePlan(const RuntimePlan&) = default;
  RuntimePlan& operator=(const RuntimePlan&) = default;
  ///@}

  /// What the reference names; never a part of as_dict.
  OLLM_API const ResolvedModel& resolved_model() const;
  /// kOptimizedNative, kNativeGeneric; nothing: it cannot run.
  OLLM_API const std::optional<std::string>& backend_id() const;
  /// Whether there is a backend for it.
  OLLM_API bool is_executable() const;
  /// Where the model lies; only where it exists.
  OLLM_API const std::optional<std::filesystem::path>& model_path() const;
  /// Of the backend for this model.
  OLLM_API SupportLevel support_level() const;
  /// What the generic backend would run.
  OLLM_API std::optional<GenericModelKind> generic_model_kind() const;
  /// Of the passes that are planned, not of the model.
  ///@{
  OLLM_API bool supports_disk_cache() const;
  OLLM_API bool supports_cpu_offload() const;
  OLLM_API bool supports_gpu_offload() const;
  ///@}
  /// Whether a provider took the model, a later fallback included.
  OLLM_API bool specialization_enabled() const;
  /// True only after a successful load.
  OLLM_API bool specialization_applied() const;
  /// E.g. "llama-native"; kept where its blocks are not built.
  OLLM_API const std::optional<std::string>& specialization_provider_id() const;
  /// How far its passes are.
  OLLM_API SpecializationState specialization_state() const;
  /// The passes that are planned.
  OLLM_API const std::vector<SpecializationPassId>& specialization_pass_ids() const;
  /// Those that kept their contracts.
  OLLM_API const std::vector<SpecializationPassId>& applied_specialization_pass_ids() const;
  /// Why the generic backend took over.
  OLLM_API const std::optional<std::string>& fallback_reason() const;
  /// For people.
  OLLM_API const std::string& reason() const;
  /// For programs, key by key (docs/runtime-plan.md).
  OLLM_API const Details& details() const;

  /// What a provider planned; nothing where none took the model.
  OLLM_API std::optional<PlannedSpecialization> planned_specialization() const;
  /// What was applied; nothing in any state but `applied`.
  OLLM_API std::optional<AppliedSpecialization> applied_specialization() const;
  /// Why the generic backend took over, as fields; nothing in any state but `fallback`.
  OLLM_API const std::optional<SpecializationFailure>& failure() const;

  /// 16 keys, always the same and in the same order: docs/formats/runtime_plan.schema.json.
  OLLM_API Value as_dict() const;
  /// The same as JSON text in one line.
  OLLM_API std::string as_dict_json() const;

  /// Whether all of both is equal.
  OLLM_API friend bool operator==(const RuntimePlan& a, const RuntimePlan& b);

 private:
  std::shared_ptr<const plan::PlanDraft> draft_;  // never null
};

/// What a run will be asked to do. Tokens of one sequence, and how many sequences; what texts the
/// caller brings and holds.
struct Workload {
  std::size_t prompt_tokens = 0;   // before the first new one
  std::size_t max_new_tokens = 0;  // at most
  /// Lines at once, each with that many tokens; 1 to 65536. 0, where `requests` says how many there
  /// are: as many as pay (LinesPlan).
  std::size_t sequences = 1;
  /// In all, each with that many tokens; a line that is done takes the next. 0: one for each line.
  std::size_t requests = 0;
  bool all_logits = false;  // of every position (score), not of the last alone
  /// Tokens that one sequence may come to hold; 0: prompt_tokens + max_new_tokens.
  std::size_t context_tokens = 0;
  /// Bytes of text that the caller renders and encodes before it loads the model, and then holds as
  /// ids; 0: none. Texts that a session is given afterwards are bounded by the context instead.
  std::size_t text_bytes = 0;
  /// Tokens of all rows together that a score is given; 0: those of the sequences.
  std::size_t total_tokens = 0;
  /// Bytes that the caller holds beside those ids, and that a score makes of them: names and lists
  /// of rows, the entries of a file of logits.
  std::size_t caller_bytes = 0;

  friend bool operator==(const Workload&, const Workload&) = default;
};

/// Workload::context_tokens of a plan that is asked for where nobody says how long the prompt is.
inline constexpr std::size_t kAssumedContextTokens = 4096;

/// What a caller vouches for of a model that is not understood whole.
struct Allowances {
  std::vector<std::string> config_keys = {};     // keys of config.json that nobody knows
  std::vector<std::string> unused_tensors = {};  // names, `*` for any run of characters

  friend bool operator==(const Allowances&, const Allowances&) = default;
};

/// One choice, kept so that a person can see why it fell that way.
struct Decision {
  std::string what;     // "kv.strategy"
  std::string chosen;   // "paged"
  std::string because;  // "131072 tokens need 16.0 GiB; 5.2 GiB left after weights"

  friend bool operator==(const Decision&, const Decision&) = default;
};

/// What a run should take. Rates are of the whole machine; times in seconds.
struct Estimate {
  std::uint64_t bytes_per_sweep = 0;         // read from disk by one decode sweep
  std::uint64_t memory_bytes_per_sweep = 0;  // of weights and KV, read from memory by one
  double seconds_per_sweep = 0;              // one decode sweep
  std::string bound_by = {};                 // "memory", "compute" or "disk", of decoding
  double prefill_tokens_per_second = 0;      // of all sequences together
  double decode_tokens_per_second = 0;       // the same
  std::size_t prompt_tokens = 0;             // of the prompt that the times are for
  double time_to_first_token_s = 0;  // from when the model is loaded, to the end of that prompt
  double load_s = 0;                 // from opening the files to the last byte of weights
  double total_s = 0;                // from when the process starts, the whole job
  double flops_per_token = 0;        // of matrix products of all layers, the head left out
  std::size_t rows_that_fill = 0;    // rows of a sweep from which compute, not reading, binds it
  std::size_t requests = 0;          // of the whole job
  double job_tokens_per_second = 0;  // new tokens of the whole job, over all its time
  double seconds_per_request = 0;    // that one more request takes, while all lines are busy
  double request_s = 0;              // of one request, from when it has its line, beside the others
  /// "memory", "compute", "disk" or "kv-disk": of the time of one more request, what takes most.
  std::string job_bound_by = {};

  friend bool operator==(const Estimate&, const Estimate&) = default;
};

/// What a number of lines at once would bring, each with its own best use of the memory.
struct LinesChoice {
  std::size_t lines = 0;                // at once
  double decode_tokens_per_second = 0;  // of all lines together
  double seconds_per_request = 0;       // of the whole job's time, loading left out
  std::string bound_by;                 // as Estimate::job_bound_by
  std::uint64_t pinned_bytes = 0;       // of weights that stay in memory
  std::uint64_t kv_frames_bytes = 0;    // of keys and values that memory has room for
  std::uint64_t kv_bytes = 0;           // of all lines, when they are full

  friend bool operator==(const LinesChoice&, const LinesChoice&) = default;
};

/// How many lines pay for such requests: the fewest with which a request takes at most 5 % more of
/// the job's time than with any other number; of decoding alone, where no new tokens are asked for.
struct LinesPlan {
  std::size_t pay = 0;  // 0: nothing fits, or the job is a score
  /// Why more would not: "requests", there are no more; "budget", more do not fit; "kv-frames",
  /// their keys and values take the memory from all else; or what sweeps wait for, as in
  /// LinesChoice.
  std::string bound_by;
  std::vector<LinesChoice> choices;  // that were looked at, by lines; `pay` is one of them

  friend bool operator==(const LinesPlan&, const LinesPlan&) = default;
};

/// Who holds how many bytes, and when.
struct LedgerEntry {
  std::string owner;        // "weights", "kv", "activations", ...
  std::string phase;        // "always", "text", "load", "run"
  std::uint64_t bytes = 0;  // that it holds then

  friend bool operator==(const LedgerEntry&, const LedgerEntry&) = default;
};

/// The memory of the whole process.
struct MemoryPlan {
  std::uint64_t budget_bytes = 0;   // granted
  std::uint64_t minimum_bytes = 0;  // the smallest budget that runs as asked, whole MiB
  std::uint64_t peak_bytes = 0;     // the most that is held at once
  std::vector<LedgerEntry> ledger;  // by owner and phase

  friend bool operator==(const MemoryPlan&, const MemoryPlan&) = default;
};

/// Which weights stay in memory, and how the others come.
struct WeightsPlan {
  std::uint64_t bytes = 0;           // of all weights
  std::uint64_t pinned_bytes = 0;    // of them, matrices that stay in memory
  std::uint64_t streamed_bytes = 0;  // read from disk in every sweep that wants logits
  std::uint64_t segment_bytes = 0;   // of one read
  std::uint64_t ring_slots = 0;      // segments that are read ahead
  std::string access;                // "direct", "buffered"
  std::string reads;                 // "io_uring", "threads"

  friend bool operator==(const WeightsPlan&, const WeightsPlan&) = default;
};

/// The experts of a mixture, all layers together: which stay in memory, and what of the others a
/// token reads, as an expectation.
struct ExpertsPlan {
  std::size_t experts = 0;                 // of all layers
  std::size_t kept = 0;                    // that stay in memory
  std::size_t slots = 0;                   // that have room at once, read ones among them
  std::size_t per_token = 0;               // that one token meets
  std::uint64_t bytes = 0;                 // of all
  std::uint64_t expert_bytes = 0;          // of one
  std::uint64_t read_bytes_per_token = 0;  // from disk, of one line alone
  double hit_share = 0;                    // of those that a token meets, what is kept
  std::string because;                     // where that comes from

  friend bool operator==(const ExpertsPlan&, const ExpertsPlan&) = default;
};

/// Layers whose keys and values are stored alike, and may be read equally far back.
struct KvGroup {
  std::size_t layers = 0;             // that store; others may read what these stored
  std::uint64_t bytes_per_token = 0;  // of one sequence, all these layers
  std::size_t window = 0;             // tokens that may still be read; 0: all

  friend bool operator==(const KvGroup&, const KvGroup&) = default;
};

/// Keys and values. Blocks are counted over all sequences, each over all layers.
struct KvPlan {
  std::string strategy;            // "resident", "paged", ...
  std::string lifecycle;           // "persistent": found by later runs; "runtime-scoped"
  std::size_t context_tokens = 0;  // that one sequence may hold
  std::size_t sequences = 0;       // at once
  std::size_t block_tokens = 0;    // of one block
  std::uint64_t block_bytes = 0;   // of one block
  std::size_t blocks = 0;          // that there may be
  std::uint64_t bytes = 0;         // of all of them; fewer blocks of layers with a window
  std::size_t frames = 0;          // of them in memory at once
  std::uint64_t memory_bytes =
      0;  // of frames, what is read ahead of the others, what is known of all
  std::uint64_t disk_bytes = 0;            // on disk, once all sequences are full
  std::uint64_t bytes_per_token = 0;       // of one sequence, all layers
  std::vector<KvGroup> groups;             // the same, by group
  std::uint64_t read_bytes_per_token = 0;  // from disk for a new token, at half of the new ones
  std::uint64_t prefill_read_bytes = 0;    // from disk by all sweeps of the prompt
  std::uint64_t written_bytes = 0;         // to disk, by the whole job
  std::optional<std::uint64_t> disk_free_bytes;  // about; nothing: no disk, or it does not tell
  std::optional<std::filesystem::path> folder;   // on disk; nothing: memory alone

  friend bool operator==(const KvPlan&, const KvPlan&) = default;
};

/// How positions turn queries and keys, spelt as in config.json: rope_parameters. What a type of
/// rotary does not have is absent.
struct RotaryParameters {
  std::string rope_type;             // "default", "linear", "dynamic", "llama3", "yarn", "longrope"
  double rope_theta = 0;             // the base of the frequencies
  double partial_rotary_factor = 1;  // of each head, what is turned
  std::optional<double> factor = {};  // by which lengths are stretched
  std::optional<std::size_t> original_max_position_embeddings = {};        // before that
  std::optional<double> low_freq_factor = {}, high_freq_factor = {};       // llama3
  std::optional<double> attention_factor = {};                             // yarn, longrope
  std::optional<double> mscale = {}, mscale_all_dim = {};                  // yarn
  std::optional<double> beta_fast = {}, beta_slow = {};                    // yarn
  std::optional<bool> truncate = {};                                       // yarn
  std::optional<std::vector<double>> short_factor = {}, long_factor = {};  // longrope: one a pair

  friend bool operator==(const RotaryParameters&, const RotaryParameters&) = default;
};

/// What the model's files hold as its family reads them, every default filled in; spelt as in
/// config.json where it has such a key.
struct EffectiveConfig {
  std::optional<std::string> family = {};   // that reads it; nothing: by structure
  std::string model_type;                   // as the file has it
  std::size_t hidden_size = 0;              // of the residual stream
  std::size_t intermediate_size = 0;        // of a feed-forward
  std::size_t num_hidden_layers = 0;        // layers
  std::size_t num_attention_heads = 0;      // of queries
  std::size_t num_key_value_heads = 0;      // of keys and values
  std::size_t head_dim = 0;                 // elements of a head
  std::size_t vocab_size = 0;               // rows of the embedding
  std::size_t max_position_embeddings = 0;  // as the file has it
  std::size_t usable_positions = 0;         // that may be planned
  std::string hidden_act;                   // "silu", "gelu", "gelu_pytorch_tanh", ...
  std::string norm;                         // "rms", "layer"
  double norm_eps = 0;                      // added to the mean square or variance
  bool tie_word_embeddings = false;         // the embedding is the head
  bool qkv_bias = false;                    // of queries, keys and values
  bool attention_output_bias = false;       // of what attention gives back
  bool mlp_bias = false;                    // of the feed-forward
  RotaryParameters rope_parameters;         // of layers that rotate
  std::vector<std::optional<std::size_t>> layer_windows;  // tokens a layer sees; nothing: all
  std::vector<bool> layer_rotates;                        // whether a layer rotates
  double embedding_multiplier = 1;                        // of embeddings
  double attention_multiplier = 1;                        // of scores
  double residual_multiplier = 1;                         // of what a block adds
  double logits_scaling = 1;                              // logits are divided by it

  friend bool operator==(const EffectiveConfig&, const EffectiveConfig&) = default;
};

/// Where every byte will lie, and what it will cost. Equal inputs give equal plans.
struct ExecutionPlan {
  bool fits = false;                   // into the budget
  EffectiveConfig model;               // what the files hold
  Workload workload;                   // as planned; not a part of as_dict
  MemoryPlan memory;                   // by owner
  WeightsPlan weights;                 // pinned and streamed
  std::optional<ExpertsPlan> experts;  // nothing: the model has none
  KvPlan kv;                           // strategy and sizes
  std::string compute;                 // "bf16", "f32"
  std::string isa;                     // "scalar", "avx2", "avx512", "avx512-bf16"
  std::size_t threads = 0;             // that compute
  std::size_t prefill_chunk = 0;       // rows of one sweep
  std::size_t feed_forward_rows = 0;   // rows of one piece of the feed-forward
  Estimate estimate;                   // how long it takes
  LinesPlan lines;                     // how many at once would be best
  std::vector<Decision> decisions;     // in the order they were made

  /// docs/formats/execution_plan.schema.json.
  OLLM_API Value as_dict() const;

  friend bool operator==(const ExecutionPlan&, const ExecutionPlan&) = default;
};

}  // namespace ollm
