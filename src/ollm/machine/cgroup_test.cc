// Limits of control groups, over made-up /proc and /sys of machines of both versions.
#include "ollm/machine/cgroup.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "ollm/io/rooted_system_calls.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::machine {
namespace {

TEST(Cgroup, ReadsLimitsOfBothVersions) {
  EXPECT_EQ(cgroup_bytes("max\n"), 0u);
  EXPECT_EQ(cgroup_bytes("9223372036854771712\n"), 0u);  // v1's way to say none
  EXPECT_EQ(cgroup_bytes("268435456\n"), 268435456u);
  EXPECT_EQ(cgroup_bytes(""), 0u);
  EXPECT_EQ(cgroup_cores("max 100000\n"), 0u);
  EXPECT_EQ(cgroup_cores("-1 100000\n"), 0u);
  EXPECT_EQ(cgroup_cores("150000 100000\n"), 2u);
  EXPECT_EQ(cgroup_cores("50000 100000"), 1u);
  EXPECT_EQ(cgroup_cores("150000 0"), 0u);
}

TEST(Cgroup, FindsItsGroup) {
  const char* v1 = "5:cpu,cpuacct:/jobs/a\n4:memory:/jobs/b\n0::/unified\n";
  EXPECT_EQ(cgroup_path(v1, "memory"), "/jobs/b");
  EXPECT_EQ(cgroup_path(v1, "cpu"), "/jobs/a");
  EXPECT_EQ(cgroup_path(v1, "cpuacct"), "/jobs/a");
  EXPECT_EQ(cgroup_path(v1, ""), "/unified");
  EXPECT_EQ(cgroup_path("0::/\n", "memory"), "");
  EXPECT_EQ(cgroup_path("0::\nnonsense\n:\n", ""), "");
}

TEST(Cgroup, CountsWhatTheKernelTakesBack) {
  const char* v2 =
      "anon 4000\nfile 900\nshmem 100\ninactive_anon 4100\ninactive_file 500\nactive_file 300\n"
      "unevictable 0\nslab_reclaimable 70\nslab_unreclaimable 9\n";
  EXPECT_EQ(cgroup_reclaimable_bytes(v2), 870u);
  // Version 1 says it twice; its usage is that of the groups below too.
  const char* v1 =
      "cache 600\nrss 0\ninactive_file 100\nactive_file 50\nhierarchical_memory_limit 9\n"
      "total_cache 900\ntotal_inactive_file 600\ntotal_active_file 200\n";
  EXPECT_EQ(cgroup_reclaimable_bytes(v1), 800u);
  EXPECT_EQ(cgroup_reclaimable_bytes(""), 0u);
  EXPECT_EQ(cgroup_reclaimable_bytes("inactive_file\nactive_file x\n \n"), 0u);
  EXPECT_EQ(cgroup_reclaimable_bytes("inactive_file 18446744073709551615\nactive_file 1\n"), 0u);
}

class CgroupLimitsOf : public ::testing::Test {
 protected:
  void write(const std::string& file, std::string_view content) {
    folder_.write(file.substr(1), content);
  }
  CgroupLimits limits() {
    io::RootedSystemCalls calls(std::filesystem::canonical(folder_.path()).string());
    return cgroup_limits(calls);
  }

  io::TemporaryFolder folder_;
};

TEST_F(CgroupLimitsOf, AMachineWithoutAny) { EXPECT_EQ(limits(), CgroupLimits{}); }

TEST_F(CgroupLimitsOf, VersionTwoTakesTheTightestGroupUpToTheRoot) {
  write("/proc/self/cgroup", "0::/jobs/mine\n");
  write("/sys/fs/cgroup/jobs/mine/memory.max", "8000000000\n");
  write("/sys/fs/cgroup/jobs/mine/memory.current", "1000000000\n");
  write("/sys/fs/cgroup/jobs/mine/cpu.max", "max 100000\n");
  write("/sys/fs/cgroup/jobs/memory.max", "4000000000\n");
  write("/sys/fs/cgroup/jobs/memory.current", "3500000000\n");
  write("/sys/fs/cgroup/jobs/cpu.max", "150000 100000\n");
  const CgroupLimits expected{.v2 = true,
                              .memory_bytes = 4'000'000'000,
                              .used_bytes = 3'500'000'000,
                              .memory_group = "/sys/fs/cgroup/jobs",
                              .quota_cores = 2};
  EXPECT_EQ(limits(), expected);
}

TEST_F(CgroupLimitsOf, VersionOneHasAHierarchyForEachController) {
  write("/proc/self/cgroup", "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/\n");
  write("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "536870912\n");
  write("/sys/fs/cgroup/memory/docker/x/memory.usage_in_bytes", "1048576\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("/sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us", "400000\n");
  write("/sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us", "100000\n");
  const CgroupLimits expected{.v1 = true,
                              .v2 = true,
                              .memory_bytes = 536'870'912,
                              .used_bytes = 1'048'576,
                              .memory_group = "/sys/fs/cgroup/memory/docker/x",
                              .quota_cores = 4};
  EXPECT_EQ(limits(), expected);
}

// In a container the path of the group is often that of the host, and its files stand in the root.
TEST_F(CgroupLimitsOf, AContainerFindsItsLimitsInTheRoot) {
  write("/proc/self/cgroup", "4:memory:/docker/x\n3:cpu:/docker/x\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
  write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
  write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  const CgroupLimits expected{.v1 = true,
                              .memory_bytes = 1'073'741'824,
                              .memory_group = "/sys/fs/cgroup/memory",
                              .quota_cores = 1};
  EXPECT_EQ(limits(), expected);
}

// After a download into a container its group is full of pages that nobody needs.
TEST_F(CgroupLimitsOf, ThePageCacheIsNotUsed) {
  write("/proc/self/cgroup", "4:memory:/docker/x\n0::/jobs\n");
  write("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "600000000\n");
  write("/sys/fs/cgroup/memory/docker/x/memory.usage_in_bytes", "599000000\n");
  write("/sys/fs/cgroup/memory/docker/x/memory.stat",
        "total_inactive_file 500000000\ntotal_active_file 90000000\n");
  EXPECT_EQ(limits().used_bytes, 9'000'000u);
  EXPECT_EQ(limits().reclaimable_bytes, 590'000'000u);
  // A tighter group of version 2, of which the soft limit binds; more cannot be given back than
  // is used.
  write("/sys/fs/cgroup/jobs/memory.max", "500000000\n");
  write("/sys/fs/cgroup/jobs/memory.high", "400000000\n");
  write("/sys/fs/cgroup/jobs/memory.current", "399000000\n");
  write("/sys/fs/cgroup/jobs/memory.stat", "inactive_file 999000000\nactive_file 0\n");
  EXPECT_EQ(limits().memory_bytes, 400'000'000u);
  EXPECT_EQ(limits().used_bytes, 0u);
  EXPECT_EQ(limits().reclaimable_bytes, 399'000'000u);
  EXPECT_EQ(limits().memory_group, "/sys/fs/cgroup/jobs");
}

TEST_F(CgroupLimitsOf, NonsenseIsNoLimit) {
  write("/proc/self/cgroup", "0::/x\n");
  write("/sys/fs/cgroup/x/memory.max", "lots\n");
  write("/sys/fs/cgroup/x/cpu.max", "many 100000\n");
  EXPECT_EQ(limits(), (CgroupLimits{.v2 = true}));
}

}  // namespace
}  // namespace ollm::machine
