#include "ollm/server/http_server.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <csignal>
#include <deque>
#include <mutex>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ollm/base/clock.h"
#include "ollm/server/http_reader.h"
#include "ollm/server/http_text.h"
#include "ollm/server/limits.h"

namespace ollm::server {
namespace {

namespace asio = boost::asio;
using Socket = asio::generic::stream_protocol::socket;
using ErrorCode = boost::system::error_code;
using L = ServerLimits;

constexpr int kBusy = 503;

// What connections share; used on the thread that runs, but for the counts.
struct Shared {
  explicit Shared(HttpHandler& takes, std::size_t limit) : handler(takes), body_limit(limit) {}

  HttpHandler& handler;
  const std::size_t body_limit;
  std::array<char, std::size_t{64} << 10> buffer{};  // what is read just now, for all of them
  std::size_t body_bytes = 0;                        // of bodies that are not whole yet
  std::size_t ahead = 0;                             // of headers, and of what is read ahead
  std::atomic<std::size_t> whole_bytes{0};           // of those that are, and wait to be looked at
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> sending{0};  // connections with bytes that have not left
  std::atomic<std::size_t> exchanges{0};
  std::function<void()> on_closed;
  asio::io_context io{1};  // goes first, with what it still holds
};

class Connection;

// One request of a connection.
class ConnectionExchange final : public Exchange {
 public:
  ConnectionExchange(std::shared_ptr<Connection> connection, Shared& shared, HttpRequest request,
                     std::string body)
      : connection_(std::move(connection)),
        shared_(shared),
        request_(std::move(request)),
        body_(std::move(body)) {
    ++shared_.exchanges;
    shared_.whole_bytes += body_.size();
  }
  ~ConnectionExchange() override {
    (void)take_body();
    --shared_.exchanges;
  }

  const HttpRequest& request() const override { return request_; }
  std::string take_body() final {
    shared_.whole_bytes -= body_.size();
    return std::exchange(body_, {});
  }
  std::size_t body_bytes() const override { return body_.size(); }
  void respond(HttpResponse response) override;
  void hold(std::shared_ptr<void> what) override { held_ = std::move(what); }
  bool holds() const override { return held_ != nullptr; }
  void begin_events() override;
  void send(std::string text) override;
  void end_events() override;
  std::size_t unsent_bytes() const override { return unsent_.load(std::memory_order_relaxed); }
  bool gone() const override { return gone_.load(std::memory_order_acquire); }
  void on_change(std::function<void()> call) override {
    {
      const std::lock_guard lock(mutex_);
      on_change_ = std::move(call);
    }
    if (gone()) change();
  }

  // Of the connection, on the thread that runs.
  void wrote(std::size_t bytes) {
    const std::size_t before = unsent_.fetch_sub(bytes, std::memory_order_relaxed);
    if (before > L::kUnsentBytes) was_full_ = true;
    if (was_full_ && before - bytes <= L::kUnsentBytes / 2) {
      was_full_ = false;
      change();
    }
  }
  void lose() {
    gone_.store(true, std::memory_order_release);
    change();
  }

 private:
  void change() {
    std::function<void()> call;
    {
      const std::lock_guard lock(mutex_);
      call = on_change_;
    }
    if (call) call();
  }
  void post(std::vector<std::string> parts, bool ends, bool close);

  const std::shared_ptr<Connection> connection_;  // shared: it may be closed before the answer
  Shared& shared_;
  const HttpRequest request_;
  std::string body_;
  std::shared_ptr<void> held_;  // shared with who makes the answer; then of the connection
  bool was_full_ = false;
  std::atomic<std::size_t> unsent_{0};
  std::atomic<bool> gone_{false};
  std::mutex mutex_;
  std::function<void()> on_change_;  // guarded by mutex_
};

// One client. All on the thread that runs the server.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Shared& shared, Socket socket, bool local)
      : shared_(shared), socket_(std::move(socket)), local_(local), reader_(shared.body_limit) {
    ++shared_.connections;
    socket_.non_blocking(true);
    since_s_ = monotonic_seconds();
  }
  ~Connection() { --shared_.connections; }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start() { read_more(); }

