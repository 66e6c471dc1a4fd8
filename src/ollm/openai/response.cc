#include "ollm/openai/response.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/openai/log_probs.h"

namespace ollm::openai {
namespace {

using Json = nlohmann::ordered_json;

Json chat_choice(const ServedModel& model, const CompletionRequest& request,
                 const Generation& choice, std::size_t index) {
  Json message = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
  return {
      {"index", index},
      {"message", std::move(message)},
      {"logprobs", request.logprobs ? chat_log_probs(model, choice.ids, choice.log_probs) : Json()},
      {"finish_reason", to_string(choice.finish_reason)}};
}

Json text_choice(const ServedModel& model, const CompletionRequest& request,
                 const PromptAnswers& answer, const Prompt& prompt, const Generation& choice,
                 std::size_t index) {
  const std::string echoed = request.echo ? echoed_text(model, prompt) : std::string();
  Json log_probs;
  if (request.logprobs) {
    CompletionLogProbs list(model, request.top_logprobs);
    if (request.echo) list.add_prompt(answer.prompt_ids, answer.prompt_log_probs, echoed);
    list.add(choice.ids, choice.log_probs);
    log_probs = std::move(list).json();
  }
  return {{"text", echoed + choice.text},
          {"index", index},
          {"logprobs", std::move(log_probs)},
          {"finish_reason", to_string(choice.finish_reason)}};
}

}  // namespace

void take_answers(Answers made, PromptAnswers& out) {
  out.cached_tokens = made.report.cached_tokens;
  out.choices = std::move(made.answers);
  if (!out.choices.empty()) out.prompt_log_probs = std::move(out.choices[0].prompt_log_probs);
}

Json usage_body(const std::vector<PromptAnswers>& answers) {
  std::size_t prompt = 0, cached = 0, made = 0;
  for (const PromptAnswers& answer : answers) {
    prompt += answer.prompt_tokens;
    cached += answer.cached_tokens;
    for (const Generation& choice : answer.choices) made += choice.ids.size();
  }
  return {{"prompt_tokens", prompt},
          {"completion_tokens", made},
          {"total_tokens", prompt + made},
          {"prompt_tokens_details", {{"cached_tokens", cached}}}};
}

Json response_body(const ServedModel& model, const CompletionRequest& request,
                   const std::vector<PromptAnswers>& answers, const AnswerNames& names) {
  const bool chat = request.route == Route::chat;
  Json choices = Json::array();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    for (const Generation& choice : answers[i].choices) {
      const std::size_t index = choices.size();
      choices.push_back(
          chat ? chat_choice(model, request, choice, index)
               : text_choice(model, request, answers[i], request.prompts[i], choice, index));
    }
  }
  Json body = {{"id", fmt::format("{}-{}", chat ? "chatcmpl" : "cmpl", names.id)},
               {"object", chat ? "chat.completion" : "text_completion"},
               {"created", names.created},
               {"model", names.model},
               {"choices", std::move(choices)},
               {"usage", usage_body(answers)},
               {"system_fingerprint", names.system_fingerprint}};
  if (names.seed) body["seed"] = *names.seed;
  return body;
}

}  // namespace ollm::openai
