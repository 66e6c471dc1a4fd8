// ollm tokenize: texts to token ids.
#include "ollm/cli/text_lines.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

Json answer(const Text& text, const Json& line) {
  const auto content = line.find("text");
  if (content == line.end() || !content->is_string())
    return error_line("invalid_argument", "text: expected a string");
  std::string problem;
  EncodeOptions options;
  options.add_special = line_flag(line, "add_special", true, problem);
  options.parse_special = line_flag(line, "parse_special", false, problem);
  if (!problem.empty()) return error_line("invalid_argument", problem);
  const auto ids = text.encode(content->get_ref<const std::string&>(), options);
  if (!ids.ok()) return error_line(to_string(ids.error().kind), ids.error().message);
  return {{"ids", *ids}};
}

std::function<Outcome()> set_up(CLI::App& app) { return set_up_lines(app, answer); }

}  // namespace

const Command kTokenize{
    .name = "tokenize", .summary = "Turn texts into token ids, line by line", .set_up = set_up};

}  // namespace ollm::cli
