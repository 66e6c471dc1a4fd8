// Bodies as a client may write them, and as nobody should: each gives a request, or 400 with the
// field that is wrong.
#include "ollm/openai/request.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/openai/fields.h"

namespace ollm::openai {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::ordered_json;

GenerateOptions defaults() {
  GenerateOptions options;
  options.max_new_tokens = 7;
  options.stop = {"END"};
  options.sampling.top_k = 5;
  return options;
}

// What a text gives as a body.
std::optional<RequestError> read(std::string_view text, Route route, CompletionRequest& out) {
  Json body;
  if (auto wrong = parse_body(text, body)) return wrong;
  return read_request(body, route, defaults(), out);
}

CompletionRequest taken(std::string_view text, Route route = Route::chat) {
  CompletionRequest request;
  const auto wrong = read(text, route, request);
  EXPECT_FALSE(wrong.has_value()) << text << "\n" << (wrong ? wrong->message : "");
  return request;
}

// A chat with one more member.
std::string chat_with(std::string_view member) {
  return fmt::format(R"({{"messages": [{{"role": "user", "content": "Hi"}}], {}}})", member);
}
std::string completion_with(std::string_view member) {
  return fmt::format(R"({{"prompt": "Hi", {}}})", member);
}
std::string messages_of(std::string_view list) {
  return fmt::format(R"({{"messages": {}}})", list);
}
std::string prompt_of(std::string_view value) { return fmt::format(R"({{"prompt": {}}})", value); }

struct Case {
  std::string body;
  const char* param;  // "": none
  const char* says;
  Route route = Route::chat;
};

void expect_refused(const Case& one) {
  SCOPED_TRACE(one.body.substr(0, 300));
  CompletionRequest request;
  const auto wrong = read(one.body, one.route, request);
  ASSERT_TRUE(wrong.has_value());
  EXPECT_EQ(wrong->status, 400);
  EXPECT_EQ(wrong->param.value_or(""), one.param) << wrong->message;
  EXPECT_THAT(wrong->message, HasSubstr(one.says));
  const Json body = error_body(*wrong);
  EXPECT_EQ(body["error"]["type"], "invalid_request_error");
  EXPECT_EQ(body["error"].size(), 4u);
}

TEST(ReadRequest, WhatIsLeftOutIsAsTheSettingsHaveIt) {
  const CompletionRequest request =
      taken(R"({"messages": [{"role": "user", "content": "Hi"}], "temperature": null})");
  EXPECT_EQ(request.options.max_new_tokens, 7u);
  EXPECT_FALSE(request.max_tokens_given);
  EXPECT_EQ(request.options.sampling.temperature, 0);
  EXPECT_EQ(request.options.sampling.top_k, std::size_t{5});
  EXPECT_EQ(request.options.stop, std::vector<std::string>{"END"});
  EXPECT_EQ(request.n, 1u);
  EXPECT_FALSE(request.seed.has_value());
  EXPECT_FALSE(request.model.has_value());
}

TEST(ReadRequest, TakesEveryFieldOfAChat) {
  const CompletionRequest request = taken(R"({
    "model": "clerk", "messages": [
      {"role": "developer", "content": "Be short."},
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
       "name": "Ann"},
      {"role": "assistant", "content": "", "refusal": null, "tool_calls": []},
      {"role": "tool", "content": "7", "tool_call_id": "x"}],
    "max_completion_tokens": 12, "n": 2, "temperature": 0.5, "top_p": 0.9, "top_k": 3,
    "min_p": 0, "typical_p": 1, "seed": -1, "frequency_penalty": -2, "presence_penalty": 2,
    "repetition_penalty": 1.1, "logit_bias": {"0": -100, "12": 0.5}, "stop": ["x", "y"],
    "ignore_eos": true, "logprobs": true, "top_logprobs": 20, "stream": true,
    "stream_options": {"include_usage": true}, "tools": [], "response_format": {"type": "text"},
    "user": 5, "metadata": {"a": [1]}, "never_heard_of": {}})");
  ASSERT_EQ(request.prompts.size(), 1u);
  const std::vector<Message>& messages = request.prompts[0].messages;
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[1].content, "a\nb");
  EXPECT_EQ(messages[3].role, "tool");
  EXPECT_EQ(request.model, "clerk");
  EXPECT_EQ(request.options.max_new_tokens, 12u);
  EXPECT_TRUE(request.max_tokens_given);
  EXPECT_EQ(request.n, 2u);
  const sampling::Options& sampling = request.options.sampling;
  EXPECT_EQ(sampling.temperature, 0.5);
  EXPECT_EQ(sampling.top_p, 0.9);
  EXPECT_EQ(sampling.top_k, std::size_t{3});
  EXPECT_EQ(sampling.min_p, 0.0);
  EXPECT_EQ(sampling.seed, ~std::uint64_t{0});
  EXPECT_EQ(request.seed, ~std::uint64_t{0});
  EXPECT_EQ(sampling.frequency_penalty, -2);
  EXPECT_EQ(sampling.presence_penalty, 2);
  EXPECT_EQ(sampling.logit_bias,
            (std::vector<std::pair<TokenId, float>>{{0, -100.0F}, {12, 0.5F}}));
  EXPECT_EQ(request.options.stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE(request.options.ignore_eos);
  EXPECT_TRUE(request.logprobs);
  EXPECT_EQ(request.top_logprobs, 20u);
  EXPECT_TRUE(request.stream && request.include_usage);
}

