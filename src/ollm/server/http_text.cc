#include "ollm/server/http_text.h"

#include <fmt/format.h>

#include <utility>

#include "ollm/server/limits.h"

namespace ollm::server {
namespace {

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Status";
  }
}

// Of every answer: no page of another origin has a use for them, and nothing keeps them.
constexpr std::string_view kAlways =
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";

}  // namespace

std::vector<std::string> http_text(HttpResponse response, const HttpRequest& request, bool close) {
  std::string out =
      fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n", response.status,
                  reason(response.status), response.content_type, response.body_bytes());
  out += kAlways;
  for (const auto& [name, value] : response.fields) out += fmt::format("{}: {}\r\n", name, value);
  if (close) {
    out += "Connection: close\r\n";
  } else if (request.version_1_0) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
  const bool has_body = request.method != "HEAD";
  const bool is_short = response.body.size() <= ServerLimits::kSmallAnswerBytes;
  if (has_body && is_short) out += response.body;  // in one packet, mostly
  std::vector<std::string> parts = {std::move(out)};
  if (!has_body) return parts;
  if (!is_short) parts.push_back(std::move(response.body));
  for (std::string& part : response.more_body) parts.push_back(std::move(part));
  return parts;
}

std::string http_events_head(const HttpRequest& request) {
  std::string out = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n";
  out += kAlways;
  if (request.version_1_0) {
    out += "Connection: close\r\n";
  } else {
    out += "Transfer-Encoding: chunked\r\n";
    if (!request.keep_alive) out += "Connection: close\r\n";
  }
  return out + "\r\n";
}

std::string http_chunk(std::string_view text) {
  return fmt::format("{:x}\r\n{}\r\n", text.size(), text);
}

}  // namespace ollm::server
