// ollm bench: make model folders of real shapes, and measure runs beside the machine's own limits.
#include "ollm/bench.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/base/text_size.h"
#include "ollm/base/value_document.h"
#include "ollm/cli/bench_lookup.h"
#include "ollm/cli/command.h"
#include "ollm/cli/command_line.h"
#include "ollm/cli/interrupt.h"
#include "ollm/cli/printed.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/cli/terminal.h"
#include "ollm/ollm.h"

namespace ollm::cli {
namespace {

using Json = nlohmann::ordered_json;

// What is run, in token counts.
struct BenchCase {
  std::string_view name;
  std::size_t prompt_tokens;
  std::size_t new_tokens;  // 0: the rows are scored
  std::size_t sequences;
  std::size_t sweeps = 0;  // of one token of each sequence, in one score
};
constexpr BenchCase kCases[] = {
    {"decode", 16, 33, 1},        {"decode-few", 16, 5, 1},  {"prefill-512", 512, 1, 1},
    {"prefill-4096", 4096, 1, 1}, {"score-1", 64, 0, 1},     {"score-8", 64, 0, 8},
    {"sweep-2", 1, 0, 2, 8},      {"sweep-4", 1, 0, 4, 8},   {"sweep-8", 1, 0, 8, 8},
    {"sweep-16", 1, 0, 16, 8},    {"sweep-64", 1, 0, 64, 4},
};

const BenchCase* find_case(std::string_view name) {
  for (const BenchCase& one : kCases)
    if (one.name == name) return &one;
  return nullptr;
}

std::string case_names() {
  std::string names;
  for (const BenchCase& one : kCases) names += (names.empty() ? "" : ", ") + std::string(one.name);
  return names;
}

// Ids that no two rows share, of any vocabulary above a thousand.
std::vector<TokenId> some_ids(std::size_t count, std::size_t row) {
  std::vector<TokenId> ids(count);
  for (std::size_t i = 0; i < count; ++i)
    ids[i] = static_cast<TokenId>((i * 7919 + row * 104729 + 17) % 997);
  return ids;
}

// Figures of several rounds: the median, and the least and largest beside it.
struct Spread {
  std::vector<double> values;
  void add(double value) { values.push_back(value); }
  bool empty() const { return values.empty(); }
  double median() const {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    return sorted.empty() ? 0 : sorted[sorted.size() / 2];
  }
  Json json() const {
    return {{"median", median()},
            {"least", *std::min_element(values.begin(), values.end())},
            {"largest", *std::max_element(values.begin(), values.end())}};
  }
  std::string text(int digits) const {
    return fmt::format("{:.{}f} ({:.{}f}-{:.{}f})", median(), digits,
                       *std::min_element(values.begin(), values.end()), digits,
                       *std::max_element(values.begin(), values.end()), digits);
  }
};

// One case on one loaded model: rounds of the limits and of the run, one beside the other.
class CaseRun {
 public:
  CaseRun(const BenchCase& what, const Settings& settings, std::size_t rounds,
          std::size_t filled_tokens, const CancellationToken& cancel)
      : what_(what),
        settings_(settings),
        rounds_(rounds),
        filled_tokens_(filled_tokens),
        cancel_(cancel) {}

  Result<Json> run() {
    Workload workload;
    workload.prompt_tokens = filled_tokens_ + what_.prompt_tokens;
    workload.max_new_tokens = what_.new_tokens;
    workload.sequences = what_.sequences;
    workload.all_logits = false;
    OLLM_TRY(const Plan plan, make_plan(settings_, workload));
    OLLM_TRY_VOID(plan.check());
    plan_ = plan.execution_plan().value_or(ExecutionPlan());
    folder_ = plan.runtime_plan().model_path().value_or(std::filesystem::path());
    streamed_ = plan_.weights.streamed_bytes != 0 || plan_.kv.read_bytes_per_token != 0 ||
                (plan_.experts && plan_.experts->kept < plan_.experts->experts);
    OLLM_TRY(const Runtime runtime, Runtime::load(plan, std::nullopt, nullptr, &cancel_));
    for (std::size_t round = 0; round < rounds_; ++round) {
      OLLM_TRY_VOID(cancel_.check());
      OLLM_TRY_VOID(measure_limit());
      OLLM_TRY_VOID(measure_run(runtime));
    }
    return result();
  }

