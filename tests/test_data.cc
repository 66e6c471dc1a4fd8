#include "tests/test_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace ollm::testing {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::optional<std::filesystem::path> test_data(std::string_view within) {
  const std::filesystem::path folder = variable("OLLM_TEST_DATA");
  std::error_code ignored;
  if (folder.empty() || !std::filesystem::is_directory(folder, ignored)) return std::nullopt;
  if (within.empty()) return folder;
  const std::filesystem::path path = folder / within;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  return path;
}

bool test_data_is_required() {
  const std::string value = variable("OLLM_REQUIRE_TEST_DATA");
  return !value.empty() && value != "0";
}

std::string missing_test_data(std::string_view within) {
  if (within.empty() || !test_data()) return "OLLM_TEST_DATA names no folder of data";
  return "the folder that OLLM_TEST_DATA names has no " + std::string(within);
}

}  // namespace ollm::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  // What is kept of keys and values is each program's own, as no test is to find another's.
  std::string cache = (std::filesystem::temp_directory_path() / "ollm-test-cache-XXXXXX").string();
  if (::mkdtemp(cache.data()) != nullptr) ::setenv("XDG_CACHE_HOME", cache.c_str(), 1);
  const int result = RUN_ALL_TESTS();
  std::error_code ignored;
  std::filesystem::remove_all(cache, ignored);
  return result;
}
