#include "ollm/runtime/prompt_ids.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "ollm/plan/choose.h"

namespace ollm::runtime {
namespace {

// What encoding takes beyond what was planned for it: of a text that is far longer than the
// context, or for which nothing was, as the caller was to bring ids.
Result<std::optional<memory::Charge>> charge_encoding(Runtime::State& runtime, const Prompt& prompt,
                                                      const TemplateOptions& chat_template) {
  std::uint64_t bytes = prompt.text ? prompt.text->size() : 0;
  for (const Message& message : prompt.messages)
    bytes += message.role.size() + message.content.size();
  // As a tree of values, and in it whatever the template makes of them: measured, 25 times its
  // source for a list of small numbers.
  constexpr std::uint64_t kJsonFactor = 32;
  const std::uint64_t variables = prompt.messages.empty() ? 0 : chat_template.variables.size();
  std::uint64_t planned = 0;
  for (const memory::LedgerLine& line : runtime.execution().memory.lines())
    if (line.owner == "text" && line.phase == memory::Phase::run) planned += line.bytes;
  const std::uint64_t needed = plan::encoding_bytes(bytes) + variables * kJsonFactor;
  if (needed <= planned) return std::optional<memory::Charge>();
  Result<memory::Charge> charge = runtime.budget.charge("text", needed - planned);
  if (!charge.ok()) {
    return std::move(charge).error().within(
        fmt::format("a prompt of {} bytes (Workload::text_bytes and ids, or a larger context, "
                    "would be planned for)",
                    bytes + variables));
  }
  return std::optional<memory::Charge>(std::move(charge).value());
}

}  // namespace

Result<PromptIds> prompt_ids(Runtime::State& runtime, const Prompt& prompt,
                             const TemplateOptions& chat_template, bool behind_others,
                             std::vector<TokenId>& encoded) {
  const int forms =
      (prompt.text ? 1 : 0) + (prompt.messages.empty() ? 0 : 1) + (prompt.ids.empty() ? 0 : 1);
  if (forms > 1) {
    return fail(ErrorKind::invalid_argument,
                "a prompt is one of text, messages and ids; more than one is given");
  }
  if (!prompt.text && prompt.messages.empty()) return PromptIds{prompt.ids};
  if (!runtime.text) {
    return fail(ErrorKind::not_found,
                "the model's folder has no tokenizer.json: it runs on token ids only");
  }
  OLLM_TRY(const std::optional<memory::Charge> charge,
           charge_encoding(runtime, prompt, chat_template));
  PromptIds out;
  if (prompt.text && behind_others) {
    // What the tokenizer puts around a text is for its beginning and its end, not for its middle.
    OLLM_TRY(encoded,
             runtime.text->encode(*prompt.text, {.add_special = false,
                                                 .parse_special = chat_template.parse_special}));
  } else {
    OLLM_TRY(EncodedPrompt whole, runtime.text->encode_prompt(prompt, chat_template));
    if (runtime.kept_kv && runtime.kv->forgets_some())
      out.asking_tokens = runtime.text->generation_prompt_tokens(prompt, chat_template, whole);
    encoded = std::move(whole.ids);
  }
  out.ids = encoded;
  return out;
}

Result<void> check_ids(const Runtime::State& runtime, std::span<const TokenId> ids,
                       std::size_t before) {
  const std::size_t context = runtime.execution().context_tokens;
  if (before + ids.size() == 0) {
    return fail(ErrorKind::invalid_argument,
                "the prompt is empty: there is no token to go on from");
  }
  if (before + ids.size() > context) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("the prompt makes {} tokens, but {} were planned for",
                            before + ids.size(), context));
  }
  const std::size_t known = runtime.composition().vocab_size;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && static_cast<std::size_t>(ids[i]) < known) continue;
    return fail(ErrorKind::invalid_argument,
                fmt::format("token id {} at position {}: the model has ids 0 to {}", ids[i],
                            before + i, known - 1));
  }
  return {};
}

}  // namespace ollm::runtime
