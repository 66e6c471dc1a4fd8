// Promise: one server answers any OpenAI client with what a request alone gives, and no client, be
// it slow, gone or hostile, takes that from the others.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/end_to_end/run_command.h"
#include "tests/end_to_end/server_process.h"
#include "tests/http_client.h"

namespace ollm::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kCompletions = "/v1/completions";

Json json_of(const HttpAnswer& answer) { return Json::parse(answer.body, nullptr, false); }

bool soon(const std::function<bool()>& holds, int seconds = 20) {
  for (int i = 0; i < seconds * 50; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

// The events of a stream, each as JSON; that [DONE] stands at the end is held here.
std::vector<Json> events_of(const std::string& body) {
  std::vector<Json> events;
  bool done = false;
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = body.find("\n\n", at);
    EXPECT_NE(end, std::string::npos);
    if (end == std::string::npos) break;
    const std::string event = body.substr(at, end - at);
    at = end + 2;
    if (event.starts_with(":")) continue;
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    EXPECT_FALSE(done);
    done = event == "data: [DONE]";
    if (!done) events.push_back(Json::parse(event.substr(6)));
  }
  EXPECT_TRUE(done);
  return events;
}

// What an answer says, whichever form it has: its choices, by index.
Json choices_of(const Json& body) {
  Json all = Json::array();
  for (const Json& choice : body["choices"]) {
    Json one = {
        {"text", choice.contains("message") ? choice["message"]["content"] : choice["text"]},
        {"finish", choice["finish_reason"]},
        {"index", choice["index"]}};
    if (!choice["logprobs"].is_null()) one["logprobs"] = choice["logprobs"];
    all.push_back(std::move(one));
  }
  return all;
}
Json choices_of(const std::vector<Json>& events) {
  std::map<std::size_t, Json> all;
  for (const Json& event : events) {
    for (const Json& choice : event["choices"]) {
      Json& one = all.try_emplace(choice["index"], Json{{"text", ""}}).first->second;
      const std::string text = choice.contains("delta") ? choice["delta"].value("content", "")
                                                        : choice.value("text", "");
      one["text"] = one["text"].get<std::string>() + text;
      if (!choice["finish_reason"].is_null()) one["finish"] = choice["finish_reason"];
      one["index"] = choice["index"];
    }
  }
  Json list = Json::array();
  for (auto& [index, choice] : all) list.push_back(std::move(choice));
  return list;
}

std::size_t running(const ServerProcess& server) {
  HttpClient client = server.client();
  const std::string text = client.ask("GET", "/metrics").body;
  const std::string name = "\nollm_requests_running ";
  return std::strtoul(text.c_str() + text.find(name) + name.size(), nullptr, 10);
}

class Server : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new ServerProcess("--sequences 4"); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  static ServerProcess* server_;  // one for all of them: what one does must not harm the next
};
ServerProcess* Server::server_ = nullptr;

TEST_F(Server, AnswersInOpenAIsForm) {
  HttpClient client = server_->client();
  std::string question;  // of more than a block of KV
  for (int i = 0; i < 40; ++i) question += "Who signed it? ";
  const std::string fields =
      fmt::format(R"("messages":[{{"role":"user","content":"{}"}}],"max_tokens":6}})", question);
  const HttpAnswer answer = client.ask("POST", kChat, R"({"model":"clerk",)" + fields);
  EXPECT_EQ(answer.status, 200);
  const Json body = json_of(answer);
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["model"], "clerk");
  EXPECT_EQ(body["choices"][0]["message"]["role"], "assistant");
  EXPECT_TRUE(body["system_fingerprint"].get<std::string>().starts_with("fp_"));
  EXPECT_TRUE(body["timings"].contains("predicted_per_second"));
  // By and by, as the model is still being hashed.
  EXPECT_TRUE(soon([&] {
    const Json again = json_of(client.ask("POST", kChat, "{" + fields));
    EXPECT_EQ(again["choices"], body["choices"]);
    return again["usage"]["prompt_tokens_details"]["cached_tokens"] >= 128;
  }));
  EXPECT_EQ(json_of(client.ask("GET", "/v1/models"))["data"][0]["id"], "clerk");
  EXPECT_EQ(client.ask("GET", "/v1/models/clerk").status, 200);
  EXPECT_EQ(json_of(client.ask("GET", "/v1/models/gpt-4"))["error"]["code"], "model_not_found");
  EXPECT_EQ(client.ask("POST", "/v1/embeddings", "{}").status, 404);
}

