#include "ollm/cli/text_lines.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "ollm/cli/json_line.h"
#include "ollm/cli/printed.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/openai/text_rows.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

// A line of standard input without its end, or false at the end of input.
bool next_line(std::string& line) {
  line.clear();
  for (int c = std::getc(stdin); c != EOF; c = std::getc(stdin)) {
    if (c == '\n') return true;
    line.push_back(static_cast<char>(c));
  }
  return !line.empty();
}

class LinesCommand {
 public:
  LinesCommand(CLI::App& app, AnswerLine answer)
      : settings_flags_(app, {"runtime"}, true), answer_(std::move(answer)) {
    app.add_flag("--jsonl", jsonl_, "Read and write one JSON object a line (the only form)");
  }

  Outcome run() {
    OLLM_TRY(const Settings settings, settings_flags_.load());
    if (!jsonl_) {
      return fail(ErrorKind::invalid_argument,
                  "give --jsonl: lines of JSON come from standard input");
    }
    OLLM_TRY(const Text text, Text::open(settings));
    std::string line;
    while (next_line(line)) {
      const Result<Json> parsed = parse_json_line(line);
      const Json answer =
          parsed.ok() ? answer_(text, *parsed)
                      : openai::error_row(to_string(parsed.error().kind), parsed.error().message);
      print_json(answer.dump(-1, ' ', false, Json::error_handler_t::replace));
      std::fflush(stdout);
    }
    if (std::ferror(stdin) != 0)
      return fail(ErrorKind::io, fmt::format("standard input: {}", std::strerror(errno)));
    return 0;
  }

 private:
  SettingsFlags settings_flags_;
  AnswerLine answer_;
  bool jsonl_ = false;
};

}  // namespace

std::function<Outcome()> set_up_lines(CLI::App& app, AnswerLine answer) {
  // Shared: std::function is copied.
  auto command = std::make_shared<LinesCommand>(app, std::move(answer));
  return [command] { return command->run(); };
}

}  // namespace ollm::cli
