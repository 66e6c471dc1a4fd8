#include "ollm/server/openapi.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>

#include "ollm/base/text_form.h"
#include "ollm/ollm.h"
#include "ollm/openai/fields.h"
#include "ollm/server/routes.h"

namespace ollm::server {
namespace {

using Json = nlohmann::ordered_json;
using openai::BodyLimits;

Json type(const char* name) { return {{"type", name}}; }
Json list_of(Json items) { return {{"type", "array"}, {"items", std::move(items)}}; }
Json ref(std::string_view name) { return {{"$ref", fmt::format("#/components/schemas/{}", name)}}; }
Json object(Json properties) { return {{"type", "object"}, {"properties", std::move(properties)}}; }
Json object(Json properties, Json required) {
  Json out = object(std::move(properties));
  out["required"] = std::move(required);
  return out;
}
// Of a request: what is not named is refused.
Json closed(Json out) {
  out["additionalProperties"] = false;
  return out;
}

Json bounded(Json out, double min, double max) {
  const bool whole = std::floor(min) == min && std::floor(max) == max;
  out["minimum"] = whole ? Json(static_cast<std::int64_t>(min)) : Json(min);
  out["maximum"] = whole ? Json(static_cast<std::int64_t>(max)) : Json(max);
  return out;
}

// Of fields that a function reads.
Json free_form(std::string_view name) {
  const Json text = {{"type", "string"}, {"minLength", 1}};
  const Json stop = {{"type", "string"}, {"minLength", 1}, {"maxLength", BodyLimits::kStopBytes}};
  const Json ids = {
      {"type", "array"}, {"items", bounded(type("integer"), 0, 2147483647)}, {"minItems", 1}};
  if (name == "messages")
    return {{"type", "array"},
            {"items", ref("Message")},
            {"minItems", 1},
            {"maxItems", BodyLimits::kMessages}};
  if (name == "prompt")
    return {{"oneOf",
             {text,
              ids,
              {{"type", "array"}, {"items", text}, {"minItems", 1}},
              {{"type", "array"}, {"items", ids}, {"minItems", 1}}}}};
  if (name == "stop")
    return {
        {"oneOf", {stop, {{"type", "array"}, {"items", stop}, {"maxItems", BodyLimits::kStops}}}}};
  if (name == "logit_bias")
    return {
        {"type", "object"},
        {"additionalProperties", bounded(type("number"), -BodyLimits::kBias, BodyLimits::kBias)},
        {"maxProperties", BodyLimits::kBiases}};
  if (name == "stream_options") return object({{"include_usage", type("boolean")}});
  if (name == "seed") return type("integer");
  return text;
}

Json schema_of(const openai::Field& field) {
  Json out;
  if (std::holds_alternative<openai::SetFlag>(field.reader)) {
    out = type("boolean");
  } else if (std::holds_alternative<openai::SetInteger>(field.reader)) {
    out = bounded(type("integer"), field.min, field.max);
  } else if (std::holds_alternative<openai::SetNumber>(field.reader)) {
    out = bounded(type("number"), field.zero_too ? 0 : field.min, field.max);
  } else {
    out = free_form(field.name);
  }
  if (field.left_out != openai::kRequired) out["nullable"] = true;
  out["description"] =
      fmt::format("{}; {}; left out: {}", field.summary, field.expects(), field.left_out);
  return out;
}

Json request_schema(openai::Route route) {
  Json properties = Json::object(), required = Json::array();
  for (const openai::Field& field : openai::fields()) {
    if ((field.routes & static_cast<unsigned>(route)) == 0) continue;
    properties[std::string(field.name)] = schema_of(field);
    if (field.left_out == openai::kRequired) required.push_back(field.name);
  }
  return object(std::move(properties), std::move(required));
}

Json completion_schema(Json choice) {
  return object({{"id", type("string")},
                 {"object", type("string")},
                 {"created", type("integer")},
                 {"model", type("string")},
                 {"choices", list_of(std::move(choice))},
                 {"usage", ref("Usage")},
                 {"system_fingerprint", {{"type", "string"}, {"nullable", true}}},
                 {"seed", type("integer")},
                 {"timings", type("object")}},
                {"id", "object", "created", "model", "choices", "usage"});
}

Json choice_schema(const char* name, Json content) {
  Json log_probs = type("object");
  log_probs["nullable"] = true;
  return object({{"index", type("integer")},
                 {name, std::move(content)},
                 {"logprobs", std::move(log_probs)},
                 {"finish_reason", {{"type", "string"}, {"enum", {"stop", "length"}}}}},
                {"index", name, "finish_reason"});
}

void add_openai(Json& schemas) {
  schemas["Message"] =
      object({{"role", type("string")},
              {"content",
               {{"oneOf",
                 {type("string"),
                  list_of(object({{"type", type("string")}, {"text", type("string")}}))}}}}},
             {"role", "content"});
  schemas["ChatRequest"] = request_schema(openai::Route::chat);
  schemas["CompletionRequest"] = request_schema(openai::Route::completions);
  schemas["Usage"] =
      object({{"prompt_tokens", type("integer")},
              {"completion_tokens", type("integer")},
              {"total_tokens", type("integer")},
              {"prompt_tokens_details", object({{"cached_tokens", type("integer")}})}});
  schemas["ChatCompletion"] = completion_schema(
      choice_schema("message", object({{"role", type("string")}, {"content", type("string")}})));
  schemas["Completion"] = completion_schema(choice_schema("text", type("string")));
  schemas["Model"] = object({{"id", type("string")},
                             {"object", type("string")},
                             {"created", type("integer")},
                             {"owned_by", type("string")},
                             {"context_length", type("integer")}},
                            {"id", "object"});
  schemas["ModelList"] = object({{"object", type("string")}, {"data", list_of(ref("Model"))}});
  Json param = type("string");
  param["nullable"] = true;
  schemas["Error"] = object({{"error", object({{"message", type("string")},
                                               {"type", type("string")},
                                               {"param", param},
                                               {"code", param}},
                                              {"message", "type", "param", "code"})}},
                            {"error"});
}

void add_own(Json& schemas) {
  const Json any = type("object");
  const Json text = {{"type", "string"}, {"minLength", 1}};
  schemas["Object"] = any;
  schemas["Status"] = object({{"status", type("string")}}, {"status"});
  schemas["PlanRequest"] =
      closed(object({{"runtime", any}, {"generation", any}, {"workload", any}}));
  schemas["PromptRequest"] = closed(object(
      {{"prompt", text}, {"system_prompt", type("string")}, {"runtime", any}, {"generation", any}},
      {"prompt"}));
  schemas["PromptAnswer"] =
      object({{"text", type("string")}, {"metadata", any}}, {"text", "metadata"});
  schemas["SessionRequest"] = closed(object({{"session_name", type("string")},
                                             {"system_prompt", type("string")},
                                             {"runtime", any},
                                             {"generation", any}}));
  schemas["SessionPrompt"] = closed(object({{"prompt", text}}, {"prompt"}));
  schemas["Session"] = object({{"session_id", type("string")},
                               {"session_name", type("string")},
                               {"model_reference", type("string")},
                               {"system_prompt", type("string")},
                               {"messages", list_of(any)}});
  schemas["SessionList"] = object({{"object", type("string")}, {"data", list_of(any)}});
  schemas["Deleted"] = object({{"session_id", type("string")}, {"deleted", type("boolean")}});
  schemas["TokenizeRow"] = object({{"text", type("string")},
                                   {"add_special", type("boolean")},
                                   {"parse_special", type("boolean")}},
                                  {"text"});
  schemas["DetokenizeRow"] = object({{"ids", list_of(bounded(type("integer"), 0, 2147483647))},
                                     {"skip_special", type("boolean")},
                                     {"stream", type("boolean")}},
                                    {"ids"});
  schemas["RenderRow"] =
      object({{"messages", list_of(any)}, {"add_generation_prompt", type("boolean")}});
  schemas["Ids"] = object({{"ids", list_of(type("integer"))}}, {"ids"});
  schemas["Text"] = object({{"text", type("string")}}, {"text"});
}

Json answer_of(const RouteEntry& route) {
  Json content = Json::object();
  if (!route.answer.empty()) content["application/json"] = {{"schema", ref(route.answer)}};
  if (route.streams) content["text/event-stream"] = {{"schema", type("string")}};
  if (route.answer.empty() && !route.streams)
    content["*/*"] = {{"schema", type("string")}};  // metrics, and this document
  return {{"description", "the answer"}, {"content", std::move(content)}};
}

Json operation(const RouteEntry& route) {
  const Json error = {{"description", "refused, or failed"},
                      {"content", {{"application/json", {{"schema", ref("Error")}}}}}};
  Json out = {{"summary", route.summary},
              {"responses", {{"200", answer_of(route)}, {"4XX", error}, {"503", error}}}};
  if (route.open) {
    out["security"] = Json::array();
    out["responses"]["503"] = answer_of(route);
  }
  if (route.path.find('{') != std::string_view::npos)
    out["parameters"] = Json::array(
        {{{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", type("string")}}});
  if (!route.body.empty())
    out["requestBody"] = {{"required", true},
                          {"content", {{"application/json", {{"schema", ref(route.body)}}}}}};
  return out;
}

}  // namespace

Json openapi_document() {
  Json paths = Json::object(), schemas = Json::object();
  for (const RouteEntry& route : routes()) {
    if (route.handle == not_built) continue;
    std::string path(route.path);
    if (const std::size_t dots = path.find("..."); dots != std::string::npos) path.erase(dots, 3);
    paths[path][lower(route.method)] = operation(route);
  }
  add_openai(schemas);
  add_own(schemas);
  return {{"openapi", "3.0.3"},
          {"info", {{"title", "ollm"}, {"version", version()}}},
          {"paths", std::move(paths)},
          {"components",
           {{"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}},
            {"schemas", std::move(schemas)}}},
          {"security", Json::array({{{"key", Json::array()}}, Json::object()})}};
}

void openapi(const Call& call) { call.respond(openapi_document()); }

}  // namespace ollm::server
