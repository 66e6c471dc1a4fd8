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
using openai::RequestError;

Json render_by_folder(const Text& text, const Json& row) {
  return openai::render_row(text, TemplateOptions(), row);
}

// The field that a message of a row names in front: "ids: expected ..."; else that which the row is
// about, if it is about one.
std::optional<std::string> field_of(std::string_view message, std::string_view subject) {
  for (const std::string_view name :
       {"text", "ids", "add_special", "parse_special", "skip_special", "stream"})
    if (message.starts_with(std::string(name) + ":")) return std::string(name);
  return subject.empty() ? std::nullopt : std::optional(std::string(subject));
}

// A template takes whatever a row has; of a conversation that is none it would only say where it
// got stuck.
std::optional<RequestError> check_messages(const Json& row) {
  const auto messages = row.find("messages");
  if (messages == row.end()) return std::nullopt;
  bool holds = messages->is_array();
  for (std::size_t i = 0; holds && i < messages->size(); ++i) holds = (*messages)[i].is_object();
  if (holds) return std::nullopt;
  return openai::unexpected("messages", "a list of messages, each an object", *messages);
}

void answer(const Call& call, AnswerRow answer_row, std::string_view subject) {
  call.later([call, answer_row, subject] {
    Json row;
    if (auto wrong = openai::parse_body(call.exchange->take_body(), row))
      return call.refuse(*wrong);
    if (!row.is_object()) return call.refuse(openai::unexpected("", "an object", row));
    if (auto wrong = answer_row == render_by_folder ? check_messages(row) : std::nullopt)
      return call.refuse(*wrong);
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
                 .param = field_of(message, subject),
                 .code = (*error)["kind"].get<std::string>()});
  });
}

}  // namespace

void tokenize(const Call& call) { answer(call, openai::tokenize_row, "text"); }
void detokenize(const Call& call) { answer(call, openai::detokenize_row, "ids"); }
void render(const Call& call) { answer(call, render_by_folder, ""); }

}  // namespace ollm::server
