// What goes together in a row of the table, for every row.
#include "ollm/kv/strategies.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace ollm::kv {
namespace {

TEST(KvStrategies, EachHasANameAndAFolderOfItsOwn) {
  std::set<std::string_view> names, folders;
  for (const Strategy& strategy : kStrategies) {
    EXPECT_TRUE(names.insert(strategy.id).second) << strategy.id;
    EXPECT_TRUE(folders.insert(strategy.folder).second) << strategy.id;
    EXPECT_EQ(find_strategy(strategy.id), &strategy);
  }
  EXPECT_EQ(find_strategy("Resident"), nullptr);
  EXPECT_EQ(find_strategy(""), nullptr);
}

TEST(KvStrategies, OnlyTheResidentOneHasNothingOnDisk) {
  for (const Strategy& strategy : kStrategies) {
    const bool resident = strategy.id == kResident;
    EXPECT_EQ(strategy.folder.empty(), resident) << strategy.id;
    EXPECT_EQ(strategy.format == PersistenceFormat::resident_only, resident) << strategy.id;
    EXPECT_EQ(strategy.residency == ResidencyMode::fully_resident, resident) << strategy.id;
    EXPECT_EQ(strategy.can_compact, strategy.format == PersistenceFormat::log_structured_journal)
        << strategy.id;
  }
}

TEST(KvStrategies, TwoChangeTheAnswer) {
  for (const Strategy& strategy : kStrategies) {
    EXPECT_EQ(strategy.window == WindowPolicy::sliding_window, strategy.id == kSlidingWindow);
    EXPECT_EQ(strategy.encoding == ColdTierEncoding::quantized, strategy.id == kQuantizedColdTier);
  }
}

TEST(KvStrategies, EachIsBuiltOrNamedAsNotBuilt) {
  EXPECT_EQ(kStrategyIds.size(), kStrategies.size());
  EXPECT_EQ(kUnbuiltStrategyIds.size() + count_strategies(true), kStrategies.size());
  for (const std::string_view id : kUnbuiltStrategyIds) EXPECT_FALSE(find_strategy(id)->built);
}

}  // namespace
}  // namespace ollm::kv
