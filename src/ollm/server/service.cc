#include "ollm/server/service.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/base/text_form.h"

namespace ollm::server {
namespace {

using openai::RequestError;

constexpr int kUnauthorized = 401;
constexpr int kForbidden = 403;
constexpr int kNotFound = 404;
constexpr int kMethod = 405;
constexpr int kMediaType = 415;
constexpr int kBusy = 503;

RequestError error(int status, std::string message, std::string code) {
  return {.status = status,
          .message = std::move(message),
          .param = std::nullopt,
          .code = std::move(code)};
}

bool is_json(const std::string* content_type) {
  if (content_type == nullptr) return false;
  std::string type = content_type->substr(0, content_type->find(';'));
  while (type.ends_with(' ')) type.pop_back();
  return lower(type) == "application/json";
}

}  // namespace

Service::Service(Options options, const ApiKeys& keys, Workers& workers)
    : options_(std::move(options)),
      keys_(keys),
      workers_(workers),
      room_(options_.answer_bytes),
      sessions_(options_.session_bytes, options_.body_limit) {}

std::optional<RequestError> Service::check(const HttpRequest& request) const {
  const std::string* host = request.field("host");
  if (!request.local && (host == nullptr || !options_.hosts.has(*host))) {
    return error(kForbidden,
                 "this server is not asked for by the name of the Host field; --allowed-host "
                 "gives it further names",
                 "host_not_allowed");
  }
  const std::string* origin = request.field("origin");
  if (origin != nullptr && !options_.hosts.has_origin(*origin))
    return error(kForbidden, "pages of another origin may not ask here", "origin_not_allowed");
  const FoundRoute found = find_route(request.method, request.path);
  const bool open = found.route != nullptr && found.route->open;
  if (!open && !keys_.owner_of(request))
    return error(kUnauthorized, "expected a key that this server knows: Authorization: Bearer KEY",
                 "invalid_api_key");
  if (found.methods.empty())
    return error(kNotFound,
                 fmt::format("there is nothing at {}: /openapi.json lists what there is",
                             quote_name(request.path)),
                 "not_found");
  if (found.route == nullptr)
    return error(kMethod, fmt::format("{} takes {}", quote_name(request.path), found.methods),
                 "method_not_allowed");
  if (found.route->method == "POST" && found.route->handle != not_built &&
      !is_json(request.field("content-type")))
    return error(kMediaType, "expected Content-Type: application/json", "unsupported_media_type");
  if (!open && stage_ == Stage::loading)
    return error(kBusy, "the model is still loading", "loading");
  if (!open && stage_ == Stage::draining) return error(kBusy, "the server is ending", "draining");
  return std::nullopt;
}

std::optional<HttpResponse> Service::check_head(const HttpRequest& request) {
  const std::optional<RequestError> wrong = check(request);
  if (!wrong) return std::nullopt;
  metrics_.count_request("", wrong->status);
  HttpResponse response = error_response(*wrong);
  if (wrong->status == kUnauthorized) response.fields.emplace_back("WWW-Authenticate", "Bearer");
  if (wrong->status == kMethod)
    response.fields.emplace_back("Allow", find_route(request.method, request.path).methods);
  response.close = stage_ == Stage::draining;
  return response;
}

HttpResponse Service::refusal(int status, const std::string& problem) {
  metrics_.count_request("", status);
  return error_response(error(status, problem, "invalid_request"));
}

void Service::handle(std::shared_ptr<Exchange> exchange) {
  const HttpRequest& request = exchange->request();
  FoundRoute found = find_route(request.method, request.path);
  Call call{.service = this,
            .route = found.route,
            .exchange = exchange,
            .argument = std::move(found.argument),
            .owner = keys_.owner_of(request).value_or("")};
  if (options_.logs_requests)
    std::fprintf(stderr, "ollm: %s %s\n", request.method.c_str(),
                 std::string(call.route->path).c_str());
  call.route->handle(call);
}

void Service::serve(LoadedModel& model) {
  model_.store(&model, std::memory_order_release);
  Stage loading = Stage::loading;
  stage_.compare_exchange_strong(loading, Stage::ready);
}

std::optional<Place> Service::take_place() {
  const LoadedModel* loaded = model();
  const std::size_t most = options_.max_queue + (loaded != nullptr ? loaded->lines() : 0);
  std::size_t taken = *places_;
  do {
    if (taken >= most) return std::nullopt;
  } while (!places_->compare_exchange_weak(taken, taken + 1));
  return Place(nullptr, [places = places_](void*) { --*places; });
}

}  // namespace ollm::server
