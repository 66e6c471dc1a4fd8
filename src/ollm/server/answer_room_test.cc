#include "ollm/server/answer_room.h"

#include <gtest/gtest.h>

#include <optional>

namespace ollm::server {
namespace {

TEST(AnswerRoom, GivesWhatIsLeftAndTakesItBack) {
  AnswerRoom room(100);
  const auto some = room.claim(60);
  ASSERT_NE(some, nullptr);
  EXPECT_EQ(room.claim(41), nullptr);
  {
    const auto rest = room.claim(40);
    EXPECT_NE(rest, nullptr);
    EXPECT_EQ(room.claim(1), nullptr);
  }
  EXPECT_NE(room.claim(40), nullptr);
}

TEST(AnswerRoom, AShareGrowsAsFarAsThereIsRoom) {
  std::optional<AnswerRoom> room(100);
  auto share = room->claim(60);
  EXPECT_FALSE(share->grow(41));
  EXPECT_TRUE(share->grow(40));
  EXPECT_EQ(room->claim(1), nullptr);
  EXPECT_FALSE(share->grow(~std::size_t{0}));
  auto other = share;
  share.reset();
  EXPECT_EQ(room->claim(1), nullptr);
  other.reset();
  auto last = room->claim(100);
  EXPECT_NE(last, nullptr);
  room.reset();  // a share may outlive it
}

}  // namespace
}  // namespace ollm::server
