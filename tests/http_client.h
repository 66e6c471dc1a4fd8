// A client of HTTP for tests, which sends any bytes at any pace and reads answers strictly.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ollm::testing {

/// What came back.
struct HttpAnswer {
  int status = 0;                             // 0: the connection was closed instead
  std::map<std::string, std::string> fields;  // names in lower case
  std::string body;
};

class HttpClient {
 public:
  explicit HttpClient(int port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ =
        ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  explicit HttpClient(const std::string& unix_path)
      : descriptor_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    unix_path.copy(address.sun_path, sizeof address.sun_path - 1);
    connected_ =
        ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~HttpClient() { close(); }
  HttpClient(HttpClient&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), connected_(other.connected_) {}
  HttpClient& operator=(HttpClient&&) = delete;

  bool connected() const { return connected_; }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  /// That nothing more is sent.
  void end_sending() { ::shutdown(descriptor_, SHUT_WR); }
  /// Closes it as a client does that crashes: with a reset.
  void reset() {
    const linger none{1, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close();
  }

  /// False where the other side does not take it any more.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// What comes within so long; false at the end, and where nothing came.
  bool read_some(int wait_ms = kPatienceMs) {
    pollfd ready{descriptor_, POLLIN, 0};
    if (::poll(&ready, 1, wait_ms) <= 0) return false;
    char piece[65536];
    const ssize_t got = ::recv(descriptor_, piece, sizeof piece, 0);
    if (got <= 0) {
      ended_ = true;
      return false;
    }
    in_.append(piece, static_cast<std::size_t>(got));
    return true;
  }
  /// Whether the other side has closed it, after reading what came.
  bool closed(int wait_ms = kPatienceMs) {
    while (!ended_ && read_some(wait_ms)) continue;
    return ended_;
  }
  /// Read and not taken as an answer yet.
  const std::string& pending() const { return in_; }

  /// The next answer, whole; to HEAD, without a body.
  HttpAnswer read(bool to_head = false, int wait_ms = kPatienceMs) {
    HttpAnswer answer;
    std::size_t end = std::string::npos;
    while ((end = in_.find("\r\n\r\n")) == std::string::npos)
      if (!read_some(wait_ms)) return answer;
    const std::string head = in_.substr(0, end + 2);
    in_.erase(0, end + 4);
    if (head.size() < 12 || !head.starts_with("HTTP/1.1 ")) return answer;
    const int status = std::atoi(head.c_str() + 9);
    read_fields(head, answer);
    if (status == 100) return read(to_head, wait_ms);
    answer.status = status;
    if (to_head) return answer;
    if (!read_body(answer, wait_ms)) answer.status = 0;
    return answer;
  }

  /// A request with a body of JSON, and its answer.
  HttpAnswer ask(std::string_view method, std::string_view path, std::string_view body = {},
                 std::string_view more_fields = {}) {
    send(request(method, path, body, more_fields));
    return read(method == "HEAD");
  }
  static std::string request(std::string_view method, std::string_view path,
                             std::string_view body = {}, std::string_view more_fields = {}) {
    std::string text(method);
    text += ' ';
    text += path;
    text += " HTTP/1.1\r\nHost: localhost\r\n";
    text += more_fields;
    if (method == "POST") {
      text += "Content-Type: application/json\r\nContent-Length: ";
      text += std::to_string(body.size()) + "\r\n";
    }
    text += "\r\n";
    text += body;
    return text;
  }

  static constexpr int kPatienceMs = 30'000;  // a server that hangs fails by it

 private:
  static void read_fields(const std::string& head, HttpAnswer& answer) {
    for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
      const std::size_t end = head.find("\r\n", at);
      const std::size_t colon = head.find(':', at);
      if (end == std::string::npos || colon > end) return;
      std::string name = head.substr(at, colon - at);
      for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      answer.fields[name] = head.substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
  }

  bool take(std::size_t bytes, std::string& out, int wait_ms) {
    while (in_.size() < bytes)
      if (!read_some(wait_ms)) return false;
    out.append(in_, 0, bytes);
    in_.erase(0, bytes);
    return true;
  }

  bool read_body(HttpAnswer& answer, int wait_ms) {
    const auto length = answer.fields.find("content-length");
    if (length != answer.fields.end())
      return take(std::strtoul(length->second.c_str(), nullptr, 10), answer.body, wait_ms);
    if (!answer.fields.contains("transfer-encoding")) {
      while (read_some(wait_ms)) continue;
      answer.body = std::exchange(in_, {});
      return ended_;
    }
    for (;;) {
      std::size_t end = std::string::npos;
      while ((end = in_.find("\r\n")) == std::string::npos)
        if (!read_some(wait_ms)) return false;
      const std::size_t size = std::strtoul(in_.c_str(), nullptr, 16);
      in_.erase(0, end + 2);
      std::string tail;
      if (!take(size, answer.body, wait_ms) || !take(2, tail, wait_ms) || tail != "\r\n")
        return false;
      if (size == 0) return true;
    }
  }

  int descriptor_ = -1;
  bool connected_ = false;
  bool ended_ = false;
  std::string in_;
};

}  // namespace ollm::testing
