// Rows through the library's call: what is computed of them, whatever the batch, and which calls
// are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "ollm/ollm.h"
#include "ollm/runtime/shipped_model.h"

namespace ollm::runtime {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::size_t kVocab = 1536;  // of its config.json
constexpr std::size_t kContext = 24;
// Of lengths that end in other sweeps than they began with.
const std::vector<ScoreRow> kRows = {
    {"long", {1, 4, 51, 36, 99, 7, 22, 5, 80, 641, 3, 12, 900, 17, 8, 2, 44, 19}},
    {"one", {7}},
    {"two", {51, 36}},
    {"more", {1, 1200, 45, 6, 6, 6, 31, 77, 203, 15, 9}}};

Runtime load_for(std::size_t sequences, std::int64_t chunk = 8, bool all_logits = true) {
  Settings settings = settings_of(kShippedModel);
  settings.runtime.prefill_chunk = chunk;
  return load(settings,
              {.sequences = sequences, .all_logits = all_logits, .context_tokens = kContext});
}

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The logits of a row in a file of them.
std::vector<float> logits_in(const std::string& file, const std::string& row) {
  std::uint64_t size = 0;
  std::memcpy(&size, file.data(), sizeof(size));
  const auto header = nlohmann::json::parse(file.substr(sizeof(size), size));
  const auto& tensor = header.at(row + ".logits");
  const std::size_t begin = tensor["data_offsets"][0];
  const std::size_t end = tensor["data_offsets"][1];
  std::vector<float> out((end - begin) / sizeof(float));
  std::memcpy(out.data(), file.data() + sizeof(size) + size + begin, end - begin);
  EXPECT_EQ(tensor["shape"], nlohmann::json({out.size() / kVocab, kVocab}));
  return out;
}

double log_probability(const float* logits, TokenId id) {
  double sum = 0;
  for (std::size_t i = 0; i < kVocab; ++i) sum += std::exp(static_cast<double>(logits[i]));
  return static_cast<double>(logits[id]) - std::log(sum);
}

class Score : public ::testing::Test {
 protected:
  // All rows, and the file of their logits.
  ScoreResult score(const Runtime& runtime, std::size_t batch, bool last_only = false) {
    const fs::path path = folder_.path() / "logits.safetensors";
    auto made = runtime.score(kRows, {batch, last_only, path.string()});
    EXPECT_TRUE(made.ok()) << made.error().message;
    file_ = bytes_of(path);
    return made.ok() ? *std::move(made) : ScoreResult();
  }

  io::TemporaryFolder folder_;
  std::string file_;
};

TEST_F(Score, LogProbabilitiesAreThoseOfTheLogits) {
  const ScoreResult made = score(load_for(1), 1);
  ASSERT_EQ(made.rows.size(), kRows.size());
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    SCOPED_TRACE(kRows[i].id);
    const std::vector<TokenId>& ids = kRows[i].ids;
    const ScoredRow& row = made.rows[i];
    EXPECT_EQ(row.id, kRows[i].id);
    EXPECT_EQ(row.tokens, ids.size());
    const std::vector<float> logits = logits_in(file_, row.id);
    ASSERT_EQ(logits.size(), ids.size() * kVocab);
    ASSERT_EQ(row.log_probs.size(), ids.size() - 1);
    double sum = 0;
    for (std::size_t token = 0; token + 1 < ids.size(); ++token) {
      const double expected = log_probability(&logits[token * kVocab], ids[token + 1]);
      EXPECT_NEAR(row.log_probs[token], expected, 1e-9 * std::abs(expected));
      sum += expected;
    }
    ASSERT_EQ(row.perplexity.has_value(), ids.size() > 1);
    if (!row.perplexity) continue;
    const double perplexity = std::exp(-sum / static_cast<double>(ids.size() - 1));
    EXPECT_NEAR(*row.perplexity, perplexity, 1e-9 * perplexity);
  }
  EXPECT_EQ(made.report.prompt_tokens, 32U);
}

TEST_F(Score, BatchAndChunkChangeNoBit) {
  const ScoreResult alone = score(load_for(1), 1);
  const std::string expected = file_;
  for (const std::int64_t chunk : {1, 3, 64}) {
    const Runtime runtime = load_for(4, chunk);
    for (const std::size_t batch : {1U, 2U, 3U, 4U}) {
      SCOPED_TRACE(::testing::Message() << "chunk " << chunk << ", batch " << batch);
      const ScoreResult made = score(runtime, batch);
      EXPECT_TRUE(file_ == expected);
      ASSERT_EQ(made.rows.size(), alone.rows.size());
      for (std::size_t i = 0; i < alone.rows.size(); ++i)
        EXPECT_EQ(made.rows[i].log_probs, alone.rows[i].log_probs);
    }
  }
}

TEST_F(Score, TheLastPositionAloneIsThatOfAll) {
  score(load_for(1), 1);
  const std::string all = file_;
  const ScoreResult made = score(load_for(3, 8, false), 3, true);
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    const std::vector<float> logits = logits_in(all, kRows[i].id);
    const std::vector<float> last(logits.end() - kVocab, logits.end());
    EXPECT_EQ(logits_in(file_, kRows[i].id), last);
    EXPECT_TRUE(made.rows[i].log_probs.empty());
    EXPECT_FALSE(made.rows[i].perplexity);
    EXPECT_EQ(made.rows[i].tokens, kRows[i].ids.size());
  }
}

