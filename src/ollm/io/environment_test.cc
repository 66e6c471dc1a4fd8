#include "ollm/io/environment.h"

#include <gtest/gtest.h>

namespace ollm::io {
namespace {

TEST(Environment, PathsAreMadeAbsoluteWithoutTheProcess) {
  const Environment environment{{{"HOME", "/home/a"}}, "/somewhere"};
  EXPECT_EQ(absolute_path("x/../y", environment), "/somewhere/y");
  EXPECT_EQ(absolute_path("", environment), "/somewhere");
  EXPECT_EQ(absolute_path("/", environment), "/");
  EXPECT_EQ(absolute_path("~x", environment), "/somewhere/~x");
  EXPECT_EQ(absolute_path("~/x/", environment), "/home/a/x");
  EXPECT_EQ(absolute_path("~", Environment{{}, "/somewhere"}), "/somewhere/~");
}

TEST(Environment, OfTheProcessHasItsVariablesAndFolder) {
  const Environment environment = Environment::of_process();
  EXPECT_TRUE(environment.find_filled("PATH").has_value());
  EXPECT_EQ(environment.find("OLLM_SURELY_NOT_SET"), std::nullopt);
  EXPECT_EQ(environment.working_directory, std::filesystem::current_path());
}

}  // namespace
}  // namespace ollm::io