  // Closes it at once.
  void drop() {
    if (closed_) return;
    closed_ = true;
    set_body_bytes(0);
    count_ahead();
    tell_sending();
    ErrorCode ignored;
    socket_.close(ignored);
    if (exchange_) std::exchange(exchange_, nullptr)->lose();
    if (shared_.on_closed) shared_.on_closed();
  }
  bool closed() const { return closed_; }

  // Some times a second: who is gone goes, and what is overdue.
  void look_around(double now) {
    if (!closed_ && exchange_ && !reading_ && hung_up()) peer_ended();
    if (closed_) return;
    if (lingers_) {
      if (now - since_s_ > L::kLingerSeconds) drop();
    } else if (!out_.empty()) {
      if (now - moved_s_ > L::kStallSeconds) drop();
    } else if (exchange_) {
      if (streams_ && now - moved_s_ > L::kPingSeconds) write({chunk(": ping\n\n")}, false, false);
    } else if (reader_.phase() == HttpReader::Phase::body) {
      const double least = (now - since_s_ - L::kHeadSeconds) * L::kBodyBytesPerSecond;
      if (static_cast<double>(reader_.body_bytes()) < least) drop();
    } else if (now - since_s_ >
               (served_ && !begun_ && in_.empty() ? L::kIdleSeconds : L::kHeadSeconds)) {
      drop();
    }
  }

  // A part of the answer to the request that is running; `ends` it. `held` goes with its last byte.
  void write(std::vector<std::string> parts, bool ends, bool close,
             std::shared_ptr<void> held = nullptr) {
    if (closed_) return;
    if (out_.empty()) moved_s_ = monotonic_seconds();
    for (std::string& text : parts) {
      if (text.empty()) continue;
      out_bytes_ += text.size();
      out_.push_back({std::move(text), nullptr});
    }
    if (!out_.empty() && held) out_.back().held = std::move(held);
    if (ends) {
      // What still leaves is nobody's.
      if (exchange_) exchange_->wrote(exchange_->unsent_bytes());
      exchange_.reset();
      streams_ = false;
      close_after_ = close_after_ || close || ended_;
    }
    tell_sending();
    send_more();
    if (ends && !close_after_) next_request();
  }
  void stream() { streams_ = true; }
  std::string chunk(std::string_view text) const {
    return chunked_ ? http_chunk(text) : std::string(text);
  }
  bool chunked() const { return chunked_; }

 private:
  // Of one that has sent as much as is read of it: its end would be read behind all that. Nothing
  // else tells as long as it has more to send than the system takes for it.
  bool hung_up() {
    pollfd end{socket_.native_handle(), POLLRDHUP, 0};
    return ::poll(&end, 1, 0) == 1;
  }

