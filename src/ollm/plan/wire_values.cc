#include <array>
#include <cstddef>

#include "ollm/plan/plans.h"

namespace ollm {
namespace {

template <typename Enum>
struct Named {
  Enum value;
  std::string_view text;
};

// One table per enumeration, in the order of its values.
constexpr std::array kSupportLevels{Named{SupportLevel::generic, "generic"},
                                    Named{SupportLevel::optimized, "optimized"},
                                    Named{SupportLevel::unsupported, "unsupported"}};
constexpr std::array kSpecializationStates{Named{SpecializationState::not_planned, "not-planned"},
                                           Named{SpecializationState::planned, "planned"},
                                           Named{SpecializationState::applied, "applied"},
                                           Named{SpecializationState::fallback, "fallback"}};
constexpr std::array kGenericModelKinds{
    Named{GenericModelKind::causal_lm, "causal-lm"},
    Named{GenericModelKind::image_text_to_text, "image-text-to-text"},
    Named{GenericModelKind::seq2seq_lm, "seq2seq-lm"}};
constexpr std::array kModelSourceKinds{Named{ModelSourceKind::builtin, "builtin"},
                                       Named{ModelSourceKind::hugging_face, "hugging-face"},
                                       Named{ModelSourceKind::local_path, "local-path"},
                                       Named{ModelSourceKind::opaque, "opaque"}};
constexpr std::array kNativeFamilies{
    Named{NativeFamily::llama, "llama"}, Named{NativeFamily::gemma3, "gemma3"},
    Named{NativeFamily::gpt_oss, "gpt-oss"}, Named{NativeFamily::qwen3_next, "qwen3-next"},
    Named{NativeFamily::voxtral, "voxtral"}};
constexpr std::array kModelModalities{Named{ModelModality::text, "text"},
                                      Named{ModelModality::image, "image"},
                                      Named{ModelModality::audio, "audio"}};
constexpr std::array kSpecializationPassIds{
    Named{SpecializationPassId::disk_cache, "disk-cache"},
    Named{SpecializationPassId::cpu_offload, "cpu-offload"},
    Named{SpecializationPassId::gpu_offload, "gpu-offload"},
    Named{SpecializationPassId::mlp_chunking, "mlp-chunking"},
    Named{SpecializationPassId::moe_routing, "moe-routing"},
    Named{SpecializationPassId::attention_replacement, "attention-replacement"},
    Named{SpecializationPassId::multimodal_shell, "multimodal-shell"},
    Named{SpecializationPassId::gds_export_weights, "gds-export-weights"},
    Named{SpecializationPassId::weight_streaming, "weight-streaming"},
    Named{SpecializationPassId::weight_pinning, "weight-pinning"},
    Named{SpecializationPassId::chunked_prefill, "chunked-prefill"},
    Named{SpecializationPassId::prefix_reuse, "prefix-reuse"},
    Named{SpecializationPassId::speculative_decoding, "speculative-decoding"},
    Named{SpecializationPassId::expert_cache, "expert-cache"}};

template <typename Table>
constexpr bool in_order(const Table& table) {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (static_cast<std::size_t>(table[i].value) != i) return false;
  return true;
}

template <typename Table>
std::string_view text_of(const Table& table, std::size_t index) {
  static_assert(std::tuple_size_v<Table> > 0);
  // Anybody may make an enumeration of any number; of ours none is outside.
  return index < table.size() ? table[index].text : std::string_view("unknown");
}

template <typename Enum, std::size_t kCount>
std::optional<Enum> find_text(const std::array<Named<Enum>, kCount>& table, std::string_view text) {
  for (const Named<Enum>& row : table)
    if (row.text == text) return row.value;
  return std::nullopt;
}

template <typename Enum, std::size_t kCount>
constexpr std::array<Enum, kCount> values_of(const std::array<Named<Enum>, kCount>& table) {
  std::array<Enum, kCount> out{};
  for (std::size_t i = 0; i < kCount; ++i) out[i] = table[i].value;
  return out;
}

}  // namespace

// The three functions of one enumeration, from its table.
#define OLLM_WIRE_VALUES(Enum, table)                          \
  static_assert(in_order(table));                              \
  std::string_view to_string(Enum value) {                     \
    return text_of(table, static_cast<std::size_t>(value));    \
  }                                                            \
  template <>                                                  \
  std::span<const Enum> all_values<Enum>() {                   \
    static constexpr auto values = values_of(table);           \
    return values;                                             \
  }                                                            \
  template <>                                                  \
  std::optional<Enum> from_wire<Enum>(std::string_view text) { \
    return find_text(table, text);                             \
  }

OLLM_WIRE_VALUES(SupportLevel, kSupportLevels)
OLLM_WIRE_VALUES(SpecializationState, kSpecializationStates)
OLLM_WIRE_VALUES(GenericModelKind, kGenericModelKinds)
OLLM_WIRE_VALUES(ModelSourceKind, kModelSourceKinds)
OLLM_WIRE_VALUES(NativeFamily, kNativeFamilies)
OLLM_WIRE_VALUES(ModelModality, kModelModalities)
OLLM_WIRE_VALUES(SpecializationPassId, kSpecializationPassIds)

#undef OLLM_WIRE_VALUES

std::string_view to_string(SpecializationErrorType type) {
  return type == SpecializationErrorType::load_error ? "SpecializationLoadError"
                                                     : "SpecializationApplicationError";
}

}  // namespace ollm