TEST_F(Server, AStreamSaysWhatTheWholeAnswerSays) {
  HttpClient client = server_->client();
  for (const auto& [path, fields] : std::vector<std::pair<std::string, std::string>>{
           {kChat, R"("messages":[{"role":"user","content":"Tell me"}],"max_tokens":20,"n":3,
                      "temperature":1,"seed":7)"},
           {kChat, R"("messages":[{"role":"user","content":"Ünïcode 🎈"}],"max_tokens":9)"},
           {kCompletions, R"("prompt":["The","A contract"],"max_tokens":8,"n":2,"temperature":1,
                             "seed":3)"},
           {kCompletions, R"("prompt":"Echo this","echo":true,"max_tokens":3)"},
           {kCompletions, R"("prompt":[5,6,7],"max_tokens":4,"stop":["e"])"}}) {
    const Json whole = json_of(client.ask("POST", path, "{" + fields + "}"));
    ASSERT_TRUE(whole.contains("choices")) << whole;
    const HttpAnswer stream = client.ask(
        "POST", path, "{" + fields + R"(,"stream":true,"stream_options":{"include_usage":true}})");
    const std::vector<Json> events = events_of(stream.body);
    EXPECT_EQ(choices_of(events), choices_of(whole)) << fields;
    EXPECT_EQ(events.back()["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
    EXPECT_TRUE(events.back()["choices"].empty());
  }
}

TEST_F(Server, AStreamTellsHowLikelyEachTokenWasAndHowFarThePromptIs) {
  HttpClient client = server_->client();
  const std::string fields =
      R"({"messages":[{"role":"user","content":"How likely"}],"max_tokens":7,"logprobs":true,
         "top_logprobs":2,"return_progress":true)";
  const Json whole = json_of(client.ask("POST", kChat, fields + "}"));
  const auto events = events_of(client.ask("POST", kChat, fields + R"(,"stream":true})").body);
  Json told = Json::array();
  for (const Json& event : events)
    for (const Json& choice : event["choices"])
      if (!choice["logprobs"].is_null())
        for (const Json& entry : choice["logprobs"]["content"]) told.push_back(entry);
  EXPECT_EQ(told, whole["choices"][0]["logprobs"]["content"]);
  EXPECT_TRUE(events.back().contains("timings"));
}

TEST_F(Server, OwnRoutesAnswer) {
  HttpClient client = server_->client();
  EXPECT_EQ(json_of(client.ask("GET", "/health"))["status"], "ok");
  EXPECT_EQ(client.ask("HEAD", "/ready").status, 200);
  const Json ids = json_of(client.ask("POST", "/tokenize", R"({"text":"hello"})"));
  const Json text = json_of(client.ask("POST", "/detokenize", ids.dump()));
  EXPECT_EQ(text["text"], "hello");
  EXPECT_THAT(
      client.ask("POST", "/v1/ollm/render", R"({"messages":[{"role":"user","content":"x"}]})").body,
      HasSubstr("x"));
  EXPECT_EQ(json_of(client.ask("POST", "/v1/plan",
                               R"({"workload":{"prompt_tokens":50}})"))["execution_plan"]["fits"],
            true);
  EXPECT_EQ(json_of(client.ask("POST", "/v1/plan",
                               R"({"runtime":{"cache_dir":"/tmp/x"}})"))["error"]["param"],
            "runtime.cache_dir");
  const Json prompt = json_of(
      client.ask("POST", "/v1/prompt", R"({"prompt":"Hi","generation":{"max_new_tokens":4}})"));
  EXPECT_TRUE(prompt["metadata"]["cached_tokens"].is_string());
  const std::string stream =
      client
          .ask("POST", "/v1/prompt/stream", R"({"prompt":"Hi","generation":{"max_new_tokens":4}})")
          .body;
  EXPECT_THAT(stream, HasSubstr("event: status\n"));
  EXPECT_THAT(stream, HasSubstr("event: text\n"));
  EXPECT_THAT(stream,
              HasSubstr("event: complete\ndata: {\"text\":\"" + prompt["text"].get<std::string>()));
  EXPECT_EQ(
      json_of(client.ask("POST", "/v1/prompt", R"({"prompt":"Hi","model":"x"})"))["error"]["param"],
      "model");
  EXPECT_EQ(client.ask("GET", "/v1/ollm/models").status, 200);
}

std::string param_of(HttpClient& client, const std::string& path, const std::string& body) {
  const HttpAnswer answer = client.ask("POST", path, body);
  EXPECT_EQ(answer.status, 400) << path << body;
  const Json param = json_of(answer)["error"]["param"];
  return param.is_string() ? param.get<std::string>() : param.dump();
}

TEST_F(Server, OwnRoutesNameTheFieldThatIsToBlame) {
  HttpClient client = server_->client();
  for (const char* messages : {"null", "5", "\"x\"", "[1]", "[[]]"})
    EXPECT_EQ(param_of(client, "/v1/ollm/render", fmt::format(R"({{"messages":{}}})", messages)),
              "messages");
  for (const char* field : {"temperature", "top_p", "min_p", "typical_p", "repetition_penalty"}) {
    const std::string generation = fmt::format(R"("generation":{{"{}":1e-320}}}})", field);
    const std::string param = fmt::format("generation.{}", field);
    EXPECT_EQ(param_of(client, "/v1/prompt", R"({"prompt":"Hi",)" + generation), param);
    EXPECT_EQ(param_of(client, "/v1/sessions", "{" + generation), param);
  }
  EXPECT_EQ(param_of(client, "/detokenize", R"({"ids":[99999999]})"), "ids");
  EXPECT_EQ(param_of(client, "/tokenize", R"({"text":5})"), "text");
  EXPECT_EQ(param_of(client, "/v1/plan", R"({"workload":{"prompt_tokens":2000000000}})"),
            "workload.prompt_tokens");
  const Json lost = json_of(client.ask("GET", "/v1/ollm/models/..%2f..%2fetc"))["error"];
  EXPECT_EQ(lost["message"], "'../../etc' is not here: /v1/ollm/models lists what is");
}

TEST_F(Server, TheTimeToAFirstTokenIsTakenOnceOfWhatHasOne) {
  HttpClient client = server_->client();
  const auto samples = [&] {
    const std::string text = client.ask("GET", "/metrics").body;
    const std::string name = "\nollm_time_to_first_token_seconds_count ";
    return std::strtoul(text.c_str() + text.find(name) + name.size(), nullptr, 10);
  };
  const std::size_t before = samples();
  client.ask("POST", kCompletions, R"({"prompt":"x","max_tokens":0})");
  EXPECT_EQ(samples(), before);
  client.ask("POST", kCompletions, R"({"prompt":["x","y","z"],"max_tokens":2,"n":2})");
  EXPECT_EQ(samples(), before + 1);
}

TEST_F(Server, KeepsSessions) {
  HttpClient client = server_->client();
  const Json made =
      json_of(client.ask("POST", "/v1/sessions", R"({"generation":{"max_new_tokens":5}})"));
  const std::string path = "/v1/sessions/" + made["session_id"].get<std::string>();
  const Json first = json_of(client.ask("POST", path + "/prompt", R"({"prompt":"One"})"));
  client.ask("POST", path + "/prompt/stream", R"({"prompt":"Two"})");
  const Json now = json_of(client.ask("GET", path));
  ASSERT_EQ(now["messages"].size(), 4U);
  EXPECT_EQ(now["messages"][1]["content"][0]["value"], first["text"]);
  EXPECT_EQ(json_of(client.ask("GET", "/v1/sessions"))["data"].size(), 1U);
  EXPECT_EQ(client.ask("DELETE", path).status, 200);
  EXPECT_EQ(client.ask("GET", path).status, 404);
  EXPECT_EQ(client.ask("POST", path + "/prompt", R"({"prompt":"x"})").status, 404);
}

TEST_F(Server, PagesOfOthersAreRefused) {
  const auto status = [&](const std::string& fields, const char* type = "application/json") {
    HttpClient client = server_->client();
    client.send(
        fmt::format("POST /tokenize HTTP/1.1\r\n{}Content-Type: {}\r\nContent-Length: 12"
                    "\r\n\r\n{{\"text\":\"a\"}}",
                    fields, type));
    return client.read().status;
  };
  EXPECT_EQ(status("Host: localhost\r\n"), 200);
  EXPECT_EQ(status("Host: localhost\r\nOrigin: http://localhost:3000\r\n"), 200);
  for (const char* host : {"evil.com", "127.0.0.1.nip.io", "localhost.evil.com", ""})
    EXPECT_EQ(status(fmt::format("Host: {}\r\n", host)), 403) << host;
  for (const char* origin : {"http://evil.com", "null"})
    EXPECT_EQ(status(fmt::format("Host: localhost\r\nOrigin: {}\r\n", origin)), 403) << origin;
  EXPECT_EQ(status(""), 400);
  EXPECT_EQ(status("Host: localhost\r\n", "text/plain"), 415);
  for (const auto& [target, expected] :
       {std::pair("http://evil.com/health", 403), {"http://localhost/health", 200}}) {
    HttpClient proxied = server_->client();
    EXPECT_EQ(proxied.ask("GET", target).status, expected) << target;
  }
  HttpClient client = server_->client();
  EXPECT_EQ(client.ask("OPTIONS", kChat, "", "Origin: http://localhost\r\n").status, 405);
  for (const char* path : {"/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/..%5c", "/%00",
                           "/%252e%252e/", "/v1/sessions/../models"})
    EXPECT_EQ(client.ask("GET", path).status, 404) << path;
}

// A request, damaged at random.
std::string damaged(std::mt19937& random) {
  const auto below = [&](std::size_t most) { return random() % most; };
  std::string text =
      HttpClient::request(below(3) == 0 ? "GET" : "POST",
                          below(2) == 0 ? "/tokenize" : "/v1/models", R"({"text":"some text"})");
  static const char* const kPieces[] = {"Content-Length: 5\r\n",
                                        "Content-Length: -1\r\n",
                                        "Transfer-Encoding: chunked\r\n",
                                        "\r\n",
                                        "\n",
                                        "\r",
                                        "\0",
                                        "\xff\xfe",
                                        " HTTP/9.9",
                                        "Host: evil\r\n",
                                        ": ",
                                        "\t folded\r\n",
                                        "ffffffffffffffff\r\n",
                                        "Expect: 100-continue\r\n",
                                        "Connection: upgrade\r\n",
                                        "%00",
                                        "?",
                                        "{\"text\":",
                                        "[[[[",
                                        "Content-Type: text/plain\r\n"};
  for (std::size_t i = 1 + below(4); i > 0; --i) {
    const std::size_t at = below(text.size());
    switch (below(5)) {
      case 0:
        text.insert(at, kPieces[below(std::size(kPieces))]);
        break;
      case 1:
        text[at] = static_cast<char>(random());
        break;
      case 2:
        text.erase(at, 1 + below(20));
        break;
      case 3:
        text.insert(at, std::string(below(2000), static_cast<char>(random())));
        break;
      default:
        text.insert(at, text.substr(below(text.size()), below(60)));
    }
    if (text.empty()) text = "G";
  }
  return text;
}

std::size_t trials(const char* variable, std::size_t otherwise) {
  const char* given = std::getenv(variable);
  return given == nullptr ? otherwise : std::strtoul(given, nullptr, 10);
}

TEST_F(Server, MalformedRequestsHarmNobody) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  EXPECT_EQ(running(*server_), 0U);
  const std::size_t descriptors = server_->descriptors();
  const std::size_t resident = server_->resident_bytes();
  std::map<int, std::size_t> statuses;
  for (std::size_t i = trials("OLLM_MALFORMED", 2000); i > 0; --i) {
    HttpClient client = server_->client();
    ASSERT_TRUE(client.connected());
    const std::string bytes = damaged(random);
    client.send(bytes);
    client.end_sending();
    for (int answers = 0; answers < 10; ++answers) {
      const int status = client.read().status;
      ++statuses[status];
      EXPECT_LT(status, 500) << bytes;
      if (status == 0) break;
    }
  }
  EXPECT_GT(statuses[400], 0U);
  EXPECT_TRUE(soon([&] { return server_->descriptors() <= descriptors; }));
  EXPECT_LE(server_->resident_bytes(), resident + (std::size_t{16} << 20));
  HttpClient client = server_->client();
  EXPECT_EQ(client.ask("GET", "/health").status, 200);
}

