// For the tests of this folder: the shipped model, planned and loaded as a program would.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "ollm/ollm.h"

namespace ollm::runtime {

inline const char* const kShippedModel = "examples/models/clerk";

inline Settings settings_of(const std::string& model) {
  Settings settings;
  settings.runtime.model_reference = model;
  return settings;
}

inline Plan plan_of(const Settings& settings, const Workload& workload) {
  auto plan = make_plan(settings, workload);
  EXPECT_TRUE(plan.ok()) << plan.error().message;
  return *plan;
}

inline Runtime load(const Settings& settings, const Workload& workload) {
  auto runtime = Runtime::load(plan_of(settings, workload));
  EXPECT_TRUE(runtime.ok()) << runtime.error().message;
  return *runtime;
}

}  // namespace ollm::runtime
