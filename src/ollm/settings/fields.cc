#include "ollm/settings/fields.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "ollm/base/text_form.h"
#include "ollm/kv/strategies.h"
#include "ollm/settings/settings.h"

namespace ollm::settings {
namespace {

constexpr double kMaxInteger = 9.2e18;       // below 2^63
constexpr double kMaxTokens = 2147483648.0;  // positions of a model: models/model_config.cc
constexpr double kMaxLayers = 10'000;        // the same
constexpr double kMaxThreads = 4096;
constexpr std::size_t kMostDrafts = 64;  // guesses of a step; `speculate` below says it too

constexpr std::string_view kSections[] = {"runtime", "generation", "server", "benchmark"};

// What "one of" a choice lists, in this order.
constexpr std::string_view kBackends[] = {kOptimizedNative, kNativeGeneric};
constexpr std::string_view kProfiles[] = {"balanced", "latency", "capacity", "bounded-window"};
constexpr std::string_view kLifecycles[] = {"runtime-scoped", "persistent"};
constexpr std::string_view kAdaptationModes[] = {"disabled", "observe-only", "automatic"};
constexpr std::string_view kOffloadPolicies[] = {"auto", "prefix", "suffix", "middle-band"};
constexpr std::string_view kComputeModes[] = {"bf16", "f32"};
constexpr std::string_view kIsas[] = {"scalar", "avx2", "avx512", "avx512-bf16"};
constexpr std::string_view kStores[] = {"none", "memory", "plugin"};

// What this build lacks, once for the fields that depend on it.
constexpr std::string_view kAccelerators[] = {"cuda"};
constexpr std::string_view kNoAccelerator = "this build computes on the CPU alone";
constexpr std::string_view kNoAdvice = "this build recommends no other strategy";
constexpr std::string_view kNoAdapters = "this build runs no adapters";
constexpr std::string_view kNoMedia = "this build reads no images and no audio";
constexpr std::string_view kNoDownload = "this build downloads nothing";
constexpr std::string_view kNoReload = "this build reads them once; SIGHUP reads keys anew";
constexpr std::string_view kNoResponses = "this build answers no /v1/responses";
constexpr std::string_view kNoHistory = "this build keeps no results";
constexpr std::string_view kAlwaysTold = "times and bytes are told unless quiet";

std::optional<std::string> not_blank(std::string_view text) {
  if (trimmed(text).empty()) return std::nullopt;
  return std::string(trimmed(text));
}

std::optional<std::string> lower_case(std::string_view text) { return lower(trimmed(text)); }

// People come with configuration files of the system we replace, where the backend that takes what
// no provider takes has another name.
std::optional<std::string> backend_id(std::string_view text) {
  std::string id = lower(trimmed(text));
  if (id == "transformers-generic") id = kNativeGeneric;
  return id;
}

std::optional<std::string> device(std::string_view text) {
  std::string id = lower(trimmed(text));
  const std::string_view type = std::string_view(id).substr(0, id.find(':'));
  if (type != "cpu" && type != "cuda") return std::nullopt;
  if (type.size() == id.size()) return id;
  const std::string_view index = std::string_view(id).substr(type.size() + 1);
  if (index.empty() || index.size() > 3 ||
      !std::all_of(index.begin(), index.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  return id;
}

// "auto", "off", or how many.
std::optional<std::string> speculation(std::string_view text) {
  std::string value = lower(trimmed(text));
  if (value == "auto" || value == "off") return value;
  std::size_t drafts = 0;
  const auto end = value.data() + value.size();
  const auto read = std::from_chars(value.data(), end, drafts);
  if (read.ec != std::errc() || read.ptr != end || drafts == 0 || drafts > kMostDrafts)
    return std::nullopt;
  return std::to_string(drafts);
}

// From a member to a SettingsValue and back.
template <typename T>
SettingsValue to_value(const T& member) {
  return member;
}
template <typename T>
SettingsValue to_value(const std::optional<T>& member) {
  if (!member) return std::monostate{};
  return *member;
}
template <typename T>
void from_value(const SettingsValue& value, T& member) {
  if (const T* given = std::get_if<T>(&value)) member = *given;
}
template <typename T>
void from_value(const SettingsValue& value, std::optional<T>& member) {
  if (std::holds_alternative<std::monostate>(value)) {
    member.reset();
  } else if (const T* given = std::get_if<T>(&value)) {
    member = *given;
  }
}

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

// Ties a row of the table to its member; whether it may be absent is the member's type.
template <auto kSection, auto kMember>
constexpr SettingsField bind(SettingsField row) {
  using Member = std::remove_cvref_t<decltype(std::declval<Settings&>().*kSection.*kMember)>;
  row.nullable = kIsOptional<Member>;
  row.get = [](const Settings& settings) { return to_value(settings.*kSection.*kMember); };
  row.set = [](Settings& settings, const SettingsValue& value) {
    from_value(value, settings.*kSection.*kMember);
  };
  return row;
}

template <auto kMember>
constexpr SettingsField runtime(SettingsField row) {
  row.section = "runtime";
  return bind<&Settings::runtime, kMember>(row);
}
template <auto kMember>
constexpr SettingsField generation(SettingsField row) {
  row.section = "generation";
  return bind<&Settings::generation, kMember>(row);
}
template <auto kMember>
constexpr SettingsField server(SettingsField row) {
  row.section = "server";
  return bind<&Settings::server, kMember>(row);
}
template <auto kMember>
constexpr SettingsField benchmark(SettingsField row) {
  row.section = "benchmark";
  return bind<&Settings::benchmark, kMember>(row);
}

using R = RuntimeConfig;
using G = GenerationSettings;
using S = ServerSettings;
using B = BenchmarkSettings;

constexpr std::array kFields{
    runtime<&R::model_reference>({.name = "model_reference",
                                  .type = FieldType::text,
                                  .flag = "--model",
                                  .summary = "alias, Hugging Face repository or folder",
                                  .example = "llama3-8B-chat",
                                  .normalize = not_blank}),
    runtime<&R::models_dir>({.name = "models_dir",
                             .type = FieldType::path,
                             .flag = "--models-dir",
                             .summary = "folder with models by name",
                             .example = "other/models"}),
    runtime<&R::device>({.name = "device",
                         .type = FieldType::text,
                         .flag = "--device",
                         .summary = "what computes: cpu, cuda or cuda:N",
                         .example = "cuda:1",
                         .not_built = {kAccelerators, kNoAccelerator},
                         .expected = "cpu, cuda or cuda:N",
                         .normalize = device}),
    runtime<&R::backend>({.name = "backend",
                          .type = FieldType::choice,
                          .choices = kBackends,
                          .flag = "--backend",
                          .summary = "this backend or none",
                          .example = "native-generic",
                          .normalize = backend_id}),
    runtime<&R::adapter_dir>({.name = "adapter_dir",
                              .type = FieldType::path,
                              .flag = "--adapter-dir",
                              .summary = "folder of a PEFT adapter",
                              .example = "adapters/one",
                              .not_built = {{}, kNoAdapters}}),
    runtime<&R::multimodal>({.name = "multimodal",
                             .type = FieldType::boolean,
                             .flag = "--multimodal",
                             .off_flag = "--no-multimodal",
                             .summary = "take images and audio where the model does",
                             .example = "true",
                             .without_effect = kNoMedia}),
    runtime<&R::use_specialization>({.name = "use_specialization",
                                     .type = FieldType::boolean,
                                     .flag = "--specialization",
                                     .off_flag = "--no-specialization",
                                     .summary = "let a provider of the model's family run it",
                                     .example = "false"}),
    runtime<&R::cache_dir>({.name = "cache_dir",
                            .type = FieldType::path,
                            .flag = "--cache-dir",
                            .summary = "folder for keys and values on disk; auto: "
                                       "$XDG_CACHE_HOME/ollm, else ~/.cache/ollm",
                            .example = "other/kv"}),
    runtime<&R::use_cache>({.name = "use_cache",
                            .type = FieldType::boolean,
                            .flag = "--cache",
                            .off_flag = "--no-cache",
                            .summary =
                                "use keys and values that are stored, and store them; without, "
                                "what memory cannot hold is on disk for the run alone",
                            .example = "false"}),
    runtime<&R::kv_cache_strategy>({.name = "kv_cache_strategy",
                                    .type = FieldType::choice,
                                    .choices = kv::kStrategyIds,
                                    .flag = "--kv-cache-strategy",
                                    .summary =
                                        "how keys and values are kept; quantized-cold-tier and "
                                        "sliding-window-ring-buffer change the answer",
                                    .example = "paged",
                                    .normalize = lower_case}),
    runtime<&R::strategy_selector_profile>({.name = "strategy_selector_profile",
                                            .type = FieldType::choice,
                                            .choices = kProfiles,
                                            .flag = "--strategy-selector-profile",
                                            .summary = "what the KV strategy is chosen for",
                                            .example = "latency",
                                            .normalize = lower_case}),
    runtime<&R::kv_cache_lifecycle>({.name = "kv_cache_lifecycle",
                                     .type = FieldType::choice,
                                     .choices = kLifecycles,
                                     .flag = "--kv-cache-lifecycle",
                                     .summary = "how long stored keys and values are kept: for "
                                                "later runs, or for this process",
                                     .example = "runtime-scoped",
                                     .normalize = lower_case}),
    runtime<&R::kv_cache_adaptation_mode>({.name = "kv_cache_adaptation_mode",
                                           .type = FieldType::choice,
                                           .choices = kAdaptationModes,
                                           .flag = "--kv-cache-adaptation-mode",
                                           .summary = "whether another KV strategy is recommended",
                                           .example = "disabled",
                                           .without_effect = kNoAdvice,
                                           .normalize = lower_case}),
    runtime<&R::kv_cache_window_tokens>(
        {.name = "kv_cache_window_tokens",
         .type = FieldType::tokens,
         .min = 1,
         .max = kMaxTokens,
         .flag = "--kv-cache-window-tokens",
         .summary = "tokens of the sliding window; changes the answer",
         .example = "512"}),
    runtime<&R::dense_projection_chunk_rows>(
        {.name = "dense_projection_chunk_rows",
         .type = FieldType::integer,
         .min = 1,
         .max = kMaxTokens,
         .flag = "--dense-projection-chunk-rows",
         .summary = "rows of activations in one piece of a feed-forward",
         .example = "128"}),
    runtime<&R::offload_cpu_layers>({.name = "offload_cpu_layers",
                                     .type = FieldType::integer,
                                     .min = 0,
                                     .max = kMaxLayers,
                                     .flag = "--offload-cpu-layers",
                                     .summary = "layers kept on the CPU beside an accelerator",
                                     .example = "2",
                                     .not_built = {{}, kNoAccelerator}}),
    runtime<&R::offload_cpu_policy>({.name = "offload_cpu_policy",
                                     .type = FieldType::choice,
                                     .choices = kOffloadPolicies,
                                     .flag = "--offload-cpu-policy",
                                     .summary = "which layers are kept on the CPU",
                                     .example = "suffix",
                                     .without_effect = kNoAccelerator,
                                     .normalize = lower_case}),
    runtime<&R::offload_gpu_layers>({.name = "offload_gpu_layers",
                                     .type = FieldType::integer,
                                     .min = 0,
                                     .max = kMaxLayers,
                                     .flag = "--offload-gpu-layers",
                                     .summary = "layers kept on the accelerator",
                                     .example = "2",
                                     .not_built = {{}, kNoAccelerator}}),
    runtime<&R::force_download>({.name = "force_download",
                                 .type = FieldType::boolean,
                                 .flag = "--force-download",
                                 .off_flag = "--no-force-download",
                                 .summary = "download what is there once more",
                                 .example = "true",
                                 .without_effect = kNoDownload}),
    runtime<&R::stats>({.name = "stats",
                        .type = FieldType::boolean,
                        .flag = "--stats",
                        .off_flag = "--no-stats",
                        .summary = "tell times and bytes after a run",
                        .example = "true",
                        .without_effect = kAlwaysTold}),
    runtime<&R::verbose>({.name = "verbose",
                          .type = FieldType::boolean,
                          .flag = "--verbose",
                          .off_flag = "--no-verbose",
                          .summary = "tell more",
                          .example = "true"}),
    runtime<&R::quiet>({.name = "quiet",
                        .type = FieldType::boolean,
                        .flag = "--quiet",
                        .off_flag = "--no-quiet",
                        .summary = "tell nothing but the answer",
                        .example = "true"}),
    runtime<&R::memory>({.name = "memory",
                         .type = FieldType::bytes,
                         .min = 1,
                         .max = kMaxInteger,
                         .flag = "--memory",
                         .summary = "the most memory the whole process may take",
                         .example = "4GiB"}),
    runtime<&R::threads>({.name = "threads",
                          .type = FieldType::integer,
                          .min = 1,
                          .max = kMaxThreads,
                          .flag = "--threads",
                          .summary = "threads that compute",
                          .example = "3"}),
    runtime<&R::prefill_chunk>({.name = "prefill_chunk",
                                .type = FieldType::tokens,
                                .min = 1,
                                .max = kMaxTokens,
                                .flag = "--prefill-chunk",
                                .summary = "tokens of a prompt in one sweep",
                                .example = "256"}),
    runtime<&R::context>({.name = "context",
                          .type = FieldType::tokens,
                          .min = 1,
                          .max = kMaxTokens,
                          .flag = "--context",
                          .summary = "tokens that a sequence may come to hold",
                          .example = "32k"}),
    runtime<&R::compute>({.name = "compute",
                          .type = FieldType::choice,
                          .choices = kComputeModes,
                          .flag = "--compute",
                          .summary = "what is rounded: bf16 operands, or nothing",
                          .example = "f32",
                          .normalize = lower_case}),
    runtime<&R::isa>({.name = "isa",
                      .type = FieldType::choice,
                      .choices = kIsas,
                      .flag = "--isa",
                      .summary = "instruction set of the kernels",
                      .example = "scalar",
                      .normalize = lower_case}),
    runtime<&R::kv_ephemeral>({.name = "kv_ephemeral",
                               .type = FieldType::boolean,
                               .flag = "--kv-ephemeral",
                               .off_flag = "--no-kv-ephemeral",
                               .summary =
                                   "use stored keys and values again within this process, and "
                                   "leave nothing behind",
                               .example = "true"}),
    runtime<&R::kv_cache_max_bytes>(
        {.name = "kv_cache_max_bytes",
         .type = FieldType::bytes,
         .min = 1,
         .max = kMaxInteger,
         .flag = "--kv-cache-max-size",
         .summary = "what the cache folder may keep after a run; auto: a tenth of its file system, "
                    "at most 64 GiB",
         .example = "50GiB"}),
    runtime<&R::speculate>({.name = "speculate",
                            .type = FieldType::text,
                            .flag = "--speculate",
                            .summary = "guess the next tokens from what the line repeats, at most "
                                       "so many a step; no answer depends on it",
                            .example = "16",
                            .expected = "auto, off or 1 to 64",
                            .normalize = speculation}),

    generation<&G::max_new_tokens>({.name = "max_new_tokens",
                                    .type = FieldType::tokens,
                                    .min = 0,
                                    .max = kMaxTokens,
                                    .flag = "--max-new-tokens",
                                    .summary =
                                        "the most tokens of an answer; 0 reads the prompt and "
                                        "stores its keys and values",
                                    .example = "64"}),
    generation<&G::temperature>(
        {.name = "temperature",
         .type = FieldType::number,
         .min = 0,
         .max = 1e6,
         .flag = "--temperature",
         .summary = "above 0 tokens are drawn, at 0 the best is taken; 1 where a filter is "
                    "given and this is not",
         .example = "0.7"}),
    generation<&G::top_p>({.name = "top_p",
                           .type = FieldType::number,
                           .min = 0,
                           .max = 1,
                           .above_min = true,
                           .flag = "--top-p",
                           .summary = "draw from the most probable that reach this share",
                           .example = "0.9"}),
    generation<&G::top_k>({.name = "top_k",
                           .type = FieldType::integer,
                           .min = 1,
                           .max = kMaxTokens,
                           .flag = "--top-k",
                           .summary = "draw from this many of the most probable",
                           .example = "40"}),
    generation<&G::seed>({.name = "seed",
                          .type = FieldType::integer,
                          .min = 0,
                          .max = kMaxInteger,
                          .flag = "--seed",
                          .summary = "of what is drawn",
                          .example = "42"}),
    generation<&G::stream>({.name = "stream",
                            .type = FieldType::boolean,
                            .flag = "--stream",
                            .off_flag = "--no-stream",
                            .summary = "print text as it is made",
                            .example = "false"}),
    generation<&G::min_p>({.name = "min_p",
                           .type = FieldType::number,
                           .min = 0,
                           .max = 1,
                           .flag = "--min-p",
                           .summary = "leave out what has less than this share of the first",
                           .example = "0.05"}),
    generation<&G::typical_p>({.name = "typical_p",
                               .type = FieldType::number,
                               .min = 0,
                               .max = 1,
                               .above_min = true,
                               .flag = "--typical-p",
                               .summary = "draw from the most typical that reach this share",
                               .example = "0.95"}),
    generation<&G::repetition_penalty>({.name = "repetition_penalty",
                                        .type = FieldType::number,
                                        .min = 0,
                                        .max = 1e6,
                                        .above_min = true,
                                        .flag = "--repetition-penalty",
                                        .summary = "above 1 makes what occurred less likely",
                                        .example = "1.1"}),
    generation<&G::presence_penalty>(
        {.name = "presence_penalty",
         .type = FieldType::number,
         .min = -2,
         .max = 2,
         .flag = "--presence-penalty",
         .summary = "taken from the logits of new tokens that occurred",
         .example = "-0.5"}),
    generation<&G::frequency_penalty>({.name = "frequency_penalty",
                                       .type = FieldType::number,
                                       .min = -2,
                                       .max = 2,
                                       .flag = "--frequency-penalty",
                                       .summary = "the same, once for each time",
                                       .example = "0.5"}),
    generation<&G::ignore_eos>({.name = "ignore_eos",
                                .type = FieldType::boolean,
                                .flag = "--ignore-eos",
                                .off_flag = "--no-ignore-eos",
                                .summary = "go on past end tokens",
                                .example = "true"}),
    generation<&G::stop>({.name = "stop",
                          .type = FieldType::texts,
                          .flag = "--stop",
                          .summary = "end before this text; may be given several times",
                          .example = "END"}),

    server<&S::host>({.name = "host",
                      .type = FieldType::text,
                      .flag = "--host",
                      .summary = "address that the server listens on",
                      .example = "0.0.0.0",
                      .normalize = not_blank}),
    server<&S::port>({.name = "port",
                      .type = FieldType::integer,
                      .min = 0,
                      .max = 65535,
                      .flag = "--port",
                      .summary = "port that the server listens on; 0 takes a free one",
                      .example = "8080"}),
    server<&S::reload>({.name = "reload",
                        .type = FieldType::boolean,
                        .flag = "--reload",
                        .off_flag = "--no-reload",
                        .summary = "read the settings anew when they change",
                        .example = "true",
                        .without_effect = kNoReload}),
    server<&S::log_level>({.name = "log_level",
                           .type = FieldType::text,
                           .flag = "--log-level",
                           .summary = "how much the server tells: debug names each request",
                           .example = "debug",
                           .normalize = not_blank}),
    server<&S::response_store_backend>({.name = "response_store_backend",
                                        .type = FieldType::choice,
                                        .choices = kStores,
                                        .flag = "--response-store-backend",
                                        .summary = "where responses are kept",
                                        .example = "memory",
                                        .without_effect = kNoResponses,
                                        .normalize = lower_case}),
    server<&S::response_store_factory>({.name = "response_store_factory",
                                        .type = FieldType::text,
                                        .flag = "--response-store-factory",
                                        .summary = "what makes the store of a plugin",
                                        .example = "module:make",
                                        .without_effect = kNoResponses,
                                        .normalize = not_blank}),

    benchmark<&B::history_dir>({.name = "history_dir",
                                .type = FieldType::path,
                                .flag = "--history-dir",
                                .summary = "folder for results of benchmarks",
                                .example = "bench/history",
                                .without_effect = kNoHistory}),
};

constexpr EnvironmentAlias kAliases[] = {{"OLLM_ISA", "runtime.isa"}};

}  // namespace

std::span<const SettingsField> settings_fields() { return kFields; }

std::span<const std::string_view> settings_sections() { return kSections; }

std::span<const EnvironmentAlias> environment_aliases() { return kAliases; }

const SettingsField* find_field(std::string_view qualified_name) {
  for (const SettingsField& field : kFields) {
    if (qualified_name.size() == field.section.size() + 1 + field.name.size() &&
        qualified_name.starts_with(field.section) && qualified_name.ends_with(field.name) &&
        qualified_name[field.section.size()] == '.')
      return &field;
  }
  return nullptr;
}

}  // namespace ollm::settings