TEST(ReadRequest, TakesEveryFormOfAPrompt) {
  const auto prompts = [](std::string_view value) {
    return taken(prompt_of(value), Route::completions).prompts;
  };
  EXPECT_EQ(prompts(R"("one")")[0].text, "one");
  EXPECT_EQ(prompts(R"(["one", "two"])")[1].text, "two");
  EXPECT_EQ(prompts("[1, 2]")[0].ids, (std::vector<TokenId>{1, 2}));
  EXPECT_EQ(prompts("[[1], [2, 2147483647]]")[1].ids, (std::vector<TokenId>{2, 2147483647}));
  const CompletionRequest request =
      taken(completion_with(R"("max_tokens": 0, "logprobs": 0, "echo": true, "stop": "s", "n": 8,
                         "seed": 18446744073709551615, "best_of": 1)"),
            Route::completions);
  EXPECT_EQ(request.options.max_new_tokens, 0u);
  EXPECT_TRUE(request.logprobs && request.echo);
  EXPECT_EQ(request.top_logprobs, 0u);
  EXPECT_EQ(request.options.stop, std::vector<std::string>{"s"});
  EXPECT_EQ(request.seed, ~std::uint64_t{0});
}

TEST(ReadRequest, WhatIsNoJsonIsRefused) {
  const Case cases[] = {
      {"", "", "byte 0: expected a value"},
      {"[]", "", "expected an object, found a list of 0"},
      {"null", "", "expected an object, found null"},
      {R"({"messages": [})", "messages", "expected a value"},
      {chat_with(R"("temperature": NaN)"), "temperature", "found NaN"},
      {chat_with(R"("temperature": 1e999)"), "temperature", "out of the range of f64"},
      {chat_with(R"("seed": Infinity)"), "seed", "found Infinity"},
      {chat_with(R"("metadata": {"x": [NaN]})"), "metadata", "numbers of JSON"},
      {chat_with(R"("n": 1, "n": 1)"), "n", "duplicate key 'n'"},
      {chat_with(R"("logit_bias": {"5": 1, "5": 2})"), "logit_bias", "duplicate key '5'"},
      {"{\"a\": \"\xff\"}", "", "is not UTF-8"},
      {chat_with(R"("user": "\ud800")"), "user", "lone surrogate"},
      {chat_with("\"x\": " + std::string(64, '[') + std::string(64, ']')), "",
       "nested deeper than 64"},
      {std::string(BodyLimits::kBytes + 1, ' '), "", "the limit is 32.0 MiB"},
  };
  for (const Case& one : cases) expect_refused(one);
  std::string keys = "{";
  for (int i = 0; i < 10'001; ++i) keys += fmt::format("{}\"k{}\": 0", i == 0 ? "" : ", ", i);
  expect_refused({keys + "}", "", "more than 10000 keys"});
}

TEST(ReadRequest, MessagesAreRefusedByTheirPlace) {
  const Case cases[] = {
      {"{}", "messages", "is missing"},
      {R"({"messages": null})", "messages", "is missing"},
      {messages_of("\"Hi\""), "messages", "expected a list of messages, found the text 'Hi'"},
      {messages_of("[]"), "messages", "expected 1 to 4096 messages, found 0"},
      {messages_of("[1]"), "messages[0]", "expected an object"},
      {messages_of(R"([{"content": "x"}])"), "messages[0].role", "is missing"},
      {messages_of(R"([{"role": "king", "content": "x"}])"), "messages[0].role", "found the text"},
      {messages_of(R"([{"role": 1, "content": "x"}])"), "messages[0].role", "found 1"},
      {messages_of(R"([{"role": "user"}])"), "messages[0].content", "is missing"},
      {messages_of(R"([{"role": "user", "content": null}])"), "messages[0].content", "found null"},
      {messages_of(R"([{"role": "user", "content": ""}])"), "messages[0].content", "empty text"},
      {messages_of(R"([{"role": "user", "content": []}])"), "messages[0].content", "found 0"},
      {messages_of(R"([{"role": "user", "content": [{"text": "x"}]}])"),
       "messages[0].content[0].type", "is missing"},
      {messages_of(R"([{"role": "user", "content": [{"type": "text"}]}])"),
       "messages[0].content[0].text", "is missing"},
      {messages_of(R"([{"role": "user", "content": [{"type": "text", "text": 1}]}])"),
       "messages[0].content[0].text", "expected a text, found 1"},
      {messages_of(R"([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])"),
       "messages[0].content[0].type", "nothing else can be read yet"},
      {messages_of(R"([{"role": "user", "content": "x"},
                       {"role": "assistant", "content": null, "tool_calls": [{}]}])"),
       "messages[1].tool_calls", "not supported yet"},
      {messages_of(R"([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}])"),
       "messages[1].role", "the last message"},
      {messages_of(R"([{"role": "system", "content": "x"}])"), "messages[0].role",
       "the last message"},
  };
  for (const Case& one : cases) expect_refused(one);
}

