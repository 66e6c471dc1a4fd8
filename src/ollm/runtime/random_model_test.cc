#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "ollm/bench.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/ollm.h"

namespace ollm {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(RandomModel, IsMadeOnceMoreAndNotInThePlaceOfAnotherModel) {
  const io::TemporaryFolder folder;
  const std::string config = content_of("examples/models/clerk/config.json");
  const fs::path shape = folder.write("shape.json", config);
  const fs::path out = folder.path() / "out";
  const auto make = [&](const fs::path& from, const fs::path& to) {
    return make_random_model({from.string(), 1, to, false});
  };
  ASSERT_TRUE(make(shape, out).ok());
  const std::string weights = content_of(out / "model.safetensors");
  struct stat status{};
  const mode_t mask = ::umask(0);
  ::umask(mask);
  for (const char* name : {"config.json", "model.safetensors"}) {
    ASSERT_EQ(::stat((out / name).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0666 & ~mask) << name;
  }
  ASSERT_TRUE(make(shape, out).ok());
  EXPECT_EQ(content_of(out / "model.safetensors"), weights);

  const fs::path real = folder.write("real/model.safetensors", "of worth").parent_path();
  folder.write("real/config.json", config);
  folder.write("other/config.json", "{}");
  for (const auto& made :
       {make(real / "config.json", real), make(shape, folder.path() / "other")}) {
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().kind, ErrorKind::invalid_argument);
    EXPECT_THAT(made.error().message, ::testing::HasSubstr("give another folder"));
  }
  EXPECT_EQ(content_of(real / "model.safetensors"), "of worth");
}

}  // namespace
}  // namespace ollm
