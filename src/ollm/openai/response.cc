#include "ollm/openai/response.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "ollm/base/value_document.h"
#include "ollm/openai/log_probs.h"

namespace ollm::openai {
namespace {

using Json = nlohmann::ordered_json;

// The members of an object, without its braces.
std::string members(const Json& object) {
  const std::string text = json_dump(object);
  return text.substr(1, text.size() - 2);
}

TextParts log_probs_of(const ServedModel& model, const CompletionRequest& request,
                       const PromptAnswers& answers, const Generation& choice,
                       std::string_view echoed) {
  if (request.route == Route::chat) {
    if (request.logprobs) return chat_log_probs_text(model, choice.ids, choice.log_probs);
  } else if (request.logprobs) {
    CompletionLogProbs list(model, request.top_logprobs);
    if (request.echo) list.add_prompt(answers.prompt_ids, answers.prompt_log_probs, echoed);
    list.add(choice.ids, choice.log_probs);
    return std::move(list).text();
  }
  TextParts none;
  none.add("null");
  return none;
}

// What a choice says, and which it is.
Json choice_head(const CompletionRequest& request, const Generation& choice,
                 const std::string& echoed, std::size_t index) {
  if (request.route == Route::chat) {
    Json message = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
    return {{"index", index}, {"message", std::move(message)}};
  }
  return {{"text", echoed + choice.text}, {"index", index}};
}

}  // namespace

void take_answers(Answers made, PromptAnswers& out) {
  out.cached_tokens = made.report.cached_tokens;
  out.choices = std::move(made.answers);
  if (!out.choices.empty()) out.prompt_log_probs = std::move(out.choices[0].prompt_log_probs);
}

void Usage::add(const PromptAnswers& answers) {
  prompt_tokens += answers.prompt_tokens;
  cached_tokens += answers.cached_tokens;
  for (const Generation& choice : answers.choices) new_tokens += choice.ids.size();
}

Json Usage::body() const {
  return {{"prompt_tokens", prompt_tokens},
          {"completion_tokens", new_tokens},
          {"total_tokens", prompt_tokens + new_tokens},
          {"prompt_tokens_details", {{"cached_tokens", cached_tokens}}}};
}

void ResponseText::add(const ServedModel& model, const CompletionRequest& request,
                       std::size_t prompt, PromptAnswers answers) {
  usage_.add(answers);
  const std::string echoed = request.echo && request.route == Route::completions
                                 ? echoed_text(model, request.prompts[prompt])
                                 : std::string();
  TextParts& out = choices_[prompt];
  for (std::size_t i = 0; i < answers.choices.size(); ++i) {
    const Generation choice = std::move(answers.choices[i]);  // goes once it is text
    out.add(out.size() > 0 ? ",{" : "{");
    out.add(members(choice_head(request, choice, echoed, prompt * request.n + i)));
    out.add(R"(,"logprobs":)");
    out.add(log_probs_of(model, request, answers, choice, echoed));
    out.add(fmt::format(R"(,"finish_reason":"{}"}})", to_string(choice.finish_reason)));
  }
  out.shrink();
  size_ += out.size();
}

TextParts ResponseText::finish(const CompletionRequest& request, const AnswerNames& names,
                               const Json& more) && {
  const bool chat = request.route == Route::chat;
  const Json head = {{"id", fmt::format("{}-{}", chat ? "chatcmpl" : "cmpl", names.id)},
                     {"object", chat ? "chat.completion" : "text_completion"},
                     {"created", names.created},
                     {"model", names.model}};
  Json tail = {{"usage", usage_.body()},
               {"system_fingerprint",
                names.system_fingerprint.empty() ? Json() : Json(names.system_fingerprint)}};
  if (names.seed) tail["seed"] = *names.seed;
  tail.update(more);
  TextParts body;
  body.add("{" + members(head) + R"(,"choices":[)");
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    if (i > 0 && choices_[i].size() > 0) body.add(",");
    body.add(std::move(choices_[i]));
  }
  body.add("]," + members(tail) + "}");
  return body;
}

}  // namespace ollm::openai
