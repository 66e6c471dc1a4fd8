// Bytes to requests of HTTP/1.1, within the limits; whatever a peer sends is a request or refused.
// Leaves to others: sockets and times (http_server.h), whose requests are welcome (gate.h).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "ollm/server/http_message.h"

namespace ollm::server {

/// Reads one request after the other.
class HttpReader {
 public:
  enum class Phase {
    head,     // the request line and the header are not whole yet
    body,     // they are: `request` holds
    whole,    // the body is there, too
    refused,  // it is no request that we take: `status` and `problem` say why
  };

  explicit HttpReader(std::size_t body_limit);
  HttpReader(HttpReader&&) noexcept;
  HttpReader& operator=(HttpReader&&) noexcept;
  ~HttpReader();

  /// Reads on in `bytes`, which is what was not taken before with what came behind it; stops where
  /// the phase changes. How many were taken.
  std::size_t put(std::string_view bytes);

  Phase phase() const;
  /// From `body` on.
  const HttpRequest& request() const;
  /// Whether the client waits for a word before it sends the body ("Expect: 100-continue").
  bool expects_continue() const;
  /// Bytes of the body up to now.
  std::size_t body_bytes() const;
  /// In `whole`, once.
  std::string take_body();

  /// In `refused`.
  ///@{
  int status() const;
  const std::string& problem() const;
  ///@}

  /// Begins the next request, behind a whole one.
  void next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ollm::server
