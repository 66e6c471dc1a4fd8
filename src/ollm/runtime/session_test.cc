// A session after calls that failed: as if they had never been made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "ollm/ollm.h"
#include "ollm/runtime/shipped_model.h"

namespace ollm::runtime {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::size_t kContext = 200;
constexpr TokenId kVocab = 1536;  // of its config.json

using runtime::load;
Runtime load(const Settings& settings) { return load(settings, {.context_tokens = kContext}); }

Session new_session(const Runtime& runtime) {
  auto session = runtime.new_session();
  EXPECT_TRUE(session.ok());
  return std::move(session).value();
}

const Prompt kFirst = Prompt::tokens({1, 4, 51, 36, 99, 7});
const Prompt kSecond = Prompt::tokens({22, 5, 80});
const GenerateOptions kEight{.max_new_tokens = 8, .ignore_eos = true};

// What a session that never saw the wrong call answers to the right one.
struct Answer {
  std::vector<TokenId> ids;
  std::size_t prompt_tokens = 0;
  std::size_t tokens = 0;

  friend bool operator==(const Answer&, const Answer&) = default;
};

Answer answer(Session& session, const Prompt& prompt, const GenerateOptions& options = kEight) {
  auto made = session.generate(prompt, options);
  EXPECT_TRUE(made.ok()) << made.error().message;
  if (!made.ok()) return {};
  return {made->ids, made->report.prompt_tokens, session.tokens()};
}

// A prompt and options of which one thing is wrong.
struct Wrong {
  const char* what;
  ErrorKind kind;
  std::function<void(Prompt&, GenerateOptions&)> spoil;
};

std::vector<Wrong> wrong_calls() {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  return {
      {"a bad sampling option", ErrorKind::invalid_argument,
       [=](Prompt&, GenerateOptions& options) { options.sampling.temperature = nan; }},
      {"top_k of 0", ErrorKind::invalid_argument,
       [](Prompt&, GenerateOptions& options) { options.sampling.top_k = 0; }},
      {"a bias outside the vocabulary", ErrorKind::invalid_argument,
       [](Prompt&, GenerateOptions& options) { options.sampling.logit_bias = {{1 << 20, 1.0F}}; }},
      {"a bias that forbids every token", ErrorKind::invalid_argument,
       [](Prompt&, GenerateOptions& options) {
         for (TokenId id = 0; id < kVocab; ++id)
           options.sampling.logit_bias.emplace_back(id, -std::numeric_limits<float>::infinity());
       }},
      {"a negative id", ErrorKind::invalid_argument,
       [](Prompt& prompt, GenerateOptions&) { prompt.ids.back() = -1; }},
      {"an id outside the vocabulary", ErrorKind::invalid_argument,
       [](Prompt& prompt, GenerateOptions&) { prompt.ids.push_back(1 << 24); }},
      {"more tokens than were planned for", ErrorKind::invalid_argument,
       [](Prompt& prompt, GenerateOptions&) { prompt.ids.resize(kContext + 1, 3); }},
      {"two prompts in one", ErrorKind::invalid_argument,
       [](Prompt& prompt, GenerateOptions&) { prompt.text = "and a text"; }},
      {"messages that the template refuses", ErrorKind::invalid_argument,
       [](Prompt& prompt, GenerateOptions& options) {
         prompt = Prompt::chat({{"user", "hello"}});
         options.chat_template.source = "{{ raise_exception('no') }}";
       }},
      {"template variables that are no JSON", ErrorKind::invalid_argument,
       [](Prompt& prompt, GenerateOptions& options) {
         prompt = Prompt::chat({{"user", "hello"}});
         options.chat_template.variables = "{";
       }},
  };
}

TEST(Session, AFailedCallLeavesTheLineAsItWas) {
  const Runtime runtime =
      load(settings_of(kShippedModel), {.sequences = 2, .context_tokens = kContext});
  Session fresh = new_session(runtime);
  const Answer first = answer(fresh, kFirst);
  const Answer second = answer(fresh, kSecond);
  for (const Wrong& wrong : wrong_calls()) {
    SCOPED_TRACE(wrong.what);
    Session session = new_session(runtime);
    const auto fail_once = [&](const Prompt& right) {
      Prompt prompt = right;
      GenerateOptions options = kEight;
      wrong.spoil(prompt, options);
      const std::size_t before = session.tokens();
      const auto failed = session.generate(prompt, options);
      ASSERT_FALSE(failed.ok());
      EXPECT_EQ(session.tokens(), before);
    };
    fail_once(kFirst);
    EXPECT_EQ(answer(session, kFirst), first);
    fail_once(kSecond);
    EXPECT_EQ(answer(session, kSecond), second);
  }
}

TEST(Session, NothingToGoOnFromIsAnError) {
  const Runtime runtime = load(settings_of(kShippedModel));
  Session session = new_session(runtime);
  for (const Prompt& prompt : {Prompt(), Prompt::tokens({}), Prompt::chat({})}) {
    const auto made = session.generate(prompt, kEight);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().kind, ErrorKind::invalid_argument);
  }
}

