#include "ollm/machine/machine.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "ollm/io/rooted_system_calls.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::machine {
namespace {

TEST(Machine, ReadsMeminfo) {
  const char* meminfo = "MemTotal:       24689764 kB\nMemFree:   100 kB\nMemAvailable:  2048 kB\n";
  EXPECT_EQ(meminfo_bytes(meminfo, "MemTotal"), 24689764ull * 1024);
  EXPECT_EQ(meminfo_bytes(meminfo, "MemAvailable"), 2048ull * 1024);
  EXPECT_EQ(meminfo_bytes(meminfo, "Mem"), 0u);
  EXPECT_EQ(meminfo_bytes("", "MemTotal"), 0u);
}

// A made-up machine: what its control groups leave is what there is.
TEST(Machine, IsHeldToItsControlGroups) {
  const io::TemporaryFolder folder;
  folder.write("proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n");
  folder.write("proc/cpuinfo", "processor : 0\nmodel name : A Processor\n");
  folder.write("proc/self/cgroup", "0::/x\n");
  folder.write("sys/fs/cgroup/x/memory.max", "1048576000\n");
  folder.write("sys/fs/cgroup/x/memory.current", "48576000\n");
  folder.write("sys/fs/cgroup/x/cpu.max", "100000 100000\n");
  io::RootedSystemCalls calls(std::filesystem::canonical(folder.path()).string());
  const Machine machine = Machine::detect(calls);
  EXPECT_EQ(machine.cpu_model, "A Processor");
  EXPECT_EQ(machine.cores, 1u);
  EXPECT_EQ(machine.total_bytes, 1'048'576'000u);
  EXPECT_EQ(machine.available_bytes, 1'000'000'000u);
  EXPECT_EQ(machine.available_from, "the control group /sys/fs/cgroup/x, limited to 1000.0 MiB,");
  // What is left of the group is more than the machine has.
  folder.write("proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable: 800000 kB\n");
  EXPECT_EQ(Machine::detect(calls).available_from, "the machine");
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
}  // namespace ollm::machine
