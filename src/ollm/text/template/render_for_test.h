// Rendering in one line, for tests: the text, or the error's kind and message.
// Leaves to others: everything but the shape of a test.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>

#include "ollm/text/template/chat_template.h"

namespace ollm::text {

inline std::variant<RenderedPrompt, TemplateError> render_for_test(
    std::string_view source, std::string_view variables = "{}", const RenderOptions& options = {}) {
  auto compiled = ChatTemplate::compile(source);
  if (auto* error = std::get_if<TemplateError>(&compiled)) return std::move(*error);
  return std::get<ChatTemplate>(compiled).render(nlohmann::ordered_json::parse(variables),
                                                 *RenderClock::parse("2026-01-15T10:30:00"),
                                                 options);
}

/// The text, or "kind: message".
inline std::string rendered(std::string_view source, std::string_view variables = "{}",
                            const RenderOptions& options = {}) {
  const auto result = render_for_test(source, variables, options);
  if (const auto* error = std::get_if<TemplateError>(&result)) {
    return error->kind + ": " + error->error.message;
  }
  return std::get<RenderedPrompt>(result).text;
}

/// The text with each user's span in «quotation marks»; or "kind: message".
inline std::string marked(std::string_view source, std::string_view variables = "{}",
                          const RenderOptions& options = {}) {
  const auto result = render_for_test(source, variables, options);
  if (const auto* error = std::get_if<TemplateError>(&result)) {
    return error->kind + ": " + error->error.message;
  }
  const auto& prompt = std::get<RenderedPrompt>(result);
  std::string out;
  std::size_t at = 0;
  for (const TextSpan& span : prompt.literal) {
    out += prompt.text.substr(at, span.begin - at) + "«" +
           prompt.text.substr(span.begin, span.end - span.begin) + "»";
    at = span.end;
  }
  return out + prompt.text.substr(at);
}

}  // namespace ollm::text