  std::string table() const {
    std::string out = fmt::format("{}{}\n", what_.name, streamed_ ? ", streamed" : "");
    const auto line = [&](std::string_view name, const std::string& text) {
      out += fmt::format("  {:<34} {}\n", name, text);
    };
    if (!decode_.empty()) {
      line("decode tok/s", decode_.text(3));
      line("  planned / measured", fmt::format("{:.2f}", planned_decode() / decode_.median()));
    }
    if (sweep_ms_.empty()) {
      line("prefill tok/s", prefill_.text(1));
      line("time to first token s", first_.text(3));
      line("  planned / measured",
           fmt::format("{:.2f}", plan_.estimate.time_to_first_token_s / first_.median()));
    } else {
      line("sweep ms", sweep_ms_.text(2));
    }
    if (!sweep_ratio_.empty()) {
      line("  by memory rate or peak", least_sweep_ms_.text(2));
      line("  ratio", sweep_ratio_.text(3));
    }
    if (streamed_) {
      line("disk GB/s while running", disk_rate_.text(2));
      line("bare reader GB/s", reader_rate_.text(2));
      line("  share of the bare reader", disk_share_.text(3));
      line("CPU s per GB for reading", io_cpu_.text(4));
      line("  bare reader's", reader_cpu_.text(4));
    } else {
      line("memory reads GB/s", memory_rate_.text(1));
      if (!memory_share_.empty()) line("  share of memory reads", memory_share_.text(3));
      line("arithmetic peak GFLOP/s", peak_.text(0));
    }
    if (!peak_share_.empty() && !streamed_) line("  share of the peak", peak_share_.text(3));
    if (!hits_.empty()) {
      line("experts in memory, share", hits_.text(3));
      line("  guessed of the others, share", guessed_.text(3));
      line("  wrongly guessed / wanted bytes", wrong_.text(3));
    }
    // Measuring the memory's rate takes a gibibyte in this process.
    if (streamed_) {
      line("peak memory / planned",
           fmt::format("{} / {}", format_bytes(peak_bytes_), format_bytes(planned_peak_bytes_)));
    }
    return out;
  }

 private:
  double planned_decode() const { return plan_.estimate.decode_tokens_per_second; }

  Result<void> measure_limit() {
    if (streamed_) {
      std::vector<std::filesystem::path> files;
      for (const auto& entry : std::filesystem::directory_iterator(folder_))
        if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
      std::sort(files.begin(), files.end());
      OLLM_TRY(const DiskLimit limit, measure_disk(files, std::uint64_t{4} << 30));
      reader_rate_.add(limit.bytes_per_second / 1e9);
      reader_cpu_.add(limit.cpu_s_per_gigabyte);
      return {};
    }
    OLLM_TRY(const MachineLimits limits, measure_limits(plan_.isa, plan_.compute, plan_.threads));
    memory_rate_.add(limits.memory_bytes_per_second / 1e9);
    peak_.add(limits.peak_flops / 1e9);
    return {};
  }

  Result<void> measure_run(const Runtime& runtime) {
    OLLM_TRY(const Report report, what_.new_tokens == 0 ? score(runtime) : generate(runtime));
    prefill_.add(report.prefill_tokens_per_second);
    if (what_.new_tokens != 0) first_.add(report.time_to_first_token_s);
    if (what_.sweeps != 0) add_sweep(report);
    const double tokens = static_cast<double>(rows() * what_.prompt_tokens);
    double busy = tokens / report.prefill_tokens_per_second;
    if (what_.new_tokens > 1) {
      decode_.add(report.decode_tokens_per_second);
      busy += static_cast<double>(what_.new_tokens - 1) / report.decode_tokens_per_second;
    }
    if (streamed_) {
      const double gigabytes =
          static_cast<double>(report.streamed_bytes + report.kv_bytes_read) / 1e9;
      disk_rate_.add(gigabytes / busy);
      disk_share_.add(disk_rate_.values.back() / reader_rate_.values.back());
      io_cpu_.add(report.io_cpu_s / gigabytes);
    } else if (what_.new_tokens > 1) {
      const double bytes = static_cast<double>(plan_.estimate.memory_bytes_per_sweep) / 1e9;
      memory_share_.add(bytes * report.decode_tokens_per_second / memory_rate_.values.back());
    }
    if (!streamed_ && what_.new_tokens <= 1 && what_.sweeps == 0) {
      const double flops = plan_.estimate.flops_per_token / 1e9;
      peak_share_.add(flops * report.prefill_tokens_per_second / peak_.values.back());
    }
    if (report.experts_wanted != 0) add_experts(report);
    peak_bytes_ = report.peak_bytes;
    planned_peak_bytes_ = report.planned_peak_bytes;
    return {};
  }

