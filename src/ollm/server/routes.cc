#include "ollm/server/routes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <exception>
#include <new>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/value_document.h"
#include "ollm/openai/found.h"
#include "ollm/openai/request.h"
#include "ollm/server/limits.h"
#include "ollm/server/service.h"

namespace ollm::server {
namespace {

using Json = nlohmann::ordered_json;
using openai::RequestError;

constexpr std::array kRoutes{
    RouteEntry{
        .method = "GET",
        .path = "/health",
        .handle = health,
        .summary = "Whether the server takes requests: 200, or 503 while loading or draining",
        .open = true,
        .answer = "Status"},
    RouteEntry{.method = "GET",
               .path = "/ready",
               .handle = ready,
               .summary = "The same, for those who ask before they send requests",
               .open = true,
               .answer = "Status"},
    RouteEntry{.method = "GET",
               .path = "/v1/health",
               .handle = health,
               .summary = "The same by another name",
               .open = true,
               .answer = "Status"},
    RouteEntry{.method = "GET",
               .path = "/metrics",
               .handle = metrics,
               .summary = "What was counted and measured, as Prometheus reads it"},
    RouteEntry{.method = "GET",
               .path = "/openapi.json",
               .handle = openapi,
               .summary = "This list, with what bodies take"},
    RouteEntry{.method = "GET",
               .path = "/v1/models",
               .handle = list_served,
               .summary = "The model that answers",
               .answer = "ModelList"},
    RouteEntry{.method = "GET",
               .path = "/v1/models/{id...}",
               .handle = find_served,
               .summary = "The same by its name; another is 404",
               .answer = "Model"},
    RouteEntry{.method = "POST",
               .path = "/v1/chat/completions",
               .handle = chat_completion,
               .summary = "Answers a conversation",
               .body = "ChatRequest",
               .answer = "ChatCompletion",
               .streams = true},
    RouteEntry{.method = "POST",
               .path = "/v1/completions",
               .handle = completion,
               .summary = "Goes on from a text or from token ids",
               .body = "CompletionRequest",
               .answer = "Completion",
               .streams = true},
    RouteEntry{.method = "POST",
               .path = "/v1/plan",
               .handle = plan,
               .summary = "What would run: the object of `ollm plan --json`",
               .body = "PlanRequest",
               .answer = "Object"},
    RouteEntry{.method = "POST",
               .path = "/v1/prompt",
               .handle = prompt,
               .summary = "Answers one prompt",
               .body = "PromptRequest",
               .answer = "PromptAnswer"},
    RouteEntry{.method = "POST",
               .path = "/v1/prompt/stream",
               .handle = prompt_stream,
               .summary = "The same as events: status, text, complete, error",
               .body = "PromptRequest",
               .streams = true},
    RouteEntry{.method = "POST",
               .path = "/v1/sessions",
               .handle = create_session,
               .summary = "Begins a conversation that the server keeps in memory",
               .body = "SessionRequest",
               .answer = "Session"},
    RouteEntry{.method = "GET",
               .path = "/v1/sessions",
               .handle = list_sessions,
               .summary = "Those of this key",
               .answer = "SessionList"},
    RouteEntry{.method = "GET",
               .path = "/v1/sessions/{id}",
               .handle = get_session,
               .summary = "One with its messages",
               .answer = "Session"},
    RouteEntry{.method = "DELETE",
               .path = "/v1/sessions/{id}",
               .handle = delete_session,
               .summary = "Forgets it",
               .answer = "Deleted"},
    RouteEntry{.method = "POST",
               .path = "/v1/sessions/{id}/prompt",
               .handle = session_prompt,
               .summary = "The next prompt of a conversation",
               .body = "SessionPrompt",
               .answer = "PromptAnswer"},
    RouteEntry{.method = "POST",
               .path = "/v1/sessions/{id}/prompt/stream",
               .handle = session_prompt_stream,
               .summary = "The same as events",
               .body = "SessionPrompt",
               .streams = true},
    RouteEntry{.method = "GET",
               .path = "/v1/ollm/models",
               .handle = list_local_models,
               .summary = "What `ollm models list --json` prints, without paths",
               .answer = "Object"},
    RouteEntry{.method = "GET",
               .path = "/v1/ollm/models/{id...}",
               .handle = find_local_model,
               .summary = "One of these",
               .answer = "Object"},
    RouteEntry{.method = "POST",
               .path = "/v1/ollm/render",
               .handle = render,
               .summary = "A conversation as the chat template writes it",
               .body = "RenderRow",
               .answer = "Text"},
    RouteEntry{.method = "POST",
               .path = "/tokenize",
               .handle = tokenize,
               .summary = "The ids of a text",
               .body = "TokenizeRow",
               .answer = "Ids"},
    RouteEntry{.method = "POST",
               .path = "/detokenize",
               .handle = detokenize,
               .summary = "The text of ids",
               .body = "DetokenizeRow",
               .answer = "Text"},
    RouteEntry{
        .method = "POST", .path = "/v1/messages", .handle = not_built, .summary = "Not built: 404"},
    RouteEntry{.method = "POST",
               .path = "/v1/embeddings",
               .handle = not_built,
               .summary = "Not built: 404"},
    RouteEntry{
        .method = "POST", .path = "/v1/rerank", .handle = not_built, .summary = "Not built: 404"},
    RouteEntry{.method = "POST",
               .path = "/v1/responses",
               .handle = not_built,
               .summary = "Not built: 404"},
};

// What of a path stands in place of {id}, empty where there is none; nothing where it is another.
std::optional<std::string> match(std::string_view pattern, std::string_view path) {
  const std::size_t brace = pattern.find('{');
  if (brace == std::string_view::npos)
    return pattern == path ? std::optional<std::string>("") : std::nullopt;
  const std::size_t end = pattern.find('}');
  const std::string_view rest = pattern.substr(end + 1);
  if (!path.starts_with(pattern.substr(0, brace)) || !path.ends_with(rest) ||
      path.size() <= brace + rest.size())
    return std::nullopt;
  const std::string_view inside = path.substr(brace, path.size() - brace - rest.size());
  const bool takes_slashes = pattern.substr(0, end).ends_with("...");
  if (!takes_slashes && inside.find('/') != std::string_view::npos) return std::nullopt;
  return std::string(inside);
}

}  // namespace

std::span<const RouteEntry> routes() { return kRoutes; }

FoundRoute find_route(std::string_view method, std::string_view path) {
  const std::string_view asked = method == "HEAD" ? "GET" : method;
  FoundRoute found;
  for (const RouteEntry& route : kRoutes) {
    const std::optional<std::string> argument = match(route.path, path);
    if (!argument) continue;
    if (!found.methods.empty()) found.methods += ", ";
    found.methods += route.method == "GET" ? "GET, HEAD" : route.method;
    if (route.method != asked || found.route != nullptr) continue;
    found.route = &route;
    found.argument = *argument;
  }
  return found;
}

HttpResponse error_response(const RequestError& error) {
  HttpResponse response{.status = error.status, .body = json_dump(openai::error_body(error))};
  constexpr int kUnavailable = 503;  // now; a while later it may be otherwise
  if (error.status == kUnavailable) response.fields.emplace_back("Retry-After", "1");
  return response;
}

HttpResponse queue_is_full() {
  return error_response({.status = 503,
                         .message = "as many requests wait as may: try again later",
                         .param = std::nullopt,
                         .code = "queue_full"});
}

HttpResponse no_room(const Service& service, std::size_t bytes, std::string_view param) {
  const std::size_t capacity = service.room().capacity();
  const std::string size = fmt::format("the answer may take {} bytes", bytes);
  if (bytes > capacity) {
    RequestError wrong = openai::refuse(
        std::string(param),
        fmt::format("{}, but all answers together have {}: ask for less, or give the server more "
                    "--memory",
                    size, capacity));
    return error_response(wrong);
  }
  return error_response(
      {.status = 503,
       .message = size + ", which other answers leave no room for: try again later",
       .param = std::nullopt,
       .code = "no_room"});
}

void Call::count(int status) const { service->metrics().count_request(route->path, status); }

void Call::respond(HttpResponse response) const {
  const std::size_t bytes = response.body_bytes();
  if (bytes > ServerLimits::kSmallAnswerBytes && !exchange->holds()) {
    auto share = service->room().claim(bytes);
    if (!share) response = no_room(*service, bytes);
    exchange->hold(std::move(share));
  }
  count(response.status);
  exchange->respond(std::move(response));
}

void Call::respond(const Json& body) const { respond(HttpResponse{.body = json_dump(body)}); }

void Call::refuse(const RequestError& error) const { respond(error_response(error)); }

void Call::later(std::function<void()> work, std::size_t more_bytes) const {
  const bool large = exchange->body_bytes() + more_bytes > ServerLimits::kLargeBodyBytes;
  const auto run = [call = *this, work = std::move(work)] {
    if (call.exchange->gone()) return;
    try {
      work();
    } catch (const std::bad_alloc&) {
      call.refuse({.status = 503,
                   .message = "the system has no memory left",
                   .param = std::nullopt,
                   .code = "out_of_budget"});
    } catch (const std::exception& error) {
      call.refuse(openai::request_error(
          fail(ErrorKind::internal, std::string("internal: ") + error.what())));
    }
  };
  service->workers().post(run, large);
}

std::optional<Json> Call::object(std::span<const std::string_view> members) const {
  Json body;
  if (auto wrong = openai::parse_body(exchange->take_body(), body)) {
    refuse(*wrong);
    return std::nullopt;
  }
  if (!body.is_object()) {
    refuse(openai::refuse("", "expected an object, found " + openai::describe_value(body),
                          openai::kInvalidType));
    return std::nullopt;
  }
  for (const auto& [name, value] : body.items()) {
    if (std::find(members.begin(), members.end(), name) != members.end()) continue;
    refuse(openai::refuse(
        name, fmt::format("is no field of this route, which has {}", fmt::join(members, ", ")),
        openai::kUnsupportedParameter));
    return std::nullopt;
  }
  return body;
}

}  // namespace ollm::server
