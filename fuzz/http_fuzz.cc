// Any bytes from a client, in pieces of any size: each request is answered in its turn or refused,
// what was read stays within the limits, and the same bytes in one piece are the same requests.
// They go through the gate and, where they ask for something that needs no model, to its handler.
// links: ollm_server nlohmann_json::nlohmann_json fmt::fmt
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/base/check.h"
#include "ollm/base/utf8.h"
#include "ollm/server/http_reader.h"
#include "ollm/server/http_text.h"
#include "ollm/server/limits.h"
#include "ollm/server/service.h"

namespace {

using ollm::server::ApiKeys;
using ollm::server::HttpReader;
using ollm::server::HttpRequest;
using ollm::server::HttpResponse;
using ollm::server::ServerLimits;
using ollm::server::Service;
using ollm::server::Workers;

constexpr std::size_t kBodyLimit = 4096;

// Keeps the answer.
class Kept final : public ollm::server::Exchange {
 public:
  Kept(HttpRequest request, std::string body)
      : request_(std::move(request)), body_(std::move(body)) {}
  const HttpRequest& request() const override { return request_; }
  std::string take_body() override { return std::move(body_); }
  std::size_t body_bytes() const override { return body_.size(); }
  void respond(HttpResponse response) override {
    OLLM_CHECK(status == 0);
    status = response.status;
    for (std::string& part : ollm::server::http_text(std::move(response), request_, false))
      text += part;
  }
  void begin_events() override {}
  void send(std::string piece) override { text += piece; }
  void end_events() override {}
  void hold(std::shared_ptr<void> what) override { held_ = std::move(what); }
  bool holds() const override { return held_ != nullptr; }
  std::size_t unsent_bytes() const override { return 0; }
  bool gone() const override { return false; }
  void on_change(std::function<void()>) override {}

  int status = 0;
  std::string text;

 private:
  const HttpRequest request_;
  std::string body_;
  std::shared_ptr<void> held_;
};

struct World {
  ApiKeys keys;
  std::unique_ptr<Workers> workers;
  std::unique_ptr<Service> service;
};

World& world() {
  static World made;
  if (!made.service) {
    made.workers = std::move(Workers::start(1)).value();
    made.service = std::make_unique<Service>(
        Service::Options{.settings = {},
                         .hosts = ollm::server::AllowedHosts("127.0.0.1", {}, false),
                         .body_limit = kBodyLimit},
        made.keys, *made.workers);
  }
  return made;
}

void hold_refusal(const HttpResponse& response) {
  OLLM_CHECK(response.status >= 400 && response.status < 600);
  OLLM_CHECK(ollm::utf8_prefix(response.body) == response.body.size());
  const auto body = nlohmann::json::parse(response.body);  // throws for what is none
  OLLM_CHECK(body["error"]["message"].is_string() && body["error"].contains("param"));
}

// What became of a request, in a line.
std::string answer(HttpReader& reader) {
  HttpRequest request = reader.request();
  std::string body = reader.take_body();
  OLLM_CHECK(body.size() <= kBodyLimit && request.fields.size() <= ServerLimits::kFields);
  OLLM_CHECK(!request.path.empty() || !request.query.empty());
  Service& service = *world().service;
  std::string line = request.method + " " + request.path + " " + std::to_string(body.size());
  if (const auto refused = service.check_head(request)) {
    hold_refusal(*refused);
    return line + " " + std::to_string(refused->status);
  }
  // Still loading: what gets here needs no model.
  const auto exchange = std::make_shared<Kept>(std::move(request), std::move(body));
  service.handle(exchange);
  OLLM_CHECK(exchange->status != 0 && exchange->text.starts_with("HTTP/1.1 "));
  return line + " " + std::to_string(exchange->status);
}

// `pieces`: how many bytes come at once, by turns; empty: all.
std::vector<std::string> read(std::string_view bytes, std::string_view pieces) {
  std::vector<std::string> lines;
  HttpReader reader(kBodyLimit);
  std::string buffer;
  std::size_t turn = 0;
  while (!bytes.empty()) {
    std::size_t size = bytes.size();
    if (!pieces.empty())
      size = std::min<std::size_t>(size,
                                   1 + static_cast<unsigned char>(pieces[turn++ % pieces.size()]));
    buffer += bytes.substr(0, size);
    bytes.remove_prefix(size);
    for (;;) {
      const HttpReader::Phase before = reader.phase();
      const std::size_t taken = reader.put(buffer);
      OLLM_CHECK(taken <= buffer.size());
      buffer.erase(0, taken);
      OLLM_CHECK(reader.body_bytes() <= kBodyLimit);
      if (reader.phase() == HttpReader::Phase::refused) {
        hold_refusal(world().service->refusal(reader.status(), reader.problem()));
        lines.push_back("refused");
        return lines;
      }
      if (reader.phase() == HttpReader::Phase::whole) {
        lines.push_back(answer(reader));
        reader.next();
        continue;
      }
      if (taken == 0 && reader.phase() == before) break;
    }
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > ServerLimits::kHeadBytes / 2) return 0;  // in pieces, limits are met at other places
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> whole = read(text, {});
  const std::vector<std::string> torn = read(text, text.substr(0, 16));
  // A refusal may come before a request that is whole in one piece, never another one.
  OLLM_CHECK(torn.size() <= whole.size() + 1);
  for (std::size_t i = 0; i < std::min(whole.size(), torn.size()); ++i)
    OLLM_CHECK(whole[i] == torn[i]);
  return 0;
}