  void add_experts(const Report& report) {
    const auto share = [](std::uint64_t part, std::uint64_t whole) {
      return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
    };
    hits_.add(share(report.experts_kept, report.experts_wanted));
    guessed_.add(share(report.experts_guessed, report.experts_wanted - report.experts_kept));
    wrong_.add(
        share(report.wrong_guess_bytes, (report.experts_wanted - report.experts_kept) *
                                            (plan_.experts ? plan_.experts->expert_bytes : 0)));
  }

  // Rows of one score.
  std::size_t rows() const { return what_.sequences * std::max<std::size_t>(1, what_.sweeps); }

  // A sweep takes as long as its weights need to come from memory, or its products at the peak: two
  // operations for each weight, which is of 16 bits (`make` writes no others), and each line.
  void add_sweep(const Report& report) {
    const auto lines = static_cast<double>(what_.sequences);
    const double seconds = lines / report.prefill_tokens_per_second;
    sweep_ms_.add(seconds * 1e3);
    if (streamed_) return;
    const auto bytes = static_cast<double>(plan_.estimate.memory_bytes_per_sweep);
    const double least = std::max(bytes / (memory_rate_.values.back() * 1e9),
                                  bytes * lines / (peak_.values.back() * 1e9));
    least_sweep_ms_.add(least * 1e3);
    sweep_ratio_.add(seconds / least);
  }

  Result<Report> generate(const Runtime& runtime) {
    OLLM_TRY(Session session, runtime.new_session());
    if (filled_tokens_ > 0)
      OLLM_TRY_VOID(fill_at_random(session, filled_tokens_, nullptr, &cancel_));
    GenerateOptions options;
    options.max_new_tokens = what_.new_tokens;
    options.ignore_eos = true;
    OLLM_TRY(const Generation made,
             session.generate(Prompt::tokens(some_ids(what_.prompt_tokens, 0)), options, nullptr,
                              nullptr, &cancel_));
    OLLM_TRY_VOID(cancel_.check());
    return made.report;
  }

  Result<Report> score(const Runtime& runtime) {
    std::vector<ScoreRow> scored_rows;
    for (std::size_t i = 0; i < rows(); ++i)
      scored_rows.push_back({std::to_string(i), some_ids(what_.prompt_tokens, i)});
    ScoreOptions options;
    options.batch = what_.sequences;
    options.last_only = true;
    OLLM_TRY(const ScoreResult scored, runtime.score(scored_rows, options, nullptr, &cancel_));
    const double seconds =
        static_cast<double>(what_.prompt_tokens * rows()) / scored.report.prefill_tokens_per_second;
    first_.add(seconds);
    return scored.report;
  }

  Json result() const {
    Json out = {{"case", what_.name},
                {"streamed", streamed_},
                {"rounds", rounds_},
                {"plan", json_of(plan_.as_dict())},
                {"measured", Json::object()}};
    const auto add = [&](const char* name, const Spread& spread) {
      if (!spread.empty()) out["measured"][name] = spread.json();
    };
    add("decode_tokens_per_second", decode_);
    add("sweep_ms", sweep_ms_);
    add("least_sweep_ms", least_sweep_ms_);
    add("sweep_ratio", sweep_ratio_);
    add("prefill_tokens_per_second", prefill_);
    add("time_to_first_token_s", first_);
    add("disk_gigabytes_per_second", disk_rate_);
    add("bare_reader_gigabytes_per_second", reader_rate_);
    add("share_of_bare_reader", disk_share_);
    add("io_cpu_s_per_gigabyte", io_cpu_);
    add("bare_reader_cpu_s_per_gigabyte", reader_cpu_);
    add("memory_gigabytes_per_second", memory_rate_);
    add("share_of_memory_rate", memory_share_);
    add("peak_gigaflops", peak_);
    add("share_of_peak", peak_share_);
    add("experts_in_memory_share", hits_);
    add("experts_guessed_share", guessed_);
    add("wrong_guess_share", wrong_);
    out["measured"]["peak_bytes"] = peak_bytes_;
    out["measured"]["planned_peak_bytes"] = planned_peak_bytes_;
    return out;
  }

  const BenchCase& what_;
  const Settings& settings_;
  const std::size_t rounds_;
  const std::size_t filled_tokens_;
  const CancellationToken& cancel_;

