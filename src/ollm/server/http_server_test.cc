// The sockets, through real ones: what a client may do at each moment of a request.
#include "ollm/server/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ollm/base/thread.h"
#include "ollm/server/limits.h"
#include "tests/http_client.h"

namespace ollm::server {
namespace {

using ::ollm::testing::HttpAnswer;
using ::ollm::testing::HttpClient;

// Echoes bodies; keeps what it is told to keep.
class Echo final : public HttpHandler {
 public:
  std::optional<HttpResponse> check_head(const HttpRequest& request) override {
    if (request.path == "/refused") return HttpResponse{.status = 403, .body = "no"};
    return std::nullopt;
  }
  void handle(std::shared_ptr<Exchange> exchange) override {
    const std::string path = exchange->request().path;
    if (path == "/kept" || path == "/events") {
      const std::lock_guard lock(mutex_);
      kept_.push_back(std::move(exchange));
      changed_.notify_all();
      return;
    }
    std::string body = exchange->take_body();
    exchange->respond({.body = path + ":" + body});
  }
  HttpResponse refusal(int status, const std::string& problem) override {
    return {.status = status, .body = problem};
  }

  std::shared_ptr<Exchange> wait_for_kept() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !kept_.empty(); });
    std::shared_ptr<Exchange> one = std::move(kept_.back());
    kept_.pop_back();
    return one;
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    kept_.clear();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Exchange>> kept_;
};

bool soon(const std::function<bool()>& holds, int seconds = 30) {
  for (int i = 0; i < seconds * 100; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

class HttpServers : public ::testing::Test {
 protected:
  HttpServers() {
    Result<HttpServer> opened = HttpServer::open(
        {.host = "127.0.0.1", .port = 0, .body_limit = std::size_t{1} << 20}, echo_);
    EXPECT_TRUE(opened.ok());
    server_.emplace(std::move(opened).value());
    Result<Thread> thread = Thread::start([this] { server_->run(); });
    EXPECT_TRUE(thread.ok());
    thread_.emplace(std::move(thread).value());
  }
  ~HttpServers() override {
    server_->stop();
    thread_.reset();
    echo_.forget();
  }
  HttpClient client() const { return HttpClient(server_->port()); }

  Echo echo_;
  std::optional<HttpServer> server_;
  std::optional<Thread> thread_;
};

TEST_F(HttpServers, AnswerOneAfterTheOtherOnOneConnection) {
  HttpClient client = this->client();
  for (int i = 0; i < 5; ++i) {
    const HttpAnswer answer = client.ask("POST", "/a", "body" + std::to_string(i));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "/a:body" + std::to_string(i));
  }
  EXPECT_EQ(client.ask("HEAD", "/a").status, 200);
  EXPECT_EQ(client.ask("GET", "/b").body, "/b:");  // behind HEAD no body was sent
  EXPECT_EQ(client.ask("GET", "/refused").status, 403);
  EXPECT_EQ(client.ask("GET", "/c", "", "Connection: close\r\n").body, "/c:");
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpServers, TwoRequestsInOnePieceAreTwoAnswersInTheirOrder) {
  HttpClient client = this->client();
  std::string all;
  for (int i = 0; i < 50; ++i) all += HttpClient::request("POST", "/p" + std::to_string(i), "x");
  all += HttpClient::request("POST", "/refused", "y") + HttpClient::request("GET", "/last");
  client.send(all);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.read().body, "/p" + std::to_string(i) + ":x");
  EXPECT_EQ(client.read().status, 403);
  EXPECT_EQ(client.read().body, "/last:");
}

TEST_F(HttpServers, TakeBytesAtAnyPace) {
  HttpClient client = this->client();
  const std::string request = HttpClient::request("POST", "/slow", "abc");
  for (const char byte : request) client.send(std::string_view(&byte, 1));
  EXPECT_EQ(client.read().body, "/slow:abc");
}

