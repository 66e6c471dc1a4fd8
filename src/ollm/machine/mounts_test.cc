// The mount under a path, from texts as the kernel writes them.
#include "ollm/machine/mounts.h"

#include <gtest/gtest.h>

namespace ollm::machine {
namespace {

constexpr std::string_view kMounts =
    "22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw\n"
    "30 22 0:40 / /mnt/models rw,relatime shared:7 master:2 - nfs4 server:/export rw\n"
    "31 22 8:1 / /mnt/models\\040of\\040mine rw - xfs /dev/sda1 rw\n"
    "32 22 0:50 / /tmp rw - tmpfs tmpfs rw\n"
    "33 22 8:17 / /tmp rw - btrfs /dev/sdb1 rw\n"
    "nonsense\n"
    "34 22 0:51 / /short rw -\n";

std::string type_under(const char* path) {
  const auto mount = mount_of(path, kMounts);
  return mount ? mount->type : "none";
}

TEST(Mounts, TheLongestPointCounts) {
  EXPECT_EQ(type_under("/home/me"), "ext4");
  EXPECT_EQ(type_under("/mnt/models/llama"), "nfs4");
  EXPECT_EQ(type_under("/mnt/models"), "nfs4");
  EXPECT_EQ(type_under("/mnt/models2"), "ext4");  // no folder of the other
  EXPECT_EQ(type_under("/short/x"), "ext4");
}

TEST(Mounts, BlanksAreEscaped) { EXPECT_EQ(type_under("/mnt/models of mine/x"), "xfs"); }

TEST(Mounts, OfSeveralOverOneAnotherTheLastIsSeen) { EXPECT_EQ(type_under("/tmp/x"), "btrfs"); }

TEST(Mounts, TellSourceAndDevice) {
  const auto mount = mount_of("/mnt/models/x", kMounts);
  ASSERT_TRUE(mount.has_value());
  EXPECT_EQ(mount->source, "server:/export");
  EXPECT_EQ(mount->device, "0:40");
  EXPECT_EQ(mount->point, "/mnt/models");
}

TEST(Mounts, NothingIsNothing) {
  EXPECT_FALSE(mount_of("/x", "").has_value());
  EXPECT_FALSE(mount_of("/x", "22 1 259:2 / / rw\n").has_value());
}

}  // namespace
}  // namespace ollm::machine
