// Sessions over stored keys and values: nothing is computed twice, and no answer depends on what is
// stored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ollm/bench.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/ollm.h"
#include "ollm/runtime/shipped_model.h"

namespace ollm::runtime {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::size_t kBlock = 128;  // tokens, of the paged strategy
constexpr std::size_t kVocab = 1536;

std::vector<TokenId> random_ids(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> ids(count);
  for (TokenId& id : ids) id = 3 + static_cast<TokenId>(random() % (kVocab - 3));
  return ids;
}

// Holes left out.
std::uint64_t bytes_on_disk(const fs::path& folder) {
  std::uint64_t bytes = 0;
  if (!fs::exists(folder)) return 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    struct stat status{};
    if (::lstat(entry.path().c_str(), &status) == 0 && S_ISREG(status.st_mode))
      bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  return bytes;
}

class StoredSessions : public ::testing::Test {
 protected:
  Settings stored() const {
    Settings settings = settings_of(kShippedModel);
    settings.runtime.cache_dir = (folder_.path() / "cache").string();
    settings.runtime.threads = 2;
    return settings;
  }
  Settings without() const {
    Settings settings = stored();
    settings.runtime.use_cache = false;
    return settings;
  }
  // The smallest budget, in which not all keys and values of `workload` have room.
  static Settings spilled(Settings settings, const Workload& workload) {
    settings.runtime.prefill_chunk = 64;
    settings.runtime.memory = static_cast<std::int64_t>(
        plan_of(settings, workload).execution_plan()->memory.minimum_bytes);
    return settings;
  }

  fs::path kv() const { return folder_.path() / "cache" / "kv"; }

  static Generation turn(const Runtime& runtime, const std::vector<TokenId>& ids,
                         std::size_t new_tokens) {
    auto session = runtime.new_session();
    EXPECT_TRUE(session.ok());
    auto made =
        session->generate(Prompt::tokens(ids), {.max_new_tokens = new_tokens, .ignore_eos = true});
    EXPECT_TRUE(made.ok()) << made.error().message;
    return made.ok() ? std::move(made).value() : Generation();
  }

  const io::TemporaryFolder folder_;
};

TEST_F(StoredSessions, AConversationIsComputedOnceOverFiftyRuns) {
  constexpr std::size_t kTurns = 50;
  constexpr std::size_t kMessage = 220;
  constexpr std::size_t kAnswer = 20;
  constexpr std::uint64_t kTokenBytes = 2 * 4 * 64 * 2 * 2;  // layers, heads, size, K and V, bf16
  const fs::path config = folder_.write("long.json", R"({"architectures":["LlamaForCausalLM"],
      "model_type":"llama","hidden_size":64,"intermediate_size":96,"num_hidden_layers":2,
      "num_attention_heads":4,"num_key_value_heads":4,"head_dim":64,"hidden_act":"silu",
      "max_position_embeddings":16384,"rms_norm_eps":1e-5,"tie_word_embeddings":true,
      "vocab_size":1536})");
  const fs::path model = folder_.path() / "long";
  ASSERT_TRUE(make_random_model({config.string(), 1, model, false}).ok());
  const auto load_long = [&](Settings settings) {
    settings.runtime.model_reference = model.string();
    return load(settings, {.context_tokens = 16384});
  };
  const Runtime oracle = load_long(without());
  std::vector<TokenId> line;
  for (std::size_t i = 0; i < kTurns; ++i) {
    const std::size_t before = line.size();
    const std::vector<TokenId> message = random_ids(kMessage, static_cast<std::uint32_t>(i));
    line.insert(line.end(), message.begin(), message.end());
    const Runtime runtime = load_long(stored());
    const Generation made = turn(runtime, line, kAnswer);
    ASSERT_TRUE(runtime.keep().ok());
    EXPECT_EQ(made.report.prompt_tokens, line.size());
    // The last token of an answer was not computed; all before it was stored.
    EXPECT_EQ(made.report.cached_tokens, i == 0 ? 0 : before - 1);
    EXPECT_LE(line.size() - made.report.cached_tokens, kMessage + kBlock);
    if (i % 10 == 9) {
      EXPECT_EQ(made.ids, turn(oracle, line, kAnswer).ids) << "turn " << i;
    }
    line.insert(line.end(), made.ids.begin(), made.ids.end());
  }
  const double share =
      static_cast<double>(bytes_on_disk(kv())) / static_cast<double>(line.size() * kTokenBytes);
  std::printf("[ bytes    ] written / KV of %zu tokens: %.3f\n", line.size(), share);
  EXPECT_LE(share, 1.5);
}

