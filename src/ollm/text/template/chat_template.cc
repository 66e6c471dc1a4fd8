#include "ollm/text/template/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/text/template/characters.h"
#include "ollm/text/template/evaluator.h"
#include "ollm/text/template/parser.h"

namespace ollm::text {
namespace {

TemplateError placed_error(Error error, std::string kind, jinja::Position at,
                           std::string_view construct) {
  std::string where = fmt::format("line {}, column {}", at.line, at.column);
  if (!construct.empty()) where += fmt::format(", {}", construct);
  return {std::move(error).within(where), std::move(kind), at.line, at.column};
}

}  // namespace

RenderClock RenderClock::now() {
  const std::time_t seconds = std::time(nullptr);
  RenderClock clock;
  localtime_r(&seconds, &clock.local);
  return clock;
}

Result<RenderClock> RenderClock::parse(std::string_view text) {
  RenderClock clock;
  std::tm& local = clock.local;
  int end = 0;
  const std::string terminated(text);
  const int fields =
      std::sscanf(terminated.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &local.tm_year, &local.tm_mon,
                  &local.tm_mday, &local.tm_hour, &local.tm_min, &local.tm_sec, &end);
  const auto invalid = [&] {
    return fail(ErrorKind::invalid_argument,
                fmt::format("'{}' is no local time such as 2026-01-15T10:30:00", text));
  };
  static constexpr std::string_view kForm = "0000-00-00T00:00:00";
  // scanf would take signs and spaces for part of a number.
  if (fields != 6 || end != 19 || text.size() != 19 ||
      !std::equal(text.begin(), text.end(), kForm.begin(), [](char c, char form) {
        return form == '0' ? c >= '0' && c <= '9' : c == form;
      })) {
    return invalid();
  }
  local.tm_year -= 1900;
  local.tm_mon -= 1;
  const std::tm given = local;
  // timegm works out the day of the week and of the year, and moves a date that does not exist.
  static_cast<void>(timegm(&local));
  const bool exists = local.tm_year == given.tm_year && local.tm_mon == given.tm_mon &&
                      local.tm_mday == given.tm_mday && local.tm_hour == given.tm_hour &&
                      local.tm_min == given.tm_min && local.tm_sec == given.tm_sec;
  if (!exists) return invalid();
  return clock;
}

ChatTemplate::ChatTemplate(std::unique_ptr<const jinja::TemplateTree> tree)
    : tree_(std::move(tree)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

std::variant<ChatTemplate, TemplateError> ChatTemplate::compile(std::string_view source,
                                                                const CompileLimits& limits) {
  if (source.size() > limits.source_bytes) {
    return placed_error(
        fail(ErrorKind::out_of_budget,
             fmt::format("a template of {} bytes, above {}", source.size(), limits.source_bytes)),
        "limit", {}, {});
  }
  if (!jinja::is_valid_utf8(source)) {
    return placed_error(fail(ErrorKind::corrupt, "the template is not UTF-8"), "syntax", {}, {});
  }
  jinja::Parser parser(source, limits);
  auto tree = parser.parse();
  if (!tree.ok()) {
    const bool limit = tree.error().kind == ErrorKind::out_of_budget;
    return placed_error(std::move(tree).error(), limit ? "limit" : "syntax",
                        parser.error_position(), {});
  }
  return ChatTemplate(std::make_unique<const jinja::TemplateTree>(std::move(tree).value()));
}

std::variant<RenderedPrompt, TemplateError> ChatTemplate::render(
    const nlohmann::ordered_json& variables, const RenderClock& clock,
    const RenderOptions& options) const {
  if (!variables.is_object()) {
    return placed_error(jinja::runtime_error("the variables of a template are an object"),
                        "runtime", {}, {});
  }
  jinja::Evaluator evaluator(*tree_, variables, clock, options);
  auto text = evaluator.run();
  if (text.ok()) {
    jinja::MarkedText rendered = std::move(text).value();
    return RenderedPrompt{std::move(rendered.bytes), std::move(rendered.literal)};
  }
  const jinja::Evaluator::Failure& failure = evaluator.failure();
  Error error = std::move(text).error();
  if (evaluator.budget().exceeded()) {
    // Whatever failed after a limit was met failed because of it.
    error = fail(ErrorKind::out_of_budget, evaluator.budget().message());
    return placed_error(std::move(error).within("limit"), "limit", failure.at, failure.construct);
  }
  if (evaluator.raised()) {
    return TemplateError{std::move(error), "raise_exception", failure.at.line, failure.at.column};
  }
  return placed_error(std::move(error), "runtime", failure.at, failure.construct);
}

}  // namespace ollm::text