TEST_F(Server, EveryFieldRefusesWhatItDoesNotTake) {
  HttpClient client = server_->client();
  const Json document = json_of(client.ask("GET", "/openapi.json"));
  const std::vector<std::string> values = {"true",
                                           "\"x\"",
                                           "-1",
                                           "0",
                                           "1",
                                           "1.5",
                                           "2147483648",
                                           "9223372036854775808",
                                           "1e308",
                                           "-1e308",
                                           "[]",
                                           "[1]",
                                           "{}",
                                           "null",
                                           "\"\"",
                                           "[[[]]]",
                                           "{\"1\":1e9}",
                                           "1e-320",
                                           "18446744073709551616",
                                           "-9223372036854775809"};
  std::size_t cases = 0;
  for (const auto& [path, name] :
       {std::pair(kChat, "ChatRequest"), std::pair(kCompletions, "CompletionRequest")}) {
    const bool chat = std::string(path) == kChat;
    for (const auto& [field, schema] :
         document["components"]["schemas"][name]["properties"].items()) {
      for (const std::string& value : values) {
        Json body = chat ? Json{{"messages", {{{"role", "user"}, {"content", "x"}}}}}
                         : Json{{"prompt", "x"}};
        body["max_tokens"] = 1;
        body.erase(field);
        std::string text = body.dump();
        text.back() = ',';
        text += fmt::format("\"{}\":{}}}", field, value);
        const HttpAnswer answer = client.ask("POST", path, text);
        ++cases;
        ASSERT_TRUE(answer.status == 200 || answer.status == 400 || answer.status == 404) << text;
        if (answer.status == 200) continue;
        const Json error = json_of(answer)["error"];
        EXPECT_TRUE(error["param"].is_string()) << text << answer.body;
        EXPECT_TRUE(error["message"].is_string() && error["type"] == "invalid_request_error");
      }
    }
  }
  EXPECT_GT(cases, 700U);
}

