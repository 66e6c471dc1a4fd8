#include "ollm/io/punch_probe.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::io {
namespace {

using Call = FaultySystemCalls::Call;

TEST(PunchProbe, TellsWhatTheFileSystemSaysAndLeavesNothing) {
  const TemporaryFolder folder;
  FaultySystemCalls calls;
  const Result<void> plain = probe_punch_in_folder(folder.path(), calls);
  EXPECT_TRUE(plain.ok() || plain.error().kind == ErrorKind::unsupported);
  calls.fail(Call::fallocate, 0, EOPNOTSUPP);
  EXPECT_EQ(probe_punch_in_folder(folder.path(), calls).error().kind, ErrorKind::unsupported);
  calls.heal();
  calls.fail(Call::open, 0, EROFS);
  const Result<void> read_only = probe_punch_in_folder(folder.path(), calls);
  EXPECT_EQ(read_only.error().kind, ErrorKind::io);
  EXPECT_NE(read_only.error().message.find("Read-only file system"), std::string::npos);
  calls.heal();
  calls.fail(Call::pwrite, 0, ENOSPC);
  EXPECT_EQ(probe_punch_in_folder(folder.path(), calls).error().kind, ErrorKind::io);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_EQ(calls.open_files(), 0u);
}

}  // namespace
}  // namespace ollm::io
