// Answers in the forms of OpenAI's API, and refusals by what only a model knows.
#include "ollm/openai/response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/openai/canonical.h"
#include "ollm/openai/fingerprint.h"
#include "ollm/openai/log_probs.h"

namespace ollm::openai {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Bodies : public ::testing::Test {
 protected:
  Bodies() {
    Settings settings;
    settings.runtime.model_reference = "examples/models/clerk";
    Result<Text> opened = Text::open(settings);
    EXPECT_TRUE(opened.ok());
    text_.emplace(std::move(opened).value());
    model_ = {.reference = "examples/models/clerk/",
              .text = &*text_,
              .vocabulary = 1536,
              .context_tokens = 200};
  }

  std::vector<TokenId> ids_of(std::string_view text) const { return *text_->encode(text, {}); }

  std::optional<RequestError> encode(CompletionRequest& request) {
    return encode_request(model_, request, ids_);
  }

  std::optional<Text> text_;
  ServedModel model_;
  std::vector<std::vector<TokenId>> ids_;
  const AnswerNames names_{.id = "0123456789abcdef",
                           .created = 1700000000,
                           .model = "clerk",
                           .system_fingerprint = "fp_0",
                           .seed = 9};
};

TEST_F(Bodies, AChatIsAnsweredAsOpenAIAnswers) {
  CompletionRequest request;
  request.prompts = {Prompt::chat({{"user", "Hi"}})};
  request.n = 2;
  PromptAnswers answers = {
      .choices = {{.text = "One", .ids = {1, 2}, .finish_reason = FinishReason::stop},
                  {.text = "Two", .ids = {3}, .finish_reason = FinishReason::length}},
      .prompt_tokens = 5,
      .cached_tokens = 4};
  ResponseText text(1);
  text.add(model_, request, 0, std::move(answers));
  EXPECT_EQ(Json::parse(std::move(text).finish(request, names_).joined()), Json::parse(R"({
    "id": "chatcmpl-0123456789abcdef", "object": "chat.completion", "created": 1700000000,
    "model": "clerk",
    "choices": [
      {"index": 0, "message": {"role": "assistant", "content": "One", "refusal": null},
       "logprobs": null, "finish_reason": "stop"},
      {"index": 1, "message": {"role": "assistant", "content": "Two", "refusal": null},
       "logprobs": null, "finish_reason": "length"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8,
              "prompt_tokens_details": {"cached_tokens": 4}},
    "system_fingerprint": "fp_0", "seed": 9})"));
}

TEST_F(Bodies, ChoicesOfAListOfPromptsComeInItsOrder) {
  CompletionRequest request;
  request.route = Route::completions;
  request.echo = true;
  request.prompts = {Prompt::raw("A"), Prompt::tokens(ids_of("B"))};
  const Generation choice{.text = "-", .ids = {1}, .finish_reason = FinishReason::length};
  request.n = 2;
  ResponseText text(2);
  text.add(model_, request, 1, {.choices = {choice, choice}});  // the other one took longer
  text.add(model_, request, 0, {.choices = {choice, choice}, .prompt_tokens = 1});
  const Json body = Json::parse(std::move(text).finish(request, names_, {{"timings", 1}}).joined());
  EXPECT_EQ(body["timings"], 1);
  EXPECT_EQ(body["usage"]["completion_tokens"], 4);
  EXPECT_EQ(body["id"], "cmpl-0123456789abcdef");
  EXPECT_EQ(body["object"], "text_completion");
  ASSERT_EQ(body["choices"].size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(body["choices"][i]["index"], i);
    EXPECT_THAT(body["choices"][i]["text"].get<std::string>(), HasSubstr(i < 2 ? "A-" : "B-"));
  }
}

TEST_F(Bodies, LogProbabilitiesHaveTheFormOfAChat) {
  const std::vector<TokenId> ids = ids_of("é!");
  ASSERT_GE(ids.size(), 2u);
  std::vector<sampling::TokenLogProbs> log_probs(
      ids.size(), {.log_prob = -0.5, .top = {{ids.back(), -0.25}, {ids[0], -kInfinity}}});
  const Json out = chat_log_probs(model_, ids, log_probs);
  ASSERT_EQ(out["content"].size(), ids.size());
  std::string bytes;
  for (const Json& entry : out["content"]) {
    EXPECT_EQ(entry["logprob"], -0.5);
    for (const Json& byte : entry["bytes"]) bytes += static_cast<char>(byte.get<int>());
    ASSERT_EQ(entry["top_logprobs"].size(), 2u);
    EXPECT_EQ(entry["top_logprobs"][0]["token"], "!");
    EXPECT_EQ(entry["top_logprobs"][1]["logprob"], -9999.0);
  }
  EXPECT_EQ(bytes, "é!");
}

TEST_F(Bodies, LogProbabilitiesAsTextAreTheSameHoweverManyTheyAre) {
  for (const std::size_t count : {0U, 1U, 64U, 65U, 500U}) {
    std::vector<TokenId> ids(count);
    std::vector<sampling::TokenLogProbs> log_probs(count);
    for (std::size_t i = 0; i < count; ++i) {
      ids[i] = static_cast<TokenId>(3 + i);
      log_probs[i] = {.log_prob = -0.125 * static_cast<double>(i), .top = {{ids[i], -0.5}}};
    }
    EXPECT_EQ(chat_log_probs_text(model_, ids, log_probs).joined(),
              chat_log_probs(model_, ids, log_probs).dump());
    for (const std::size_t top : {0U, 1U}) {
      CompletionLogProbs list(model_, top);
      list.add(ids, log_probs);
      const Json out = Json::parse(std::move(list).text().joined());
      ASSERT_EQ(out["tokens"].size(), count);
      EXPECT_EQ(out["top_logprobs"].size(), top * count);
      EXPECT_EQ(out["top_logprobs"].is_null(), top == 0);
      for (std::size_t i = 0; i < count; ++i)
        EXPECT_EQ(out["token_logprobs"][i], log_probs[i].log_prob);
    }
  }
}

TEST_F(Bodies, LogProbabilitiesHaveTheFormOfACompletion) {
  const std::vector<TokenId> prompt = ids_of("Hé ");
  const std::vector<TokenId> ids = ids_of("x");
  CompletionLogProbs list(model_, 1);
  list.add_prompt(prompt,
                  std::vector<sampling::TokenLogProbs>(
                      prompt.size() - 1, {.log_prob = -1.0, .top = {{prompt[0], -0.5}}}),
                  "Hé ");
  list.add(ids, std::vector<sampling::TokenLogProbs>(ids.size(), {-2.0, {{ids[0], -2.0}}}));
  const Json out = Json::parse(std::move(list).text().joined());
  const std::size_t count = prompt.size() + ids.size();
  for (const char* name : {"tokens", "token_logprobs", "top_logprobs", "text_offset"})
    EXPECT_EQ(out[name].size(), count) << name;
  EXPECT_EQ(out["token_logprobs"][0], nullptr);
  EXPECT_EQ(out["top_logprobs"][0], nullptr);
  EXPECT_EQ(out["token_logprobs"][1], -1.0);
  EXPECT_EQ(out["top_logprobs"][1].size(), 2u);     // the likeliest, and the one that came
  EXPECT_EQ(out["text_offset"][prompt.size()], 3);  // characters, not bytes
}

TEST_F(Bodies, AnotherModelIsNotFound) {
  CompletionRequest request;
  request.prompts = {Prompt::chat({{"user", "Hi"}})};
  for (const char* name : {"clerk", "examples/models/clerk/"}) {
    request.model = name;
    EXPECT_FALSE(encode(request).has_value()) << name;
  }
  request.model = "gpt-4";
  const auto wrong = encode(request);
  ASSERT_TRUE(wrong.has_value());
  EXPECT_EQ(wrong->status, 404);
  EXPECT_EQ(wrong->param, "model");
  EXPECT_EQ(wrong->code, "model_not_found");
}

TEST_F(Bodies, ModelsAreNamedAsPeopleKnowThem) {
  const auto id = [](const char* reference) { return ServedModel{.reference = reference}.id(); };
  EXPECT_EQ(id("llama3-1B-chat"), "llama3-1B-chat");
  EXPECT_EQ(id("org/name"), "org/name");
  EXPECT_EQ(id("/a/b/name/"), "name");
  EXPECT_EQ(id("./name"), "name");
  EXPECT_EQ(id("~/models/name"), "name");
  EXPECT_EQ(id("a/b/name"), "name");
  EXPECT_EQ(id("/"), "/");
}

TEST_F(Bodies, MoreThanTheContextIsRefused) {
  CompletionRequest request;
  request.route = Route::completions;
  request.options.max_new_tokens = 500;
  request.prompts = {Prompt::tokens(std::vector<TokenId>(190, 1))};
  EXPECT_FALSE(encode(request).has_value());
  EXPECT_EQ(request.options.max_new_tokens, 10u);  // of the settings: as far as there is room
  request.max_tokens_given = true;
  request.options.max_new_tokens = 11;
  auto wrong = encode(request);
  ASSERT_TRUE(wrong.has_value());
  EXPECT_EQ(wrong->code, "context_length_exceeded");
  EXPECT_EQ(wrong->param, "prompt");
  request.max_tokens_given = false;
  request.prompts = {Prompt::tokens({1}), Prompt::tokens(std::vector<TokenId>(201, 1))};
  wrong = encode(request);
  ASSERT_TRUE(wrong.has_value());
  EXPECT_EQ(wrong->param, "prompt[1]");
}

TEST_F(Bodies, ATextThatCannotFitIsNotEncoded) {
  CompletionRequest request;
  request.route = Route::completions;
  request.prompts = {Prompt::raw(std::string(300 << 10, ' '))};
  const auto wrong = encode(request);
  ASSERT_TRUE(wrong.has_value());
  EXPECT_THAT(wrong->message, HasSubstr("307200 bytes"));
  EXPECT_EQ(wrong->code, "context_length_exceeded");
}

TEST_F(Bodies, IdsOutsideTheVocabularyAreRefused) {
  CompletionRequest request;
  request.route = Route::completions;
  request.prompts = {Prompt::tokens({1, 1536})};
  auto wrong = encode(request);
  ASSERT_TRUE(wrong.has_value());
  EXPECT_EQ(wrong->param, "prompt[1]");
  request.prompts = {Prompt::tokens({1})};
  request.options.sampling.logit_bias = {{1536, 1.0F}};
  wrong = encode(request);
  ASSERT_TRUE(wrong.has_value());
  EXPECT_EQ(wrong->param, "logit_bias");
}

TEST_F(Bodies, WithoutATokenizerIdsAloneAreTaken) {
  model_.text = nullptr;
  CompletionRequest request;
  request.route = Route::completions;
  request.prompts = {Prompt::tokens({1})};
  EXPECT_FALSE(encode(request).has_value());
  request.prompts = {Prompt::raw("a")};
  const auto wrong = encode(request);
  ASSERT_TRUE(wrong.has_value());
  EXPECT_THAT(wrong->message, HasSubstr("no tokenizer"));
}

TEST(RequestErrors, TheStatusSaysWhoCanMendIt) {
  const auto status = [](ErrorKind kind) { return request_error(fail(kind, "x")).status; };
  EXPECT_EQ(status(ErrorKind::invalid_argument), 400);
  EXPECT_EQ(status(ErrorKind::out_of_budget), 503);
  EXPECT_EQ(status(ErrorKind::io), 500);
  EXPECT_EQ(error_body(request_error(fail(ErrorKind::io, "x")))["error"]["type"], "server_error");
}

TEST(Canonical, KeysAreSortedWithoutSpaces) {
  EXPECT_EQ(canonical_json(Json::parse(R"({"b": [1, 2.50, {"z": null, "a": "é\n"}], "a": true})")),
            "{\"a\":true,\"b\":[1,2.5,{\"a\":\"é\\n\",\"z\":null}]}");
}

TEST(SystemFingerprint, NamesTheModelAndTheDefaults) {
  const GenerateOptions defaults;
  const std::string name = system_fingerprint("abc", defaults);
  EXPECT_EQ(name.size(), 19u);
  EXPECT_EQ(name, system_fingerprint("abc", defaults));
  EXPECT_NE(name, system_fingerprint("abd", defaults));
  GenerateOptions warmer = defaults;
  warmer.sampling.temperature = 0.5;
  EXPECT_NE(name, system_fingerprint("abc", warmer));
  GenerateOptions seeded = defaults;
  seeded.sampling.seed = 5;  // each request has its own
  EXPECT_EQ(name, system_fingerprint("abc", seeded));
}

}  // namespace
}  // namespace ollm::openai
