#include "ollm/server/http_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

#include "ollm/base/text_form.h"
#include "ollm/base/utf8.h"
#include "ollm/server/limits.h"

namespace ollm::server {
namespace {

namespace http = boost::beast::http;
using Parser = http::request_parser<http::string_body>;

constexpr int kBadRequest = 400;
constexpr int kTooLarge = 413;
constexpr int kLongTarget = 414;
constexpr int kExpectationFailed = 417;
constexpr int kLargeHead = 431;

constexpr std::string_view kScheme = "http://";  // of a target that names its host

// Of which two readers could take a different one each.
constexpr std::string_view kSingleFields[] = {"origin", "authorization", "content-type"};

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return std::nullopt;
}

// %XX once; nothing where that is no text that a path may be.
std::optional<std::string> decoded(std::string_view path) {
  std::string out;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      out.push_back(path[i]);
      continue;
    }
    if (i + 2 >= path.size()) return std::nullopt;
    const auto high = hex_digit(path[i + 1]);
    const auto low = hex_digit(path[i + 2]);
    if (!high || !low) return std::nullopt;
    out.push_back(static_cast<char>(*high * 16 + *low));
    i += 2;
  }
  const bool controls = std::any_of(out.begin(), out.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  if (controls || utf8_prefix(out) != out.size()) return std::nullopt;
  return out;
}

std::size_t count(const HttpFields& fields, std::string_view name) {
  return static_cast<std::size_t>(std::count_if(
      fields.begin(), fields.end(), [&](const auto& field) { return field.first == name; }));
}

}  // namespace

struct HttpReader::State {
  explicit State(std::size_t limit) : body_limit(limit) { begin(); }

  void begin() {
    parser.emplace();
    parser->header_limit(static_cast<std::uint32_t>(ServerLimits::kHeadBytes));
    parser->body_limit(body_limit);
    phase = Phase::head;
    request = {};
  }

  void refuse(int with, std::string why) {
    phase = Phase::refused;
    status = with;
    problem = std::move(why);
  }

  void refuse(const boost::system::error_code& error) {
    if (error == http::error::header_limit) {
      refuse(kLargeHead, "the header has more than 16 KiB");
    } else if (error == http::error::body_limit) {
      refuse(kTooLarge, "the body has more than " + std::to_string(body_limit) + " bytes");
    } else {
      refuse(kBadRequest, "this is no request of HTTP/1.1: " + error.message());
    }
  }

  void read_target(std::string_view target) {
    if (target.starts_with(kScheme)) {  // as proxies are asked
      target.remove_prefix(kScheme.size());
      const std::size_t end = std::min(target.find_first_of("/?"), target.size());
      name_host(target.substr(0, end));
      target.remove_prefix(end);
    }
    const std::size_t mark = target.find('?');
    const std::string_view path = target.substr(0, mark);
    if (mark != std::string_view::npos) request.query = target.substr(mark + 1);
    request.path = path.empty() ? "/" : decoded(path).value_or(std::string(path));
  }

  // A host in the target counts in place of the field (RFC 9112, 3.2.2).
  void name_host(std::string_view host) {
    for (auto& [name, value] : request.fields)
      if (name == "host") value = host;
  }

  // What Beast takes and we do not.
  void check_head() {
    const auto& message = parser->get();
    if (message.target().size() > ServerLimits::kTargetBytes)
      return refuse(kLongTarget, "the target has more than 8 KiB");
    if (!message.target().starts_with('/') && !message.target().starts_with(kScheme))
      return refuse(kBadRequest, "the target is no path");
    if (request.fields.size() > ServerLimits::kFields)
      return refuse(kLargeHead, "the header has more than 100 fields");
    if (count(request.fields, "host") != 1)
      return refuse(kBadRequest,
                    "expected one Host, found " + std::to_string(count(request.fields, "host")));
    for (const std::string_view name : kSingleFields)
      if (const std::size_t found = count(request.fields, name); found > 1)
        return refuse(kBadRequest, fmt::format("expected one {}, found {}", name, found));
    const std::string* length = request.field("content-length");
    if (length != nullptr &&
        (count(request.fields, "content-length") > 1 ||
         !std::all_of(length->begin(), length->end(), [](char c) { return c >= '0' && c <= '9'; })))
      return refuse(kBadRequest, "expected one number as Content-Length");
    const std::size_t encodings = count(request.fields, "transfer-encoding");
    if (encodings > 0) {
      if (request.version_1_0 || count(request.fields, "content-length") > 0)
        return refuse(kBadRequest, "Transfer-Encoding does not go with this request");
      if (encodings > 1 || lower(*request.field("transfer-encoding")) != "chunked")
        return refuse(kBadRequest, "of Transfer-Encoding, chunked alone is built");
    }
    if (const std::string* expect = request.field("expect")) {
      if (lower(*expect) != "100-continue")
        return refuse(kExpectationFailed, "of Expect, 100-continue alone is built");
      expects_continue = !request.version_1_0;
    }
  }

  void take_head() {
    const auto& message = parser->get();
    request.method = message.method_string();
    request.version_1_0 = message.version() < 11;
    request.keep_alive = message.keep_alive();
    for (const auto& field : message)
      request.fields.emplace_back(lower(field.name_string()), std::string(field.value()));
    read_target(message.target());
    expects_continue = false;
    phase = Phase::body;
    check_head();
    parser->get().clear();  // they would stand here twice, as long as the body comes
  }

  std::size_t put(std::string_view bytes) {
    std::size_t taken = 0;
    while (phase == Phase::head || phase == Phase::body) {
      if (phase == Phase::body && parser->is_done()) {
        phase = Phase::whole;
        break;
      }
      if (taken == bytes.size()) break;
      boost::system::error_code error;
      const std::string_view rest = bytes.substr(taken);
      const std::size_t used = parser->put(boost::asio::buffer(rest.data(), rest.size()), error);
      taken += used;
      if (error && error != http::error::need_more) {
        refuse(error);
        break;
      }
      if (phase == Phase::head && parser->is_header_done()) {
        take_head();
        break;
      }
      if (error || used == 0) break;
    }
    return taken;
  }

  const std::size_t body_limit;
  std::optional<Parser> parser;
  Phase phase = Phase::head;
  HttpRequest request;
  bool expects_continue = false;
  int status = kBadRequest;
  std::string problem;
};

HttpReader::HttpReader(std::size_t body_limit) : state_(std::make_unique<State>(body_limit)) {}
HttpReader::HttpReader(HttpReader&&) noexcept = default;
HttpReader& HttpReader::operator=(HttpReader&&) noexcept = default;
HttpReader::~HttpReader() = default;

std::size_t HttpReader::put(std::string_view bytes) { return state_->put(bytes); }
HttpReader::Phase HttpReader::phase() const { return state_->phase; }
const HttpRequest& HttpReader::request() const { return state_->request; }
bool HttpReader::expects_continue() const { return state_->expects_continue; }
std::size_t HttpReader::body_bytes() const { return state_->parser->get().body().size(); }
std::string HttpReader::take_body() { return std::move(state_->parser->get().body()); }
int HttpReader::status() const { return state_->status; }
const std::string& HttpReader::problem() const { return state_->problem; }
void HttpReader::next() { state_->begin(); }

}  // namespace ollm::server