TEST(Session, AModelWithoutATokenizerTakesIdsAlone) {
  const io::TemporaryFolder folder;
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(fs::path(kShippedModel) / name, folder.path() / name);
  const Runtime runtime = load(settings_of(folder.path().string()));
  EXPECT_FALSE(runtime.text());
  Session session = new_session(runtime);
  for (const Prompt& prompt : {Prompt::raw("a"), Prompt::chat({{"user", "a"}})}) {
    const auto made = session.generate(prompt, kEight);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().kind, ErrorKind::not_found);
  }
  const Runtime whole = load(settings_of(kShippedModel));
  Session other = new_session(whole);
  EXPECT_EQ(answer(session, kFirst), answer(other, kFirst));
}

TEST(Session, TextComesInPiecesAndEndsBeforeAStopText) {
  const Runtime runtime = load(settings_of(kShippedModel));
  Session session = new_session(runtime);
  const Prompt prompt = Prompt::chat({{"user", "Who signed the contract?"}});
  std::string pieces;
  const auto take = [&](std::string_view piece) { pieces += piece; };
  const auto whole = session.generate(prompt, kEight, take);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  EXPECT_EQ(whole->finish_reason, FinishReason::length);
  EXPECT_EQ(whole->ids.size(), 8U);
  EXPECT_EQ(pieces, whole->text);

  // Of a line that holds the same conversation all but the last token is there already.
  GenerateOptions options = kEight;
  options.stop = {whole->text.substr(whole->text.size() / 2, 2)};
  pieces.clear();
  const auto stopped = session.generate(prompt, options, take);
  ASSERT_TRUE(stopped.ok()) << stopped.error().message;
  EXPECT_EQ(stopped->finish_reason, FinishReason::stop);
  EXPECT_EQ(stopped->text, whole->text.substr(0, whole->text.find(options.stop[0])));
  EXPECT_EQ(pieces, stopped->text);
  EXPECT_EQ(stopped->report.cached_tokens, stopped->report.prompt_tokens - 1);
}

TEST(Session, NoKvLeftIsAnErrorUntilAnotherSessionGoes) {
  const Runtime runtime = load(settings_of(kShippedModel));
  Session fresh = new_session(runtime);
  const Answer first = answer(fresh, kFirst);
  std::optional<Session> holder = std::move(fresh);
  GenerateOptions long_one = kEight;
  long_one.max_new_tokens = kContext;
  ASSERT_TRUE(holder->generate(kSecond, long_one).ok());  // holds nearly all of the KV
  Session session = new_session(runtime);
  const auto failed = session.generate(kFirst, long_one);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().kind, ErrorKind::out_of_budget);
  EXPECT_EQ(session.tokens(), 0U);
  holder.reset();
  EXPECT_EQ(answer(session, kFirst), first);
}

// The weights of the shipped model in a folder of their own, so that they can be damaged.
class DamagedSession : public ::testing::Test {
 protected:
  DamagedSession() {
    for (const auto& entry : fs::directory_iterator(kShippedModel))
      fs::copy_file(entry.path(), folder_.path() / entry.path().filename());
  }

  fs::path weights() const { return folder_.path() / "model.safetensors"; }

  // Streams whatever the budget allows: all that is read again in every sweep. Nothing is found
  // again, or a session would begin behind what another one stored, once the model is hashed.
  Settings streamed() const {
    Settings settings = settings_of(folder_.path().string());
    settings.runtime.use_cache = false;
    settings.runtime.prefill_chunk = 4;
    auto plan = make_plan(settings, {.context_tokens = kContext});
    EXPECT_TRUE(plan.ok());
    settings.runtime.memory =
        static_cast<std::int64_t>(plan->execution_plan()->memory.minimum_bytes);
    return settings;
  }

  io::TemporaryFolder folder_;
};

