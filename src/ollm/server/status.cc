// GET /health, /ready and /metrics; and what is not built, by name.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ollm/base/value_document.h"
#include "ollm/server/routes.h"
#include "ollm/server/service.h"

namespace ollm::server {
namespace {

constexpr std::string_view kStages[] = {"loading", "ok", "draining"};

void say_stage(const Call& call) {
  const Stage stage = call.service->stage();
  const nlohmann::ordered_json body = {{"status", kStages[static_cast<std::size_t>(stage)]},
                                       {"ok", stage == Stage::ready},
                                       {"service", "ollm"},
                                       {"version", version()}};
  HttpResponse response{.status = stage == Stage::ready ? 200 : 503, .body = json_dump(body)};
  response.close = stage == Stage::draining;
  call.respond(std::move(response));
}

}  // namespace

void health(const Call& call) { say_stage(call); }
void ready(const Call& call) { say_stage(call); }

void metrics(const Call& call) {
  Service& service = *call.service;
  const LoadedModel* model = service.model();
  const Gauges gauges{.running = service.places_taken(),
                      .lines = model == nullptr ? 0 : model->lines(),
                      .connections = service.connections(),
                      .sessions = service.sessions().size(),
                      .ready = service.stage() == Stage::ready};
  call.respond({.content_type = "text/plain; version=0.0.4; charset=utf-8",
                .body = service.metrics().text(gauges)});
}

void not_built(const Call& call) {
  call.refuse({.status = 404,
               .message = fmt::format("{} is not built: /v1/chat/completions and /v1/completions "
                                      "answer, /openapi.json lists what there is",
                                      call.route->path),
               .param = std::nullopt,
               .code = "not_built"});
}

}  // namespace ollm::server
