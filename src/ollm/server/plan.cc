// POST /v1/plan: what would run. Loads nothing.
#include <cstdint>
#include <nlohmann/json.hpp>

#include "ollm/openai/found.h"
#include "ollm/server/overrides.h"
#include "ollm/server/routes.h"
#include "ollm/server/service.h"

namespace ollm::server {
namespace {

using Json = nlohmann::ordered_json;
using openai::RequestError;

constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 31;

struct WorkloadField {
  std::string_view name;
  std::size_t Workload::* member;
  std::uint64_t least;
  std::uint64_t most;
};
constexpr WorkloadField kWorkload[] = {
    {"prompt_tokens", &Workload::prompt_tokens, 1, kMostTokens},
    {"max_new_tokens", &Workload::max_new_tokens, 0, kMostTokens},
    {"sequences", &Workload::sequences, 1, std::uint64_t{1} << 16},
    {"requests", &Workload::requests, 1, std::uint64_t{1} << 40},
};

std::optional<RequestError> read_workload(const Json& body, Workload& out) {
  const auto found = body.find("workload");
  if (found == body.end() || found->is_null()) return std::nullopt;
  if (!found->is_object()) return openai::unexpected("workload", "an object", *found);
  bool sequences = false;
  for (const auto& [name, value] : found->items()) {
    const WorkloadField* field = nullptr;
    for (const WorkloadField& one : kWorkload)
      if (one.name == name) field = &one;
    const std::string param = "workload." + name;
    if (field == nullptr)
      return openai::refuse(param, "is no field of a workload", openai::kUnsupportedParameter);
    if (value.is_null()) continue;
    const std::string expected =
        "an integer from " + std::to_string(field->least) + " to " + std::to_string(field->most);
    if (!value.is_number_integer()) return openai::unexpected(param, expected, value);
    const auto number = value.is_number_unsigned() ? value.get<std::uint64_t>()
                        : value.get<std::int64_t>() < 0
                            ? ~std::uint64_t{0}
                            : static_cast<std::uint64_t>(value.get<std::int64_t>());
    if (number < field->least || number > field->most)
      return openai::unexpected(param, expected, value, openai::kInvalidValue);
    out.*field->member = number;
    sequences = sequences || name == "sequences";
  }
  if (out.requests > 0 && !sequences) out.sequences = 0;
  return std::nullopt;
}

// How many positions a model has is known to its plan alone.
RequestError refusal_of(const Error& error) {
  RequestError refusal = openai::request_error(error);
  if (error.message.find("the prompt has ") != std::string::npos)
    refusal.param = "workload.prompt_tokens";
  return refusal;
}

void answer(const Call& call) {
  static constexpr std::string_view kMembers[] = {"runtime", "generation", "workload"};
  const std::optional<Json> body = call.object(kMembers);
  if (!body) return;
  Settings settings = call.service->options().settings;
  if (auto wrong = read_runtime(*body, settings)) return call.refuse(*wrong);
  if (auto wrong = read_generation(*body, settings)) return call.refuse(*wrong);
  const openai::ServedModel& served = call.service->model()->served();
  if (auto wrong = check_model(served, settings)) return call.refuse(*wrong);
  settings.runtime.model_reference = served.reference;
  Workload workload;
  if (auto wrong = read_workload(*body, workload)) return call.refuse(*wrong);
  if (workload.prompt_tokens == 0) workload.context_tokens = kAssumedContextTokens;
  const Result<Plan> plan = make_plan(settings, workload);
  if (!plan.ok()) return call.refuse(refusal_of(plan.error()));
  call.respond(HttpResponse{.body = plan->json()});
}

}  // namespace

void plan(const Call& call) {
  call.later([call] { answer(call); });
}

}  // namespace ollm::server
