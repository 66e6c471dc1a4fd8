// The budget as a promise: real processes in a cgroup of their budget and 32 MiB, over random
// models, budgets, chunks and numbers of sequences. None is killed, none passes its budget, and
// what the plan said is near to what was held.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// A memory cgroup of version 1 that goes with this.
class Cgroup {
 public:
  explicit Cgroup(std::uint64_t limit_bytes)
      : path_(fmt::format("/sys/fs/cgroup/memory/ollm-test-{}-{}", ::getpid(), limit_bytes)) {
    made_ = ::mkdir(path_.c_str(), 0755) == 0;
    if (!made_) return;
    std::ofstream limit(path_ + "/memory.limit_in_bytes");
    limit << limit_bytes;
    limit.close();
    made_ = limit.good();
  }
  ~Cgroup() {
    if (made_) ::rmdir(path_.c_str());
  }
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  bool made() const { return made_; }
  // A shell command that goes into the group first.
  std::string inside(const std::string& command) const {
    return "sh -c 'echo $$ > " + path_ + "/cgroup.procs && exec " + command + "'";
  }

 private:
  std::string path_;
  bool made_ = false;
};

std::string llama_config(std::size_t hidden, std::size_t layers, std::size_t vocab, bool tied) {
  const nlohmann::json config = {{"architectures", {"LlamaForCausalLM"}},
                                 {"model_type", "llama"},
                                 {"hidden_size", hidden},
                                 {"intermediate_size", hidden * 3},
                                 {"num_hidden_layers", layers},
                                 {"num_attention_heads", hidden / 64},
                                 {"num_key_value_heads", hidden / 128},
                                 {"head_dim", 64},
                                 {"hidden_act", "silu"},
                                 {"max_position_embeddings", 8192},
                                 {"rms_norm_eps", 1e-5},
                                 {"rope_theta", 10000.0},
                                 {"tie_word_embeddings", tied},
                                 {"vocab_size", vocab}};
  return config.dump();
}

class MemoryPromise : public ::testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "skipped: sanitizers take memory of their own";
#endif
    if (!Cgroup(64 * kMiB).made())
      GTEST_SKIP() << "skipped: memory cgroups (version 1) cannot be made here; it wants root";
  }

  std::string make_model(const std::string& name, const std::string& shape, bool sparse) {
    const std::string folder = (folder_.path() / name).string();
    const CommandResult made =
        run_ollm("bench make " + shape + " --seed 1 --out " + folder + (sparse ? " --sparse" : ""));
    EXPECT_EQ(made.exit_code, 0) << made.err;
    return folder;
  }

  static std::string ids(std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i)
      text += fmt::format("{}{}", i == 0 ? "" : ",", i * 37 % 997);
    return text;
  }

  // One run within its budget, which is drawn between the minimum and what holds everything.
  void hold(const std::string& folder, std::uint64_t least_mib, std::uint64_t most_mib,
            std::size_t most_tokens, std::mt19937& random) {
    const std::size_t tokens = 1 + random() % most_tokens;
    const std::size_t sequences = 1 + random() % 3;
    std::string chunk =
        random() % 2 == 0 ? "" : fmt::format(" --prefill-chunk {}", 1 + random() % 300);
    if (random() % 3 == 0) chunk += " --threads 64";
    std::string rows;
    for (std::size_t i = 0; i < sequences; ++i)
      rows += fmt::format("{{\"id\":\"{}\",\"ids\":[{}]}}\n", i, ids(tokens));
    const std::string rows_file = folder_.write("rows.jsonl", rows).string();
    const std::string work =
        sequences == 1
            ? fmt::format("prompt --model {} --ids {} --max-new-tokens 3 --ignore-eos --json",
                          folder, ids(tokens))
            : fmt::format("score {} --ids-file {} --batch {} --last --json", folder, rows_file,
                          sequences);
    const std::string planned =
        sequences == 1 ? fmt::format("plan {} --prompt-tokens {} --max-new-tokens 3 --json{}",
                                     folder, tokens, chunk)
                       : fmt::format("plan {} --prompt-tokens {} --sequences {} --json{}", folder,
                                     tokens, sequences, chunk);
    const CommandResult plan = run_ollm(planned);
    ASSERT_EQ(plan.exit_code, 0) << plan.err;
    const std::uint64_t minimum_mib =
        nlohmann::json::parse(plan.out)["execution_plan"]["memory"]["minimum_bytes"]
            .get<std::uint64_t>() /
        kMiB;
    const std::uint64_t from = std::max(minimum_mib, least_mib);
    const std::uint64_t budget_mib =
        random() % 4 == 0 ? from : from + random() % (std::max(most_mib, from + 1) - from);
    SCOPED_TRACE(fmt::format("{} --memory {}MiB, {} tokens, {} sequences{}", folder, budget_mib,
                             tokens, sequences, chunk));

    const Cgroup group((budget_mib + 32) * kMiB);
    ASSERT_TRUE(group.made());
    const CommandResult run = run_shell(group.inside(
        fmt::format("\"$OLLM\" {} --memory {}MiB{} --quiet", work, budget_mib, chunk)));
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const nlohmann::json report = nlohmann::json::parse(run.out)["report"];
    const auto peak = report["peak_bytes"].get<std::uint64_t>();
    EXPECT_LE(peak, budget_mib * kMiB);
    const auto planned_peak = report["planned_peak_bytes"].get<std::uint64_t>();
    const std::uint64_t tolerance = std::max(planned_peak / 20, 24 * kMiB);
    EXPECT_LE(peak, planned_peak + tolerance);
    EXPECT_LE(planned_peak, peak + tolerance);
  }

  io::TemporaryFolder folder_;
};

