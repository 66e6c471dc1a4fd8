#include "ollm/plan/providers.h"

#include <algorithm>
#include <array>

namespace ollm::plan {
namespace {

// Qwen3MoeForCausalLM stands beside Qwen3-Next in the system we replace; it is another model.
constexpr std::string_view kLlama[] = {"LlamaForCausalLM"};
constexpr std::string_view kGemma3[] = {"Gemma3ForConditionalGeneration", "Gemma3ForCausalLM"};
constexpr std::string_view kQwen3Next[] = {"Qwen3NextForCausalLM"};
constexpr std::string_view kGptOss[] = {"GptOssForCausalLM", "OpenAIGptOssForCausalLM"};
constexpr std::string_view kVoxtral[] = {"VoxtralForConditionalGeneration",
                                         "VoxtralForSpeechSeq2Seq"};
constexpr std::array kProviders{
    Provider{"llama-native", NativeFamily::llama, kLlama},
    Provider{"gemma3-native", NativeFamily::gemma3, kGemma3},
    Provider{"qwen3-next-native", NativeFamily::qwen3_next, kQwen3Next},
    Provider{"gpt-oss-native", NativeFamily::gpt_oss, kGptOss},
    Provider{"voxtral-native", NativeFamily::voxtral, kVoxtral},
};

}  // namespace

std::span<const Provider> providers() { return kProviders; }

std::optional<NativeFamily> family_of_architecture(std::string_view architecture) {
  for (const Provider& provider : kProviders) {
    const auto& names = provider.architectures;
    if (std::find(names.begin(), names.end(), architecture) != names.end()) return provider.family;
  }
  return std::nullopt;
}

}  // namespace ollm::plan
