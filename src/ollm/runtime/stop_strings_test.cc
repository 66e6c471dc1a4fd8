#include "ollm/runtime/stop_strings.h"

#include <gtest/gtest.h>

namespace ollm::runtime {
namespace {

// All text that comes out when `text` is pushed in pieces of `step` bytes.
std::string through(StopStrings stops, std::string_view text, std::size_t step) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += step) out += stops.push(text.substr(i, step));
  return out + stops.finish();
}

TEST(StopStrings, CutsBeforeTheFirstStopWhereverPiecesBreak) {
  for (std::size_t step = 1; step < 12; ++step) {
    EXPECT_EQ(through(StopStrings({"\n\n", "END"}), "one\ntwo\n\nthree END", step), "one\ntwo");
    EXPECT_EQ(through(StopStrings({"END", "\n\n"}), "one EEND two", step), "one E");
    EXPECT_EQ(through(StopStrings({"aab"}), "aaaab", step), "aa");
    EXPECT_EQ(through(StopStrings({"abcd", "bc"}), "xabcd", step), "xa");
  }
}

TEST(StopStrings, GivesBackWhatWasHeldWhenTheTextEnds) {
  StopStrings stops({"</s>"});
  EXPECT_EQ(stops.push("a </"), "a ");
  EXPECT_EQ(stops.push("s"), "");
  EXPECT_EQ(stops.finish(), "</s");
  EXPECT_FALSE(stops.stopped());
}

TEST(StopStrings, NothingComesAfterAStop) {
  StopStrings stops({"X", ""});
  EXPECT_EQ(stops.push("aXb"), "a");
  EXPECT_TRUE(stops.stopped());
  EXPECT_EQ(stops.push("more"), "");
  EXPECT_EQ(stops.finish(), "");
}

}  // namespace
}  // namespace ollm::runtime