TEST_F(Score, ARowThatIsWrongIsNamedAndNothingIsWritten) {
  const Runtime runtime = load_for(2);
  const fs::path path = folder_.path() / "logits.safetensors";
  const auto refused = [&](std::vector<ScoreRow> rows, const char* words) {
    rows.insert(rows.begin(), ScoreRow{"right", {1, 2}});
    const auto made = runtime.score(rows, {2, false, path.string()});
    ASSERT_FALSE(made.ok()) << words;
    EXPECT_EQ(made.error().kind, ErrorKind::invalid_argument);
    EXPECT_THAT(made.error().message, HasSubstr(words));
    EXPECT_FALSE(fs::exists(path));
  };
  refused({{"a", {}}}, "row 'a': there are no token ids");
  refused({{"a", {1, -1}}}, "row 'a': token id -1");
  refused({{"a", {1, kVocab}}}, "row 'a': token id 1536: the model has ids 0 to 1535");
  refused({{"a", std::vector<TokenId>(kContext + 1, 3)}}, "row 'a': 25 tokens");
  refused({{"right", {3}}}, "right");  // one name of two tensors
  EXPECT_TRUE(runtime.score(kRows, {2, false, path.string()}).ok());
}

TEST_F(Score, CancelledLeavesNoFile) {
  const Runtime runtime = load_for(1, 4);
  const fs::path path = folder_.path() / "logits.safetensors";
  CancellationToken cancel;
  const auto stop = [&](const Progress& progress) {
    if (progress.done >= 8) cancel.cancel();
  };
  const auto made = runtime.score(kRows, {1, false, path.string()}, stop, &cancel);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().kind, ErrorKind::cancelled);
  EXPECT_TRUE(fs::is_empty(folder_.path()));
  EXPECT_TRUE(runtime.score(kRows, {1, false, path.string()}).ok());
}

TEST_F(Score, ProgressCountsTokensToTheLast) {
  std::vector<std::uint64_t> done;
  const auto note = [&](const Progress& progress) {
    EXPECT_EQ(progress.stage, Stage::score);
    EXPECT_EQ(progress.total, 32U);
    done.push_back(progress.done);
  };
  ASSERT_TRUE(load_for(2).score(kRows, {2, false, ""}, note).ok());
  ASSERT_FALSE(done.empty());
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), 32U);
}

TEST_F(Score, RunsBesideASession) {
  const Runtime runtime = load_for(2);
  const auto alone = runtime.score(kRows, {1, false, ""});
  ASSERT_TRUE(alone.ok());
  auto session = runtime.new_session();
  ASSERT_TRUE(session.ok());
  std::size_t scored = 0;
  const auto meanwhile = [&](std::string_view) {
    const auto made = runtime.score(kRows, {1, false, ""});
    ASSERT_TRUE(made.ok()) << made.error().message;
    for (std::size_t i = 0; i < made->rows.size(); ++i)
      EXPECT_EQ(made->rows[i].log_probs, alone->rows[i].log_probs);
    ++scored;
  };
  ASSERT_TRUE(session
                  ->generate(Prompt::tokens({1, 4, 51, 36}),
                             {.max_new_tokens = 4, .ignore_eos = true}, meanwhile)
                  .ok());
  EXPECT_GT(scored, 0U);
}

// Rows that run when a callback throws refer to what goes with the call.
TEST_F(Score, EndsWithACallbackThatThrows) {
  const Runtime runtime = load_for(2);
  const auto throws = [](const Progress&) { throw std::runtime_error("no"); };
  EXPECT_THROW((void)runtime.score(kRows, {.batch = 2}, throws), std::runtime_error);
  const auto again = runtime.score(kRows, {.batch = 2});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->rows.at(0).log_probs.size(), kRows[0].ids.size() - 1);
}

TEST_F(Score, IsHeldToWhatWasPlanned) {
  const ScoreRow rows[] = {{"a", {1, 4, 51}}, {"b", {36, 99, 7}}};
  const Runtime last = load(settings_of(kShippedModel), {.prompt_tokens = 3});
  const auto all = last.score(rows, {});
  ASSERT_FALSE(all.ok());
  EXPECT_EQ(all.error().kind, ErrorKind::invalid_argument);
  EXPECT_THAT(all.error().message, HasSubstr("all_logits"));
  const auto two = last.score(rows, {2, true, ""});
  ASSERT_FALSE(two.ok());
  EXPECT_EQ(two.error().kind, ErrorKind::invalid_argument);
  EXPECT_THAT(two.error().message, HasSubstr("sequences"));
  EXPECT_FALSE(last.score(rows, {0, true, ""}).ok());
  EXPECT_TRUE(last.score(rows, {1, true, ""}).ok());
  // A batch is no more than its rows.
  EXPECT_TRUE(last.score({rows, 1}, {SIZE_MAX, true, ""}).ok());
  const Runtime both =
      load(settings_of(kShippedModel), {.prompt_tokens = 3, .sequences = 2, .all_logits = true});
  EXPECT_TRUE(both.score(rows, {2, false, ""}).ok());
  EXPECT_TRUE(both.score({}, {2, false, ""}).ok());
}

}  // namespace
}  // namespace ollm::runtime
