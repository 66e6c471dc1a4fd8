// A chat template, compiled once and rendered for any conversation: what Transformers would print.
// Leaves to others: where templates come from (template_source.h) and what tokens the text gives.
#pragma once

#include <cstddef>
#include <ctime>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/text/template/limits.h"
#include "ollm/text/text_span.h"

namespace ollm::text {

namespace jinja {
struct TemplateTree;
}

/// Where and why a template failed.
struct TemplateError {
  /// For raise_exception exactly the template's words; else place, construct and reason:
  /// "line 3, column 7, filter 'int': 'x' is undefined". The kind is corrupt for syntax,
  /// invalid_argument for runtime and raise_exception, unsupported for Jinja that is not built,
  /// out_of_budget for limits.
  Error error;
  std::string kind;        // "syntax", "runtime", "raise_exception" or "limit"
  std::size_t line = 0;    // from 1
  std::size_t column = 0;  // from 1, in characters
};

/// Rendered text, and which bytes of it came from strings of the conversation: text that a user or
/// a tool wrote, in which nothing is a control token.
struct RenderedPrompt {
  std::string text;
  std::vector<TextSpan> literal;  // ascending, not empty, not touching
};

/// The local time that strftime_now prints.
struct RenderClock {
  std::tm local{};

  static RenderClock now();
  /// From "2026-01-15T10:30:00". Errors: invalid_argument.
  static Result<RenderClock> parse(std::string_view text);
};

struct RenderOptions {
  RenderOptions() = default;
  RenderOptions(const RenderLimits& of) : limits(of) {}  // NOLINT: implicit

  RenderLimits limits;
  /// The variables whose strings, keys too, are a user's at any depth. All others, the special
  /// tokens among them, are as trusted as the template.
  std::vector<std::string> user_variables{"messages", "tools", "documents"};
};

/// One compiled template. Constant: any number of threads may render it at once.
class ChatTemplate {
 public:
  /// Errors: kind "syntax", or "limit" for a source that is too long or nests too deeply.
  static std::variant<ChatTemplate, TemplateError> compile(std::string_view source,
                                                           const CompileLimits& limits = {});

  /// Renders with exactly the given variables (an object) beside Jinja's and Transformers' global
  /// functions. Errors: kinds "runtime", "raise_exception" and "limit".
  std::variant<RenderedPrompt, TemplateError> render(const nlohmann::ordered_json& variables,
                                                     const RenderClock& clock,
                                                     const RenderOptions& options = {}) const;

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

 private:
  explicit ChatTemplate(std::unique_ptr<const jinja::TemplateTree> tree);

  std::unique_ptr<const jinja::TemplateTree> tree_;  // constant after compile
};

}  // namespace ollm::text
