// GET /v1/models: what answers. GET /v1/ollm/models: what lies on this machine, without its paths.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/base/value_document.h"
#include "ollm/server/routes.h"
#include "ollm/server/service.h"

namespace ollm::server {
namespace {

using Json = nlohmann::ordered_json;

Json model_body(const LoadedModel& model) {
  const std::string id = model.served().id();
  const std::size_t slash = id.find('/');
  return {{"id", id},
          {"object", "model"},
          {"created", model.loaded_at()},
          {"owned_by", slash == std::string::npos ? "ollm" : id.substr(0, slash)},
          {"context_length", model.served().context_tokens}};
}

openai::RequestError unknown(const std::string& name, std::string_view what_is) {
  return {.status = 404,
          .message = fmt::format("{} is not here: {}", quote_name(name), what_is),
          .param = "model",
          .code = std::string(openai::kModelNotFound)};
}

// Where things lie on this machine is nobody's business.
void drop_paths(Json& value) {
  if (value.is_object()) {
    for (auto member = value.begin(); member != value.end();) {
      const std::string& key = member.key();
      if (key.ends_with("_path") || key.ends_with("_dir") || key == "path") {
        member = value.erase(member);
      } else {
        drop_paths(*member);
        ++member;
      }
    }
  } else if (value.is_array()) {
    for (Json& entry : value) drop_paths(entry);
  } else if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text.starts_with('/')) value = text.substr(text.find_last_of('/') + 1);
  }
}

Result<Json> local_models(const Call& call) {
  OLLM_TRY(const std::vector<ModelInfo> models, list_models(call.service->options().settings));
  Json all = Json::parse(models_json(models));
  drop_paths(all);
  return all;
}

}  // namespace

void list_served(const Call& call) {
  call.respond({{"object", "list"}, {"data", Json::array({model_body(*call.service->model())})}});
}

void find_served(const Call& call) {
  const openai::ServedModel& served = call.service->model()->served();
  if (call.argument != served.id() && call.argument != served.reference)
    return call.refuse(unknown(call.argument, "this is '" + served.id() + "'"));
  call.respond(model_body(*call.service->model()));
}

void list_local_models(const Call& call) {
  call.later([call] {
    const Result<Json> models = local_models(call);
    if (!models.ok()) return call.refuse(openai::request_error(models.error()));
    call.respond(*models);
  });
}

void find_local_model(const Call& call) {
  call.later([call] {
    const Result<Json> models = local_models(call);
    if (!models.ok()) return call.refuse(openai::request_error(models.error()));
    for (const Json& model : (*models)["models"])
      if (model.value("model_reference", "") == call.argument) return call.respond(model);
    call.refuse(unknown(call.argument, "/v1/ollm/models lists what is"));
  });
}

}  // namespace ollm::server
