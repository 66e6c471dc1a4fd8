// Loading weights from a disk that fails and from files that change meanwhile (docs/faults.md: B4,
// B8).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

#include "ollm/checkpoint/model_folder.h"
#include "ollm/io/faulty_system_calls.h"
#include "ollm/memory/budget.h"
#include "ollm/weights/tape.h"

namespace ollm::weights {
namespace {

using checkpoint::ModelFolder;
using io::FaultySystemCalls;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Call = FaultySystemCalls::Call;
using Repeat = FaultySystemCalls::Repeat;

// The shipped model.
class TapeFaults : public ::testing::TestWithParam<io::ReadMethod> {
 protected:
  TapeFaults() { calls_.restrict_to("model.safetensors"); }

  void SetUp() override {
    if (GetParam() == io::ReadMethod::io_uring && !io::io_uring_allowed())
      GTEST_SKIP() << "skipped: io_uring is not allowed here";
  }

  Result<ModelFolder> open() { return ModelFolder::open("examples/models/clerk", calls_); }

  Result<std::unique_ptr<Tape>> load(const ModelFolder& folder) {
    TapeLayout layout;
    for (const checkpoint::TensorInfo& tensor : folder.tensors().tensors()) {
      if (tensor.shape.rank() == 2) {
        layout.matrices.push_back(
            {tensor.name, 0, tensor.shape[0], tensor.shape[1], tensor.shape[0]});
      } else {
        layout.vectors.push_back({tensor.name, 0, tensor.shape[0], tensor.shape[0]});
      }
    }
    Options options;
    options.segment_bytes = std::size_t{64} << 10;
    options.read_method = GetParam();
    static memory::Budget budget(std::uint64_t{1} << 30);
    ThreadPool pool(1);
    const CancellationToken never;
    return Tape::load(folder, layout, options, budget, pool, reads_, nullptr, never);
  }

  FaultySystemCalls calls_;
  io::ReadQueue reads_{GetParam()};
};

TEST_P(TapeFaults, EveryFailedReadIsAnErrorAndTheNextLoadWorks) {
  const auto folder = open();
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  std::uint64_t k = 0;
  for (;; ++k) {
    calls_.heal();
    calls_.fail(Call::pread, k, EIO);
    const auto failed = load(*folder);
    if (failed.ok()) break;  // it reads fewer times than that
    EXPECT_EQ(failed.error().kind, ErrorKind::io);
    EXPECT_THAT(failed.error().message,
                AllOf(HasSubstr("tensor "), HasSubstr("model.safetensors"), HasSubstr("byte ")));
    EXPECT_TRUE(load(*folder).ok()) << k;  // the fault was single
  }
  EXPECT_GT(k, 50u);
  calls_.heal();
  calls_.fail(Call::pread, k / 2, EIO, Repeat::sticky);
  EXPECT_FALSE(load(*folder).ok());
  EXPECT_FALSE(load(*folder).ok());
}

TEST_P(TapeFaults, AFileThatChangesWhileItIsReadIsRefused) {
  const auto changes = {+[](FaultySystemCalls& calls, std::uint64_t k) { calls.shrink(5000, k); },
                        +[](FaultySystemCalls& calls, std::uint64_t k) { calls.replace(k); },
                        +[](FaultySystemCalls& calls, std::uint64_t k) { calls.touch(k); }};
  for (const auto& change : changes) {
    for (const std::uint64_t k : {0, 1, 7, 40}) {
      calls_.heal();
      const auto folder = open();
      ASSERT_TRUE(folder.ok()) << folder.error().message;
      change(calls_, k);
      const auto refused = load(*folder);
      ASSERT_FALSE(refused.ok()) << k;
      EXPECT_EQ(refused.error().kind, ErrorKind::corrupt) << refused.error().message;
      EXPECT_THAT(refused.error().message, HasSubstr("model.safetensors"));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, TapeFaults,
                         ::testing::Values(io::ReadMethod::threads, io::ReadMethod::io_uring),
                         [](const auto& test) { return std::string(to_string(test.param)); });

}  // namespace
}  // namespace ollm::weights
