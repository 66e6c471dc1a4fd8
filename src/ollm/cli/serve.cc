// ollm serve: OpenAI's API, and our own routes, on one model.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ollm/base/text_size.h"
#include "ollm/base/thread.h"
#include "ollm/cli/command.h"
#include "ollm/cli/command_line.h"
#include "ollm/cli/exit_code.h"
#include "ollm/cli/printed.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/cli/terminal.h"
#include "ollm/load_settings.h"
#include "ollm/ollm.h"
#include "ollm/openai/fields.h"
#include "ollm/server/gate.h"
#include "ollm/server/http_server.h"
#include "ollm/server/limits.h"
#include "ollm/server/loaded_model.h"
#include "ollm/server/service.h"
#include "ollm/server/workers.h"

namespace ollm::cli {
namespace {

// Threads that read and encode bodies.
constexpr std::size_t kWorkers = 2;
// A body as text, as values and on its way to ids; as of a row of a batch.
constexpr std::size_t kBodyFactor = 20;
// Of a budget the share that the longest body may have, so that reading it stays within.
constexpr std::size_t kBodyShare = 512;
constexpr std::size_t kLeastBody = std::size_t{256} << 10;
// Connections with what each may hold in any case, stacks.
constexpr std::size_t kOwnBytes = std::size_t{16} << 20;
// Of a budget the shares of answers and of sessions; without one, or of a large one, the most.
constexpr std::size_t kAnswersShare = 16;
constexpr std::size_t kLeastAnswers = std::size_t{8} << 20;
constexpr std::size_t kMostAnswers = std::size_t{128} << 20;
constexpr std::size_t kSessionsShare = 32;
constexpr std::size_t kLeastSessions = std::size_t{4} << 20;
constexpr std::size_t kMostSessions = std::size_t{128} << 20;

class ServeCommand {
 public:
  explicit ServeCommand(CLI::App& app)
      : settings_flags_(app, {"runtime", "generation", "server"}, false),
        model_option_(app.get_option("--model")) {
    app.add_option("--unix-socket", unix_socket_,
                   "Listen here; then on no address, unless --host or --port says so")
        ->type_name("path");
    app.add_option("--api-key-file", key_file_, "Keys, one a line, that requests have to bring")
        ->type_name("path");
    app.add_flag("--allow-unauthenticated", allow_unauthenticated_,
                 "Listen on other addresses than loopback without a key");
    app.add_option("--allowed-host", allowed_hosts_,
                   "A further name by which clients ask for this server")
        ->type_name("name")
        ->take_all();
    app.add_flag("--share-cache", share_cache_, "Let requests of all keys use stored KV together");
    app.add_option("--sequences", sequences_, "Answers at once; by default as many as pay")
        ->type_name("count")
        ->check(count_from_to(1, 1024));
    app.add_option("--max-queue", max_queue_, "Requests that may wait beyond those that run")
        ->type_name("count")
        ->default_str("64")
        ->check(count_from_to(0, 4096));
    app.add_option("--drain-timeout", drain_timeout_,
                   "How long answers that run may take after a first SIGTERM: 30, 2min")
        ->type_name("age")
        ->default_str("30");
    add_allowances(app, allowances_);
  }