TEST_F(Server, BodiesThatAreTooMuchAreRefused) {
  HttpClient client = server_->client();
  const std::string deep = std::string(65, '[') + std::string(65, ']');
  std::string keys;
  for (int i = 0; i < 10'001; ++i) keys += fmt::format("\"k{}\":1,", i);
  for (const std::string& body :
       {std::string("{"), std::string("[]"), std::string("nothing"), std::string(),
        fmt::format(R"({{"prompt":"x","user":{}}})", deep), "{" + keys + R"("prompt":"x"})",
        std::string(R"({"prompt":"x","prompt":"y"})"), std::string("{\"prompt\":\"\xff\"}"),
        std::string(R"({"prompt":"\ud800"})"), std::string(R"({"prompt":"x","n":1000000000})"),
        R"({"prompt":")" + std::string(5'000'000, 'a') + "\"}",
        std::string(R"({"prompt":"x","tools":[1]})"),
        std::string(R"({"prompt":"x","max_tokens":4097})")}) {
    const HttpAnswer answer = client.ask("POST", kCompletions, body);
    const bool ignored = body.find("tools") != std::string::npos;  // no field of this route
    EXPECT_EQ(answer.status, ignored ? 200 : 400) << body.substr(0, 60);
  }
  EXPECT_EQ(client.ask("GET", "/health").status, 200);
}

