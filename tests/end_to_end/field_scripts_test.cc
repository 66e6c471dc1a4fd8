// The scripts of the field's inputs, run as they are: each shows one thing that went wrong for
// somebody. Own copies of their kinds stand in the other tests, with nothing to be found outside.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/end_to_end/run_command.h"
#include "tests/test_data.h"

namespace ollm::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Script {
  const char* folder;
  std::vector<const char*> told;      // of stdout and stderr together
  std::vector<const char*> not_told;  // what the first version said
};

const std::vector<Script>& scripts() {
  static const std::vector<Script> all = {
      {"additional-chat-templates", {R"({"text":"[T:user]hi"})"}, {}},
      {"double-dash",
       {"put it behind --: ollm prompt -- '-x'"},
       {"unknown option '--'", "did you mean"}},
      {"local-dir-symlink", {"rc=0"}, {}},
      {"logits-clobbers", {"is a file of the model", "rc=2", "as family llama"}, {}},
      {"messages-not-reached",
       {"is in llama.cpp's format", "it is an adapter", "nothing was downloaded", "is a GGUF file",
        "is one file of a model", "/dev/null: is a device"},
       {"is not on this machine"}},
      {"options-swallow-prompt",
       {"a little girl", "as family llama", "rc=0"},
       {"the prompt is empty", "llama3-1B-chat"}},
  };
  return all;
}

class FieldScript : public ::testing::TestWithParam<Script> {};

TEST_P(FieldScript, SaysWhatItShould) {
  OLLM_NEED_TEST_DATA(data);
  const auto absolute = std::filesystem::absolute(data);
  const std::string name = fmt::format("field/{}/run.sh", GetParam().folder);
  const auto script = absolute / name;
  if (!std::filesystem::exists(script)) OLLM_WITHOUT_TEST_DATA(name);
  const CommandResult run = run_shell(fmt::format("bash '{}' \"$OLLM\" '{}' 2>&1", script.string(),
                                                  (absolute / "models/stories260k").string()));
  for (const char* words : GetParam().told) EXPECT_THAT(run.out, HasSubstr(words));
  for (const char* words : GetParam().not_told) EXPECT_THAT(run.out, Not(HasSubstr(words)));
}

INSTANTIATE_TEST_SUITE_P(Field, FieldScript, ::testing::ValuesIn(scripts()),
                         [](const ::testing::TestParamInfo<Script>& of) {
                           std::string name = of.param.folder;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

// It makes a control group and fills it with page cache.
TEST(FieldCgroup, PageCacheTakesNothingFromTheBudget) {
  OLLM_NEED_TEST_DATA(data);
  const std::string name = "field/cgroup-page-cache/run.sh";
  const auto script = std::filesystem::absolute(data) / name;
  if (!std::filesystem::exists(script)) OLLM_WITHOUT_TEST_DATA(name);
  if (!std::filesystem::exists("/sys/fs/cgroup/memory/memory.limit_in_bytes") || ::getuid() != 0)
    GTEST_SKIP() << "skipped: memory cgroups (version 1) cannot be made here; it wants root";
  const CommandResult run = run_shell(fmt::format("bash '{}' \"$OLLM\" 2>&1", script.string()));
  if (run.out.find("fresh:") == std::string::npos)
    GTEST_SKIP() << "skipped: no control group could be made: " << run.out;
  EXPECT_THAT(run.out, HasSubstr("rc=0 (expected 0)"));
}

}  // namespace
}  // namespace ollm::testing
