#include "ollm/io/read_probes.h"

#include <gtest/gtest.h>

#include <string>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::io {
namespace {

// Some file systems (of containers, of networks) take O_DIRECT and refuse what is read then.
TEST(ReadProbes, AnOpenThatIsTakenIsNoDirectAccess) {
  const TemporaryFolder folder;
  const auto path = folder.write("weights", std::string(10'000, 'w'));
  FaultySystemCalls calls;
  if (!probe_direct_read(path, calls).ok())
    GTEST_SKIP() << "skipped: the file system of the temporary folder has no direct access";
  const auto file = File::open(path, Access::buffered, calls);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(probe_direct_read(*file).ok());
  calls.refuse_direct_reads();
  for (const Result<void>& probe : {probe_direct_read(path, calls), probe_direct_read(*file)}) {
    ASSERT_FALSE(probe.ok());
    EXPECT_EQ(probe.error().kind, ErrorKind::unsupported);
    EXPECT_NE(probe.error().message.find("weights: its file system has no direct access"),
              std::string::npos)
        << probe.error().message;
  }
}

TEST(ReadProbes, AnEmptyFileTellsNothingBad) {
  const TemporaryFolder folder;
  const auto path = folder.write("empty", "");
  const Result<void> probe = probe_direct_read(path);
  EXPECT_TRUE(probe.ok() || probe.error().kind == ErrorKind::unsupported);
}

}  // namespace
}  // namespace ollm::io
