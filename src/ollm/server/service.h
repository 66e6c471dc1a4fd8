// What stands between sockets and routes: who may ask, whether the model is there, how many may
// wait; and what routes share. Leaves to others: each route (routes.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "ollm/openai/error.h"
#include "ollm/server/answer_room.h"
#include "ollm/server/gate.h"
#include "ollm/server/http_server.h"
#include "ollm/server/loaded_model.h"
#include "ollm/server/metrics.h"
#include "ollm/server/routes.h"
#include "ollm/server/sessions.h"
#include "ollm/server/workers.h"

namespace ollm::server {

/// What {"status"} of /health says.
enum class Stage { loading, ready, draining };

/// The right of one request to run or to wait; given back by whoever drops it last.
using Place = std::shared_ptr<void>;

class Service final : public HttpHandler {
 public:
  struct Options {
    Settings settings;
    AllowedHosts hosts;
    std::size_t max_queue = 64;                          // requests that wait, beyond the lines
    std::size_t body_limit = 0;                          // bytes
    std::size_t answer_bytes = std::size_t{128} << 20;   // of all answers together
    std::size_t session_bytes = std::size_t{128} << 20;  // of all sessions together
    bool logs_requests = false;  // each with its status, never with what it says
  };

  /// `keys` and `workers` must outlive it.
  Service(Options options, const ApiKeys& keys, Workers& workers);

  std::optional<HttpResponse> check_head(const HttpRequest& request) override;
  void handle(std::shared_ptr<Exchange> exchange) override;
  HttpResponse refusal(int status, const std::string& problem) override;

  /// From now on requests are answered by this model, which must outlive them. Any thread.
  void serve(LoadedModel& model);
  /// From now on none is. Any thread.
  void drain() { stage_ = Stage::draining; }
  Stage stage() const { return stage_; }

  const Options& options() const { return options_; }
  Workers& workers() { return workers_; }
  Metrics& metrics() { return metrics_; }
  Sessions& sessions() { return sessions_; }
  AnswerRoom& room() { return room_; }
  const AnswerRoom& room() const { return room_; }
  /// nullptr while it is loading.
  LoadedModel* model() const { return model_.load(std::memory_order_acquire); }

  /// Nothing where as many wait as may.
  std::optional<Place> take_place();
  std::size_t places_taken() const { return *places_; }

  /// For the metrics alone.
  std::function<std::size_t()> connections = [] { return std::size_t{0}; };
  /// For the clients of a drain that came to its end: why their answers break off.
  std::atomic<bool> drained_out = false;

 private:
  std::optional<openai::RequestError> check(const HttpRequest& request) const;

  const Options options_;
  const ApiKeys& keys_;
  Workers& workers_;
  Metrics metrics_;
  AnswerRoom room_;
  Sessions sessions_;
  std::atomic<Stage> stage_ = Stage::loading;
  std::atomic<LoadedModel*> model_ = nullptr;
  // Shared with places, which may be given back later than this is there.
  const std::shared_ptr<std::atomic<std::size_t>> places_ =
      std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace ollm::server
