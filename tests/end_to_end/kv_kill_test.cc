// Promise: nothing lost, no work twice, never a wrong token. Real processes that store keys and
// values, exact ones and int8, are killed at random times, alone and two at once on one folder;
// every answer after it is that of a run of its kind without any cache.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>

#include "ollm/io/temporary_folder.h"
#include "ollm/runtime/windowed_model.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

using Json = nlohmann::json;

// Seconds, and kills at most; scripts/test-long asks for more.
double limit_of(const char* name, double otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::atof(value) : otherwise;
}

// A document of so many words, the beginning of every longer one.
std::string document(std::size_t words) {
  static constexpr const char* kWords[] = {"the", "director", "of",   "order", "contract", "signed",
                                           "on",  "March",    "2024", "paper", "is",       "due"};
  std::mt19937 random(11);
  std::string text;
  for (std::size_t i = 0; i < words; ++i) {
    text += kWords[random() % std::size(kWords)];
    text += i % 9 == 8 ? ".\n" : " ";
  }
  return text;
}

class KvKills : public ::testing::Test {
 protected:
  void SetUp() override { runtime::write_windowed_model(windowed(), 150); }
  // Of which only the windows before entries are stored.
  std::string windowed() const { return (folder_.path() / "windowed").string(); }

  std::string command(const std::string& model, std::size_t words, const std::string& more) const {
    return fmt::format(
        "\"$OLLM\" prompt --quiet --model '{}' --cache-dir '{}' --max-new-tokens 6 {} '{}'", model,
        (folder_.path() / "cache").string(), more, document(words));
  }

  Json answer(const std::string& model, std::size_t words, const std::string& more) const {
    const CommandResult result = run_shell(command(model, words, "--json " + more));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.exit_code == 0 ? Json::parse(result.out) : Json();
  }

  // The ids without any cache.
  const Json& expected(const std::string& model, std::size_t words, const std::string& strategy) {
    Json& ids = expected_[{model + strategy, words}];
    if (ids.is_null()) ids = answer(model, words, strategy + "--no-cache")["ids"];
    return ids;
  }

  const io::TemporaryFolder folder_;
  std::map<std::pair<std::string, std::size_t>, Json> expected_;
};

TEST_F(KvKills, AnswersAfterAKillAreThoseWithoutACache) {
  const double seconds = limit_of("OLLM_KILL_SECONDS", 12);
  const auto most = static_cast<std::size_t>(limit_of("OLLM_KILLS", 1e9));
  const std::uint32_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  const auto below = [&](std::size_t end) { return random() % end; };
  const auto begin = std::chrono::steady_clock::now();
  std::size_t kills = 0;
  std::size_t cached = 0;
  std::size_t answers = 0;
  while (kills < most &&
         std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() <
             seconds) {
    const std::size_t words = 40 * (1 + below(12));
    const std::string model = below(2) == 0 ? kShippedModel : windowed();
    const std::string strategy =
        below(3) == 0 ? "--kv-cache-strategy quantized-cold-tier " : std::string();
    std::string script;
    for (std::size_t i = 0; i <= below(2); ++i) {
      script += fmt::format("timeout -s KILL 0.{:03} {} >/dev/null 2>&1 & ", 1 + below(120),
                            command(model, words - 20 * i, strategy));
      ++kills;
    }
    (void)run_shell(script + "wait");
    if (below(3) != 0) continue;
    const Json after = answer(model, words, strategy);
    ASSERT_TRUE(after.is_object());
    ASSERT_EQ(after["ids"], expected(model, words, strategy)) << strategy;
    cached += after["cached_tokens"].get<std::size_t>();
    ++answers;
  }
  // The folder needs no repair, and what was stored is used.
  for (const std::string& model : {std::string(kShippedModel), windowed()}) {
    const Json twice = answer(model, 480, "");
    const Json again = answer(model, 480, "");
    EXPECT_EQ(again["ids"], twice["ids"]);
    EXPECT_EQ(again["cached_tokens"], again["prompt_tokens"].get<std::size_t>() - 1);
  }
  EXPECT_GT(cached, 0u);
  fmt::print("{} kills, {} answers compared, {} tokens were found in all\n", kills, answers,
             cached);
}

}  // namespace
}  // namespace ollm::testing
