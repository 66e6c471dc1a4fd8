// ollm detokenize: token ids to texts, whole or piece by piece.
#include <fmt/format.h>

#include "ollm/cli/json_line.h"
#include "ollm/cli/text_lines.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

Json refused(const Error& error) { return error_line(to_string(error.kind), error.message); }

Json answer(const Text& text, const Json& line) {
  const auto list = line.find("ids");
  if (list == line.end() || !list->is_array())
    return error_line("invalid_argument", "ids: expected a list of numbers");
  std::vector<TokenId> ids;
  for (const Json& entry : *list) {
    const bool whole = entry.is_number_integer();
    if (!whole || entry.get<std::int64_t>() < 0 || entry.get<std::int64_t>() > INT32_MAX) {
      return error_line("invalid_argument",
                        fmt::format("ids: expected token ids from 0, found {}", shown(entry)));
    }
    ids.push_back(entry.get<TokenId>());
  }
  std::string problem;
  const bool skip_special = line_flag(line, "skip_special", true, problem);
  const bool stream = line_flag(line, "stream", false, problem);
  if (!problem.empty()) return error_line("invalid_argument", problem);
  if (!stream) {
    const auto decoded = text.decode(ids, skip_special);
    if (!decoded.ok()) return refused(decoded.error());
    return {{"text", *decoded}};
  }
  Text::Detokenizer decoder(text, skip_special);
  std::string whole;
  Json pieces = Json::array();
  for (const TokenId id : ids) {
    const auto piece = decoder.push(id);
    if (!piece.ok()) return refused(piece.error());
    whole += *piece;
    pieces.push_back(*piece);
  }
  const std::string rest = decoder.finish();
  whole += rest;
  return {{"text", whole}, {"pieces", std::move(pieces)}, {"rest", rest}};
}

std::function<Outcome()> set_up(CLI::App& app) { return set_up_lines(app, answer); }

}  // namespace

const Command kDetokenize{
    .name = "detokenize", .summary = "Turn token ids into texts, line by line", .set_up = set_up};

}  // namespace ollm::cli