TEST_F(Server, ClientsThatGoAwayLeaveNothingBehind) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  const std::size_t descriptors = server_->descriptors();
  for (std::size_t i = trials("OLLM_DISCONNECTS", 100); i > 0; --i) {
    HttpClient client = server_->client();
    const std::string request = HttpClient::request(
        "POST", kCompletions,
        fmt::format(R"({{"prompt":"Go on {}","max_tokens":2000,"ignore_eos":true,"stream":{}}})",
                    random() % 10, random() % 2 == 0));
    const std::size_t cut = random() % 4 == 0 ? random() % request.size() : request.size();
    client.send(std::string_view(request).substr(0, cut));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
    random() % 2 == 0 ? client.reset() : client.close();
  }
  EXPECT_TRUE(soon([&] { return running(*server_) == 0; }, 5));
  // The first keys and values that are kept open files of their own; a hundred clients left would
  // be far more.
  constexpr std::size_t kOfKeptKv = 8;
  EXPECT_TRUE(soon([&] { return server_->descriptors() <= descriptors + kOfKeptKv; }))
      << server_->descriptors() << " open, before " << descriptors;
}

TEST_F(Server, ASlowReaderHoldsUpNobodyAndMissesNothing) {
  const std::string body =
      R"({"prompt":"A long story","max_tokens":3500,"ignore_eos":true,"logprobs":5,"stream":true})";
  HttpClient slow = server_->client();
  slow.send(HttpClient::request("POST", kCompletions, body));
  HttpClient other = server_->client();
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(other.ask("POST", kCompletions, R"({"prompt":"x","max_tokens":5})").status, 200);
  const auto events = events_of(slow.read().body);
  HttpClient fast = server_->client();
  EXPECT_EQ(choices_of(events_of(fast.ask("POST", kCompletions, body).body)), choices_of(events));
}

