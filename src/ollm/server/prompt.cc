// POST /v1/prompt and the prompts of sessions: our own form, whole or as events.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "ollm/base/value_document.h"
#include "ollm/openai/encode.h"
#include "ollm/openai/fields.h"
#include "ollm/openai/found.h"
#include "ollm/server/answer_order.h"
#include "ollm/server/limits.h"
#include "ollm/server/overrides.h"

namespace ollm::server {
namespace {

using Json = nlohmann::ordered_json;
using openai::RequestError;

// What is asked for, understood.
struct Asked {
  openai::CompletionRequest request;
  std::vector<std::vector<TokenId>> ids;
  std::string prompt;  // what the user said
  bool streams = false;
};

// Gives a session back, whatever becomes of its prompt.
class Lent {
 public:
  Lent(Sessions& sessions, std::string id) : sessions_(sessions), id_(std::move(id)) {}
  ~Lent() {
    if (!id_.empty()) sessions_.end(id_, std::move(more_));
  }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

  void add(std::string_view role, std::string content) {
    more_.push_back({std::string(role), std::move(content)});
  }

 private:
  Sessions& sessions_;
  const std::string id_;
  std::vector<Message> more_;
};

// All values are texts, as the system had them that we replace.
Json metadata(const LoadedModel& model, const Generation& made) {
  Json out;
  const Json plan = json_of(model.runtime().runtime_plan().as_dict());
  for (const char* name : {"backend_id", "specialization_state", "specialization_provider_id",
                           "support_level", "fallback_reason"}) {
    const auto found = plan.find(name);
    if (found != plan.end() && found->is_string()) out[name] = *found;
  }
  const ExecutionPlan execution = model.runtime().execution_plan();
  out["kv_cache_strategy"] = execution.kv.strategy;
  out["kv_cache_lifecycle"] = model.settings().runtime.kv_cache_lifecycle;
  out["model_reference"] = model.served().id();
  out["finish_reason"] = to_string(made.finish_reason);
  out["prompt_tokens"] = std::to_string(made.report.prompt_tokens);
  out["cached_tokens"] = std::to_string(made.report.cached_tokens);
  out["completion_tokens"] = std::to_string(made.ids.size());
  out["time_to_first_token_s"] = fmt::format("{:.6f}", made.report.time_to_first_token_s);
  out["decode_tokens_per_second"] = fmt::format("{:.3f}", made.report.decode_tokens_per_second);
  return out;
}

class PromptOrder final : public AnswerOrder {
 public:
  PromptOrder(const Call& call, LoadedModel& model, Place place, Asked asked,
              std::unique_ptr<Lent> lent)
      : AnswerOrder(call, model, std::move(place)),
        asked_(std::move(asked)),
        lent_(std::move(lent)) {}

  std::vector<Request> requests() override {
    if (asked_.streams) {
      call().count(200);
      exchange().begin_events();
      send("status", {{"message", "Running " + model().served().id()}});
    }
    return openai::runtime_requests(asked_.request, std::move(asked_.ids), cancelled);
  }

 private:
  void send(std::string_view event, const Json& data) {
    exchange().send(event_text(json_dump(data), event));
  }

  void take_piece(std::size_t prompt, Piece piece) override {
    (void)prompt;
    if (asked_.streams && !piece.text.empty()) send("text", {{"delta", piece.text}});
  }

  void take_answers(std::size_t prompt, Answers made) override {
    (void)prompt;
    const Generation& answer = made.answers.front();
    if (lent_) {
      lent_->add("user", asked_.prompt);
      lent_->add("assistant", answer.text);
      lent_.reset();  // before the client hears of it: its next prompt goes on from here
    }
    const Json body = {{"text", answer.text}, {"metadata", metadata(model(), answer)}};
    if (!asked_.streams) return call().respond(body);
    send("complete", body);
    exchange().end_events();
  }

  void take_error(const RequestError& error) override {
    lent_.reset();
    if (!asked_.streams) return call().refuse(error);
    Json body = openai::error_body(error);
    body["detail"] = error.message;
    send("error", body);
    exchange().end_events();
  }