// The last tensor of the file is the final norm's.
TEST_F(DamagedSession, LogitsThatAreNoNumbersDoNotLeaveTheEngine) {
  {
    std::fstream file(weights(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-8, std::ios::end);
    file.write("\xff\xff\xff\xff\xff\xff\xff\xff", 8);  // NaN in every type
  }
  const Settings settings = settings_of(folder_.path().string());
  const Runtime runtime = load(settings);
  Session session = new_session(runtime);
  const auto made = session.generate(kFirst, kEight);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(made.error().message, HasSubstr("logits at position 5: nan"));
  EXPECT_EQ(session.tokens(), 0U);
  const Runtime scorer = load(settings, {.prompt_tokens = 3, .all_logits = true});
  const ScoreRow rows[] = {{"a", {1, 4, 51}}};
  const auto scored = scorer.score(rows, {});
  ASSERT_FALSE(scored.ok());
  EXPECT_EQ(scored.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(scored.error().message, HasSubstr("logits at position 0"));
}

TEST_F(DamagedSession, AWeightFileThatChangesDuringAPassGivesNoAnswer) {
  const Settings settings = streamed();
  const Runtime runtime = load(settings);
  ASSERT_THAT(runtime.runtime_plan().as_dict_json(), HasSubstr("weight-streaming"));
  Session fresh = new_session(runtime);
  const Answer first = answer(fresh, kFirst);

  Session session = new_session(runtime);
  const auto before = fs::last_write_time(weights());
  // Within the pass over the second chunk: the first has come to its end, the third has not begun.
  const auto touch = [&](const Progress& progress) {
    if (progress.stage == Stage::prefill && progress.done == 4)
      fs::last_write_time(weights(), before + std::chrono::seconds(1));
  };
  const auto failed = session.generate(kFirst, kEight, nullptr, touch);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(failed.error().message, HasSubstr("changed while in use"));
  EXPECT_EQ(session.tokens(), 0U);
  fs::last_write_time(weights(), before);
  auto again = session.generate(kFirst, kEight);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->ids, first.ids);
  EXPECT_EQ(again->report.prompt_tokens, first.prompt_tokens);
  EXPECT_EQ(again->report.cached_tokens, 4U) << "what was computed is computed again";
}

TEST(Session, CancelledBeforeTheFirstTokenIsAsBefore) {
  Settings settings = settings_of(kShippedModel);
  settings.runtime.use_cache = false;
  settings.runtime.prefill_chunk = 2;
  const Runtime runtime = load(settings);
  Session fresh = new_session(runtime);
  const Answer first = answer(fresh, kFirst);
  const Answer second = answer(fresh, kSecond);

  const Runtime other = load(settings);
  Session session = new_session(other);
  CancellationToken cancel;
  const auto stop = [&](const Progress& progress) {
    if (progress.stage == Stage::prefill && progress.done == 4) cancel.cancel();
  };
  const auto cancelled = session.generate(kFirst, kEight, nullptr, stop, &cancel);
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->finish_reason, FinishReason::cancelled);
  EXPECT_TRUE(cancelled->ids.empty());
  EXPECT_EQ(session.tokens(), 0U);
  const auto made = session.generate(kFirst, kEight);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->ids, first.ids);
  EXPECT_EQ(made->report.cached_tokens, 4U);
  EXPECT_EQ(answer(session, kSecond), second);
}

TEST(Session, CancelledLaterKeepsWhatWasMade) {
  const Runtime runtime = load(settings_of(kShippedModel));
  Session session = new_session(runtime);
  CancellationToken cancel;
  const auto stop = [&](const Progress& progress) {
    if (progress.stage == Stage::decode && progress.done == 3) cancel.cancel();
  };
  const auto made = session.generate(kFirst, kEight, nullptr, stop, &cancel);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->finish_reason, FinishReason::cancelled);
  EXPECT_EQ(made->ids.size(), 3U);
  EXPECT_EQ(session.tokens(), kFirst.ids.size() + 3);
}

// A line whose last token stands in KV already has its logits computed again.
TEST(Session, GoesOnFromALineWithoutAPrompt) {
  const Runtime runtime =
      load(settings_of(kShippedModel), {.sequences = 2, .context_tokens = kContext});
  Session whole = new_session(runtime);
  const Answer expected = answer(whole, kFirst);
  Session session = new_session(runtime);
  GenerateOptions none = kEight;
  none.max_new_tokens = 0;
  EXPECT_TRUE(answer(session, kFirst, none).ids.empty());
  EXPECT_EQ(answer(session, Prompt(), kEight).ids, expected.ids);
}