TEST_F(StoredSessions, APromptIsStoredWithoutAnAnswer) {
  const std::vector<TokenId> ids = random_ids(700, 1);
  const Workload workload{.context_tokens = 1000};
  EXPECT_TRUE(turn(load(stored(), workload), ids, 0).ids.empty());
  const Generation made = turn(load(stored(), workload), ids, 12);
  EXPECT_EQ(made.report.cached_tokens, ids.size() - 1);
  EXPECT_GT(made.report.kv_bytes_read, 0u);
  EXPECT_EQ(made.ids, turn(load(without(), workload), ids, 12).ids);
}

TEST_F(StoredSessions, WhatIsEphemeralIsFoundInTheProcessAndLeavesNothing) {
  Settings settings = stored();
  settings.runtime.kv_ephemeral = true;
  const std::vector<TokenId> ids = random_ids(700, 2);
  const Workload workload{.sequences = 2, .context_tokens = 1000};
  {
    const Runtime runtime = load(settings, workload);
    const Generation first = turn(runtime, ids, 12);
    EXPECT_EQ(first.report.cached_tokens, 0u);
    ASSERT_TRUE(runtime.keep().ok());
    const Generation second = turn(runtime, ids, 12);
    EXPECT_EQ(second.report.cached_tokens, ids.size() - 1);
    EXPECT_EQ(second.ids, first.ids);
    EXPECT_EQ(bytes_on_disk(kv()), 0u);
    EXPECT_EQ(first.ids, turn(load(without(), workload), ids, 12).ids);
  }
  EXPECT_EQ(bytes_on_disk(kv()), 0u);
  EXPECT_EQ(turn(load(settings, workload), ids, 12).report.cached_tokens, 0u);
}

TEST_F(StoredSessions, WithoutACacheNothingIsReadOrKept) {
  const std::vector<TokenId> ids = random_ids(1500, 3);
  const Workload workload{.context_tokens = 1600};
  const Generation expected = turn(load(stored(), workload), ids, 12);
  const std::uint64_t before = bytes_on_disk(kv());
  EXPECT_GT(before, 0u);
  for (const Settings& settings : {without(), spilled(without(), workload)}) {
    const Runtime runtime = load(settings, workload);
    for (int again = 0; again < 2; ++again) {
      const Generation made = turn(runtime, ids, 12);
      EXPECT_EQ(made.report.cached_tokens, 0u);
      EXPECT_EQ(made.ids, expected.ids);
      EXPECT_TRUE(runtime.keep().ok());
    }
    EXPECT_EQ(bytes_on_disk(kv()), before);
  }
  EXPECT_GT(turn(load(spilled(without(), workload), workload), ids, 1).report.kv_bytes_read, 0u);
}

TEST_F(StoredSessions, ScoresOfTheLastTokenUseWhatIsStoredAndOthersDoNot) {
  const std::vector<ScoreRow> rows = {{"a", random_ids(500, 4)}, {"b", random_ids(300, 5)}};
  const Workload all{.prompt_tokens = 500, .sequences = 2, .all_logits = true, .total_tokens = 800};
  Workload last = all;
  last.all_logits = false;
  const auto score = [&](const Settings& settings, bool last_only) {
    auto result =
        load(settings, last_only ? last : all).score(rows, {.batch = 2, .last_only = last_only});
    EXPECT_TRUE(result.ok()) << result.error().message;
    return std::move(result).value();
  };
  const ScoreResult expected = score(without(), false);
  for (int again = 0; again < 2; ++again) {
    const ScoreResult stored_one = score(stored(), false);
    EXPECT_EQ(stored_one.report.cached_tokens, 0u);
    for (std::size_t i = 0; i < rows.size(); ++i)
      EXPECT_EQ(stored_one.rows[i].log_probs, expected.rows[i].log_probs);
  }
  EXPECT_EQ(score(stored(), true).report.cached_tokens, 0u);
  EXPECT_EQ(score(stored(), true).report.cached_tokens, 800u - 2);
  EXPECT_EQ(score(without(), true).report.cached_tokens, 0u);
}

