// Model folders that lie, through the command line: a named error in little memory (reliability
// D6).
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

// Sanitizers take many times the memory.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

struct Lie {
  std::string line;  // of config.json, or what stands in its place
  std::string with;
};

// The most that any program started by this process has held.
long children_peak_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  return usage.ru_maxrss;
}

class HostileModel : public ::testing::Test {
 protected:
  HostileModel() {
    std::filesystem::copy(kShippedModel, folder_.path());
    std::ifstream in(config_file());
    std::ostringstream text;
    text << in.rdbuf();
    config_ = text.str();
  }

  std::filesystem::path config_file() const { return folder_.path() / "config.json"; }

  // Planned and run: neither may do more than say what is wrong.
  void expect_refused(const std::string& what, const std::string& names) {
    const std::string folder = "'" + folder_.path().string() + "'";
    const CommandResult run = run_ollm("score " + folder + " --ids 1,2 --quiet");
    EXPECT_TRUE(run.exit_code == 2 || run.exit_code == 4 || run.exit_code == 5)
        << what << ": " << run.exit_code << " " << run.err;
    EXPECT_EQ(run.out, "") << what;
    EXPECT_NE(run.err.find(names), std::string::npos) << what << ": " << run.err;
    const CommandResult plan = run_ollm("plan " + folder + " --json");
    EXPECT_TRUE(plan.exit_code == 0 || plan.exit_code == run.exit_code)
        << what << ": " << plan.exit_code << " " << plan.err;
    if (kSanitized) return;
    EXPECT_LE(children_peak_kib(), 64 << 10) << what;
  }

  const io::TemporaryFolder folder_;
  std::string config_;
};

TEST_F(HostileModel, ConfigsThatCannotBeAreRefusedByTheKey) {
  const std::vector<Lie> lies = {
      {"\"hidden_size\": 160", "-1"},
      {"\"hidden_size\": 160", "0"},
      {"\"hidden_size\": 160", "161"},
      {"\"hidden_size\": 160", "9223372036854775808"},
      {"\"hidden_size\": 160", "1e30"},
      {"\"hidden_size\": 160", "\"160\""},
      {"\"hidden_size\": 160", "null"},
      {"\"hidden_size\": 160", "[160]"},
      {"\"num_attention_heads\": 4", "0"},
      {"\"num_attention_heads\": 4", "-4"},
      {"\"num_attention_heads\": 4", "6"},
      {"\"num_attention_heads\": 4", "4294967297"},
      {"\"num_key_value_heads\": 4", "0"},
      {"\"num_key_value_heads\": 4", "3"},
      {"\"num_key_value_heads\": 4", "8"},
      {"\"num_hidden_layers\": 6", "0"},
      {"\"num_hidden_layers\": 6", "-1"},
      {"\"num_hidden_layers\": 6", "1000000000"},
      {"\"head_dim\": 32", "0"},
      {"\"head_dim\": 32", "31"},
      {"\"head_dim\": 32", "9223372036854775807"},
      {"\"intermediate_size\": 352", "351"},
      {"\"intermediate_size\": 352", "4611686018427387904"},
      {"\"vocab_size\": 1536", "1535"},
      {"\"vocab_size\": 1536", "1099511627776"},
      {"\"vocab_size\": 1536", "0"},
      {"\"rope_theta\": 100000.0", "NaN"},
      {"\"rope_theta\": 100000.0", "0"},
      {"\"rope_theta\": 100000.0", "-1"},
      {"\"rope_theta\": 100000.0", "1e999"},
      {"\"rms_norm_eps\": 1e-05", "\"small\""},
      {"\"rms_norm_eps\": 1e-05", "-1"},
      {"\"max_position_embeddings\": 4096", "0"},
      {"\"max_position_embeddings\": 4096", "-4096"},
      {"\"hidden_act\": \"silu\"", "\"no-such-act\""},
      {"\"tie_word_embeddings\": true", "\"yes\""},
  };
  for (const Lie& lie : lies) {
    const std::size_t at = config_.find(lie.line);
    ASSERT_NE(at, std::string::npos) << lie.line;
    const std::string key = lie.line.substr(1, lie.line.find('"', 1) - 1);
    std::string told = config_;
    told.replace(at, lie.line.size(), "\"" + key + "\": " + lie.with);
    std::ofstream(config_file()) << told;
    // What no JSON has is named by its place, and what the tensors contradict by the tensor.
    const bool by_place = lie.with == "NaN" || lie.with == "1e999" || lie.with == "161" ||
                          lie.with == "351" || lie.with == "1535";
    expect_refused(key + ": " + lie.with, by_place ? "config.json" : key);
  }
}

TEST_F(HostileModel, ConfigsWithoutWhatTheyNeedAreRefusedByTheKey) {
  for (const std::string key : {"hidden_size", "num_attention_heads", "num_hidden_layers",
                                "intermediate_size", "vocab_size"}) {
    std::string told = config_;
    told.replace(told.find("\"" + key + "\""), key.size() + 2, "\"x_" + key + "\"");
    std::ofstream(config_file()) << told;
    expect_refused("without " + key, key);
  }
}

TEST_F(HostileModel, AConfigOf100MegabytesIsRefused) {
  std::ofstream out(config_file());
  out << config_;
  for (int i = 0; i < 100; ++i) out << std::string(1'000'000, ' ');  // never held here at once
  out.close();
  expect_refused("100 MB", "config.json");
}

}  // namespace
}  // namespace ollm::testing
