// ollm detokenize: token ids to texts, whole or piece by piece.
#include "ollm/cli/text_lines.h"
#include "ollm/openai/text_rows.h"

namespace ollm::cli {
namespace {

std::function<Outcome()> set_up(CLI::App& app) { return set_up_lines(app, openai::detokenize_row); }

}  // namespace

const Command kDetokenize{
    .name = "detokenize", .summary = "Turn token ids into texts, line by line", .set_up = set_up};

}  // namespace ollm::cli
