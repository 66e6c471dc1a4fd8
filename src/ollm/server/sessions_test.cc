// What sessions may hold, and that nothing of it is lost or counted twice.
#include "ollm/server/sessions.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ollm::server {
namespace {

constexpr std::size_t kTextLimit = 5000;

ChatSession session_of(std::size_t system_bytes) {
  ChatSession session;
  session.owner = "me";
  session.name = "talk";
  session.system_prompt = std::string(system_bytes, 's');
  session.options.max_new_tokens = 10;
  return session;
}

std::string add(Sessions& sessions, std::size_t system_bytes = 10) {
  std::string id;
  EXPECT_FALSE(sessions.add(session_of(system_bytes), id).has_value());
  return id;
}

int status_of(const std::optional<openai::RequestError>& error) {
  return error ? error->status : 200;
}

// How many of a size it takes until it is full.
std::size_t fill(Sessions& sessions, std::size_t system_bytes) {
  std::string id;
  for (std::size_t count = 0;; ++count) {
    const auto full = sessions.add(session_of(system_bytes), id);
    if (!full) continue;
    EXPECT_EQ(full->status, 503);
    EXPECT_EQ(full->code, "too_many_sessions");
    return count;
  }
}

TEST(Sessions, HoldNoMoreBytesThanTheyMay) {
  Sessions sessions(100'000, kTextLimit);
  const std::size_t count = fill(sessions, 4000);
  EXPECT_GE(count, 15U);
  EXPECT_LE(count, 25U);
  for (const SessionLine& line : sessions.of("me")) EXPECT_TRUE(sessions.remove(line.id, "me"));
  EXPECT_EQ(fill(sessions, 4000), count);
}

TEST(Sessions, ATurnIsRefusedBeforeItRunsWhereItsMessagesHaveNoRoom) {
  Sessions sessions(20'000, kTextLimit);
  const std::string id = add(sessions);
  const std::string other = add(sessions);
  ChatSession taken;
  const TurnSize turn{.prompt_bytes = 4900, .most_tokens = 1000};
  ASSERT_EQ(status_of(sessions.begin(id, "me", turn, taken)), 200);
  EXPECT_EQ(status_of(sessions.begin(id, "me", turn, taken)), 409);
  fill(sessions, 100);
  const auto full = sessions.begin(other, "me", turn, taken);
  ASSERT_EQ(status_of(full), 503);
  EXPECT_EQ(full->code, "too_many_sessions");
  // What was let in is kept, although its answer is longer than was thought.
  sessions.end(id, {{"user", std::string(4900, 'u')}, {"assistant", std::string(3000, 'a')}});
  ASSERT_EQ(sessions.find(id, "me")->messages.size(), 2U);
  EXPECT_EQ(sessions.find(id, "me")->messages[1].content.size(), 3000U);
}

TEST(Sessions, WhatATurnReservedIsGivenBack) {
  Sessions sessions(20'000, kTextLimit);
  const std::string id = add(sessions);
  ChatSession taken;
  const TurnSize turn{.prompt_bytes = 4900, .most_tokens = 1000};
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(status_of(sessions.begin(id, "me", turn, taken)), 200) << i;
    sessions.end(id, {});
  }
  ASSERT_EQ(status_of(sessions.begin(id, "me", turn, taken)), 200);
  EXPECT_TRUE(sessions.remove(id, "me"));  // while it runs
  sessions.end(id, {{"user", "x"}});
  EXPECT_EQ(sessions.size(), 0U);
  Sessions fresh(20'000, kTextLimit);
  EXPECT_EQ(fill(sessions, 100), fill(fresh, 100));
}

TEST(Sessions, OneHoldsNoMoreTextThanABody) {
  Sessions sessions(1'000'000, kTextLimit);
  const std::string id = add(sessions, 1000);
  ChatSession taken;
  const auto begin = [&](std::size_t bytes) {
    return sessions.begin(id, "me", {.prompt_bytes = bytes, .most_tokens = 1000}, taken);
  };
  ASSERT_EQ(status_of(begin(4000)), 200);
  sessions.end(id, {{"user", std::string(4000, 'u')}, {"assistant", "a"}});
  const auto long_one = begin(1);
  ASSERT_EQ(status_of(long_one), 400);
  EXPECT_EQ(long_one->param, "prompt");
}

}  // namespace
}  // namespace ollm::server
