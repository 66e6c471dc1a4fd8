#include "ollm/base/sha256.h"

#include <gtest/gtest.h>

#include <utility>

namespace ollm {
namespace {

// FIPS 180-4's examples.
TEST(Sha256, IsThatOfTheStandard) {
  EXPECT_EQ(sha256("").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, TakesPiecesAndBeginsAnew) {
  Sha256 hash;
  EXPECT_EQ(hash.add("a").add("bc").finish(), sha256("abc"));
  EXPECT_EQ(hash.add("abc").finish(), sha256("abc"));
  Sha256 moved = std::move(hash);
  EXPECT_EQ(moved.add(std::uint64_t{0x0102}).finish(),
            sha256(std::string_view("\2\1\0\0\0\0\0\0", 8)));
  EXPECT_EQ(
      moved.add(sha256("abc")).finish(),
      sha256(std::string_view(reinterpret_cast<const char*>(sha256("abc").bytes.data()), 32)));
}

}  // namespace
}  // namespace ollm