  Outcome run() {
    std::signal(SIGPIPE, SIG_IGN);  // clients go away all the time
    OLLM_TRY(settings_, settings_flags_.load());
    if (const std::size_t models = model_option_->count(); models > 1) {
      return usage(fmt::format(
          "--model is given {} times; a server has one model: start one for each", models));
    }
    Result<std::uint64_t> seconds = parse_age(drain_timeout_);
    if (!seconds.ok()) return std::move(seconds).error().within("--drain-timeout");
    drain_s_ = static_cast<double>(*seconds);
    OLLM_TRY_VOID(load_keys(keys_));
    OLLM_TRY(const bool loopback, listens_to_loopback());
    OLLM_TRY_VOID(check_keys(keys_, loopback));
    OLLM_TRY(std::unique_ptr<server::Workers> workers, server::Workers::start(kWorkers));
    server::Service service(service_options(loopback), keys_, *workers);
    OLLM_TRY(server::HttpServer http, open(service));
    service.connections = [&http] { return http.connections(); };
    http.on_signals([&](int count) { end(count, service, http); }, [&] { reload_keys(loopback); });
    OLLM_TRY(Thread thread, Thread::start([&http] { http.run(); }));
    std::optional<Thread> network(std::move(thread));
    std::unique_ptr<server::LoadedModel> model;
    Result<void> loaded = load(service, http, model);
    if (!loaded.ok()) http.stop();
    network.reset();  // waits for its end
    // Who still holds a request goes before the sockets do.
    workers.reset();
    model_ = nullptr;
    model.reset();
    if (!loaded.ok() && !asked_to_end_) return std::move(loaded).error();
    return left_behind_ ? kExitInterrupted : 0;
  }

 private:
  Result<void> load_keys(server::ApiKeys& keys) const {
    const Environment environment = Environment::of_process();
    return keys.load(environment.find_filled("OLLM_API_KEY").value_or(""), key_file_);
  }

  // What a start would refuse leaves the keys as they are.
  void reload_keys(bool loopback) {
    server::ApiKeys fresh;
    Result<void> loaded = load_keys(fresh);
    if (loaded.ok()) loaded = check_keys(fresh, loopback);
    if (!loaded.ok()) return print_warning("keys stay as they were: " + loaded.error().message);
    if (!keys_.empty() && fresh.empty()) print_warning("there are no keys any more");
    keys_.replace_by(fresh);
  }

  bool has_address() const {
    return unix_socket_.empty() || settings_.given("server.host") || settings_.given("server.port");
  }

  // Whether only this machine reaches it.
  Result<bool> listens_to_loopback() const {
    if (!has_address()) return true;
    return server::is_loopback(settings_.server.host);
  }

  // Errors: invalid_argument for several keys with one cache that nobody meant, and where other
  // machines reach it and no key is asked for.
  Result<void> check_keys(const server::ApiKeys& keys, bool loopback) const {
    if (keys.size() > 1 && !share_cache_) {
      return usage(
          "several keys have one cache here, in which the time of an answer tells what others "
          "asked: --share-cache says that this is meant (a cache of each is not built)");
    }
    if (!loopback && keys.empty() && !allow_unauthenticated_) {
      return usage(fmt::format(
          "{} is reached from other machines, and no key is asked for: give --api-key-file or "
          "OLLM_API_KEY, or say --allow-unauthenticated",
          settings_.server.host));
    }
    return {};
  }

  // Part of the budget, or the most where there is none.
  std::size_t share_of_memory(std::size_t share, std::size_t least, std::size_t most) const {
    const auto& memory = settings_.runtime.memory;
    if (!memory) return most;
    return std::clamp(static_cast<std::size_t>(*memory) / share, least, most);
  }

  server::Service::Options service_options(bool loopback) {
    body_limit_ = share_of_memory(kBodyShare, kLeastBody, openai::BodyLimits::kBytes);
    answer_bytes_ = share_of_memory(kAnswersShare, kLeastAnswers, kMostAnswers);
    session_bytes_ = share_of_memory(kSessionsShare, kLeastSessions, kMostSessions);
    return {.settings = settings_,
            .hosts = server::AllowedHosts(settings_.server.host, allowed_hosts_, !loopback),
            .max_queue = max_queue_,
            .body_limit = body_limit_,
            .answer_bytes = answer_bytes_,
            .session_bytes = session_bytes_,
            .logs_requests = settings_.server.log_level == "debug"};
  }

  Result<server::HttpServer> open(server::Service& service) const {
    return server::HttpServer::open({.host = has_address() ? settings_.server.host : "",
                                     .port = static_cast<std::uint16_t>(settings_.server.port),
                                     .unix_socket = unix_socket_,
                                     .body_limit = body_limit_},
                                    service);
  }