  void read_more() {
    if (closed_ || reading_ || ended_) return;
    if (may_read() == 0) return;
    if (lingered_ > L::kPipelinedBytes) return;
    reading_ = true;
    socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const ErrorCode& error) {
      self->reading_ = false;
      if (!error) self->read();
    });
  }

  void read() {
    if (closed_) return;
    const std::size_t most = may_read();
    if (most == 0) return;
    ErrorCode error;
    const std::size_t got = socket_.read_some(asio::buffer(shared_.buffer.data(), most), error);
    if (error == asio::error::would_block || error == asio::error::try_again) return read_more();
    if (error) return peer_ended();
    if (close_after_) {
      lingered_ += got;
      return read_more();
    }
    if (!busy() && served_ && !begun_) since_s_ = monotonic_seconds();
    begun_ = begun_ || !busy();
    in_.append(shared_.buffer.data(), got);
    process();
    count_ahead();
    if (!busy() && !close_after_ && in_.size() > L::kOwnReadBytes && too_much_is_ahead())
      refuse_as_busy("too many long headers at this moment");
    read_more();
  }

  // How much more of it there is room for. What is read while nothing runs is taken at once.
  std::size_t may_read() const {
    if (close_after_ || !busy()) return shared_.buffer.size();
    const std::size_t left = L::kReadAheadBytes - std::min(L::kReadAheadBytes, shared_.ahead);
    const std::size_t own = L::kOwnReadBytes - std::min(L::kOwnReadBytes, in_.size());
    const std::size_t most = L::kPipelinedBytes - std::min(L::kPipelinedBytes, in_.size());
    return std::min(most, std::max(left, own));
  }

  // Headers of requests that are not answered, and bytes that wait behind them.
  void count_ahead() {
    if (in_.capacity() > 2 * in_.size() + L::kOwnReadBytes) in_.shrink_to_fit();
    const std::size_t now = closed_ ? 0 : in_.size() + head_bytes_;
    shared_.ahead = shared_.ahead - ahead_ + now;
    ahead_ = now;
  }
  bool too_much_is_ahead() const { return shared_.ahead > L::kReadAheadBytes; }

  void refuse_as_busy(const char* why) { refuse(shared_.handler.refusal(kBusy, why)); }

  // It sends no more: whoever still waits for an answer has hung up, as a rule.
  void peer_ended() {
    ended_ = true;
    if (exchange_) return drop();
    if (out_.empty()) return drop();
    close_after_ = true;
  }

  // Whether what it sends now has to wait.
  bool busy() const { return exchange_ != nullptr || out_bytes_ > L::kSmallAnswerBytes; }

  void process() {
    while (!closed_ && !busy() && !close_after_) {
      const HttpReader::Phase before = reader_.phase();
      const std::size_t taken = reader_.put(in_);
      in_.erase(0, taken);
      const HttpReader::Phase phase = reader_.phase();
      if (phase == HttpReader::Phase::body) set_body_bytes(reader_.body_bytes());
      if (close_after_) return;  // there was no room for it
      if (phase == HttpReader::Phase::refused)
        return refuse(shared_.handler.refusal(reader_.status(), reader_.problem()));
      if (phase == HttpReader::Phase::body && before == HttpReader::Phase::head) {
        if (!take_head()) return;
        continue;
      }
      if (phase == HttpReader::Phase::whole) {
        begin_exchange();
        continue;
      }
      if (taken == 0 && in_.size() > L::kPipelinedBytes)  // a chunk's header without an end
        return refuse(shared_.handler.refusal(400, "a chunk's header is too long"));
      if (taken == 0 || in_.empty()) return;
    }
  }

  bool take_head() {
    since_s_ = monotonic_seconds();
    HttpRequest head = reader_.request();
    head.local = local_;
    head_bytes_ = head.path.size() + head.query.size();
    for (const auto& [name, value] : head.fields) head_bytes_ += name.size() + value.size();
    count_ahead();
    if (head_bytes_ > L::kOwnReadBytes && too_much_is_ahead()) {
      refuse_as_busy("too many long headers at this moment");
      return false;
    }
    if (auto answer = shared_.handler.check_head(head)) {
      // Without a body there is nothing to pass over, and the connection may go on.
      in_.erase(0, reader_.put(in_));
      if (reader_.phase() != HttpReader::Phase::whole) {
        refuse(std::move(*answer));
        return false;
      }
      answer_now(head, std::move(*answer));
      return false;
    }
    if (reader_.expects_continue() && in_.empty())
      write({"HTTP/1.1 100 Continue\r\n\r\n"}, false, false);
    return true;
  }

  void answer_now(const HttpRequest& head, HttpResponse response) {
    const bool close = response.close || !head.keep_alive;
    reader_.next();
    begun_ = false;
    served_ = true;
    close_after_ = close_after_ || close;
    write(http_text(std::move(response), head, close), false, close);
    if (!close) next_request();
  }

  // The last answer of this connection.
  void refuse(HttpResponse response) {
    set_body_bytes(0);
    close_after_ = true;
    in_.clear();
    head_bytes_ = 0;
    count_ahead();
    write(http_text(std::move(response), reader_.request(), true), false, true);
  }

  void begin_exchange() {
    set_body_bytes(0);
    HttpRequest request = reader_.request();
    request.local = local_;
    chunked_ = !request.version_1_0;
    served_ = true;
    begun_ = false;
    std::string body = reader_.take_body();
    reader_.next();
    exchange_ = std::make_shared<ConnectionExchange>(shared_from_this(), shared_,
                                                     std::move(request), std::move(body));
    shared_.handler.handle(exchange_);
  }

  void next_request() {
    since_s_ = monotonic_seconds();
    head_bytes_ = 0;
    // Later, as this may have been called by one that was answered at once.
    asio::post(shared_.io, [self = shared_from_this()] {
      self->process();
      self->count_ahead();
      self->read_more();
    });
  }

  // All clients together: a body beyond what there is room for is refused.
  void set_body_bytes(std::size_t bytes) {
    shared_.body_bytes = shared_.body_bytes - body_bytes_ + bytes;
    body_bytes_ = bytes;
    const std::size_t all = shared_.body_bytes + shared_.whole_bytes;
    if (bytes == 0 || all <= L::kBodiesAtOnce * shared_.body_limit) return;
    refuse_as_busy("too many long requests at this moment");
  }

  // Whether an answer is on its way, for who waits until all have left.
  void tell_sending() {
    const bool now = !closed_ && !out_.empty();
    if (now != counts_as_sending_) now ? ++shared_.sending : --shared_.sending;
    counts_as_sending_ = now;
  }

  void send_more() {
    if (writing_ || closed_) return;
    if (out_.empty()) {
      if (close_after_) linger();
      return;
    }
    writing_ = true;
    socket_.async_write_some(
        asio::buffer(out_.front().text.data() + sent_, out_.front().text.size() - sent_),
        [self = shared_from_this()](const ErrorCode& error, std::size_t bytes) {
          self->wrote(error, bytes);
        });
  }

  void wrote(const ErrorCode& error, std::size_t bytes) {
    writing_ = false;
    if (error) return drop();
    moved_s_ = monotonic_seconds();
    const bool was_busy = busy();
    out_bytes_ -= bytes;
    sent_ += bytes;
    if (sent_ == out_.front().text.size()) {
      out_.pop_front();
      sent_ = 0;
    }
    tell_sending();
    if (exchange_) exchange_->wrote(std::min(bytes, exchange_->unsent_bytes()));
    send_more();
    if (was_busy && !busy() && !close_after_) next_request();
  }

  // A socket that is closed with bytes unread takes back what was sent: so that is read a while.
  void linger() {
    if (lingers_) return;
    if (ended_) return drop();
    lingers_ = true;
    since_s_ = monotonic_seconds();
    ErrorCode ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
    read_more();
  }

  Shared& shared_;
  Socket socket_;
  const bool local_;
  HttpReader reader_;
  std::string in_;  // that was not taken yet
  struct Leaving {
    std::string text;
    std::shared_ptr<void> held;  // shared with who made it
  };
  std::deque<Leaving> out_;
  std::size_t sent_ = 0;       // of the first
  std::size_t out_bytes_ = 0;  // that have not left
  std::size_t body_bytes_ = 0;
  std::size_t head_bytes_ = 0;  // of the request that is read or runs
  std::size_t ahead_ = 0;       // of shared_.ahead
  std::size_t lingered_ = 0;
  std::shared_ptr<ConnectionExchange> exchange_;  // shared with who answers
  bool chunked_ = true, streams_ = false;
  bool served_ = false;  // a request before
  bool begun_ = false;   // bytes of a request are there
  bool reading_ = false, writing_ = false, ended_ = false;
  bool counts_as_sending_ = false;
  bool close_after_ = false, lingers_ = false, closed_ = false;
  double since_s_ = 0;  // when that began which is waited for
  double moved_s_ = 0;  // when bytes left last
};

