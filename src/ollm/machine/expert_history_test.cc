#include "ollm/machine/expert_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "ollm/io/temporary_folder.h"

namespace ollm::machine {
namespace {

using ::testing::ElementsAre;

io::Environment cached_in(const std::filesystem::path& folder) {
  return {{{"XDG_CACHE_HOME", folder.string()}}, "/"};
}

TEST(ExpertHistory, ComesBackWithFourDigits) {
  const io::TemporaryFolder folder;
  const io::Environment environment = cached_in(folder.path() / "cache");
  EXPECT_FALSE(load_expert_history(environment, "abc", 4));
  EXPECT_TRUE(all_expert_histories(environment).empty());
  const ExpertHistory history{"a \"model\"\xff", {0, 1.23456F, std::nanf(""), 2e7F}};
  const Result<void> saved = save_expert_history(history, "abc", environment);
  ASSERT_TRUE(saved.ok()) << saved.error().message;
  const auto loaded = load_expert_history(environment, "abc", 4);
  ASSERT_TRUE(loaded);
  EXPECT_THAT(loaded->wanted, ElementsAre(0, 1.235F, 0, 2e7F));
  EXPECT_FALSE(load_expert_history(environment, "abc", 3));
  EXPECT_FALSE(load_expert_history(environment, "abd", 4));
  EXPECT_EQ(all_expert_histories(environment).size(), 1u);
  EXPECT_EQ(std::filesystem::status(expert_history_path(environment, "abc")).permissions() &
                std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST(ExpertHistory, HostileFilesAreNothing) {
  for (const char* text :
       {"", "[]", "{}", R"({"version":2,"model":"m","wanted":[]})",
        R"({"version":1,"model":3,"wanted":[]})", R"({"version":1,"model":"m","wanted":{}})",
        R"({"version":1,"model":"m","wanted":[-1]})", R"({"version":1,"model":"m","wanted":[NaN]})",
        R"({"version":1,"model":"m","wanted":[1e300]})",
        R"({"version":1,"model":"m","wanted":["1"]})", R"({"version":1,"model":"m"})"}) {
    const Result<ExpertHistory> parsed = parse_expert_history(text);
    EXPECT_FALSE(parsed.ok()) << text;
  }
  const io::TemporaryFolder folder;
  folder.write("cache/ollm/experts/abc.json", "{");
  EXPECT_FALSE(load_expert_history(cached_in(folder.path() / "cache"), "abc", 4));
}

TEST(ExpertHistory, WithoutACacheFolderNothingIsKept) {
  const io::Environment none{{}, "/"};
  EXPECT_TRUE(expert_history_path(none, "abc").empty());
  EXPECT_EQ(save_expert_history({"m", {1}}, "abc", none).error().kind, ErrorKind::not_found);
  EXPECT_FALSE(load_expert_history(none, "abc", 1));
}

}  // namespace
}  // namespace ollm::machine
