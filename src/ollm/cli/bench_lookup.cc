#include "ollm/cli/bench_lookup.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "ollm/bench.h"
#include "ollm/cli/interrupt.h"
#include "ollm/cli/printed.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Recorded {
  std::string name;
  RecordedAnswer tokens;
};

// Rows {"name", "prompt", "answer"}, of ids.
Result<std::vector<Recorded>> read_recorded(const std::string& path) {
  std::ifstream in(path);
  if (!in) return fail(ErrorKind::not_found, fmt::format("--recorded: no file {}", path));
  std::vector<Recorded> out;
  std::string row;
  while (std::getline(in, row)) {
    const Json parsed = Json::parse(row, nullptr, false);
    const auto ids = [&](const char* key) -> std::optional<std::vector<TokenId>> {
      if (!parsed.is_object() || !parsed.contains(key) || !parsed[key].is_array())
        return std::nullopt;
      std::vector<TokenId> found;
      for (const Json& id : parsed[key]) {
        if (!id.is_number_integer() || !std::in_range<TokenId>(id.get<std::int64_t>()))
          return std::nullopt;
        found.push_back(id.get<TokenId>());
      }
      return found;
    };
    auto prompt = ids("prompt");
    auto answer = ids("answer");
    if (!prompt || !answer || prompt->empty() || answer->empty() || !parsed.contains("name") ||
        !parsed["name"].is_string()) {
      return fail(ErrorKind::corrupt,
                  fmt::format("{}: row {} is no {{\"name\", \"prompt\", \"answer\"}} with ids",
                              path, out.size() + 1));
    }
    out.push_back({parsed["name"].get<std::string>(), {*std::move(prompt), *std::move(answer)}});
  }
  if (out.empty()) return fail(ErrorKind::corrupt, fmt::format("{}: no recorded answer", path));
  return out;
}

// The first tokens of an answer, all with 0.
RecordedAnswer first_tokens(RecordedAnswer whole, std::size_t tokens) {
  if (tokens != 0 && tokens < whole.answer.size()) whole.answer.resize(tokens);
  return whole;
}

// What one answer took, its prompt left out.
struct Cost {
  std::size_t tokens = 0;  // behind the first
  double seconds = 0;
  std::size_t sweeps = 0;
  double rate() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
};

Result<Cost> cost_of(const Runtime& runtime, const RecordedAnswer& answer,
                     const CancellationToken& cancel) {
  OLLM_TRY(Session session, runtime.new_session());
  OLLM_TRY(const Generation made, replay(session, answer, nullptr, &cancel));
  if (made.finish_reason == FinishReason::cancelled) {
    OLLM_TRY_VOID(cancel.check());
  }
  Cost cost;
  cost.tokens = made.ids.size() - 1;
  if (made.report.decode_tokens_per_second > 0)
    cost.seconds = static_cast<double>(cost.tokens) / made.report.decode_tokens_per_second;
  cost.sweeps = cost.tokens - made.report.draft_accepted;
  return cost;
}

Result<std::vector<Cost>> costs(const Settings& settings, const std::vector<Recorded>& recorded,
                                std::size_t most_tokens, const CancellationToken& cancel) {
  Workload workload;
  for (const Recorded& one : recorded) {
    workload.prompt_tokens = std::max(workload.prompt_tokens, one.tokens.prompt.size());
    workload.max_new_tokens = std::max(workload.max_new_tokens, one.tokens.answer.size());
  }
  OLLM_TRY(const Plan plan, make_plan(settings, workload));
  OLLM_TRY_VOID(plan.check());
  OLLM_TRY(const Runtime runtime, Runtime::load(plan, std::nullopt, nullptr, &cancel));
  std::vector<Cost> out;
  for (const Recorded& one : recorded) {
    OLLM_TRY(const Cost cost, cost_of(runtime, first_tokens(one.tokens, most_tokens), cancel));
    out.push_back(cost);
  }
  return out;
}

}  // namespace

BenchLookup::BenchLookup(CLI::App& bench) {
  app_ = bench.add_subcommand("lookup", "Measure what guessing brings on recorded answers");
  flags_ = std::make_unique<SettingsFlags>(
      *app_, std::initializer_list<std::string_view>{"runtime"}, true);
  app_->add_option("--recorded", recorded_, "Rows of {\"name\", \"prompt\", \"answer\"}, as ids")
      ->type_name("path")
      ->capture_default_str();
  app_->add_option("--tokens", most_tokens_, "The first tokens of each answer alone; 0: all")
      ->type_name("count")
      ->check(count_from_to(0, 1'000'000))
      ->capture_default_str();
  app_->add_option("--tokens-without", tokens_without_,
                   "Tokens of each that are also run without guessing; 0: all")
      ->type_name("count")
      ->check(count_from_to(0, 1'000'000))
      ->capture_default_str();
  app_->add_flag("--json", json_, "Print one JSON object");
}

Outcome BenchLookup::run() {
  OLLM_TRY(Settings settings, flags_->load());
  settings.runtime.use_cache = false;  // keys and values of no meaning are not kept
  OLLM_TRY(const std::vector<Recorded> recorded, read_recorded(recorded_));
  const CancellationToken& cancel = cancel_on_interrupt();
  OLLM_TRY(const std::vector<Cost> with, costs(settings, recorded, most_tokens_, cancel));
  settings.runtime.speculate = "off";
  const std::size_t fewer = most_tokens_ == 0      ? tokens_without_
                            : tokens_without_ == 0 ? most_tokens_
                                                   : std::min(most_tokens_, tokens_without_);
  OLLM_TRY(const std::vector<Cost> without, costs(settings, recorded, fewer, cancel));

  Json rows = Json::array();
  Cost all;
  double expected = 0;  // seconds of all without guessing
  std::string table = fmt::format("{:<24} {:>7} {:>7} {:>13} {:>9} {:>11} {:>7}\n", "answer",
                                  "tokens", "sweeps", "tokens/sweep", "tok/s", "without", "ratio");
  const auto add = [&](std::string_view name, const Cost& cost, double without_rate) {
    const double per_sweep = static_cast<double>(cost.tokens) /
                             static_cast<double>(std::max<std::size_t>(1, cost.sweeps));
    const double ratio = without_rate > 0 ? cost.rate() / without_rate : 0;
    table += fmt::format("{:<24} {:>7} {:>7} {:>13.2f} {:>9.3f} {:>11.3f} {:>7.2f}\n", name,
                         cost.tokens, cost.sweeps, per_sweep, cost.rate(), without_rate, ratio);
    rows.push_back({{"name", name},
                    {"tokens", cost.tokens},
                    {"sweeps", cost.sweeps},
                    {"tokens_per_second", cost.rate()},
                    {"without", without_rate},
                    {"ratio", ratio}});
  };
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    add(recorded[i].name, with[i], without[i].rate());
    all.tokens += with[i].tokens;
    all.sweeps += with[i].sweeps;
    all.seconds += with[i].seconds;
    if (without[i].rate() > 0) expected += static_cast<double>(with[i].tokens) / without[i].rate();
  }
  add("all", all, expected > 0 ? static_cast<double>(all.tokens) / expected : 0);
  if (json_) {
    print_json(Json{{"answers", std::move(rows)}}.dump(2));
  } else {
    print_words(stdout, table);
  }
  return 0;
}

}  // namespace ollm::cli