TEST(ReadRequest, PromptsAreRefusedByTheirPlace) {
  const Case cases[] = {
      {"{}", "prompt", "is missing"},
      {prompt_of("\"\""), "prompt", "found an empty one"},
      {prompt_of("5"), "prompt", "found 5"},
      {prompt_of("{}"), "prompt", "found an object"},
      {prompt_of("[]"), "prompt", "expected 1 to 2048 prompts, found 0"},
      {prompt_of("[null]"), "prompt[0]", "found null"},
      {prompt_of("[1, -1]"), "prompt[1]", "found -1"},
      {prompt_of("[1, 2.0]"), "prompt[1]", "found 2.0"},
      {prompt_of("[1, 2147483648]"), "prompt[1]", "from 0 to 2147483647"},
      {prompt_of("[18446744073709551615]"), "prompt[0]", "found 18446744073709551615"},
      {prompt_of("[1, \"a\"]"), "prompt[1]", "expected a token id"},
      {prompt_of("[\"a\", 1]"), "prompt[1]", "expected a text"},
      {prompt_of("[[1], \"a\"]"), "prompt[1]", "expected a list of ids"},
      {prompt_of("[[]]"), "prompt[0]", "one token or more"},
      {prompt_of("[\"a\", \"\"]"), "prompt[1]", "found an empty one"},
  };
  for (Case one : cases) {
    one.route = Route::completions;
    expect_refused(one);
  }
}

