#include <gtest/gtest.h>

#include <cstdint>

#include "ollm/memory/budget.h"
#include "ollm/memory/buffer.h"
#include "ollm/memory/ledger.h"

namespace ollm::memory {
namespace {

TEST(Budget, ChargesAreGivenBackAndPeaksKept) {
  Budget budget(1000);
  {
    Result<Charge> weights = budget.charge("weights", 600);
    ASSERT_TRUE(weights.ok());
    Charge moved = std::move(weights).value();
    Result<Charge> kv = budget.charge("kv", 400);
    ASSERT_TRUE(kv.ok());
    EXPECT_EQ(budget.used_bytes(), 1000u);
    EXPECT_EQ(moved.bytes(), 600u);
  }
  EXPECT_EQ(budget.used_bytes(), 0u);
  EXPECT_EQ(budget.peak_bytes(), 1000u);
  ASSERT_EQ(budget.lines().size(), 2u);
  EXPECT_EQ(budget.lines()[0].owner, "kv");
  EXPECT_EQ(budget.lines()[0].peak_bytes, 400u);
}

TEST(Budget, AboveTheLimitIsRefusedAndNamesTheOwner) {
  Budget budget(1000);
  const Result<Charge> first = budget.charge("weights", 600);
  const Result<Charge> second = budget.charge("activations", 401);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind, ErrorKind::out_of_budget);
  EXPECT_NE(second.error().message.find("activations"), std::string::npos);
  EXPECT_EQ(budget.used_bytes(), 600u);
  EXPECT_FALSE(budget.charge("overflow", UINT64_MAX).ok());
}

TEST(Ledger, PeakIsWhatAlwaysStaysAndTheLargerPhase) {
  Ledger ledger;
  ledger.add("weights", Phase::always, 1000);
  ledger.add("load ring", Phase::load, 300);
  ledger.add("kv", Phase::run, 100);
  ledger.add("activations", Phase::run, 150);
  EXPECT_EQ(ledger.peak_bytes(), 1300u);
  ledger.add("logits", Phase::run, 100);
  EXPECT_EQ(ledger.peak_bytes(), 1350u);
  // Before the load there is only what is there from the start.
  ledger.add("process", Phase::always, 50, Charged::at_start);
  ledger.add("text", Phase::text, 1300);
  EXPECT_EQ(ledger.text_peak_bytes(), 1350u);
  EXPECT_EQ(ledger.peak_bytes(), 1400u);
  ledger.add("text", Phase::text, 100);
  EXPECT_EQ(ledger.peak_bytes(), 1450u);
  EXPECT_EQ(ledger.lines().size(), 8u);
}

TEST(Buffer, IsAlignedZeroedAndCharged) {
  Budget budget(std::uint64_t{64} << 20);
  for (const std::size_t size : {std::size_t{1}, std::size_t{100}, std::size_t{3} << 20}) {
    Result<Buffer> made = Buffer::make(budget, "test", size);
    ASSERT_TRUE(made.ok());
    Buffer buffer = std::move(made).value();
    EXPECT_EQ(buffer.size_bytes(), size);
    const auto address = reinterpret_cast<std::uintptr_t>(buffer.data());
    EXPECT_EQ(address % (size >= kHugePageBytes ? kHugePageBytes : kCacheLineBytes), 0u);
    for (const std::byte byte : buffer.bytes()) ASSERT_EQ(byte, std::byte{0});
    buffer.bytes()[size - 1] = std::byte{1};
    EXPECT_GE(budget.used_bytes(), size);
  }
  EXPECT_EQ(budget.used_bytes(), 0u);
}

TEST(Buffer, OverBudgetAndImpossibleSizesAreErrors) {
  Budget budget(100);
  EXPECT_EQ(Buffer::make(budget, "test", 101).error().kind, ErrorKind::out_of_budget);
  EXPECT_EQ(Buffer::make(budget, "test", SIZE_MAX).error().kind, ErrorKind::out_of_budget);
  EXPECT_TRUE(Buffer::make(budget, "test", 0).ok());
}

}  // namespace
}  // namespace ollm::memory
