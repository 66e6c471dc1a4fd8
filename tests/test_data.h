// Where tests find the models and goldens of others, and the main() of every test program.
#pragma once

#include <filesystem>
#include <optional>

namespace ollm::testing {

/// The folder named by OLLM_TEST_DATA, or nothing. A test that needs it and finds nothing must say
/// so: `OLLM_NEED_TEST_DATA(data)`.
std::optional<std::filesystem::path> test_data();

}  // namespace ollm::testing

/// Declares `name` as the data folder, or skips the test and says why.
#define OLLM_NEED_TEST_DATA(name)                                                       \
  const auto name##_found = ::ollm::testing::test_data();                               \
  if (!name##_found) GTEST_SKIP() << "skipped: OLLM_TEST_DATA names no folder of data"; \
  const std::filesystem::path& name = *name##_found