  void leave() override { lent_.reset(); }

  Asked asked_;
  std::unique_ptr<Lent> lent_;
};

std::optional<RequestError> read_text(const Json& body, const std::string& name, bool required,
                                      std::string& out) {
  const auto found = body.find(name);
  if (found == body.end() || found->is_null()) {
    if (!required) return std::nullopt;
    return openai::refuse(name, "is missing: expected a text", openai::kMissingParameter);
  }
  if (!found->is_string()) return openai::unexpected(name, "a text", *found);
  out = found->get<std::string>();
  if (required && out.empty()) return openai::refuse(name, "expected a text, found an empty one");
  return std::nullopt;
}

// That the model is loaded as the request wants it.
std::optional<RequestError> check_runtime(const LoadedModel& model, const Settings& asked) {
  const Settings& has = model.settings();
  if (auto wrong = check_model(model.served(), asked)) return wrong;
  const std::string strategy = model.runtime().execution_plan().kv.strategy;
  const auto& wanted = asked.runtime.kv_cache_strategy;
  if (wanted && *wanted != strategy)
    return openai::refuse("runtime.kv_cache_strategy",
                          fmt::format("the model is loaded with '{}'", strategy),
                          openai::kUnsupportedValue);
  if (asked.runtime.kv_cache_window_tokens != has.runtime.kv_cache_window_tokens)
    return openai::refuse("runtime.kv_cache_window_tokens",
                          "the model is loaded with another window", openai::kUnsupportedValue);
  return std::nullopt;
}

// What OpenAI's routes hold their fields to, and what sampling does: the bounds of settings are
// wider.
std::optional<RequestError> check_sampling(const LoadedModel& model,
                                           const sampling::Options& options) {
  if (!options.greedy() && options.temperature > 2)
    return openai::refuse("generation.temperature", "expected at most 2");
  const Result<void> holds = sampling::check(options, model.served().vocabulary);
  if (holds.ok()) return std::nullopt;
  const std::string& why = holds.error().message;  // "min_p is 1e-320: it must be ..."
  RequestError wrong = openai::refuse("", "generation." + why);
  wrong.param = "generation." + why.substr(0, why.find(' '));
  return wrong;
}

// Of what our own routes take, what OpenAI's have: limits, ids, room.
std::optional<RequestError> encode(const LoadedModel& model, std::vector<Message> messages,
                                   const GenerateOptions& options, Asked& out) {
  if (auto wrong = check_sampling(model, options.sampling)) return wrong;
  out.request.route = openai::Route::chat;
  out.request.options = options;
  out.request.prompts = {Prompt::chat(std::move(messages))};
  auto wrong = openai::encode_request(model.served(), out.request, out.ids);
  if (wrong && wrong->param == "messages") wrong->param = "prompt";
  out.request.prompts = {};  // ids from here on
  out.request.stream = out.streams;
  return wrong;
}

// False where it was refused for want of room.
bool claim_room(const Call& call, const LoadedModel& model, const Asked& asked) {
  AnswerSize size = answer_size(asked.request, asked.ids, model.lines());
  if (size.weighs_most == "max_tokens") size.weighs_most = "generation.max_new_tokens";
  return AnswerOrder::claim(call, size) != nullptr;
}

void begin(const Call& call, void (*answer)(const Call&, LoadedModel&, Place, bool), bool streams) {
  std::optional<Place> place = call.service->take_place();
  if (!place) return call.respond(queue_is_full());
  const std::size_t said = call.service->sessions().text_bytes(call.argument, call.owner);
  call.later([call, answer, streams,
              place = std::move(*place)] { answer(call, *call.service->model(), place, streams); },
             said);
}

void answer_prompt(const Call& call, LoadedModel& model, Place place, bool streams) {
  static constexpr std::string_view kMembers[] = {"prompt", "system_prompt", "runtime",
                                                  "generation"};
  const std::optional<Json> body = call.object(kMembers);
  if (!body) return;
  Asked asked;
  asked.streams = streams;
  ChatSession once;
  Settings settings = model.settings();
  if (auto wrong = read_text(*body, "prompt", true, asked.prompt)) return call.refuse(*wrong);
  if (auto wrong = read_text(*body, "system_prompt", false, once.system_prompt))
    return call.refuse(*wrong);
  if (auto wrong = read_runtime(*body, settings)) return call.refuse(*wrong);
  if (auto wrong = read_generation(*body, settings)) return call.refuse(*wrong);
  if (auto wrong = check_runtime(model, settings)) return call.refuse(*wrong);
  if (auto wrong =
          encode(model, once.conversation(asked.prompt), generate_options(settings), asked))
    return call.refuse(*wrong);
  asked.prompt = {};
  if (!claim_room(call, model, asked)) return;
  AnswerOrder::submit(
      std::make_shared<PromptOrder>(call, model, std::move(place), std::move(asked), nullptr));
}

void answer_session(const Call& call, LoadedModel& model, Place place, bool streams) {
  static constexpr std::string_view kMembers[] = {"prompt"};
  const std::optional<Json> body = call.object(kMembers);
  if (!body) return;
  Asked asked;
  asked.streams = streams;
  if (auto wrong = read_text(*body, "prompt", true, asked.prompt)) return call.refuse(*wrong);
  Sessions& sessions = call.service->sessions();
  ChatSession session;
  const TurnSize turn{.prompt_bytes = asked.prompt.size(),
                      .most_tokens = model.served().context_tokens};
  if (auto wrong = sessions.begin(call.argument, call.owner, turn, session))
    return call.refuse(*wrong);
  auto lent = std::make_unique<Lent>(sessions, session.id);
  if (auto wrong = encode(model, session.conversation(asked.prompt), session.options, asked)) {
    lent.reset();
    return call.refuse(*wrong);
  }
  if (!claim_room(call, model, asked)) return;
  AnswerOrder::submit(std::make_shared<PromptOrder>(call, model, std::move(place), std::move(asked),
                                                    std::move(lent)));
}

}  // namespace

void prompt(const Call& call) { begin(call, answer_prompt, false); }
void prompt_stream(const Call& call) { begin(call, answer_prompt, true); }
void session_prompt(const Call& call) { begin(call, answer_session, false); }
void session_prompt_stream(const Call& call) { begin(call, answer_session, true); }

void create_session(const Call& call) {
  call.later([call] {
    static constexpr std::string_view kMembers[] = {"session_name", "system_prompt", "runtime",
                                                    "generation"};
    const std::optional<Json> body = call.object(kMembers);
    if (!body) return;
    const LoadedModel& model = *call.service->model();
    ChatSession session;
    session.name = "default";
    Settings settings = model.settings();
    if (auto wrong = read_text(*body, "session_name", false, session.name))
      return call.refuse(*wrong);
    if (session.name.size() > ServerLimits::kSessionNameBytes)
      return call.refuse(openai::refuse(
          "session_name", fmt::format("expected at most {} bytes, found {}",
                                      ServerLimits::kSessionNameBytes, session.name.size())));
    if (auto wrong = read_text(*body, "system_prompt", false, session.system_prompt))
      return call.refuse(*wrong);
    if (auto wrong = read_runtime(*body, settings)) return call.refuse(*wrong);
    if (auto wrong = read_generation(*body, settings)) return call.refuse(*wrong);
    if (auto wrong = check_runtime(model, settings)) return call.refuse(*wrong);
    session.owner = call.owner;
    session.model = model.served().id();
    session.options = generate_options(settings);
    if (auto wrong = check_sampling(model, session.options.sampling)) return call.refuse(*wrong);
    std::string id;
    if (auto wrong = call.service->sessions().add(session, id)) return call.refuse(*wrong);
    session.id = id;
    call.respond(session.as_json());
  });
}

}  // namespace ollm::server