TEST_F(HttpServers, OldClientsAreAnsweredAndLeft) {
  HttpClient client = this->client();
  client.send("GET /old HTTP/1.0\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.read().body, "/old:");
  EXPECT_TRUE(client.closed());
  HttpClient keeps = this->client();
  keeps.send("GET /old HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(keeps.read().fields["connection"], "keep-alive");
  keeps.send("GET /again HTTP/1.0\r\nHost: a\r\n\r\n");
  EXPECT_EQ(keeps.read().body, "/again:");
}

TEST_F(HttpServers, ASilentClientIsToldThatItMaySend) {
  HttpClient client = this->client();
  client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  while (client.pending().find("\r\n\r\n") == std::string::npos) ASSERT_TRUE(client.read_some());
  EXPECT_TRUE(client.pending().starts_with("HTTP/1.1 100 "));
  client.send("ok");
  EXPECT_EQ(client.read().body, "/x:ok");
  client.send(
      "POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read().status, 403);
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpServers, WhatIsTooLongIsRefusedBeforeItIsThere) {
  HttpClient client = this->client();
  client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n");
  EXPECT_EQ(client.read().status, 413);
  EXPECT_TRUE(client.closed());

  HttpClient endless = this->client();
  endless.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "1000\r\n" + std::string(0x1000, 'a') + "\r\n";
  std::size_t sent = 0;
  while (sent < (std::size_t{64} << 20) && endless.send(chunk)) {
    sent += chunk.size();
    if (endless.read_some(0)) break;
  }
  EXPECT_EQ(endless.read().status, 413);
  EXPECT_LT(sent, std::size_t{16} << 20);  // what the kernel holds is sent before we hear of it

  HttpClient extension = this->client();
  extension.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;");
  const std::string more(std::size_t{64} << 10, 'e');
  for (int i = 0; i < 64 && extension.send(more); ++i)
    if (extension.read_some(0)) break;
  EXPECT_EQ(extension.read().status, 400);
}

TEST_F(HttpServers, StreamsGoOutPieceByPiece) {
  HttpClient client = this->client();
  client.send(HttpClient::request("GET", "/events") + HttpClient::request("GET", "/next"));
  const std::shared_ptr<Exchange> exchange = echo_.wait_for_kept();
  exchange->begin_events();
  exchange->send("data: 1\n\n");
  while (client.pending().find("data: 1") == std::string::npos) ASSERT_TRUE(client.read_some());
  exchange->send("data: 2\n\n");
  exchange->end_events();
  const HttpAnswer answer = client.read();
  EXPECT_EQ(answer.body, "data: 1\n\ndata: 2\n\n");
  EXPECT_EQ(answer.fields.at("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(client.read().body, "/next:");

  HttpClient old = this->client();
  old.send("GET /events HTTP/1.0\r\nHost: a\r\n\r\n");
  const std::shared_ptr<Exchange> plain = echo_.wait_for_kept();
  plain->begin_events();
  plain->send("data: 1\n\n");
  plain->end_events();
  EXPECT_EQ(old.read().body, "data: 1\n\n");
}

TEST_F(HttpServers, AClientThatGoesAwayIsToldOf) {
  for (const bool reset : {false, true}) {
    HttpClient client = this->client();
    client.send(HttpClient::request("GET", "/kept"));
    const std::shared_ptr<Exchange> exchange = echo_.wait_for_kept();
    std::atomic<int> changes = 0;
    exchange->on_change([&] { ++changes; });
    EXPECT_FALSE(exchange->gone());
    reset ? client.reset() : client.close();
    EXPECT_TRUE(soon([&] { return exchange->gone() && changes == 1; }));
    exchange->respond({.body = "for nobody"});
    exchange->on_change([&] { ++changes; });  // at once
    EXPECT_EQ(changes, 2);
  }
  EXPECT_TRUE(soon([&] { return server_->connections() == 0; }));
}

// Its end stands behind more than is read of it.
void expect_end_is_seen(HttpClient client, Echo& echo) {
  client.send(HttpClient::request("GET", "/kept"));
  const std::shared_ptr<Exchange> exchange = echo.wait_for_kept();
  std::string more;
  while (more.size() < ServerLimits::kPipelinedBytes + (std::size_t{32} << 10))
    more += HttpClient::request("GET", "/next");
  EXPECT_TRUE(client.send(more));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_FALSE(exchange->gone());
  client.close();
  EXPECT_TRUE(soon([&] { return exchange->gone(); }, 3));
}

TEST_F(HttpServers, AClientThatSentMuchAheadAndGoesAwayIsToldOf) {
  expect_end_is_seen(client(), echo_);
}

TEST_F(HttpServers, AnAnswerIsOnItsWayUntilItsLastByteHasLeft) {
  HttpClient client = this->client();
  client.send(HttpClient::request("GET", "/kept"));
  echo_.wait_for_kept()->respond({.body = std::string(std::size_t{32} << 20, 'x')});
  EXPECT_TRUE(soon([&] { return server_->open_exchanges() == 0; }));
  EXPECT_EQ(server_->sending(), 1U);
  EXPECT_EQ(client.read().body.size(), std::size_t{32} << 20);
  EXPECT_TRUE(soon([&] { return server_->sending() == 0; }));
  {
    HttpClient leaves = this->client();
    leaves.send(HttpClient::request("GET", "/kept"));
    echo_.wait_for_kept()->respond({.body = std::string(std::size_t{32} << 20, 'x')});
    EXPECT_TRUE(soon([&] { return server_->sending() == 1; }));
  }
  EXPECT_TRUE(soon([&] { return server_->sending() == 0; }));
}

TEST_F(HttpServers, WhatAnAnswerHoldsGoesWithItsLastByte) {
  for (const bool leaves : {false, true}) {
    HttpClient client = this->client();
    client.send(HttpClient::request("GET", "/kept"));
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> alive = held;
    {
      const std::shared_ptr<Exchange> exchange = echo_.wait_for_kept();
      exchange->hold(std::move(held));
      EXPECT_TRUE(exchange->holds());
      HttpResponse response{.body = "begin"};
      response.more_body = {std::string(std::size_t{16} << 20, 'x'),
                            std::string(std::size_t{16} << 20, 'y'), "end"};
      exchange->respond(std::move(response));
    }
    EXPECT_TRUE(soon([&] { return server_->open_exchanges() == 0; }));
    EXPECT_FALSE(alive.expired());
    if (leaves) {
      client.reset();
    } else {
      const std::string body = client.read().body;
      EXPECT_EQ(body.size(), 8 + (std::size_t{32} << 20));
      EXPECT_TRUE(body.starts_with("beginx") && body.ends_with("yend"));
    }
    EXPECT_TRUE(soon([&] { return alive.expired(); }));
  }
}

TEST_F(HttpServers, LongHeadersOfAllClientsTogetherAreBounded) {
  constexpr std::size_t kClients = 700;
  const std::string head =
      "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(ServerLimits::kHeadBytes - 200, 'x');
  static_assert(kClients * (ServerLimits::kHeadBytes - 200) > ServerLimits::kReadAheadBytes);
  std::vector<HttpClient> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(client());
    clients.back().send(head);
  }
  EXPECT_EQ(client().ask("POST", "/a", "b").body, "/a:b");
  std::size_t refused = 0;
  for (HttpClient& one : clients)
    if (one.read_some(0)) refused += one.read().status == 503 ? 1 : 0;
  EXPECT_GE(refused, kClients - ServerLimits::kReadAheadBytes / (head.size() - 100) - 1);
  EXPECT_LT(refused, kClients / 2);
  clients.clear();
  EXPECT_TRUE(soon([&] { return server_->connections() == 0; }));
  HttpClient fresh = client();
  fresh.send(head + "\r\n\r\n");
  EXPECT_EQ(fresh.read().status, 200);
}

TEST_F(HttpServers, ASlowReaderIsSeenAndHeardAgain) {
  HttpClient client = this->client();
  client.send(HttpClient::request("GET", "/events"));
  const std::shared_ptr<Exchange> exchange = echo_.wait_for_kept();
  std::atomic<int> changes = 0;
  exchange->on_change([&] { ++changes; });
  exchange->begin_events();
  const std::string piece(16 << 10, 'x');
  std::size_t sent = 0;
  // As a producer does: it stops where as much stands here as may.
  EXPECT_TRUE(soon([&] {
    for (; exchange->unsent_bytes() <= ServerLimits::kUnsentBytes; sent += piece.size())
      exchange->send(piece);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return exchange->unsent_bytes() > ServerLimits::kUnsentBytes;
  }));
  const std::size_t stands = exchange->unsent_bytes();
  EXPECT_LE(stands, ServerLimits::kUnsentBytes + piece.size() + 100);
  while (exchange->unsent_bytes() > ServerLimits::kUnsentBytes / 2) ASSERT_TRUE(client.read_some());
  EXPECT_TRUE(soon([&] { return changes > 0; }));
  exchange->end_events();
  EXPECT_EQ(client.read().body.size(), sent);
}

TEST_F(HttpServers, AnswersThatNobodyReadsDoNotPileUp) {
  HttpClient client = this->client();
  const std::string request = HttpClient::request("POST", "/", std::string(10'000, 'b'));
  std::size_t count = 0;
  std::thread sender([&] {
    for (; count < 3000 && client.send(request); ++count) continue;
    client.end_sending();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  std::size_t answers = 0;
  while (client.read().status == 200) ++answers;
  sender.join();
  EXPECT_GE(answers + 60, count);  // the last ones may be lost: the client said that it went
}

TEST_F(HttpServers, ManyClientsAtOnce) {
  std::vector<HttpClient> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(client());
  for (HttpClient& one : clients) one.send(HttpClient::request("POST", "/m", "x"));
  for (HttpClient& one : clients) EXPECT_EQ(one.read().body, "/m:x");
  clients.clear();
  EXPECT_TRUE(soon([&] { return server_->connections() == 0; }));
}

TEST(HttpServersOnUnixSockets, AreTheirOwnersAlone) {
  const std::string path = "/tmp/ollm-http-test-" + std::to_string(::getpid()) + ".sock";
  Echo echo;
  const auto open = [&] {
    return HttpServer::open({.unix_socket = path, .body_limit = 100}, echo);
  };
  {
    Result<HttpServer> server = open();
    ASSERT_TRUE(server.ok());
    EXPECT_EQ(server->port(), 0);
    using std::filesystem::perms;
    EXPECT_EQ(std::filesystem::status(path).permissions(), perms::owner_read | perms::owner_write);
    Result<Thread> thread = Thread::start([&] { server->run(); });
    HttpClient client(path);
    EXPECT_EQ(client.ask("POST", "/u", "1").body, "/u:1");
    expect_end_is_seen(HttpClient(path), echo);
    EXPECT_FALSE(open().ok());  // somebody listens there
    server->stop();
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(HttpServersElsewhere, AnAddressThatIsTakenOrNoneIsAnError) {
  Echo echo;
  Result<HttpServer> one = HttpServer::open({.host = "127.0.0.1", .body_limit = 1}, echo);
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(HttpServer::open({.host = "127.0.0.1", .port = one->port(), .body_limit = 1}, echo)
                .error()
                .kind,
            ErrorKind::io);
  EXPECT_EQ(HttpServer::open({.host = "no such host", .body_limit = 1}, echo).error().kind,
            ErrorKind::invalid_argument);
  EXPECT_TRUE(*is_loopback("127.0.0.1"));
  EXPECT_TRUE(*is_loopback("[::1]"));
  EXPECT_FALSE(*is_loopback("0.0.0.0"));
}

}  // namespace
}  // namespace ollm::server
