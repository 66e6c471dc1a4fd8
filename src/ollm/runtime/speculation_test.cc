// Guessing changes no answer: greedy or sampled, with penalties, bias and stop texts.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ollm/ollm.h"
#include "ollm/runtime/shipped_model.h"

namespace ollm::runtime {
namespace {

constexpr std::size_t kContext = 400;

// A line that repeats itself, so that there is something to guess.
std::vector<TokenId> repeating() {
  std::vector<TokenId> ids;
  for (int i = 0; i < 12; ++i)
    for (const TokenId id : {1, 4, 51, 36, 99, 7, 22, 5, 80, 310}) ids.push_back(id);
  return ids;
}

Runtime load_with(const std::string& speculate, std::size_t sequences = 1) {
  Settings settings = settings_of(kShippedModel);
  settings.runtime.speculate = speculate;
  return load(settings, {.sequences = sequences, .context_tokens = kContext});
}

GenerateOptions options_of(int kind) {
  GenerateOptions out;
  out.max_new_tokens = 120;
  out.ignore_eos = kind != 3;
  sampling::Options& sampling = out.sampling;
  sampling.seed = static_cast<std::uint64_t>(kind);
  if (kind == 1) sampling.temperature = 0.8;
  if (kind == 2) {
    sampling.temperature = 1.2;
    sampling.top_k = 20;
    sampling.repetition_penalty = 1.1;
  }
  if (kind == 3) sampling.frequency_penalty = 0.4;
  if (kind == 4) sampling.logit_bias = {{51, 3.0F}, {36, 2.0F}};
  if (kind == 5) out.stop = {"e"};
  return out;
}

class Speculation : public ::testing::TestWithParam<int> {};

TEST_P(Speculation, ChangesNoAnswer) {
  const GenerateOptions options = options_of(GetParam());
  const Prompt prompts[] = {Prompt::tokens(repeating()),
                            Prompt::raw("Once upon a time, there was")};
  for (const Prompt& prompt : prompts) {
    Session without = std::move(load_with("off").new_session()).value();
    const auto expected = without.generate(prompt, options);
    ASSERT_TRUE(expected.ok());
    EXPECT_EQ(expected->report.draft_tokens, 0U);
    for (const char* speculate : {"auto", "1", "16", "64"}) {
      const Runtime runtime = load_with(speculate);
      Session with = std::move(runtime.new_session()).value();
      const auto made = with.generate(prompt, options);
      ASSERT_TRUE(made.ok());
      EXPECT_EQ(made->ids, expected->ids) << speculate;
      EXPECT_EQ(made->text, expected->text) << speculate;
      EXPECT_EQ(made->finish_reason, expected->finish_reason);
      EXPECT_LE(made->report.draft_accepted, made->report.draft_tokens);
      // The line goes on as if nothing had been guessed.
      const auto next = with.generate(Prompt::tokens({4, 51}), options);
      Session again = std::move(load_with("off").new_session()).value();
      ASSERT_TRUE(again.generate(prompt, options).ok());
      const auto expected_next = again.generate(Prompt::tokens({4, 51}), options);
      ASSERT_TRUE(next.ok() && expected_next.ok());
      EXPECT_EQ(next->ids, expected_next->ids) << speculate;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Speculation, ::testing::Range(0, 6));

TEST(Speculating, SparesSweepsWhereALineRepeats) {
  const Runtime runtime = load_with("16");
  Session session = std::move(runtime.new_session()).value();
  GenerateOptions options;
  options.max_new_tokens = 200;
  options.ignore_eos = true;
  const auto made = session.generate(Prompt::tokens(repeating()), options);
  ASSERT_TRUE(made.ok());
  EXPECT_GT(made->report.draft_tokens, 0U);
  EXPECT_GT(made->report.draft_accepted, 0U);
  const auto& passes = runtime.runtime_plan().applied_specialization_pass_ids();
  EXPECT_NE(std::find(passes.begin(), passes.end(), SpecializationPassId::speculative_decoding),
            passes.end());
}

TEST(Speculating, BesideOthersChangesNoAnswer) {
  const Runtime off = load_with("off", 4);
  const Runtime on = load_with("16", 4);
  std::vector<Request> requests(6);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    std::vector<TokenId> ids = repeating();
    ids.resize(40 + 11 * i);
    requests[i].prompt = Prompt::tokens(std::move(ids));
    requests[i].options = options_of(static_cast<int>(i));
  }
  std::vector<Ticket> tickets;
  for (const Request& request : requests) tickets.push_back(std::move(on.submit(request)).value());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto made = tickets[i].wait();
    const auto expected = std::move(off.submit(requests[i])).value().wait();
    ASSERT_TRUE(made.ok() && expected.ok());
    EXPECT_EQ(made->answers.at(0).ids, expected->answers.at(0).ids) << i;
  }
}

}  // namespace
}  // namespace ollm::runtime
