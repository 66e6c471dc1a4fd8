#include "ollm/cli/command.h"

namespace ollm::cli {

std::span<const Command* const> commands() {
  static constexpr const Command* kCommands[] = {
      &kPrompt, &kChat,     &kServe,      &kBatch,       &kPlan,   &kModels,
      &kScore,  &kTokenize, &kDetokenize, &kRender,      &kConfig, &kCache,
      &kDoctor, &kBench,    &kHelp,       &kCompletions, &kMan};
  return kCommands;
}

}  // namespace ollm::cli
