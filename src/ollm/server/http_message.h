// A request and an answer of HTTP as values, and what stands between the two. Leaves to others: how
// they travel (http_server.h), what they mean (routes.h).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ollm::server {

/// Names in lower case, values without the spaces around them; in their order.
using HttpFields = std::vector<std::pair<std::string, std::string>>;

/// What a client asks.
struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // "/v1/models/org/name", its %XX decoded; undecoded where that gives no text
  std::string query;   // behind the first '?', as it came
  HttpFields fields;
  bool version_1_0 = false;
  bool keep_alive = true;
  bool local = false;  // through a unix socket

  /// The first field of this name (in lower case), or nullptr. A host that the target names stands
  /// in place of that of the field.
  const std::string* field(std::string_view name) const {
    for (const auto& [key, value] : fields)
      if (key == name) return &value;
    return nullptr;
  }
};

/// What it is answered, whole.
struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::string> more_body = {};  // behind it, where it is long
  HttpFields fields = {};                   // beside those of length and type
  bool close = false;                       // the connection, afterwards

  std::size_t body_bytes() const {
    std::size_t bytes = body.size();
    for (const std::string& part : more_body) bytes += part.size();
    return bytes;
  }
};

/// One request on its way to one answer: whole, or as a stream of events. Any thread may call, one
/// at a time; what the client does not hear any more goes nowhere.
class Exchange {
 public:
  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  virtual ~Exchange() = default;

  virtual const HttpRequest& request() const = 0;
  /// The body; once, as it may be large.
  virtual std::string take_body() = 0;
  /// How long it is, as long as it was not taken.
  virtual std::size_t body_bytes() const = 0;

  /// The whole answer. Exactly one of this and begin_events is called.
  virtual void respond(HttpResponse response) = 0;

  /// 200 and a stream of text/event-stream; then its text, and its end.
  ///@{
  virtual void begin_events() = 0;
  virtual void send(std::string text) = 0;
  virtual void end_events() = 0;
  ///@}

  /// Keeps `what` until the last byte of the answer has left, or its client. Before the answer.
  virtual void hold(std::shared_ptr<void> what) = 0;
  virtual bool holds() const = 0;

  /// What was sent and has not left yet, in bytes.
  virtual std::size_t unsent_bytes() const = 0;
  /// Whether the client went away.
  virtual bool gone() const = 0;
  /// What is called, on a thread of the server, when the client went away, and when it took what it
  /// had not taken for long. Once `gone`, it is called at once.
  virtual void on_change(std::function<void()> call) = 0;
};

}  // namespace ollm::server
