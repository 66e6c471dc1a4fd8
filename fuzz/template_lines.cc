// Renders templates line by line, for template_compare.py: {"template", "input"} in, {"text"} or
// {"error": {"kind", "message"}} out.
// Leaves to others: what is rendered and what it is compared with.
// links: ollm_text nlohmann_json::nlohmann_json
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>

#include "ollm/text/template/chat_template.h"

namespace {

using nlohmann::ordered_json;

ordered_json answer(const ordered_json& line) {
  const auto failed = [](const ollm::text::TemplateError& error) -> ordered_json {
    return {{"error", {{"kind", error.kind}, {"message", error.error.message}}}};
  };
  auto compiled = ollm::text::ChatTemplate::compile(line["template"].get<std::string>());
  if (const auto* error = std::get_if<ollm::text::TemplateError>(&compiled)) return failed(*error);
  const auto clock = ollm::text::RenderClock::parse("2026-01-15T10:30:00");
  const auto rendered = std::get<ollm::text::ChatTemplate>(compiled).render(line["input"], *clock);
  if (const auto* error = std::get_if<ollm::text::TemplateError>(&rendered)) return failed(*error);
  return {{"text", std::get<ollm::text::RenderedPrompt>(rendered).text}};
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const ordered_json out = answer(ordered_json::parse(line));
    std::cout << out.dump(-1, ' ', true, ordered_json::error_handler_t::replace) << "\n";
  }
}
