#include "ollm/machine/profile.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "ollm/io/temporary_folder.h"

namespace ollm::machine {
namespace {

Profile some() {
  Profile profile;
  profile.measured = "2026-11-24T10:30:00Z";
  profile.cpu_model = "A CPU";
  profile.cores = 2;
  profile.total_bytes = 1 << 30;
  profile.threads = 2;
  profile.memory_bytes_per_second = 40e9;
  profile.tables = {
      {backend::Isa::avx2,
       backend::ComputeMode::f32,
       250e9,
       {{1, 18e9}, {16, 100e9}, {512, 200e9}},
       36e9,
       100e9},
      {backend::Isa::avx512_bf16, backend::ComputeMode::bf16, 900e9, {{512, 700e9}}, 38e9, 300e9}};
  profile.disks = {{11, "a/file", 2e9}};
  return profile;
}

TEST(Profile, ComesBackAsItWasWritten) {
  const auto parsed = parse_profile(profile_json(some()));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(profile_json(*parsed), profile_json(some()));
}

TEST(Profile, IsKeptUnderTheCacheFolderAndBelongsToOneMachine) {
  const io::TemporaryFolder folder;
  const io::Environment environment{{{"XDG_CACHE_HOME", (folder.path() / "deep/cache").string()}},
                                    "/"};
  EXPECT_FALSE(load_profile(environment, "A CPU", 2, io::posix()));
  const Result<void> saved = save_profile(some(), environment);
  ASSERT_TRUE(saved.ok()) << saved.error().message;
  const auto loaded = load_profile(environment, "A CPU", 2, io::posix());
  ASSERT_TRUE(loaded);
  EXPECT_EQ(profile_json(*loaded), profile_json(some()));
  EXPECT_FALSE(load_profile(environment, "Another", 2, io::posix()));
  EXPECT_FALSE(load_profile(environment, "A CPU", 4, io::posix()));
  EXPECT_EQ(std::filesystem::status(folder.path() / "deep/cache/ollm").permissions() &
                std::filesystem::perms::all,
            std::filesystem::perms::owner_all);
}

TEST(Profile, WithoutACacheFolderThereIsNone) {
  const io::Environment nowhere{{}, "/"};
  EXPECT_TRUE(profile_path(nowhere).empty());
  EXPECT_EQ(save_profile(some(), nowhere).error().kind, ErrorKind::not_found);
  EXPECT_EQ(profile_path({{{"HOME", "/home/a"}}, "/"}), "/home/a/.cache/ollm/profile.json");
}

TEST(Profile, HostileFilesAreRefusedByKey) {
  const std::string good = profile_json(some());
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    return text;
  };
  const std::string hostile[] = {"",
                                 "[]",
                                 "{",
                                 "null",
                                 good.substr(0, good.size() / 2),
                                 with("\"version\": 1", "\"version\": 2"),
                                 with("\"threads\": 2", "\"threads\": 0"),
                                 with("\"cores\": 2", "\"cores\": -2"),
                                 with("40000000000.0", "-1"),
                                 with("40000000000.0", "\"fast\""),
                                 with("avx2", "avx3"),
                                 with("\"bf16\"", "\"f8\""),
                                 with("\"tables\": [", "\"tables\": [1,"),
                                 with("\"rows\": 16", "\"rows\": 1"),
                                 with("\"rows\": 16", "\"rows\": \"many\""),
                                 with("\"disks\": [", "\"disks\": [[],")};
  for (const std::string& text : hostile) {
    const auto parsed = parse_profile(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::corrupt) << text;
  }
}

TEST(Rates, AreMeasuredWhereTheProfileHasThemAndAssumedElsewhere) {
  const backend::Options measured{backend::Isa::avx2, backend::ComputeMode::f32};
  const Rates both = rates_for(some(), measured, 2, 11);
  EXPECT_TRUE(both.measured);
  EXPECT_EQ(both.matmul_flops(512), 200e9);
  EXPECT_EQ(both.matmul_flops(4096), 200e9);
  EXPECT_EQ(both.matmul_flops(1), 18e9);
  EXPECT_DOUBLE_EQ(both.matmul_flops(4), (18e9 + 100e9) / 2);  // half way in the logarithm
  EXPECT_EQ(both.disk_bytes_per_second, 2e9);
  const Rates one = rates_for(some(), measured, 1, 12);
  EXPECT_EQ(one.matmul_flops(512), 100e9);
  EXPECT_NE(one.disk_bytes_per_second, 2e9);
  EXPECT_NE(one.because.find("disk assumed"), std::string::npos) << one.because;
  const Rates none = rates_for(std::nullopt, measured, 2, std::nullopt);
  EXPECT_FALSE(none.measured);
  EXPECT_GT(none.matmul_flops(7), 0);
  EXPECT_FALSE(rates_for(some(), {backend::Isa::avx2, backend::ComputeMode::bf16}, 2, 11).measured);
}

}  // namespace
}  // namespace ollm::machine