// Requests of one client, each of which asks for something of its own.
std::string request_of(std::size_t client, std::size_t number, std::string& path) {
  path = number % 2 == 0 ? kChat : kCompletions;
  const std::string what = fmt::format("Client {} asks number {}.", client, number);
  std::string fields =
      fmt::format(R"("max_tokens":{},"ignore_eos":true)", 5 + (client + number) % 20);
  if (number % 3 == 0)
    fields += fmt::format(R"(,"temperature":1,"seed":{})", client * 100 + number);
  if (number % 5 == 0) fields += R"(,"n":2)";
  return number % 2 == 0
             ? fmt::format(R"({{"messages":[{{"role":"user","content":"{}"}}],{})", what, fields)
             : fmt::format(R"({{"prompt":"{}",{})", what, fields);
}

TEST_F(Server, ManyClientsAreEachAnsweredAsIfAlone) {
  const std::size_t clients = trials("OLLM_CLIENTS", 16), requests = trials("OLLM_REQUESTS", 20);
  std::vector<std::vector<Json>> alone(clients);
  HttpClient one = server_->client();
  for (std::size_t c = 0; c < clients; ++c) {
    for (std::size_t r = 0; r < requests; ++r) {
      std::string path;
      const std::string body = request_of(c, r, path) + "}";
      alone[c].push_back(choices_of(json_of(one.ask("POST", path, body))));
    }
  }
  std::atomic<std::size_t> wrong = 0, compared = 0;
  std::vector<std::thread> threads;
  for (std::size_t c = 0; c < clients; ++c) {
    threads.emplace_back([&, c] {
      for (std::size_t r = 0; r < requests; ++r) {
        HttpClient client = server_->client();
        std::string path;
        std::string body = request_of(c, r, path);
        const bool stream = (c + r) % 3 == 0;
        body += stream ? R"(,"stream":true})" : "}";
        if ((c * 7 + r) % 10 == 0) {  // asks, and hangs up
          client.send(HttpClient::request("POST", path, body));
          continue;
        }
        const HttpAnswer answer = client.ask("POST", path, body);
        if (answer.status != 200) {
          ++wrong;
          continue;
        }
        const Json said = stream ? choices_of(events_of(answer.body)) : choices_of(json_of(answer));
        wrong += said != alone[c][r];
        ++compared;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(compared, clients * requests / 2);
}

TEST(ServerKeys, AreAskedForEverywhereButWhereNothingIsTold) {
  ServerProcess server("--sequences 1", "OLLM_API_KEY=secret");
  HttpClient client = server.client();
  const std::string key = "Authorization: Bearer secret\r\n";
  const Json document = json_of(client.ask("GET", "/openapi.json", "", key));
  std::size_t routes = 0;
  for (const auto& [path, methods] : document["paths"].items()) {
    const bool open = path == "/health" || path == "/ready" || path == "/v1/health";
    for (const char* method : {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"}) {
      HttpClient other = server.client();
      const HttpAnswer answer = other.ask(method, path, "{}");
      ++routes;
      const bool open_here =
          open && (std::string(method) == "GET" || std::string(method) == "HEAD");
      EXPECT_EQ(answer.status, open_here ? 200 : 401) << method << path;
    }
  }
  EXPECT_GT(routes, 100U);
  for (const char* wrong : {"secre", "secrets", "Secret", ""})
    EXPECT_EQ(
        client.ask("GET", "/v1/models", "", fmt::format("Authorization: Bearer {}\r\n", wrong))
            .status,
        401);
  EXPECT_EQ(client.ask("GET", "/v1/models", "", key).status, 200);
}

TEST(ServerKeys, SessionsBelongToTheirs) {
  const std::string file = "/tmp/ollm-server-keys-" + std::to_string(::getpid());
  run_shell("umask 077; printf 'one\\ntwo\\n' > " + file);
  ServerProcess server("--sequences 1 --share-cache --api-key-file " + file);
  HttpClient client = server.client();
  const std::string one = "Authorization: Bearer one\r\n", two = "Authorization: Bearer two\r\n";
  const Json made = json_of(client.ask("POST", "/v1/sessions", "{}", one));
  const std::string path = "/v1/sessions/" + made["session_id"].get<std::string>();
  EXPECT_EQ(client.ask("GET", path, "", one).status, 200);
  EXPECT_EQ(client.ask("GET", path, "", two).status, 404);
  EXPECT_EQ(client.ask("DELETE", path, "", two).status, 404);
  EXPECT_TRUE(json_of(client.ask("GET", "/v1/sessions", "", two))["data"].empty());
  run_shell("umask 077; printf 'two\\n' > " + file);
  server.signal(SIGHUP);
  EXPECT_TRUE(soon([&] { return client.ask("GET", path, "", one).status == 401; }));
  EXPECT_EQ(client.ask("GET", "/v1/models", "", two).status, 200);
  run_shell("rm " + file);
}

TEST(ServerKeys, StayWhereAStartWouldRefuseTheNewOnes) {
  const std::string file = "/tmp/ollm-server-new-keys-" + std::to_string(::getpid());
  run_shell("umask 077; echo one > " + file);
  ServerProcess server("--sequences 1 --api-key-file " + file);
  HttpClient client = server.client();
  run_shell("umask 077; printf 'one\\ntwo\\n' > " + file);  // they would share a cache
  server.signal(SIGHUP);
  EXPECT_TRUE(soon([&] {
    return server.words().find("keys stay as they were: several keys") != std::string::npos;
  })) << server.words();
  EXPECT_EQ(client.ask("GET", "/v1/models", "", "Authorization: Bearer one\r\n").status, 200);
  EXPECT_EQ(client.ask("GET", "/v1/models", "", "Authorization: Bearer two\r\n").status, 401);
  run_shell("rm " + file);
}

TEST(ServerStart, RefusesWhatItCannotBeAndToBeReachedByEverybody) {
  const auto refused = [](const std::string& arguments) {
    ServerProcess server(arguments);
    EXPECT_EQ(server.port(), 0) << arguments;
    const int code = server.wait();
    return fmt::format("{}: {}", code, server.words());
  };
  EXPECT_THAT(refused("--host 0.0.0.0"), HasSubstr("--allow-unauthenticated"));
  EXPECT_THAT(refused("--host no.such.host.invalid"), ::testing::StartsWith("2: "));
  EXPECT_THAT(refused("--drain-timeout never"), ::testing::StartsWith("2: "));
  EXPECT_THAT(refused("--api-key-file /nowhere"), ::testing::StartsWith("3: "));
  EXPECT_THAT(refused("--model another"), HasSubstr("--model is given 2 times"));
  EXPECT_THAT(refused("--memory 1MiB"), ::testing::StartsWith("4: "));
  ServerProcess meant("--host 0.0.0.0 --allow-unauthenticated --sequences 1");
  EXPECT_EQ(meant.client().ask("GET", "/health").status, 200);
}

TEST(ServerQueue, WhatWaitsTooLongALineIsToldToComeAgain) {
  ServerProcess server("--sequences 1 --max-queue 0");
  HttpClient first = server.client();
  first.send(HttpClient::request(
      "POST", kCompletions,
      R"({"prompt":"x","max_tokens":3800,"ignore_eos":true,"stream":true,"logprobs":5})"));
  ASSERT_TRUE(first.read_some());
  HttpClient second = server.client();
  const HttpAnswer full =
      second.ask("POST", kChat, R"({"messages":[{"role":"user","content":"x"}]})");
  EXPECT_EQ(full.status, 503);
  EXPECT_EQ(full.fields.at("retry-after"), "1");
  EXPECT_EQ(second.ask("GET", "/health").status, 200);
}

TEST(ServerEnd, WaitsForAnswersThatRunAndTakesNoMore) {
  ServerProcess server("--sequences 2");
  HttpClient idle = server.client();
  EXPECT_EQ(idle.ask("GET", "/health").status, 200);
  HttpClient client = server.client();
  client.send(HttpClient::request(
      "POST", kCompletions, R"({"prompt":"x","max_tokens":3000,"ignore_eos":true,"stream":true})"));
  ASSERT_TRUE(client.read_some());
  server.signal(SIGTERM);
  HttpAnswer draining;
  EXPECT_TRUE(soon([&] {
    HttpClient asks = server.client();
    draining = asks.ask("GET", "/health");
    return draining.status != 200;
  }));
  if (draining.status != 0) {
    EXPECT_EQ(draining.status, 503);
    EXPECT_EQ(json_of(draining)["status"], "draining");
  }
  const auto events = events_of(client.read().body);
  EXPECT_EQ(choices_of(events)[0]["finish"], "length");
  EXPECT_EQ(server.wait(), 0);
}

TEST(ServerEnd, WhileItLoadsIsAnEndAsAnyOther) {
  const std::string cache = "/tmp/ollm-server-ends-" + std::to_string(::getpid());
  for (int ms = 15; ms < 60; ms += 3) {
    const CommandResult ended =
        run_shell(fmt::format("XDG_CACHE_HOME={} \"$OLLM_BINARY\" serve --port 0 --model {} & "
                              "sleep 0.{:03}; kill -TERM $!; wait $!; echo code $?",
                              cache, kShippedModel, ms));
    // Before it hears of signals it ends by them.
    EXPECT_TRUE(ended.out == "code 0\n" || ended.out == "code 143\n")
        << ms << ended.out << ended.err;
  }
  run_shell("rm -rf " + cache);
}

TEST(ServerEnd, WaitsForAnswersThatAreOnTheirWay) {
  ServerProcess server("--sequences 1");
  HttpClient slow = server.client();
  std::string text;
  while (text.size() < (std::size_t{12} << 20)) text += "ab, cd; ";
  slow.send(HttpClient::request("POST", "/tokenize", R"({"text":")" + text + "\"}"));
  EXPECT_TRUE(slow.read_some(60'000));  // that it is there, and no more of it
  server.signal(SIGTERM);
  std::this_thread::sleep_for(std::chrono::milliseconds(800));
  const HttpAnswer answer = slow.read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_GT(json_of(answer)["ids"].size(), std::size_t{1} << 20);
  EXPECT_EQ(server.wait(), 0);
}

TEST(ServerEnd, AtAnyMomentIsOneOfTheTwo) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  for (std::size_t i = trials("OLLM_TERMINATIONS", 8); i > 0; --i) {
    ServerProcess server(fmt::format("--sequences 2 --drain-timeout {}", i % 4 / 2));
    std::vector<HttpClient> clients;
    for (int c = 0; c < 4; ++c) {
      clients.push_back(server.client());
      clients.back().send(HttpClient::request(
          "POST", kCompletions,
          fmt::format(R"({{"prompt":"n {}","max_tokens":3500,"ignore_eos":true,"stream":{}}})", c,
                      c % 2 == 0)));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 300));
    const bool at_once = i % 2 == 0;
    const auto begin = std::chrono::steady_clock::now();
    server.signal(SIGTERM);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 100));
    if (at_once) server.signal(SIGINT);
    for (HttpClient& client : clients) {
      const HttpAnswer answer = client.read();
      if (answer.status == 200 && answer.fields.contains("transfer-encoding") && !at_once) {
        EXPECT_THAT(answer.body, ::testing::EndsWith("data: [DONE]\n\n"));
      }
    }
    const int code = server.wait();
    EXPECT_TRUE(code == 0 || (at_once && code == 130)) << code << server.words();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(at_once ? 6 : 10));
  }
}

}  // namespace
}  // namespace ollm::testing
