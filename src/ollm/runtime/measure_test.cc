#include "ollm/runtime/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "ollm/backend/backend.h"
#include "ollm/backend/machine_limits.h"
#include "ollm/bench.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::runtime {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

void expect_error(const Error& error, ErrorKind kind, const char* words) {
  EXPECT_EQ(error.kind, kind) << error.message;
  EXPECT_THAT(error.message, HasSubstr(words));
}

// A processor without AVX2: the scalar table alone is measured, with loops that it has.
TEST(Measure, AMachineWithTheScalarTableAloneIsMeasured) {
  machine::Machine machine = machine::Machine::detect();
  machine.isas = {backend::Isa::scalar};
  machine.available_bytes = std::uint64_t{512} << 20;  // a quarter of it: the smallest pool
  const CancellationToken cancel;
  const auto profile = measure({1, {}, {}}, machine, 0.01, nullptr, cancel);
  ASSERT_TRUE(profile.ok()) << profile.error().message;
  ASSERT_EQ(profile->tables.size(), 2u);
  EXPECT_GT(profile->memory_bytes_per_second, 1e6);
  for (const machine::TableRates& rates : profile->tables) {
    EXPECT_EQ(rates.isa, backend::Isa::scalar);
    EXPECT_TRUE(std::isfinite(rates.peak_flops) && rates.peak_flops > 0);
    EXPECT_GT(rates.matmul.back().flops, 0);
    EXPECT_GT(rates.attention_flops, 0);
  }
  const auto again = machine::parse_profile(machine::profile_json(*profile));
  EXPECT_TRUE(again.ok()) << again.error().message;
}

TEST(Measure, TooLittleMemoryIsNotTaken) {
  machine::Machine machine = machine::Machine::detect();
  machine.available_bytes = std::uint64_t{256} << 20;
  const CancellationToken cancel;
  const auto profile = measure({1, {}, {}}, machine, 0.01, nullptr, cancel);
  ASSERT_FALSE(profile.ok());
  expect_error(profile.error(), ErrorKind::out_of_budget, "the machine leaves 256.0 MiB");
}

TEST(Measure, OptionsWithoutSenseAreRefusedBeforeAnythingIsMeasured) {
  const io::TemporaryFolder folder;
  const fs::path file = folder.write("file", "small");
  const fs::path fifo = folder.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const auto steps = [](const Progress&) { FAIL() << "something was measured"; };
  struct Case {
    MeasureOptions options;
    ErrorKind kind;
    const char* words;
  };
  const Case cases[] = {
      {{4097, {}, {}}, ErrorKind::invalid_argument, "4097 threads; at most 4096"},
      {{SIZE_MAX, {}, {}}, ErrorKind::invalid_argument, "at most 4096"},
      {{0, folder.path(), {}}, ErrorKind::invalid_argument, "is a directory"},
      {{0, fifo, {}}, ErrorKind::invalid_argument, "is a FIFO"},
      {{0, std::string("a\0b", 3), {}}, ErrorKind::invalid_argument, "a NUL"},
      {{0, folder.path() / "absent", {}}, ErrorKind::not_found, "absent"},
      {{0, {}, folder.path() / "absent"}, ErrorKind::io, "absent"},
      {{0, {}, file}, ErrorKind::not_found, "file"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.words);
    const auto measured = measure_machine(one.options, steps);
    ASSERT_FALSE(measured.ok());
    expect_error(measured.error(), one.kind, one.words);
  }
}

TEST(MeasureLimits, WhatMakesNoSenseIsAnError) {
  struct Case {
    const char *isa, *compute;
    std::size_t threads;
    const char* words;
  };
  for (const Case& one :
       {Case{"", "f32", 1, "unknown instruction set \"\""}, Case{"mmx", "f32", 1, "\"mmx\""},
        Case{"scalar", "", 1, "unknown compute mode \"\""},
        Case{"scalar", "fp8", 1, "expected bf16 or f32"}, Case{"scalar", "f32", 0, "0 threads"},
        Case{"scalar", "f32", 4097, "at most 4096"},
        Case{"scalar", "f32", SIZE_MAX, "at most 4096"}}) {
    const auto limits = measure_limits(one.isa, one.compute, one.threads);
    ASSERT_FALSE(limits.ok()) << one.words;
    expect_error(limits.error(), ErrorKind::invalid_argument, one.words);
  }
}

TEST(MeasureDisk, WhatIsNoFileOfSomeSizeIsAnError) {
  const io::TemporaryFolder folder;
  const fs::path small = folder.write("small", "x");
  const fs::path large = folder.write("large", std::string(std::size_t{8} << 20, 'x'));
  const fs::path fifo = folder.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const auto error_of = [](std::vector<fs::path> files, std::uint64_t bytes) {
    const auto limit = measure_disk(files, bytes);
    EXPECT_FALSE(limit.ok());
    return limit.ok() ? Error{} : limit.error();
  };
  const std::uint64_t gib = std::uint64_t{1} << 30;
  expect_error(error_of({}, gib), ErrorKind::invalid_argument, "no file was given");
  expect_error(error_of({folder.path()}, gib), ErrorKind::invalid_argument, "is a directory");
  expect_error(error_of({fifo}, gib), ErrorKind::invalid_argument, "is a FIFO");
  expect_error(error_of({folder.path() / "absent"}, gib), ErrorKind::not_found, "absent");
  const auto limit = measure_disk(std::vector{small, large, large}, UINT64_MAX);
  if (!limit.ok() && limit.error().kind == ErrorKind::unsupported)
    GTEST_SKIP() << "skipped: the file system of the temporary folder has no direct access";
  ASSERT_TRUE(limit.ok()) << limit.error().message;
  EXPECT_GT(limit->bytes_per_second, 0);
  expect_error(error_of({large}, 0), ErrorKind::invalid_argument, "at least 4 MiB");
  expect_error(error_of({small}, gib), ErrorKind::invalid_argument, "too small");
}

TEST(MachineLimits, ReadsWithAndWithoutVectors) {
  const std::vector<std::byte> memory(std::size_t{16} << 20);
  ThreadPool pool(1);
  const backend::Isa scalar[] = {backend::Isa::scalar};
  EXPECT_GT(backend::read_rate(memory, pool, scalar), 1e6);
  EXPECT_GT(backend::read_rate(memory, pool, backend::supported_isas()), 1e6);
}

}  // namespace
}  // namespace ollm::runtime