TEST(ReadRequest, FieldsAreRefusedWithWhatTheyTake) {
  const Case cases[] = {
      {chat_with(R"("n": 1.0)"), "n", "expected an integer from 1 to 8, found 1.0"},
      {chat_with(R"("n": 9)"), "n", "expected an integer from 1 to 8, found 9"},
      {chat_with(R"("temperature": "1")"), "temperature", "found the text '1'"},
      {chat_with(R"("temperature": 1e-200)"), "temperature", "expected 0, or a number from 1e-100"},
      {chat_with(R"("temperature": 1e308)"), "temperature", "to 2, found 1e+308"},
      {chat_with(R"("stream": 1)"), "stream", "expected true or false, found 1"},
      {chat_with(R"("seed": 1.5)"), "seed", "found 1.5"},
      {chat_with(R"("max_tokens": 0)"), "max_tokens", "expected an integer from 1"},
      {chat_with(R"("max_tokens": 5, "max_completion_tokens": 5)"), "max_tokens", "give one"},
      {chat_with(R"("top_logprobs": 5)"), "top_logprobs", "logprobs, which is not true"},
      {chat_with(R"("logprobs": 5)"), "logprobs", "expected true or false"},
      {completion_with(R"("logprobs": true)"), "logprobs", "from 0 to 20", Route::completions},
      {chat_with(R"("stream_options": {"include_usage": true})"), "stream_options",
       "is for a stream"},
      {chat_with(R"("stream": true, "stream_options": {"include_usage": 1})"),
       "stream_options.include_usage", "found 1"},
      {chat_with(R"("stop": "")"), "stop", "1 to 256 bytes"},
      {chat_with(R"("stop": [1])"), "stop[0]", "found 1"},
      {chat_with(R"("stop": ")" + std::string(257, 'x') + '"'), "stop", "1 to 256 bytes"},
      {chat_with(
           R"("stop": ["1","2","3","4","5","6","7","8","9","a","b","c","d","e","f","g","h"])"),
       "stop", "found a list of 17"},
      {chat_with(R"("logit_bias": [])"), "logit_bias", "found a list"},
      {chat_with(R"("logit_bias": {"01": 1})"), "logit_bias", "found '01'"},
      {chat_with(R"("logit_bias": {"-1": 1})"), "logit_bias", "found '-1'"},
      {chat_with(R"("logit_bias": {"99999999999": 1})"), "logit_bias", "token ids as keys"},
      {chat_with(R"("logit_bias": {"1": 101})"), "logit_bias.1", "from -100 to 100, found 101"},
      {chat_with(R"("logit_bias": {"1": null})"), "logit_bias.1", "found null"},
      {chat_with(R"("model": "")"), "model", "1 to 4096 bytes"},
      {chat_with(R"("tools": [{"type": "function"}])"), "tools", "not supported yet"},
      {chat_with(R"("tool_choice": "required")"), "tool_choice", "not supported yet"},
      {chat_with(R"("response_format": {"type": "json_object"})"), "response_format",
       "not supported yet"},
      {chat_with(R"("reasoning_effort": "high")"), "reasoning_effort", "not supported yet"},
      {completion_with(R"("best_of": 2)"), "best_of", "not supported yet", Route::completions},
      {completion_with(R"("suffix": "x")"), "suffix", "not supported yet", Route::completions},
  };
  for (const Case& one : cases) expect_refused(one);
  std::string biases = R"("logit_bias": {)";
  for (int i = 0; i < 1025; ++i) biases += fmt::format("{}\"{}\": 1", i == 0 ? "" : ",", i);
  expect_refused({chat_with(biases + "}"), "logit_bias", "at most 1024 tokens, found 1025"});
}

// Every field with every kind of value: a request, or 400 that names it.
TEST(ReadRequest, EveryFieldWithAnyValueIsTakenOrNamed) {
  std::vector<std::string> values = {
      "null",   "\"\"",      "\"1\"",      "\"NaN\"",     "true",
      "false",  "-1",        "0",          "-0.0",        "1",
      "0.5",    "1.0",       "2147483647", "2147483648",  "9223372036854775807",
      "1e308",  "-1e308",    "1e-320",     "4294967296",  "9223372036854775808",
      "NaN",    "-Infinity", "1e999",      "[]",          "[1]",
      "{}",     "[[[[]]]]",  "{\"a\": 1}", "-2147483649", "18446744073709551616",
      "[null]", "1000000000"};
  for (const Field& field : fields()) {
    values.push_back(fmt::format("{}", field.max));
    values.push_back(fmt::format("{}", field.max + 1));
    values.push_back(fmt::format("{}", field.min - 1));
  }
  values.push_back("\"" + std::string(1 << 20, 'a') + "\"");
  std::string many = "[1";
  for (int i = 0; i < 10'000; ++i) many += ",\"x\"";
  values.push_back(many + "]");
  std::size_t cases = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (const Route route : {Route::chat, Route::completions}) {
    std::vector<std::string_view> names;
    for (const Field& field : fields()) names.push_back(field.name);
    for (const UnbuiltField& field : unbuilt_fields()) names.push_back(field.name);
    for (const std::string_view name : names) {
      for (const std::string& value : values) {
        const std::string member = fmt::format("\"{}\": {}", name, value);
        const bool whole = name == "messages" || name == "prompt";
        const std::string body = whole                  ? "{" + member + "}"
                                 : route == Route::chat ? chat_with(member)
                                                        : completion_with(member);
        CompletionRequest request;
        const auto wrong = read(body, route, request);
        ++cases;
        if (!wrong) continue;
        ASSERT_EQ(wrong->status, 400) << body.substr(0, 200);
        if (whole) continue;  // the other of the two may be what is missing
        ASSERT_THAT(wrong->param.value_or(""), StartsWith(name)) << body.substr(0, 200);
      }
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(cases, 3000u);
  fmt::print("{} cases in {:.2f} s\n", cases, took.count());
}

TEST(Fields, TheTableIsWhole) {
  for (const Field& field : fields()) {
    SCOPED_TRACE(field.name);
    EXPECT_NE(field.routes, 0u);
    EXPECT_FALSE(field.left_out.empty());
    EXPECT_FALSE(field.summary.empty());
    EXPECT_FALSE(field.expects().empty());
    EXPECT_LE(field.min, field.max);
  }
  for (const UnbuiltField& field : unbuilt_fields())
    EXPECT_TRUE(Json::parse(field.harmless, nullptr, false).is_array()) << field.name;
}

}  // namespace
}  // namespace ollm::openai
