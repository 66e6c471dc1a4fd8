// What goes together in a row of the table, for every row.
#include "ollm/kv/strategies.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

#include "ollm/backend/kv_layout.h"
#include "ollm/io/file.h"

namespace ollm::kv {
namespace {

TEST(KvStrategies, EachHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (const Strategy& strategy : kStrategies) {
    EXPECT_TRUE(names.insert(strategy.id).second) << strategy.id;
    EXPECT_EQ(find_strategy(strategy.id), &strategy);
  }
  EXPECT_EQ(find_strategy("Resident"), nullptr);
  EXPECT_EQ(find_strategy(""), nullptr);
}

TEST(KvStrategies, WhatIsNeverWrittenIsFoundByNobody) {
  for (const Strategy& strategy : kStrategies) {
    const bool resident = strategy.id == kResident;
    EXPECT_EQ(strategy.format == PersistenceFormat::resident_only, resident) << strategy.id;
    EXPECT_EQ(strategy.residency == ResidencyMode::fully_resident, resident) << strategy.id;
    EXPECT_EQ(strategy.can_compact, strategy.format == PersistenceFormat::log_structured_journal)
        << strategy.id;
    EXPECT_EQ(strategy.writing == Writing::never, strategy.sharing == Sharing::nobody)
        << strategy.id;
    EXPECT_EQ(strategy.writing == Writing::out_of_frames,
              strategy.residency == ResidencyMode::tiered_write_back)
        << strategy.id;
  }
}

TEST(KvStrategies, BlocksAreWholeTiles) {
  for (const Strategy& strategy : kStrategies) {
    EXPECT_EQ(strategy.block_tokens % backend::kTileTokens, 0u) << strategy.id;
    EXPECT_EQ(strategy.stripe_part_bytes % io::File::kDirectAlignment, 0u) << strategy.id;
  }
}

TEST(KvStrategies, TwoChangeTheAnswer) {
  for (const Strategy& strategy : kStrategies) {
    EXPECT_EQ(strategy.window == WindowPolicy::sliding_window, strategy.id == kSlidingWindow);
    EXPECT_EQ(strategy.encoding == ColdTierEncoding::quantized, strategy.id == kQuantizedColdTier);
    EXPECT_EQ(strategy.exact(), strategy.id != kSlidingWindow && strategy.id != kQuantizedColdTier);
  }
}

}  // namespace
}  // namespace ollm::kv
