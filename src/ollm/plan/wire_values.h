// The enumerations of a plan, each with its wire value: how it is spelt in JSON and on the command
// line. Leaves to others: what they mean for a model (resolved_model.h, runtime_plan.h).
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "ollm/base/api.h"

namespace ollm {

enum class SupportLevel { generic, optimized, unsupported };

enum class SpecializationState {
  not_planned,  // "not-planned"
  planned,      // passes were chosen, nothing is loaded
  applied,      // loaded, and every pass kept its contract
  fallback,     // the generic backend took over, with the reason
};

enum class GenericModelKind { causal_lm, image_text_to_text, seq2seq_lm };

enum class ModelSourceKind { builtin, hugging_face, local_path, opaque };

enum class NativeFamily { llama, gemma3, gpt_oss, qwen3_next, voxtral };

enum class ModelModality { text, image, audio };

/// In the order in which they stand in a plan.
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

/// Backend ids. On input "transformers-generic" is another name of the second (settings.h).
inline constexpr std::string_view kOptimizedNative = "optimized-native";
inline constexpr std::string_view kNativeGeneric = "native-generic";

/// The wire value, e.g. "not-planned", "image-text-to-text".
///@{
OLLM_API std::string_view to_string(SupportLevel value);
OLLM_API std::string_view to_string(SpecializationState value);
OLLM_API std::string_view to_string(GenericModelKind value);
OLLM_API std::string_view to_string(ModelSourceKind value);
OLLM_API std::string_view to_string(NativeFamily value);
OLLM_API std::string_view to_string(ModelModality value);
OLLM_API std::string_view to_string(SpecializationPassId value);
///@}

/// All values of an enumeration in their order, and back from a wire value; nothing for one that is
/// not there. Both are there for the enumerations above alone.
template <typename Enum>
std::span<const Enum> all_values();
template <typename Enum>
std::optional<Enum> from_wire(std::string_view text);

template <>
OLLM_API std::span<const SupportLevel> all_values<SupportLevel>();
template <>
OLLM_API std::optional<SupportLevel> from_wire<SupportLevel>(std::string_view text);
template <>
OLLM_API std::span<const SpecializationState> all_values<SpecializationState>();
template <>
OLLM_API std::optional<SpecializationState> from_wire<SpecializationState>(std::string_view text);
template <>
OLLM_API std::span<const GenericModelKind> all_values<GenericModelKind>();
template <>
OLLM_API std::optional<GenericModelKind> from_wire<GenericModelKind>(std::string_view text);
template <>
OLLM_API std::span<const ModelSourceKind> all_values<ModelSourceKind>();
template <>
OLLM_API std::optional<ModelSourceKind> from_wire<ModelSourceKind>(std::string_view text);
template <>
OLLM_API std::span<const NativeFamily> all_values<NativeFamily>();
template <>
OLLM_API std::optional<NativeFamily> from_wire<NativeFamily>(std::string_view text);
template <>
OLLM_API std::span<const ModelModality> all_values<ModelModality>();
template <>
OLLM_API std::optional<ModelModality> from_wire<ModelModality>(std::string_view text);
template <>
OLLM_API std::span<const SpecializationPassId> all_values<SpecializationPassId>();
template <>
OLLM_API std::optional<SpecializationPassId> from_wire<SpecializationPassId>(std::string_view text);

}  // namespace ollm