  Result<void> load(server::Service& service, server::HttpServer& http,
                    std::unique_ptr<server::LoadedModel>& model) {
    // One of the longest at a time, and beside it those that are not large.
    const std::size_t large = (kWorkers - 1) * server::ServerLimits::kLargeBodyBytes;
    const server::LoadOptions options{
        .settings = settings_,
        .allowances = allowances_,
        .sequences = sequences_,
        .caller_bytes = kOwnBytes + server::ServerLimits::kReadAheadBytes + answer_bytes_ +
                        session_bytes_ + kBodyFactor * (body_limit_ + large) +
                        server::ServerLimits::kBodiesAtOnce * body_limit_};
    const Verbosity words = verbosity(settings_);
    ProgressLine progress(words);
    OLLM_TRY(model, server::LoadedModel::load(
                        options, [&](const Plan& plan) { say_plan(plan, words); }, progress,
                        load_cancel_));
    progress.clear();
    OLLM_TRY_VOID(load_cancel_.check());
    model_ = model.get();
    service.serve(*model);
    if (has_address()) {
      const std::string& host = settings_.server.host;
      const bool brackets = host.find(':') != std::string::npos && host.front() != '[';
      print_words(stderr, fmt::format("listening on http://{}{}{}:{}\n", brackets ? "[" : "", host,
                                      brackets ? "]" : "", http.port()));
    }
    if (!unix_socket_.empty())
      print_words(stderr, fmt::format("listening on unix:{}\n", unix_socket_));
    return {};
  }

  // On the thread of the network. The first signal asks, the second ends.
  void end(int count, server::Service& service, server::HttpServer& http) {
    asked_to_end_ = true;
    load_cancel_.cancel();
    if (count > 1) {
      left_behind_ = true;
      if (server::LoadedModel* model = model_) model->desk().cancel_all();
      http.after(kLastWords, [&http] { http.stop(); });
      return;
    }
    service.drain();
    if (verbosity(settings_) != Verbosity::quiet)
      print_words(stderr, "ollm: ending; answers that run are waited for\n");
    wait_for_answers(http, drain_s_);
  }

  // `left_s`: until answers are cut off; below 0 they are, and their last words go out.
  void wait_for_answers(server::HttpServer& http, double left_s) {
    const bool all_left = http.open_exchanges() == 0 && http.sending() == 0;
    if (all_left || left_s < -kCutOff) return http.after(kLastWords, [&http] { http.stop(); });
    server::LoadedModel* model = model_;
    if (left_s <= 0 && model != nullptr) model->desk().cancel_all();
    http.after(kLook, [&http, left_s, this] { wait_for_answers(http, left_s - kLook); });
  }

  static constexpr double kLook = 0.05;      // seconds between two looks
  static constexpr double kCutOff = 1.5;     // seconds in which answers that are cut off end
  static constexpr double kLastWords = 0.2;  // seconds in which answers still leave

  SettingsFlags settings_flags_;
  const CLI::Option* model_option_;  // of those flags
  std::string unix_socket_, key_file_, drain_timeout_ = "30";
  std::vector<std::string> allowed_hosts_;
  bool allow_unauthenticated_ = false, share_cache_ = false;
  std::size_t sequences_ = 0, max_queue_ = 64;
  Allowances allowances_;

  Settings settings_;
  server::ApiKeys keys_;
  double drain_s_ = 0;
  std::size_t body_limit_ = 0, answer_bytes_ = 0, session_bytes_ = 0;
  CancellationToken load_cancel_;
  std::atomic<server::LoadedModel*> model_ = nullptr;
  std::atomic<bool> asked_to_end_ = false, left_behind_ = false;
};

std::function<Outcome()> set_up(CLI::App& app) {
  auto command = std::make_shared<ServeCommand>(app);  // shared: std::function is copied
  return [command] { return command->run(); };
}

}  // namespace

const Command kServe{.name = "serve",
                     .summary = "Answer requests of HTTP, as OpenAI's API has them",
                     .set_up = set_up};

}  // namespace ollm::cli