TEST_F(MemoryPromise, HoldsForRandomModelsBudgetsChunksAndSequences) {
  std::mt19937 random(20261124);
  const std::string small = make_model(
      "small", folder_.write("small.json", llama_config(256, 4, 4000, true)).string(), false);
  const std::string middle = make_model(
      "middle", folder_.write("middle.json", llama_config(512, 8, 32000, false)).string(), false);
  for (int round = 0; round < 10; ++round) {
    hold(small, 0, 60, 700, random);
    hold(middle, 0, 240, 300, random);
  }
}

// A sampler of a large vocabulary, and threads with scratch of their own, in the smallest budget.
TEST_F(MemoryPromise, HoldsForALargeVocabularyAndManyThreads) {
  const std::string folder = make_model(
      "vocabulary", folder_.write("v.json", llama_config(128, 2, 262144, true)).string(), true);
  const std::string work =
      "--model " + folder + " --ids " + ids(80) +
      " --max-new-tokens 3 --ignore-eos --temperature 1 --top-p 0.9 --typical-p 0.9 "
      "--repetition-penalty 1.1 --seed 3 --threads 64 --json --quiet";
  const CommandResult planned =
      run_ollm("plan " + folder + " --prompt-tokens 80 --max-new-tokens 3 --threads 64 --json");
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  const std::uint64_t minimum =
      nlohmann::json::parse(planned.out)["execution_plan"]["memory"]["minimum_bytes"]
          .get<std::uint64_t>();
  const Cgroup group(minimum + 32 * kMiB);
  ASSERT_TRUE(group.made());
  const CommandResult run = run_shell(
      group.inside(fmt::format("\"$OLLM\" prompt {} --memory {}MiB", work, minimum / kMiB)));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_LE(nlohmann::json::parse(run.out)["report"]["peak_bytes"].get<std::uint64_t>(), minimum);
}

// A text is encoded before its run can be planned: what that takes is held to the budget as well.
TEST_F(MemoryPromise, HoldsWhileALongDocumentIsEncoded) {
  std::string document;
  for (std::size_t i = 0; document.size() < 16 * kMiB; ++i)
    document += fmt::format("Clause {} of the contract. ", i);
  document.resize(16 * kMiB);
  const std::string file = folder_.write("document.txt", document).string();
  const auto prompt = [&](std::uint64_t budget_mib) {
    const Cgroup group((budget_mib + 8) * kMiB);
    EXPECT_TRUE(group.made());
    return run_shell(group.inside(
        fmt::format("\"$OLLM\" prompt --model examples/models/clerk --raw --file {} --memory {}MiB",
                    file, budget_mib)));
  };
  // It is encoded, and then has more tokens than the model has positions.
  const CommandResult encoded = prompt(260);
  EXPECT_EQ(encoded.exit_code, 2) << encoded.err;
  EXPECT_NE(encoded.err.find("positions"), std::string::npos) << encoded.err;
  const CommandResult refused = prompt(64);
  EXPECT_EQ(refused.exit_code, 4) << refused.err;
  EXPECT_NE(refused.err.find("a text of 16777216 bytes"), std::string::npos) << refused.err;
}