TEST(Session, AConversationThatGoesAnotherWayIsAsAFreshOne) {
  const Runtime runtime =
      load(settings_of(kShippedModel), {.sequences = 2, .context_tokens = kContext});
  const Prompt one = Prompt::chat({{"user", "Who signed the contract?"}});
  const Prompt other = Prompt::chat({{"user", "Who wrote the letter?"}});
  Session fresh = new_session(runtime);
  const Answer expected = answer(fresh, other);
  Session session = new_session(runtime);
  answer(session, one);
  GenerateOptions wrong = kEight;
  wrong.sampling.top_p = 7;
  const std::size_t before = session.tokens();
  EXPECT_FALSE(session.generate(other, wrong).ok());
  EXPECT_EQ(session.tokens(), before);
  EXPECT_EQ(answer(session, other), expected);
}

// The shipped model's tokenizer puts nothing around a text; that of the stories does.
TEST(Session, ATextInTheMiddleOfALineHasNothingAroundIt) {
  io::TemporaryFolder folder;
  for (const auto& entry : fs::directory_iterator(kShippedModel))
    fs::copy_file(entry.path(), folder.path() / entry.path().filename());
  std::ifstream in(fs::path(kShippedModel) / "tokenizer.json");
  std::string json((std::istreambuf_iterator<char>(in)), {});
  auto parsed = nlohmann::ordered_json::parse(json);
  const auto first = parsed["added_tokens"][0];
  const std::string token = first["content"];
  const TokenId id = first["id"];
  parsed["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", token}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"pair",
       {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}}},
      {"special_tokens", {{token, {{"id", token}, {"ids", {id}}, {"tokens", {token}}}}}}};
  std::ofstream(folder.path() / "tokenizer.json") << parsed.dump();

  const Runtime runtime = load(settings_of(folder.path().string()));
  ASSERT_TRUE(runtime.text());
  const auto alone = runtime.text()->encode("contract", {});
  const auto inside = runtime.text()->encode("contract", {.add_special = false});
  ASSERT_TRUE(alone.ok() && inside.ok());
  ASSERT_EQ(alone->front(), id);
  ASSERT_EQ(alone->size(), inside->size() + 1);
  Session session = new_session(runtime);
  GenerateOptions none = kEight;
  none.max_new_tokens = 0;
  EXPECT_EQ(answer(session, Prompt::raw("contract"), none).tokens, alone->size());
  EXPECT_EQ(answer(session, Prompt::raw("contract"), none).tokens, alone->size() + inside->size());
}

TEST(Session, RunsBesideAnother) {
  const Runtime runtime =
      load(settings_of(kShippedModel), {.sequences = 2, .context_tokens = kContext});
  Session alone = new_session(runtime);
  const Answer first = answer(alone, kFirst, kEight);
  Session session = new_session(runtime);
  Session other = new_session(runtime);
  std::optional<Generation> second;
  const auto meanwhile = [&](std::string_view) {
    if (second) return;
    auto made = other.generate(kFirst, kEight);
    ASSERT_TRUE(made.ok()) << made.error().message;
    second = std::move(made).value();
  };
  const auto made = session.generate(kFirst, kEight, meanwhile);
  ASSERT_TRUE(made.ok()) << made.error().message;
  ASSERT_TRUE(second);
  EXPECT_EQ(made->ids, first.ids);
  EXPECT_EQ(second->ids, first.ids);
}

// A callback that throws ends the call, and the session goes on as if it had not been made.
TEST(Session, GoesOnBehindACallbackThatThrew) {
  const Runtime runtime =
      load(settings_of(kShippedModel), {.sequences = 2, .context_tokens = kContext});
  const Prompt one = Prompt::chat({{"user", "Who signed the contract?"}});
  const Prompt other = Prompt::chat({{"user", "Who?"}});
  Session session = new_session(runtime);
  const Answer expected = answer(session, one);
  const std::size_t before = session.tokens();
  const auto throws = [](std::string_view) { throw std::runtime_error("no"); };
  EXPECT_THROW((void)session.generate(other, kEight, throws), std::runtime_error);
  EXPECT_EQ(session.tokens(), before);
  EXPECT_EQ(answer(session, one), expected);
}

TEST(Session, TakesOneCallAtATime) {
  const Runtime runtime =
      load(settings_of(kShippedModel), {.sequences = 2, .context_tokens = kContext});
  Session session = new_session(runtime);
  std::optional<Error> refused;
  const auto meanwhile = [&](std::string_view) {
    auto made = session.generate(kSecond, kEight);
    if (!made.ok()) refused = made.error();
  };
  ASSERT_TRUE(session.generate(kFirst, kEight, meanwhile).ok());
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->kind, ErrorKind::invalid_argument);
  EXPECT_THAT(refused->message, HasSubstr("take turns"));
  EXPECT_TRUE(session.generate(kSecond, kEight).ok());
}

