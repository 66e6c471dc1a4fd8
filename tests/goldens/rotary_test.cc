// Rotary frequencies of every type as Transformers computes them in f32 (tests/fixtures/rotary).
#include "ollm/models/rotary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "ollm/base/json_reader.h"
#include "ollm/models/model_config.h"

namespace ollm::testing {
namespace {

// torch's pow of a vector is not always the nearest float (SLEEF, 1 ulp); all else is exact.
constexpr std::int32_t kUlps = 3;
constexpr double kUnequal = 0.04;

TEST(Rotary, FrequenciesAreThoseOfTransformersToTheLastPlace) {
  std::ifstream in("tests/fixtures/rotary/frequencies.json");  // tests run in the project's root
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto cases = parse_json(text, "frequencies.json");
  ASSERT_TRUE(cases.ok()) << cases.error().message;
  std::size_t unequal = 0;
  std::size_t all = 0;
  for (const Json& one : *cases) {
    SCOPED_TRACE(one["config"].dump());
    const auto config = checkpoint::ConfigObject::make(one["config"], "config.json");
    ASSERT_TRUE(config.ok()) << config.error().message;
    models::ConfigDefaults defaults;
    defaults.rotary.partial = true;
    const auto model = models::read_decoder(*config, "", defaults);
    ASSERT_TRUE(model.ok()) << model.error().message;
    const models::RotarySpec spec = models::rotary_spec(model->rotary, model->head_dim);
    EXPECT_EQ(spec.magnitude, one["magnitude"].get<float>());
    ASSERT_EQ(spec.inverse_frequencies.size(), one["bits"].size());
    for (std::size_t i = 0; i < spec.inverse_frequencies.size(); ++i) {
      const auto found = std::bit_cast<std::int32_t>(spec.inverse_frequencies[i]);
      const std::int32_t apart = std::abs(found - one["bits"][i].get<std::int32_t>());
      EXPECT_LE(apart, kUlps) << "pair " << i;
      unequal += apart != 0 ? 1 : 0;
      ++all;
    }
  }
  EXPECT_GT(all, 600U);
  EXPECT_LE(static_cast<double>(unequal), kUnequal * static_cast<double>(all));
}

}  // namespace
}  // namespace ollm::testing
