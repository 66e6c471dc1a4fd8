// POST /tokenize, /detokenize and /v1/ollm/render: rows of the commands of these names.
#include <nlohmann/json.hpp>

#include "ollm/openai/found.h"
#include "ollm/openai/request.h"
#include "ollm/openai/text_rows.h"
#include "ollm/server/routes.h"
#include "ollm/server/service.h"

namespace ollm::server {
namespace {

using Json = nlohmann::ordered_json;
using AnswerRow = Json (*)(const Text&, const Json&);

// The field that a message of a row names in front: "ids: expected ...".
std::optional<std::string> field_of(std::string_view message) {
  for (const std::string_view name :
       {"text", "ids", "add_special", "parse_special", "skip_special", "stream"})
    if (message.starts_with(std::string(name) + ":")) return std::string(name);
  return std::nullopt;
}

void answer(const Call& call, AnswerRow answer_row) {
  call.later([call, answer_row] {
    Json row;
    if (auto wrong = openai::parse_body(call.exchange->take_body(), row))
      return call.refuse(*wrong);
    if (!row.is_object()) return call.refuse(openai::unexpected("", "an object", row));
    const std::optional<Text>& text = call.service->model()->text();
    if (!text)
      return call.refuse(
          openai::refuse("", "the model has no tokenizer", openai::kUnsupportedValue));
    const Json answered = answer_row(*text, row);
    const auto error = answered.find("error");
    if (error == answered.end()) return call.respond(answered);
    const auto message = (*error)["message"].get<std::string>();
    call.refuse({.status = 400,
                 .message = message,
                 .param = field_of(message),
                 .code = (*error)["kind"].get<std::string>()});
  });
}

Json render_by_folder(const Text& text, const Json& row) {
  return openai::render_row(text, TemplateOptions(), row);
}

}  // namespace

void tokenize(const Call& call) { answer(call, openai::tokenize_row); }
void detokenize(const Call& call) { answer(call, openai::detokenize_row); }
void render(const Call& call) { answer(call, render_by_folder); }

}  // namespace ollm::server
