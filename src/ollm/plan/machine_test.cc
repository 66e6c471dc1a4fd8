#include "ollm/plan/machine.h"

#include <gtest/gtest.h>

namespace ollm::plan {
namespace {

TEST(Machine, ReadsMeminfo) {
  const char* meminfo = "MemTotal:       24689764 kB\nMemFree:   100 kB\nMemAvailable:  2048 kB\n";
  EXPECT_EQ(meminfo_bytes(meminfo, "MemTotal"), 24689764ull * 1024);
  EXPECT_EQ(meminfo_bytes(meminfo, "MemAvailable"), 2048ull * 1024);
  EXPECT_EQ(meminfo_bytes(meminfo, "Mem"), 0u);
  EXPECT_EQ(meminfo_bytes("", "MemTotal"), 0u);
}

TEST(Machine, ReadsCgroupLimitsOfBothVersions) {
  EXPECT_EQ(cgroup_bytes("max\n"), 0u);
  EXPECT_EQ(cgroup_bytes("9223372036854771712\n"), 0u);  // v1's way to say none
  EXPECT_EQ(cgroup_bytes("268435456\n"), 268435456u);
  EXPECT_EQ(cgroup_bytes(""), 0u);
  EXPECT_EQ(cgroup_cores("max 100000\n"), 0u);
  EXPECT_EQ(cgroup_cores("-1 100000\n"), 0u);
  EXPECT_EQ(cgroup_cores("150000 100000\n"), 2u);
  EXPECT_EQ(cgroup_cores("50000 100000"), 1u);
}

TEST(Machine, FindsItsGroup) {
  const char* v1 = "5:cpu,cpuacct:/jobs/a\n4:memory:/jobs/b\n0::/unified\n";
  EXPECT_EQ(cgroup_path(v1, "memory"), "/jobs/b");
  EXPECT_EQ(cgroup_path(v1, "cpu"), "/jobs/a");
  EXPECT_EQ(cgroup_path(v1, "cpuacct"), "/jobs/a");
  EXPECT_EQ(cgroup_path(v1, ""), "/unified");
  EXPECT_EQ(cgroup_path("0::/\n", "memory"), "");
}

TEST(Machine, DetectsThisOne) {
  const Machine machine = Machine::detect();
  EXPECT_GE(machine.cores, 1u);
  EXPECT_GT(machine.total_bytes, 0u);
  EXPECT_GT(machine.available_bytes, 0u);
  EXPECT_LE(machine.available_bytes, machine.total_bytes);
  ASSERT_FALSE(machine.isas.empty());
  EXPECT_EQ(machine.isas.front(), backend::Isa::scalar);
}

}  // namespace
}  // namespace ollm::plan
