// Where tests find the models and goldens of others, and the main() of every test program.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace ollm::testing {

/// What lies `within` the folder named by OLLM_TEST_DATA, or that folder; nothing where it is not
/// there. A test that needs it and finds nothing says so: `OLLM_NEED_TEST_DATA(data)`, or
/// `OLLM_WITHOUT_TEST_DATA(within)` where it looked by itself.
std::optional<std::filesystem::path> test_data(std::string_view within = "");

/// Is a test without its data to fail rather than be skipped (OLLM_REQUIRE_TEST_DATA=1)?
bool test_data_is_required();

/// "OLLM_TEST_DATA names no folder of data", or that this folder has no `within`.
std::string missing_test_data(std::string_view within = "");

}  // namespace ollm::testing

/// Leaves the test: the data is not there. The one place that skips for it.
#define OLLM_WITHOUT_TEST_DATA(within)                                                \
  do {                                                                                \
    if (::ollm::testing::test_data_is_required())                                     \
      FAIL() << ::ollm::testing::missing_test_data(within) << ", and it is required"; \
    GTEST_SKIP() << "skipped: " << ::ollm::testing::missing_test_data(within);        \
  } while (false)

/// Declares `name` as the data folder, or leaves the test and says why.
#define OLLM_NEED_TEST_DATA(name)                         \
  const auto name##_found = ::ollm::testing::test_data(); \
  if (!name##_found) OLLM_WITHOUT_TEST_DATA("");          \
  const std::filesystem::path& name = *name##_found
