// The schemas of docs/formats against goldens and payloads: exactly their keys, in their order.
// A check of the keywords that these schemas use, no general validator.
#include "tests/schema.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ollm/plan/doctor.h"
#include "ollm/plan/payloads.h"
#include "ollm/plan/plan_run.h"
#include "ollm/plan/plan_world.h"
#include "ollm/settings/payloads.h"

namespace ollm::plan {
namespace {

using testing::expect_valid;
using testing::read_json;
using testing::schema;
using testing::SchemaCheck;

TEST(Schema, HoldsForEveryGolden) {
  for (const auto& entry : std::filesystem::directory_iterator("tests/fixtures/plans")) {
    if (entry.path().extension() != ".json") continue;
    const Json golden = read_json(entry.path());
    expect_valid("runtime_plan", golden["runtime_plan"], entry.path().string());
    expect_valid("resolved_model", golden["resolved_model"], entry.path().string());
  }
}

TEST(Schema, HoldsForModels) {
  World world;
  world.llama("models/mine");
  for (const char* reference : {"mine", "llama3-1B-chat", "org/name", "nothing"}) {
    const auto planned = world.plan(reference);
    ASSERT_TRUE(planned.ok());
    expect_valid(
        "model_info",
        merged_payload(RuntimePlan(planned->selection.plan), planned->resolution.materialized),
        reference);
  }
}

TEST(Schema, HoldsForSettings) {
  const io::Environment environment{{}, "/somewhere"};
  settings::Settings settings;
  expect_valid("runtime_config", settings::runtime_config_payload(settings.runtime, environment),
               "defaults");
  expect_valid("generation_config", settings::generation_config_payload(settings.generation),
               "defaults");
  expect_valid("config_show", settings::config_show_payload(settings), "defaults");
  settings.runtime.memory = 1;
  settings.runtime.backend = "native-generic";
  settings.runtime.kv_cache_strategy = "paged";
  settings.generation.top_p = 0.5;
  settings.generation.stop = {"x"};
  expect_valid("runtime_config", settings::runtime_config_payload(settings.runtime, environment),
               "set");
  expect_valid("generation_config", settings::generation_config_payload(settings.generation),
               "set");
}

TEST(Schema, HoldsForWholePlans) {
  World world;
  world.llama("work/tiny");
  RunInputs inputs;
  inputs.environment = world.environment();
  inputs.machine.total_bytes = inputs.machine.available_bytes = std::uint64_t{8} << 30;
  inputs.machine.isas = {backend::Isa::scalar};
  inputs.settings.runtime = world.config();
  for (const char* reference : {"./tiny", "llama3-1B-chat", "nothing"}) {
    inputs.settings.runtime.model_reference = reference;
    const auto planned = plan_run(inputs);
    ASSERT_TRUE(planned.ok()) << planned.error().message;
    const Json payload = plan_payload(*planned);
    expect_valid("plan", payload, reference);
    EXPECT_EQ(payload["execution_plan"].is_null(), !planned->runtime().is_executable());
    // Planning twice is planning once, byte for byte.
    const auto again = plan_run(inputs);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(plan_payload(*again).dump(), payload.dump());
  }
}

TEST(Schema, HoldsForTheDoctor) {
  DoctorCheck check;
  check.name = "cpu:cores";
  check.details.set("cores", "2");
  expect_valid("doctor", doctor_payload({check}), "one check");
  expect_valid("doctor", doctor_payload({}), "no check");
  check.status = DoctorStatus::fail;
  EXPECT_EQ(doctor_payload({check})["ok"], false);
}

TEST(Schema, FindsWhatIsWrong) {
  Json golden = plan_golden("applied")["runtime_plan"];
  const Json root = schema("runtime_plan");
  EXPECT_TRUE(SchemaCheck(root).run(golden).empty());
  Json wrong = golden;
  wrong["support_level"] = "best";
  EXPECT_FALSE(SchemaCheck(root).run(wrong).empty());
  wrong = golden;
  wrong["details"]["pass_count"] = 1;
  EXPECT_FALSE(SchemaCheck(root).run(wrong).empty());
  wrong = golden;
  wrong.erase("reason");
  EXPECT_FALSE(SchemaCheck(root).run(wrong).empty());
  wrong = golden;
  wrong["more"] = 1;
  EXPECT_FALSE(SchemaCheck(root).run(wrong).empty());
}

}  // namespace
}  // namespace ollm::plan
