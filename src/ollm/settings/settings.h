// What the user set, as values, each with its origin; checked as a whole, every problem told at
// once. Leaves to others: where values come from (sources.h), which fields there are (fields.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"

namespace ollm {

/// Backend ids. On input "transformers-generic" is another name of the second.
inline constexpr std::string_view kOptimizedNative = "optimized-native";
inline constexpr std::string_view kNativeGeneric = "native-generic";

namespace settings {

/// Section `runtime`. Paths as they were written: absolute_path() makes them absolute at use.
/// Limits, wire values and a summary of each field: settings_fields().
struct RuntimeConfig {
  /// As `ollm config show` lists them.
  ///@{
  std::string model_reference = "llama3-1B-chat";
  std::string models_dir = "models";
  std::string device = "cpu";          // "cpu", "cuda", "cuda:0"
  std::optional<std::string> backend;  // kOptimizedNative, kNativeGeneric
  std::optional<std::string> adapter_dir;
  bool multimodal = false;
  bool use_specialization = true;
  /// Absent: `ollm` in the user's cache folder (settings/cache_folder.h).
  std::optional<std::string> cache_dir;
  bool use_cache = true;
  std::optional<std::string> kv_cache_strategy;
  std::string strategy_selector_profile = "balanced";
  std::string kv_cache_lifecycle = "persistent";
  std::string kv_cache_adaptation_mode = "observe-only";
  std::optional<std::int64_t> kv_cache_window_tokens;
  std::optional<std::int64_t> dense_projection_chunk_rows;
  std::int64_t offload_cpu_layers = 0;
  std::string offload_cpu_policy = "auto";
  std::int64_t offload_gpu_layers = 0;
  bool force_download = false;
  bool stats = false;
  bool verbose = false;
  bool quiet = false;
  // Ours; absent is chosen by the plan.
  std::optional<std::int64_t> memory;  // bytes, of the whole process
  std::optional<std::int64_t> threads;
  std::optional<std::int64_t> prefill_chunk;  // tokens
  std::optional<std::int64_t> context;        // tokens
  std::optional<std::string> compute;         // "bf16", "f32"
  std::optional<std::string> isa;             // "scalar", "avx2", "avx512", "avx512-bf16"
  bool kv_ephemeral = false;                  // runtime-scoped, whatever the lifecycle
  std::optional<std::int64_t> kv_cache_max_bytes;
  std::string speculate = "auto";  // "auto", "off", or the most guesses of a step
  ///@}

  /// The device without its index: "cuda" of "cuda:0".
  OLLM_API std::string_view device_type() const;
  /// The most guesses of a step: 0 for "off", nothing for "auto".
  OLLM_API std::optional<std::size_t> most_drafts() const;
  /// The window of the sliding strategy: as given, or 256; nothing where it does not apply.
  OLLM_API std::optional<std::int64_t> resolved_window_tokens() const;

  friend bool operator==(const RuntimeConfig&, const RuntimeConfig&) = default;
};

/// Section `generation`. Greedy by default; absent filters keep all.
struct GenerationSettings {
  /// As `ollm config show` lists them.
  ///@{
  std::int64_t max_new_tokens = 500;
  double temperature = 0;
  std::optional<double> top_p;
  std::optional<std::int64_t> top_k;
  std::optional<std::int64_t> seed;
  bool stream = true;
  // Ours.
  std::optional<double> min_p;
  std::optional<double> typical_p;
  std::optional<double> repetition_penalty;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
  bool ignore_eos = false;
  std::vector<std::string> stop;
  ///@}

  friend bool operator==(const GenerationSettings&, const GenerationSettings&) = default;
};

/// Section `server`.
struct ServerSettings {
  /// As `ollm config show` lists them.
  ///@{
  std::string host = "127.0.0.1";
  std::int64_t port = 8000;
  bool reload = false;
  std::string log_level = "info";
  std::string response_store_backend = "none";
  std::optional<std::string> response_store_factory;
  ///@}

  friend bool operator==(const ServerSettings&, const ServerSettings&) = default;
};

/// Section `benchmark`.
struct BenchmarkSettings {
  std::optional<std::string> history_dir;  // where results are kept

  friend bool operator==(const BenchmarkSettings&, const BenchmarkSettings&) = default;
};

/// The layer that a value came from; the highest that has the field wins.
enum class Origin { cli, env, config_file, defaults };
OLLM_API std::string_view to_string(Origin origin);  // "cli", "env", "config_file", "defaults"

/// Where the value of a field came from.
struct FieldOrigin {
  Origin origin = Origin::defaults;  // the layer
  std::string place;  // "--device", "OLLM_RUNTIME__DEVICE", "ollm.toml:3"; empty for defaults

  friend bool operator==(const FieldOrigin&, const FieldOrigin&) = default;
};

/// All settings of a program, section by section.
struct Settings {
  /// The sections.
  ///@{
  RuntimeConfig runtime;
  GenerationSettings generation;
  ServerSettings server;
  BenchmarkSettings benchmark;
  ///@}
  /// Of every field, in the order of settings_fields().
  std::vector<FieldOrigin> origins;
  /// The file that was read, if one was.
  std::optional<std::filesystem::path> config_file;

  /// Whether any layer above the defaults has the field ("generation.temperature"); false for a
  /// name of none.
  OLLM_API bool given(std::string_view field) const;
  /// Where the value of a field ("generation.temperature") came from; the defaults for a name of
  /// none.
  OLLM_API const FieldOrigin& origin(std::string_view field) const;
};

/// Checks the values that a program sets itself.
/// Errors: invalid_argument with every problem, one a line: its field, what was expected and found.
OLLM_API Result<void> check_settings(const Settings& settings);

}  // namespace settings
}  // namespace ollm