// Flips one bit of a random page of the segment files.
void flip_a_bit(const fs::path& folder, std::mt19937& random) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".kv") files.push_back(entry.path());
  if (files.empty()) return;
  std::fstream file(files[random() % files.size()],
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(0, std::ios::end);
  const auto size = static_cast<std::uint64_t>(file.tellg());
  if (size <= 4096) return;
  const auto at = static_cast<std::streamoff>(4096 + random() % (size - 4096));
  file.seekg(at);
  const int byte = file.get();
  file.seekp(at);
  file.put(static_cast<char>(byte ^ (1 << random() % 8)));
}

class DamagedSessions : public StoredSessions {
 protected:
  // Rounds of a stored prompt whose bytes are damaged before and while it is read.
  void hold(int rounds) {
    const std::uint32_t seed = std::random_device()();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const std::vector<TokenId> ids = random_ids(1500, 6);
    const Workload workload{.context_tokens = 1600};
    const std::vector<TokenId> expected = turn(load(without(), workload), ids, 12).ids;
    const Settings roomy = stored();
    const Settings few = spilled(stored(), workload);
    (void)turn(load(roomy, workload), ids, 1);
    std::uint64_t counted = 0;
    for (int round = 0; round < rounds; ++round) {
      for (int i = 0; i < 3; ++i) flip_a_bit(kv(), random);
      const Runtime runtime = load(round % 2 == 0 ? few : roomy, workload);
      std::atomic<bool> over = false;
      std::thread other([&, seed_of_it = random()] {
        std::mt19937 own(static_cast<std::uint32_t>(seed_of_it));
        while (!over) {
          flip_a_bit(kv(), own);
          std::this_thread::sleep_for(std::chrono::milliseconds(60));
        }
      });
      auto session = runtime.new_session();
      auto made =
          session->generate(Prompt::tokens(ids), {.max_new_tokens = 12, .ignore_eos = true});
      over = true;
      other.join();
      // Damaged again and again, a block may be given up.
      if (made.ok()) {
        EXPECT_EQ(made->ids, expected) << "round " << round;
        counted += made->report.kv_corrupt_blocks;
      } else {
        EXPECT_EQ(made.error().kind, ErrorKind::io) << made.error().message;
      }
    }
    EXPECT_GT(counted, 0u);
  }
};

TEST_F(DamagedSessions, AnswersAreRightWhileBitsFlip) { hold(6); }

// A damaged block of one line is computed again while others go on in the same sweeps.
TEST_F(DamagedSessions, RowsBesideOneThatIsDamagedAreRight) {
  const std::uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<ScoreRow> rows;
  for (std::uint32_t i = 0; i < 4; ++i)
    rows.push_back({std::to_string(i), random_ids(500 + 90 * i, 20 + i)});
  const Workload workload{.prompt_tokens = 770, .sequences = 4, .total_tokens = 2540};
  const auto score = [&](const Settings& settings, std::uint64_t* damaged) {
    const fs::path path = folder_.path() / "logits.safetensors";
    const auto result =
        load(settings, workload)
            .score(rows, {.batch = 4, .last_only = true, .logits_path = path.string()});
    EXPECT_TRUE(result.ok()) << result.error().message;
    if (result.ok()) *damaged += result->report.kv_corrupt_blocks;
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  std::uint64_t damaged = 0;
  const std::string expected = score(without(), &damaged);
  (void)score(stored(), &damaged);
  EXPECT_EQ(damaged, 0u);
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < 4; ++i) flip_a_bit(kv(), random);
    EXPECT_EQ(score(round % 2 == 0 ? spilled(stored(), workload) : stored(), &damaged), expected)
        << "round " << round;
  }
  EXPECT_GT(damaged, 0u);
}

