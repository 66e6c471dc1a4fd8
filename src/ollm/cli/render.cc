// ollm render: conversations through the model's chat template.
#include "ollm/cli/text_lines.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

Json answer(const Text& text, const Json& line) {
  std::string out;
  const auto failed = text.render(line.dump(), {}, out);
  if (!failed) return {{"text", out}};
  Json error = error_line(failed->kind, failed->error.message);
  if (failed->line > 0) {
    error["error"]["line"] = failed->line;
    error["error"]["column"] = failed->column;
  }
  return error;
}

std::function<Outcome()> set_up(CLI::App& app) { return set_up_lines(app, answer); }

}  // namespace

const Command kRender{.name = "render",
                      .summary = "Render conversations by the chat template, line by line",
                      .set_up = set_up};

}  // namespace ollm::cli
