// The strategy whose answer is that of int8 keys and values: it says so first, however it was asked
// for, and gives one answer wherever they are and whatever is stored.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

using Json = nlohmann::json;

constexpr const char* kQuantized = "--kv-cache-strategy quantized-cold-tier";

class QuantizedAnswers : public ::testing::Test {
 protected:
  std::string in_folder(const std::string& more) const {
    return fmt::format("--cache-dir '{}' {}", (folder_.path() / "cache").string(), more);
  }

  // Answers a question about a document that has many times the tokens of a block.
  Json answer(const std::string& more) const {
    const std::string document = (folder_.path() / "document.txt").string();
    std::ofstream out(document);
    std::ifstream contract("examples/contract.txt");
    const std::string text(std::istreambuf_iterator<char>(contract), {});
    for (int i = 0; i < 3; ++i) out << text;
    out.close();
    const CommandResult run = run_ollm(fmt::format(
        "prompt --quiet --json --model {} --file '{}' --max-new-tokens 12 {} 'Who signed?'",
        kShippedModel, document, in_folder(more)));
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return run.exit_code == 0 ? Json::parse(run.out) : Json();
  }

  CommandResult plan(const std::string& before, const std::string& more) const {
    return run_shell(fmt::format("{} \"$OLLM\" plan {} --prompt-tokens 2000 {}", before,
                                 kShippedModel, in_folder(more)));
  }

  const io::TemporaryFolder folder_;
};

TEST_F(QuantizedAnswers, AreToldOfFirstHoweverTheyWereAskedFor) {
  std::ofstream(folder_.path() / "ollm.toml")
      << "[runtime]\nkv_cache_strategy = \"quantized-cold-tier\"\n";
  const std::string config = fmt::format("--config '{}'", (folder_.path() / "ollm.toml").string());
  const struct {
    std::string before, more;
  } ways[] = {{"", kQuantized},
              {"", "--strategy-selector-profile capacity"},
              {"", "--strategy-selector-profile capacity --no-cache"},
              {"OLLM_RUNTIME__KV_CACHE_STRATEGY=quantized-cold-tier", ""},
              {"", config}};
  for (const auto& [before, more] : ways) {
    SCOPED_TRACE(before + more);
    const CommandResult text = plan(before, more + " --explain");
    EXPECT_EQ(text.exit_code, 0) << text.err;
    const std::size_t line = text.out.find("KV strategy quantized-cold-tier changes the answer.");
    EXPECT_LT(line, text.out.find('\n'));
    const CommandResult json = plan(before, more + " --json");
    ASSERT_EQ(json.exit_code, 0) << json.err;
    const Json execution = Json::parse(json.out)["execution_plan"];
    EXPECT_EQ(execution["kv"]["strategy"], "quantized-cold-tier");
    const Json& decisions = execution["decisions"];
    EXPECT_TRUE(std::any_of(decisions.begin(), decisions.end(), [](const Json& decision) {
      return decision["what"] == "kv.codes" && decision["chosen"] == "int8";
    }));
  }
}

TEST_F(QuantizedAnswers, TakeHalfTheDiskOfBf16) {
  const auto bytes = [&](const std::string& more) {
    const Json kv = Json::parse(plan("", more + " --json").out)["execution_plan"]["kv"];
    return kv["written_bytes"].get<double>();
  };
  const double share = bytes(kQuantized) / bytes("--kv-cache-strategy paged");
  EXPECT_GT(share, 0.5);
  EXPECT_LT(share, 0.57);  // parts are whole pages
}

TEST_F(QuantizedAnswers, AreTheSameWhateverIsStoredAndWhereverItIs) {
  const Json exact = answer("");  // and stored, where no other finds it
  const std::string quantized = kQuantized;
  const Json first = answer(quantized);
  EXPECT_EQ(first["cached_tokens"], 0);
  const std::size_t prompt = first["prompt_tokens"].get<std::size_t>();
  ASSERT_GT(prompt, 600u);
  const Json again = answer(quantized);
  EXPECT_EQ(again["ids"], first["ids"]);
  // Up to the last full block, as the block of the answer's first tokens is stored behind it.
  EXPECT_GE(again["cached_tokens"].get<std::size_t>() + 128, prompt);
  for (const char* more : {"--no-cache --prefill-chunk 100", "--no-cache --memory 64MiB",
                           "--kv-ephemeral --prefill-chunk 1000 --threads 2"}) {
    const Json other = answer(quantized + " " + more);
    EXPECT_EQ(other["ids"], first["ids"]) << more;
    EXPECT_EQ(other["cached_tokens"], 0) << more;
  }
  EXPECT_EQ(answer("")["ids"], exact["ids"]);
}

}  // namespace
}  // namespace ollm::testing