class SlowDamagedSessions : public DamagedSessions {};
TEST_F(SlowDamagedSessions, AnswersAreRightWhileBitsFlip) { hold(330); }

// A disk that damages all that is read back of one place.
TEST_F(StoredSessions, ABlockThatIsAlwaysDamagedIsAnError) {
  const std::vector<TokenId> ids = random_ids(1500, 7);
  const Workload workload{.context_tokens = 1600};
  Settings settings = spilled(without(), workload);
  const Runtime runtime = load(settings, workload);
  std::atomic<bool> over = false;
  // The file has no name: it is found among the descriptors of this process.
  std::thread other([&] {
    const std::string zeros(std::size_t{1} << 20, '\0');
    while (!over) {
      for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        const fs::path target = fs::read_symlink(entry.path(), gone);
        if (gone || !target.string().starts_with(kv().string() + "/")) continue;
        std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
        const std::uint64_t size = fs::file_size(entry.path(), gone);
        for (std::uint64_t at = 4096; !gone && at < size; at += zeros.size()) {
          file.seekp(static_cast<std::streamoff>(at));
          file.write(zeros.data(), static_cast<std::streamsize>(
                                       std::min<std::uint64_t>(zeros.size(), size - at)));
        }
      }
    }
  });
  auto session = runtime.new_session();
  const auto made =
      session->generate(Prompt::tokens(ids), {.max_new_tokens = 40, .ignore_eos = true});
  over = true;
  other.join();
  if (made.ok()) GTEST_SKIP() << "skipped: no read met what was overwritten meanwhile";
  EXPECT_EQ(made.error().kind, ErrorKind::io);
  EXPECT_THAT(made.error().message, HasSubstr("could not be read back 3 times"));
}

// Its threads stay with the parent, so that waiting for them would never end.
TEST_F(StoredSessions, AreRefusedInAForkedChildWhichEnds) {
  Settings settings = stored();
  settings.runtime.threads = 1;
  const auto plan = make_plan(settings, {.prompt_tokens = 300, .max_new_tokens = 2});
  ASSERT_TRUE(plan.ok());
  auto runtime = std::make_unique<Runtime>(Runtime::load(*plan).value());
  auto session = std::make_unique<Session>(runtime->new_session().value());
  ASSERT_TRUE(session->generate(Prompt::tokens(random_ids(200, 1)), {.max_new_tokens = 2}).ok());
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    const auto refused = session->generate(Prompt::tokens(random_ids(10, 2)), {});
    const bool right = !refused.ok() && refused.error().kind == ErrorKind::unsupported;
    session.reset();
    runtime.reset();
    ::_exit(right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(session->generate(Prompt::tokens(random_ids(10, 2)), {.max_new_tokens = 2}).ok());
}

TEST_F(StoredSessions, AFolderAroundThatOthersMayWriteToIsRefused) {
  const fs::path around = folder_.path() / "open";
  fs::create_directory(around);
  fs::permissions(around, fs::perms::all);
  Settings settings = stored();
  settings.runtime.cache_dir = around.string();
  const auto plan = make_plan(settings, {.prompt_tokens = 300, .max_new_tokens = 2});
  ASSERT_TRUE(plan.ok());
  const auto runtime = Runtime::load(*plan);
  ASSERT_FALSE(runtime.ok());
  EXPECT_EQ(runtime.error().kind, ErrorKind::invalid_argument);
  EXPECT_THAT(runtime.error().message, HasSubstr("others may write to it"));
  fs::permissions(around, fs::perms::all | fs::perms::sticky_bit);  // as /tmp
  EXPECT_TRUE(Runtime::load(*plan).ok());
}

}  // namespace
}  // namespace ollm::runtime