  ExecutionPlan plan_;
  std::filesystem::path folder_;
  bool streamed_ = false;
  Spread decode_, prefill_, first_, disk_rate_, reader_rate_, disk_share_, io_cpu_, reader_cpu_,
      memory_rate_, memory_share_, peak_, peak_share_, sweep_ms_, least_sweep_ms_, sweep_ratio_,
      hits_, guessed_, wrong_;
  std::uint64_t peak_bytes_ = 0, planned_peak_bytes_ = 0;
};

class BenchCommand {
 public:
  explicit BenchCommand(CLI::App& app) {
    app.require_subcommand(1);
    make_ = app.add_subcommand("make", "Write a model folder with random weights");
    make_
        ->add_option("shape", model_.shape,
                     "llama3-1B, llama3-3B, llama3-8B, llama3-70B, gpt-oss-20b, qwen3-30b-a3b, "
                     "qwen3-next-80b, or a config.json")
        ->required();
    make_->add_option("--seed", model_.seed, "Equal seeds give equal bytes")
        ->type_name("number")
        ->capture_default_str();
    make_->add_option("--out", out_, "The folder")->type_name("path")->required();
    make_->add_option("--layers", model_.layers, "The first so many layers alone")
        ->type_name("count")
        ->check(count_from_to(1, 10'000));
    make_
        ->add_option("--router-skew", model_.router_skew,
                     "0: experts are chosen alike; 1: some far more often than others")
        ->type_name("number")
        ->check(CLI::Range(0.0, 4.0))
        ->capture_default_str();
    make_->add_flag("--sparse", model_.sparse, "Holes instead of weights, for tests of memory");

    run_ = app.add_subcommand("run", "Measure runs of a model beside the machine's limits");
    flags_ = std::make_unique<SettingsFlags>(
        *run_, std::initializer_list<std::string_view>{"runtime"}, true);
    run_->add_option("--case", cases_, "Which, with commas between: " + case_names())
        ->type_name("names")
        ->delimiter(',')
        ->default_str(fmt::format("{}", fmt::join(cases_, ",")));
    run_->add_option("--rounds", rounds_, "Rounds of each; medians are printed")
        ->type_name("count")
        ->check(count_from_to(1, 1000))
        ->capture_default_str();
    run_->add_option("--fill-kv", filled_tokens_,
                     "Tokens with random keys and values that stand before each prompt")
        ->type_name("tokens")
        ->check(count_from_to(0, 10'000'000))
        ->capture_default_str();
    run_->add_flag("--json", json_, "Print one JSON object");
    lookup_ = std::make_unique<BenchLookup>(app);
  }

  Outcome run() {
    if (lookup_->parsed()) return lookup_->run();
    return make_->parsed() ? make() : measure();
  }

 private:
  Outcome make() {
    model_.out = out_;
    ProgressLine progress(Verbosity::normal, Screen::standard_error());
    OLLM_TRY_VOID(make_random_model(model_, progress, &cancel_on_interrupt()));
    progress.clear();
    return 0;
  }

  Outcome measure() {
    OLLM_TRY(Settings settings, flags_->load());
    // What a round before stored would be measured in place of the work, unless that is asked for.
    if (!settings.given("runtime.use_cache") && !settings.given("runtime.kv_ephemeral"))
      settings.runtime.use_cache = false;
    // What random weights repeat says nothing of what people's texts do.
    if (!settings.given("runtime.speculate")) settings.runtime.speculate = "off";
    std::vector<const BenchCase*> cases;
    for (const std::string& name : cases_) {
      const BenchCase* found = find_case(name);
      if (found == nullptr) {
        return fail(ErrorKind::invalid_argument,
                    fmt::format("--case: no case '{}'; there are {}", name, case_names()));
      }
      cases.push_back(found);
    }
    Json all = Json::array();
    for (const BenchCase* one : cases) {
      CaseRun run(*one, settings, rounds_, filled_tokens_, cancel_on_interrupt());
      OLLM_TRY(Json result, run.run());
      if (!json_) {
        print_words(stdout, run.table() + "\n");
        std::fflush(stdout);
      }
      all.push_back(std::move(result));
    }
    if (json_) print_json(Json{{"cases", std::move(all)}}.dump(2));
    return 0;
  }

  CLI::App* make_ = nullptr;
  CLI::App* run_ = nullptr;
  std::unique_ptr<BenchLookup> lookup_;
  std::unique_ptr<SettingsFlags> flags_;
  RandomModelOptions model_;
  std::string out_;
  std::vector<std::string> cases_ = {"decode", "prefill-512"};
  std::size_t rounds_ = 5;
  std::size_t filled_tokens_ = 0;
  bool json_ = false;
};

std::function<Outcome()> set_up(CLI::App& app) {
  auto command = std::make_shared<BenchCommand>(app);  // shared: std::function is copied
  return [command] { return command->run(); };
}

}  // namespace

const Command kBench{.name = "bench",
                     .summary = "Make model folders of real shapes, and measure runs on them",
                     .set_up = set_up};

}  // namespace ollm::cli
