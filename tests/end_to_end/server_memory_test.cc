// Promise: whatever valid requests ask for, the server holds no more than it planned; it says what
// to ask less of, or to come again.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/end_to_end/server_process.h"
#include "tests/http_client.h"

namespace ollm::testing {
namespace {

using Json = nlohmann::json;

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kCompletions = "/v1/completions";

Json error_of(const HttpAnswer& answer) {
  return Json::parse(answer.body, nullptr, false).value("error", Json::object());
}

class ServerMemory : public ::testing::Test {
 protected:
  ServerMemory() : server_("--memory 256MiB --sequences 4") {
    const std::string& words = server_.words();
    const std::string before = "| memory ";  // "149.1 MiB of 256.0 MiB"
    planned_ = static_cast<std::size_t>(
                   std::strtod(words.c_str() + words.find(before) + before.size(), nullptr))
               << 20;
    EXPECT_GT(planned_, std::size_t{64} << 20) << words;
  }
  ~ServerMemory() override { EXPECT_LE(server_.peak_bytes(), planned_); }

  ServerProcess server_;
  std::size_t planned_ = 0;
};

std::string completions(std::size_t prompts, std::size_t tokens, const std::string& more) {
  std::string list = "\"hi\"";
  for (std::size_t i = 1; i < prompts; ++i) list += ",\"hi\"";
  return fmt::format(R"({{"prompt":[{}],"max_tokens":{},"ignore_eos":true,"seed":1,{}}})", list,
                     tokens, more);
}

std::string chat(std::size_t tokens, const std::string& more) {
  return fmt::format(R"({{"messages":[{{"role":"user","content":"hi"}}],"max_tokens":{},)"
                     R"("ignore_eos":true,"seed":1,{}}})",
                     tokens, more);
}

TEST_F(ServerMemory, AnAnswerThatDoesNotFitIsRefusedByTheFieldThatWeighsMost) {
  HttpClient client = server_.client();
  for (const auto& [path, body, param] : std::vector<std::array<std::string, 3>>{
           {kCompletions, completions(2048, 24, R"("n":8,"logprobs":20)"), "logprobs"},
           {kCompletions, completions(2048, 1, R"("n":8)"), "n"},
           {kChat, chat(3900, R"("n":8,"logprobs":true,"top_logprobs":20)"), "top_logprobs"},
           {kCompletions, completions(2048, 1000, R"("n":1)"), "max_tokens"}}) {
    const HttpAnswer answer = client.ask("POST", path, body);
    EXPECT_EQ(answer.status, 400) << param;
    EXPECT_EQ(error_of(answer).value("param", ""), param) << answer.body;
  }
}

TEST_F(ServerMemory, LongAnswersStayWithinThePlan) {
  HttpClient client = server_.client();
  for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
           {kCompletions, completions(200, 1, R"("n":8)")},
           {kCompletions, completions(64, 24, R"("n":8,"logprobs":20)")},
           {kCompletions, completions(8, 24, R"("n":8,"logprobs":20,"echo":true)")},
           {kChat, chat(800, R"("n":8,"logprobs":true,"top_logprobs":20)")},
           {kChat, chat(2000, R"("n":1,"logprobs":true,"top_logprobs":20,"stream":true)")}})
    EXPECT_EQ(client.ask("POST", path, body).status, 200) << body.substr(0, 200);
}

TEST_F(ServerMemory, AnAnswerThatIsNotReadKeepsItsRoom) {
  const std::string body = chat(800, R"("n":8,"logprobs":true,"top_logprobs":20)");
  HttpClient slow = server_.client();
  slow.send(HttpClient::request("POST", kChat, body));
  ASSERT_TRUE(slow.read_some());  // it is made, and on its way
  HttpClient other = server_.client();
  const HttpAnswer refused = other.ask("POST", kChat, body);
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.fields.at("retry-after"), "1");
  EXPECT_EQ(error_of(refused).value("code", ""), "no_room");
  EXPECT_EQ(other.ask("POST", kChat, chat(5, R"("n":1)")).status, 200);
  EXPECT_EQ(slow.read().status, 200);
  EXPECT_EQ(other.ask("POST", kChat, body).status, 200);
}

TEST_F(ServerMemory, AStreamThatWaitedSaysHowLikelyAllItsTokensWere) {
  const std::string fields = R"("logprobs":20,"n":2)";
  HttpClient client = server_.client();
  const Json whole = Json::parse(
      client.ask("POST", kCompletions, completions(1, 1500, fields)).body, nullptr, false);
  HttpClient slow = server_.client();
  slow.send(HttpClient::request("POST", kCompletions,
                                completions(1, 1500, fields + R"(,"stream":true)")));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const std::string events = slow.read().body;
  std::vector<Json> tokens(2, Json::array()), offsets(2, Json::array());
  for (std::size_t at = events.find("data: {"); at != std::string::npos;
       at = events.find("data: {", at + 1)) {
    const Json event = Json::parse(events.substr(at + 6, events.find("\n\n", at) - at - 6));
    for (const Json& choice : event["choices"]) {
      if (choice["logprobs"].is_null()) continue;
      EXPECT_LE(choice["logprobs"]["tokens"].size(), 64U);
      for (const Json& token : choice["logprobs"]["tokens"])
        tokens[choice["index"]].push_back(token);
      for (const Json& at_character : choice["logprobs"]["text_offset"])
        offsets[choice["index"]].push_back(at_character);
    }
  }
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(tokens[i], whole["choices"][i]["logprobs"]["tokens"]);
    EXPECT_EQ(offsets[i].size(), tokens[i].size());
  }
}

TEST_F(ServerMemory, SessionsThatAreFullRefuseATurnAndLoseNone) {
  HttpClient client = server_.client();
  const std::string long_text(250'000, 'y');
  const std::string body = fmt::format(R"({{"system_prompt":"{}"}})", long_text);
  HttpAnswer last;
  last.status = 200;
  std::size_t kept = 0;
  for (; last.status == 200 && kept < 200; ++kept) last = client.ask("POST", "/v1/sessions", body);
  ASSERT_EQ(last.status, 503);
  EXPECT_EQ(last.fields.at("retry-after"), "1");
  EXPECT_LT(kept, 40U);  // of a 32th of the budget
  EXPECT_EQ(client.ask("GET", "/v1/sessions").status, 200);
  const std::string name(300, 'n');
  const HttpAnswer named =
      client.ask("POST", "/v1/sessions", fmt::format(R"({{"session_name":"{}"}})", name));
  EXPECT_EQ(error_of(named).value("param", ""), "session_name");
}

}  // namespace
}  // namespace ollm::testing
