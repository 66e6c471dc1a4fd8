// ollm tokenize: texts to token ids.
#include "ollm/cli/text_lines.h"
#include "ollm/openai/text_rows.h"

namespace ollm::cli {
namespace {

std::function<Outcome()> set_up(CLI::App& app) { return set_up_lines(app, openai::tokenize_row); }

}  // namespace

const Command kTokenize{
    .name = "tokenize", .summary = "Turn texts into token ids, line by line", .set_up = set_up};

}  // namespace ollm::cli
