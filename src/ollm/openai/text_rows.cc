#include "ollm/openai/text_rows.h"

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "ollm/openai/found.h"

namespace ollm::openai {
namespace {

using Json = nlohmann::ordered_json;

Json refused(const Error& error) { return error_row(to_string(error.kind), error.message); }

// A field of a row, or `otherwise` where it is not there. `problem` gets what is wrong with one of
// another type.
bool flag(const Json& row, const char* name, bool otherwise, std::string& problem) {
  const auto found = row.find(name);
  if (found == row.end() || found->is_null()) return otherwise;
  if (found->is_boolean()) return found->get<bool>();
  problem = fmt::format("{}: expected true or false, found {}", name, describe_value(*found));
  return otherwise;
}

Json decoded_in_pieces(const Text& text, const std::vector<TokenId>& ids, bool skip_special) {
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

}  // namespace

Json error_row(std::string_view kind, std::string_view message) {
  return {{"error", {{"kind", kind}, {"message", message}}}};
}

Json tokenize_row(const Text& text, const Json& row) {
  const auto content = row.find("text");
  if (content == row.end() || !content->is_string())
    return error_row("invalid_argument", "text: expected a string");
  std::string problem;
  EncodeOptions options;
  options.add_special = flag(row, "add_special", true, problem);
  options.parse_special = flag(row, "parse_special", false, problem);
  if (!problem.empty()) return error_row("invalid_argument", problem);
  const auto ids = text.encode(content->get_ref<const std::string&>(), options);
  if (!ids.ok()) return refused(ids.error());
  return {{"ids", *ids}};
}

Json detokenize_row(const Text& text, const Json& row) {
  const auto list = row.find("ids");
  if (list == row.end() || !list->is_array())
    return error_row("invalid_argument", "ids: expected a list of numbers");
  std::vector<TokenId> ids;
  for (const Json& entry : *list) {
    const bool whole = entry.is_number_integer();
    if (!whole || entry.get<std::int64_t>() < 0 || entry.get<std::int64_t>() > INT32_MAX) {
      return error_row("invalid_argument", fmt::format("ids: expected token ids from 0, found {}",
                                                       describe_value(entry)));
    }
    ids.push_back(entry.get<TokenId>());
  }
  std::string problem;
  const bool skip_special = flag(row, "skip_special", true, problem);
  const bool stream = flag(row, "stream", false, problem);
  if (!problem.empty()) return error_row("invalid_argument", problem);
  if (stream) return decoded_in_pieces(text, ids, skip_special);
  const auto decoded = text.decode(ids, skip_special);
  if (!decoded.ok()) return refused(decoded.error());
  return {{"text", *decoded}};
}

Json render_row(const Text& text, const TemplateOptions& options, const Json& row) {
  std::string out;
  const auto failed =
      text.render(row.dump(-1, ' ', false, Json::error_handler_t::replace), options, out);
  if (!failed) return {{"text", out}};
  Json error = error_row(failed->kind, failed->error.message);
  if (failed->line > 0) {
    error["error"]["line"] = failed->line;
    error["error"]["column"] = failed->column;
  }
  return error;
}

}  // namespace ollm::openai