// What a command reads is held within the budget as well, or refused before it is read.
TEST_F(MemoryPromise, HoldsForManyRowsAndEndlessInput) {
  const std::string model = "examples/models/clerk";
  std::string many;
  for (int i = 0; i < 60'000; ++i) many += fmt::format("{{\"id\":\"r{}\",\"ids\":[1,2,3]}}\n", i);
  const std::string rows = folder_.write("many.jsonl", many).string();
  for (const std::uint64_t budget : {40, 60, 90}) {
    for (const std::string& flags :
         {std::string(" --json"), " --last --logits " + (folder_.path() / "o.st").string()}) {
      const Cgroup group((budget + 8) * kMiB);
      ASSERT_TRUE(group.made());
      const CommandResult run = run_shell(group.inside(
          fmt::format("\"$OLLM\" score {} --ids-file {} --memory {}MiB --quiet --batch 8{}", model,
                      rows, budget, flags)));
      EXPECT_TRUE(run.exit_code == 0 || run.exit_code == 4) << run.exit_code << run.err;
      if (run.exit_code != 0 || flags != " --json") continue;
      const nlohmann::json out = nlohmann::json::parse(run.out);
      EXPECT_EQ(out["rows"].size(), 60'000U);
      EXPECT_LE(out["report"]["peak_bytes"].get<std::uint64_t>(), budget * kMiB);
    }
  }
  const Cgroup group(48 * kMiB);
  ASSERT_TRUE(group.made());
  const CommandResult endless = run_shell(group.inside(
      "\"$OLLM\" prompt --model examples/models/clerk --file /dev/zero --memory 40MiB"));
  EXPECT_EQ(endless.exit_code, 4) << endless.err;
}

// Keys and values of twice the budget, which are on disk but for a few blocks.
TEST_F(MemoryPromise, HoldsForTwoHundredThousandTokens) {
  nlohmann::json config = nlohmann::json::parse(llama_config(128, 2, 20000, true));
  config["max_position_embeddings"] = 262144;
  const std::string model =
      make_model("long", folder_.write("long.json", config.dump()).string(), false);
  const Cgroup group((64 + 32) * kMiB);
  ASSERT_TRUE(group.made());
  const CommandResult run = run_shell(group.inside(fmt::format(
      "\"$OLLM\" bench run {} --case decode-few --rounds 1 --fill-kv 200000 --memory 64MiB "
      "--cache-dir {} --json",
      model, (folder_.path() / "cache").string())));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const nlohmann::json of = nlohmann::json::parse(run.out)["cases"][0];
  EXPECT_GT(of["plan"]["kv"]["read_bytes_per_token"].get<std::uint64_t>(), 32 * kMiB);
  EXPECT_LE(of["measured"]["peak_bytes"].get<std::uint64_t>(), 64 * kMiB);
}

class SlowMemoryPromise : public MemoryPromise {};

TEST_F(SlowMemoryPromise, HoldsForGibibytes) {
  std::mt19937 random(7);
  const std::string large = make_model("large", "llama3-1B", true);
  const std::string huge = make_model("huge", "llama3-8B", true);
  for (int round = 0; round < 5; ++round) {
    hold(large, 1024, 2600, 40, random);
    hold(huge, 1024, 4096, 8, random);
  }
}

TEST_F(SlowMemoryPromise, ASweepOfSeventyBillionRunsInThreeGibibytes) {
  const std::string folder = make_model("seventy", "llama3-70B", true);
  const Cgroup group((3072 + 32) * kMiB);
  ASSERT_TRUE(group.made());
  const CommandResult run =
      run_shell(group.inside("\"$OLLM\" prompt --model " + folder +
                             " --ids 1,2,3 --max-new-tokens 1 --memory 3GiB --json --quiet"));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_LE(nlohmann::json::parse(run.out)["report"]["peak_bytes"].get<std::uint64_t>(),
            3072 * kMiB);
}

}  // namespace
}  // namespace ollm::testing