TEST(Session, MovedFromIsAnError) {
  const Runtime runtime = load(settings_of(kShippedModel));
  Session session = new_session(runtime);
  const Session taken = std::move(session);
  EXPECT_EQ(session.tokens(), 0U);  // NOLINT(bugprone-use-after-move)
  const auto made = session.generate(kFirst, kEight);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().kind, ErrorKind::invalid_argument);
}

TEST(Session, CallsNothingThatIsEmpty) {
  const Runtime runtime = load(settings_of(kShippedModel));
  Session session = new_session(runtime);
  const std::function<void(std::string_view)> no_text;
  void (*const no_progress)(const Progress&) = nullptr;
  EXPECT_TRUE(session.generate(kFirst, kEight, no_text, no_progress).ok());
}

TEST(Streams, MovedFromAreErrors) {
  const Runtime runtime = load(settings_of(kShippedModel));
  Text::Detokenizer stream(*runtime.text(), true);
  Text::Detokenizer taken = std::move(stream);
  EXPECT_TRUE(taken.push(4).ok());
  EXPECT_FALSE(stream.push(4).ok());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(stream.finish(), "");
}

TEST(Templates, DeeplyNestedVariablesAreRefused) {
  const Runtime runtime = load(settings_of(kShippedModel));
  const Text& text = *runtime.text();
  for (const std::size_t depth : {65U, 1'000'000U}) {
    TemplateOptions options;
    options.variables = "{\"x\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
    const auto encoded = text.encode_prompt(Prompt::chat({{"user", "hello"}}), options);
    ASSERT_FALSE(encoded.ok());
    EXPECT_EQ(encoded.error().kind, ErrorKind::invalid_argument);
    EXPECT_THAT(encoded.error().message, HasSubstr("nested deeper than 64"));
    std::string out;
    EXPECT_TRUE(text.render(options.variables, {}, out).has_value());
  }
  TemplateOptions options;
  options.variables = "{\"x\":" + std::string(60, '[') + std::string(60, ']') + "}";
  EXPECT_TRUE(text.encode_prompt(Prompt::chat({{"user", "hello"}}), options).ok());
}

// Whatever a caller brings beyond what was planned is charged before it is held.
TEST(Budget, HoldsForWhateverACallBrings) {
  Settings settings = settings_of(kShippedModel);
  settings.runtime.memory = std::int64_t{48} << 20;
  const Runtime runtime = load(settings, {.context_tokens = 64});
  Session session = new_session(runtime);
  std::string list = "1";
  for (int i = 0; i < 2'000'000; ++i) list += ",1";
  GenerateOptions options = kEight;
  options.chat_template.variables = "{\"z\":[" + list + "]}";
  const auto variables = session.generate(Prompt::chat({{"user", "x"}}), options);
  ASSERT_FALSE(variables.ok());
  EXPECT_EQ(variables.error().kind, ErrorKind::out_of_budget) << variables.error().message;
  const auto role =
      session.generate(Prompt::chat({{std::string(std::size_t{15} << 20, 'r'), "x"}}), kEight);
  ASSERT_FALSE(role.ok());
  EXPECT_EQ(role.error().kind, ErrorKind::out_of_budget) << role.error().message;

  const Runtime scorer = load(settings, {.all_logits = true, .context_tokens = 64});
  const std::vector<ScoreRow> rows(40'000, ScoreRow{"r", std::vector<TokenId>(64, 3)});
  const auto scored = scorer.score(rows, {});
  ASSERT_FALSE(scored.ok());
  EXPECT_EQ(scored.error().kind, ErrorKind::out_of_budget) << scored.error().message;
  EXPECT_THAT(scored.error().message, HasSubstr("total_tokens"));
}

TEST(Plans, OfNonsenseAreErrors) {
  const Settings settings = settings_of(kShippedModel);
  for (const Workload& workload :
       {Workload{.prompt_tokens = 1, .sequences = 0},
        Workload{.prompt_tokens = 1, .sequences = SIZE_MAX},
        Workload{.prompt_tokens = SIZE_MAX, .max_new_tokens = SIZE_MAX}}) {
    const auto plan = make_plan(settings, workload);
    ASSERT_FALSE(plan.ok());
    EXPECT_EQ(plan.error().kind, ErrorKind::invalid_argument);
  }
  // More than the model has positions for is cut to them, as a decision.
  const auto plan = make_plan(settings, {.prompt_tokens = 1,
                                         .max_new_tokens = SIZE_MAX,
                                         .context_tokens = SIZE_MAX,
                                         .text_bytes = SIZE_MAX,
                                         .total_tokens = SIZE_MAX});
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_FALSE(plan->check().ok());
}

}  // namespace
}  // namespace ollm::runtime