void ConnectionExchange::post(std::vector<std::string> parts, bool ends, bool close) {
  if (gone()) return;
  for (const std::string& text : parts) unsent_.fetch_add(text.size(), std::memory_order_relaxed);
  asio::post(shared_.io, [connection = connection_, parts = std::move(parts), ends, close,
                          held = ends ? std::move(held_) : nullptr]() mutable {
    connection->write(std::move(parts), ends, close, std::move(held));
  });
}

void ConnectionExchange::respond(HttpResponse response) {
  const bool close = response.close || !request_.keep_alive;
  post(http_text(std::move(response), request_, close), true, close);
}

void ConnectionExchange::begin_events() {
  asio::post(shared_.io, [connection = connection_] { connection->stream(); });
  post({http_events_head(request_)}, false, false);
}

void ConnectionExchange::send(std::string text) {
  if (!text.empty()) post({connection_->chunk(text)}, false, false);
}

void ConnectionExchange::end_events() {
  post({connection_->chunked() ? "0\r\n\r\n" : ""}, true,
       !connection_->chunked() || !request_.keep_alive);
}

}  // namespace

struct HttpServer::State {
  State(HttpHandler& handler, std::size_t body_limit) : shared(handler, body_limit) {}
  ~State() {
    for (const auto& connection : connections) connection->drop();
    connections.clear();
    if (!unix_path.empty()) ::unlink(unix_path.c_str());
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Result<void> listen_tcp(const std::string& host, std::uint16_t port);
  Result<void> listen_unix(const std::string& path);

  template <typename Acceptor>
  void accept(Acceptor& acceptor, bool local) {
    if (!acceptor.is_open()) return;
    if (connections.size() >= L::kConnections) {
      waits_for_room = true;
      return;
    }
    acceptor.async_accept([this, &acceptor, local](const ErrorCode& error, auto socket) {
      if (error == asio::error::operation_aborted) return;
      if (error) return accept_later(acceptor, local);  // no descriptors left, mostly
      if constexpr (std::is_same_v<decltype(socket), asio::ip::tcp::socket>) {
        ErrorCode ignored;
        socket.set_option(asio::ip::tcp::no_delay(true), ignored);
      }
      const auto connection =
          std::make_shared<Connection>(shared, Socket(std::move(socket)), local);
      connections.insert(connection);
      connection->start();
      accept(acceptor, local);
    });
  }

  template <typename Acceptor>
  void accept_later(Acceptor& acceptor, bool local) {
    const auto timer =
        std::make_shared<asio::steady_timer>(shared.io, std::chrono::milliseconds(100));
    timer->async_wait([this, timer, &acceptor, local](const ErrorCode& error) {
      if (!error) accept(acceptor, local);
    });
  }

  void tick() {
    ticks.expires_after(std::chrono::milliseconds(250));
    ticks.async_wait([this](const ErrorCode& error) {
      if (error) return;
      const double now = monotonic_seconds();
      // A copy, as it may be taken out of the set meanwhile.
      const std::vector<std::shared_ptr<Connection>> all(connections.begin(), connections.end());
      for (const auto& connection : all) connection->look_around(now);
      sweep_closed();
      tick();
    });
  }

  void sweep_closed() {
    std::erase_if(connections, [](const auto& connection) { return connection->closed(); });
    if (!waits_for_room || connections.size() >= L::kConnections) return;
    waits_for_room = false;
    accept(tcp, false);
    accept(unix_clients, true);
  }

  void wait_for_signal() {
    signals.async_wait([this](const ErrorCode& error, int number) {
      if (error) return;
      wait_for_signal();
      if (number == SIGHUP) {
        if (on_hangup) on_hangup();
      } else if (on_end) {
        on_end(++ends);
      }
    });
  }

  Shared shared;
  asio::ip::tcp::acceptor tcp{shared.io};
  asio::local::stream_protocol::acceptor unix_clients{shared.io};
  asio::signal_set signals{shared.io};
  asio::steady_timer ticks{shared.io};
  std::unordered_set<std::shared_ptr<Connection>> connections;
  bool waits_for_room = false;
  bool sweep_is_due = false;
  std::string unix_path;
  int ends = 0;
  std::function<void(int)> on_end;
  std::function<void()> on_hangup;
};

namespace {

Result<std::vector<asio::ip::tcp::endpoint>> resolve(const std::string& host, std::uint16_t port) {
  asio::io_context io;
  asio::ip::tcp::resolver resolver(io);
  // As browsers write it.
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string bare = brackets ? host.substr(1, host.size() - 2) : host;
  ErrorCode error;
  const auto found =
      resolver.resolve(bare, std::to_string(port), asio::ip::tcp::resolver::passive, error);
  if (error || found.empty()) {
    return fail(
        ErrorKind::invalid_argument,
        fmt::format("--host: '{}' is no address of this machine: {}", host, error.message()));
  }
  std::vector<asio::ip::tcp::endpoint> out;
  for (const auto& entry : found) out.push_back(entry.endpoint());
  return out;
}

}  // namespace

Result<void> HttpServer::State::listen_tcp(const std::string& host, std::uint16_t port) {
  OLLM_TRY(const auto endpoints, resolve(host, port));
  ErrorCode error;
  for (const auto& endpoint : endpoints) {
    ErrorCode ignored;
    tcp.close(ignored);
    error = {};
    tcp.open(endpoint.protocol(), error);
    if (!error) tcp.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) tcp.bind(endpoint, error);
    if (!error) tcp.listen(asio::socket_base::max_listen_connections, error);
    if (!error) return {};
  }
  return fail(ErrorKind::io, fmt::format("listen on {}:{}: {}", host, port, error.message()));
}

