// Any text as a chat template, rendered with any JSON as its variables: text with sound marks, the
// same twice, or an error with its place. The two are separated by a line of "=====".
// Leaves to others: whether the text is right (template tests).
// links: ollm_text nlohmann_json::nlohmann_json
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>
#include <variant>

#include "ollm/base/check.h"
#include "ollm/text/template/chat_template.h"
#include "ollm/text/template/template_source.h"

namespace {

using ollm::text::ChatTemplate;
using ollm::text::RenderClock;
using ollm::text::RenderedPrompt;
using ollm::text::RenderLimits;
using ollm::text::TemplateError;
using ollm::text::TextSpan;

void check_error(const TemplateError& error) {
  OLLM_CHECK(error.kind == "syntax" || error.kind == "runtime" || error.kind == "raise_exception" ||
             error.kind == "limit");
  OLLM_CHECK(error.line >= 1 && error.column >= 1);
}

void check_prompt(const RenderedPrompt& prompt) {
  const auto at_character = [&](std::size_t offset) {
    return offset == prompt.text.size() ||
           (static_cast<unsigned char>(prompt.text[offset]) & 0xC0) != 0x80;
  };
  std::size_t end = 0;
  bool first = true;
  for (const TextSpan& span : prompt.literal) {
    OLLM_CHECK(span.begin < span.end && span.end <= prompt.text.size());
    OLLM_CHECK(first || span.begin > end);
    OLLM_CHECK(at_character(span.begin) && at_character(span.end));
    end = span.end;
    first = false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::string_view kSeparator = "\n=====\n";
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t border = input.find(kSeparator);
  const std::string_view source = input.substr(0, border);
  const std::string_view json = border == std::string_view::npos
                                    ? std::string_view("{}")
                                    : input.substr(border + kSeparator.size());
  (void)ollm::text::chat_templates_of({.tokenizer_config_json = json}).ok();
  (void)ollm::text::chat_templates_of({.chat_template_json = json}).ok();
  (void)ollm::text::special_token_variables(json, json).ok();

  const auto compiled = ChatTemplate::compile(source);
  if (const auto* error = std::get_if<TemplateError>(&compiled)) {
    check_error(*error);
    return 0;
  }
  const auto variables = nlohmann::ordered_json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (variables.is_discarded()) return 0;
  // Small limits, so that many inputs are tried rather than a few long ones.
  RenderLimits limits;
  limits.steps = 50'000;
  limits.memory_bytes = std::size_t{1} << 20;
  limits.output_bytes = std::size_t{1} << 20;
  limits.cpu_time = std::chrono::seconds(20);  // sanitizers are slow; steps end it
  const auto& chat_template = std::get<ChatTemplate>(compiled);
  const RenderClock clock = *RenderClock::parse("2026-01-15T10:30:00");
  const auto once = chat_template.render(variables, clock, limits);
  const auto twice = chat_template.render(variables, clock, limits);
  OLLM_CHECK(once.index() == twice.index());
  if (const auto* error = std::get_if<TemplateError>(&once)) {
    check_error(*error);
    return 0;
  }
  const auto& prompt = std::get<RenderedPrompt>(once);
  check_prompt(prompt);
  OLLM_CHECK(prompt.text == std::get<RenderedPrompt>(twice).text);
  return 0;
}
