// ollm render: conversations through the model's chat template.
#include <memory>

#include "ollm/cli/input.h"
#include "ollm/cli/text_lines.h"
#include "ollm/openai/text_rows.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

std::function<Outcome()> set_up(CLI::App& app) {
  struct Given {
    std::string chat_template;
    TemplateOptions options;
  };
  auto given = std::make_shared<Given>();  // shared: std::function is copied
  app.add_option("--chat-template", given->chat_template,
                 "A template of the folder by name, or a file with one")
      ->type_name("name|path");
  auto run = set_up_lines(app, [given](const Text& text, const Json& line) {
    return openai::render_row(text, given->options, line);
  });
  return [given, run]() -> Outcome {
    OLLM_TRY_VOID(choose_template(given->chat_template, given->options));
    return run();
  };
}

}  // namespace

const Command kRender{.name = "render",
                      .summary = "Render conversations by the chat template, line by line",
                      .set_up = set_up};

}  // namespace ollm::cli