Result<void> HttpServer::State::listen_unix(const std::string& path) {
  const auto problem = [&](std::string_view what) {
    return fail(ErrorKind::io, fmt::format("--unix-socket {}: {}", path, what));
  };
  constexpr std::size_t kMostPath = 107;  // of sockaddr_un
  if (path.size() > kMostPath)
    return fail(ErrorKind::invalid_argument,
                fmt::format("--unix-socket: a path has at most {} bytes", kMostPath));
  ErrorCode error;
  struct stat found{};
  if (::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) return problem("there is something else of this name");
    asio::local::stream_protocol::socket probe(shared.io);
    probe.connect(asio::local::stream_protocol::endpoint(path), error);
    if (!error) return problem("another server listens there");
    ::unlink(path.c_str());  // of one that ended without a word
  }
  error = {};
  unix_clients.open(asio::local::stream_protocol(), error);
  const mode_t mask = ::umask(0177);  // of its owner alone
  if (!error) unix_clients.bind(asio::local::stream_protocol::endpoint(path), error);
  ::umask(mask);
  if (!error) unix_clients.listen(asio::socket_base::max_listen_connections, error);
  if (error) return problem(error.message());
  unix_path = path;
  return {};
}

Result<HttpServer> HttpServer::open(const Options& options, HttpHandler& handler) {
  auto state = std::make_unique<State>(handler, options.body_limit);
  if (!options.host.empty()) OLLM_TRY_VOID(state->listen_tcp(options.host, options.port));
  if (!options.unix_socket.empty()) OLLM_TRY_VOID(state->listen_unix(options.unix_socket));
  return HttpServer(std::move(state));
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpServer::HttpServer(HttpServer&&) noexcept = default;
HttpServer& HttpServer::operator=(HttpServer&&) noexcept = default;
HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const {
  ErrorCode error;
  const auto endpoint = state_->tcp.local_endpoint(error);
  return error ? 0 : endpoint.port();
}

void HttpServer::run() {
  State& state = *state_;
  state.shared.on_closed = [&state] {
    if (std::exchange(state.sweep_is_due, true)) return;
    asio::post(state.shared.io, [&state] {
      state.sweep_is_due = false;
      state.sweep_closed();
    });
  };
  state.tick();
  state.accept(state.tcp, false);
  state.accept(state.unix_clients, true);
  state.shared.io.run();
}

void HttpServer::stop() { state_->shared.io.stop(); }

void HttpServer::on_signals(std::function<void(int)> on_end, std::function<void()> on_hangup) {
  State& state = *state_;
  state.on_end = std::move(on_end);
  state.on_hangup = std::move(on_hangup);
  ErrorCode ignored;
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) state.signals.add(number, ignored);
  state.wait_for_signal();
}

void HttpServer::after(double seconds, std::function<void()> call) {
  const auto timer = std::make_shared<asio::steady_timer>(
      state_->shared.io, std::chrono::microseconds(static_cast<std::int64_t>(seconds * 1e6)));
  timer->async_wait([timer, call = std::move(call)](const ErrorCode& error) {
    if (!error) call();
  });
}

std::size_t HttpServer::connections() const { return state_->shared.connections.load(); }
std::size_t HttpServer::sending() const { return state_->shared.sending.load(); }
std::size_t HttpServer::open_exchanges() const { return state_->shared.exchanges.load(); }

Result<bool> is_loopback(const std::string& host) {
  OLLM_TRY(const auto endpoints, resolve(host, 0));
  for (const auto& endpoint : endpoints)
    if (!endpoint.address().is_loopback()) return false;
  return true;
}

}  // namespace ollm::server
