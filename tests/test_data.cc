#include "tests/test_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace ollm::testing {

std::optional<std::filesystem::path> test_data() {
  const char* named = std::getenv("OLLM_TEST_DATA");
  if (named == nullptr || !std::filesystem::is_directory(named)) return std::nullopt;
  return std::filesystem::path(named);
}

}  // namespace ollm::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
