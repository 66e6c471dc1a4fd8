// Sessions with a model whose layers see a window: what is kept of it is little, and where a later
// run starts is the deepest entry.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "ollm/ollm.h"
#include "ollm/runtime/shipped_model.h"
#include "ollm/runtime/windowed_model.h"

namespace ollm::runtime {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kWindow = 40;

class KeptWindows : public ::testing::Test {
 protected:
  void SetUp() override { write_windowed_model(model(), kWindow); }
  fs::path model() const { return folder_.path() / "model"; }

  Runtime open(bool stored, std::size_t context_tokens) const {
    Settings settings = settings_of(model().string());
    settings.runtime.cache_dir = (folder_.path() / "cache").string();
    settings.runtime.threads = 2;
    settings.runtime.use_cache = stored;
    return load(settings, {.context_tokens = context_tokens});
  }

  Generation turn(const Runtime& runtime, const Prompt& prompt, std::size_t new_tokens) const {
    auto session = runtime.new_session();
    auto made = session->generate(prompt, {.max_new_tokens = new_tokens, .ignore_eos = true});
    EXPECT_TRUE(made.ok()) << made.error().message;
    return made.ok() ? std::move(made).value() : Generation();
  }

  std::uint64_t bytes_on_disk() const {
    std::uint64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(folder_.path() / "cache" / "kv")) {
      struct stat status{};
      if (::lstat(entry.path().c_str(), &status) == 0)
        bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
    }
    return bytes;
  }

  const io::TemporaryFolder folder_;
};

TEST_F(KeptWindows, OfALongPromptEntriesAreKept) {
  std::mt19937 random(3);
  std::vector<TokenId> ids(4700);
  for (TokenId& id : ids) id = 3 + static_cast<TokenId>(random() % 1500);
  const Runtime oracle = open(false, 5000);
  const auto first_of = [&](std::size_t count, TokenId last) {
    std::vector<TokenId> out(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count));
    out.back() = last;
    return Prompt::tokens(out);
  };
  {
    const Runtime runtime = open(true, 5000);
    EXPECT_EQ(turn(runtime, Prompt::tokens(ids), 8).report.cached_tokens, 0u);
    ASSERT_TRUE(runtime.keep().ok());
  }
  const std::uint64_t told = open(true, 5000).execution_plan().kv.disk_bytes;
  EXPECT_LE(bytes_on_disk(), told + (std::uint64_t{64} << 10));  // headers, records, notes
  // Asked otherwise at its end, and of what both begin with.
  const std::vector<std::pair<Prompt, std::size_t>> again = {
      {first_of(ids.size(), ids.back() + 1), ids.size() - 1}, {first_of(4400, 2), 4096}};
  for (const auto& [prompt, cached] : again) {
    const Generation made = turn(open(true, 5000), prompt, 8);
    EXPECT_EQ(made.report.cached_tokens, cached);
    EXPECT_EQ(made.ids, turn(oracle, prompt, 8).ids);
  }
}

TEST_F(KeptWindows, APromptIsAnEntryBeforeTheTemplateAsksForTheAnswer) {
  std::string text = "Who signed the contract, and when, and what does it say of rent?";
  for (int i = 0; i < 5; ++i) text += " " + text.substr(0, 400);
  const Runtime runtime = open(true, 2000);
  const Prompt first = Prompt::chat({{"user", text}});
  const auto encoded = runtime.text()->encode_prompt(first, {});
  ASSERT_TRUE(encoded.ok());
  const std::size_t asking = runtime.text()->generation_prompt_tokens(first, {}, *encoded);
  EXPECT_GT(asking, 0u);
  EXPECT_LT(asking, 10u);
  // Of what the answer was, nothing is the same.
  (void)turn(runtime, first, 150);
  ASSERT_TRUE(runtime.keep().ok());
  const Prompt second = Prompt::chat({{"user", text}, {"assistant", "Nobody."}, {"user", "Why?"}});
  const Generation made = turn(open(true, 2000), second, 8);
  EXPECT_GE(made.report.cached_tokens, encoded->ids.size() - asking);
  EXPECT_EQ(made.ids, turn(open(false, 2000), second, 8).ids);
}

TEST(GenerationPrompt, IsToldByTheTemplate) {
  const Runtime runtime = load(settings_of(kShippedModel), {.context_tokens = 100});
  const Text& text = *runtime.text();
  const Prompt chat = Prompt::chat({{"user", "hello"}});
  const auto tokens = [&](const Prompt& prompt, const TemplateOptions& options) {
    const auto encoded = text.encode_prompt(prompt, options);
    EXPECT_TRUE(encoded.ok());
    return text.generation_prompt_tokens(prompt, options, *encoded);
  };
  TemplateOptions own;
  own.source = "{{ messages[0].content }}{% if add_generation_prompt %} answer:{% endif %}";
  EXPECT_EQ(tokens(chat, own), text.encode(" answer:", {.add_special = false})->size());
  own.source = "{{ messages[0].content }}";
  EXPECT_EQ(tokens(chat, own), 0u);
  own.source = "{{ add_generation_prompt }}{{ messages[0].content }}";
  EXPECT_EQ(tokens(chat, own), 0u);
  EXPECT_EQ(tokens(Prompt::raw("hello"), {}), 0u);
}

}  // namespace
}  // namespace ollm::runtime
