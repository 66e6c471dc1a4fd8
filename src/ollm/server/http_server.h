// Sockets: accepts clients, reads their requests, writes answers, and closes what is slow, silent
// or gone. Leaves to others: what a request means (a handler).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "ollm/base/result.h"
#include "ollm/server/http_message.h"

namespace ollm::server {

/// What takes requests. Its calls come on the thread that runs the server, and must not block.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  /// Before the body is read: an answer here is all that the request gets.
  virtual std::optional<HttpResponse> check_head(const HttpRequest& request) = 0;
  /// A whole request. Answers now or later, on any thread.
  virtual void handle(std::shared_ptr<Exchange> exchange) = 0;
  /// The answer to what is no request.
  virtual HttpResponse refusal(int status, const std::string& problem) = 0;
};

class HttpServer {
 public:
  struct Options {
    std::string host = {};  // empty: no TCP
    std::uint16_t port = 0;
    std::string unix_socket = {};  // empty: none
    std::size_t body_limit = 0;    // bytes of one body
  };

  /// Binds and listens; nothing is accepted before `run`. The handler must outlive it.
  /// Errors: invalid_argument for a host that is none, io where the address is taken.
  static Result<HttpServer> open(const Options& options, HttpHandler& handler);
  HttpServer(HttpServer&&) noexcept;
  HttpServer& operator=(HttpServer&&) noexcept;
  ~HttpServer();

  /// The port that it listens on; 0 where it has no TCP.
  std::uint16_t port() const;

  /// Serves on this thread until `stop`. At the end all connections are closed.
  void run();
  /// Any thread; also before `run`.
  void stop();
  /// SIGTERM and SIGINT, and SIGHUP, from now on: `on_end` with how many of the first two came, on
  /// the thread that runs.
  void on_signals(std::function<void(int)> on_end, std::function<void()> on_hangup);
  /// Runs `call` on the thread that runs, about so many seconds later.
  void after(double seconds, std::function<void()> call);

  /// Any thread: connections that are open, those of which an answer has not left whole, and
  /// requests that are not answered whole.
  std::size_t connections() const;
  std::size_t sending() const;
  std::size_t open_exchanges() const;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Whether all addresses of a host are this machine's own, reached from it alone.
/// Errors: invalid_argument for a host that is none.
Result<bool> is_loopback(const std::string& host);

}  // namespace ollm::server
