#include "ollm/cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "ollm/base/clock.h"
#include "ollm/base/text_size.h"
#include "ollm/cli/exit_code.h"
#include "ollm/cli/printed.h"

namespace ollm::cli {
namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr double kPlainSeconds = 5;
constexpr double kSilentSeconds = 1;
constexpr std::size_t kColumnsUnknown = 80;
constexpr std::size_t kPageColumns = 100;

// Whether a descriptor is a terminal that obeys escape sequences.
bool is_screen(int descriptor) {
  const char* term = std::getenv("TERM");
  return ::isatty(descriptor) != 0 && term != nullptr && std::string_view(term) != "dumb";
}

std::optional<std::size_t> columns_of(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return std::nullopt;
  return size.ws_col;
}

std::string_view name_of(Stage stage) {
  switch (stage) {
    case Stage::load:
      return "load";
    case Stage::prefill:
      return "prefill";
    case Stage::decode:
      return "decode";
    case Stage::score:
      return "score";
    case Stage::write:
      return "write";
    case Stage::measure:
      return "measure";
    case Stage::hash:
      return "hash";
    case Stage::verify:
      return "verify";
  }
  return "";
}

bool counts_bytes(Stage stage) {
  return stage == Stage::load || stage == Stage::write || stage == Stage::hash ||
         stage == Stage::verify;
}

std::string progress_text(const Progress& progress, double elapsed) {
  const double done = static_cast<double>(progress.done);
  const double rate = elapsed > 0 ? done / elapsed : 0;
  const double left = rate > 0 ? static_cast<double>(progress.total - progress.done) / rate : 0;
  if (progress.stage == Stage::measure)
    return fmt::format("measure, step {} of {}", progress.done + 1, progress.total);
  if (counts_bytes(progress.stage)) {
    return fmt::format("{} {} of {}, {:.2f} GB/s, {} left", name_of(progress.stage),
                       format_bytes(progress.done), format_bytes(progress.total), rate / 1e9,
                       format_seconds(left));
  }
  return fmt::format("{} {} of {} tokens, {:.1f} tok/s, {} left", name_of(progress.stage),
                     progress.done, progress.total, rate, format_seconds(left));
}

}  // namespace

Verbosity verbosity(const Settings& settings) {
  if (settings.runtime.quiet) return Verbosity::quiet;
  return settings.runtime.verbose ? Verbosity::verbose : Verbosity::normal;
}

std::string format_seconds(double seconds) {
  if (seconds < 60) return fmt::format("{:.2f} s", seconds);
  const auto whole = static_cast<long long>(seconds);
  if (seconds < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

Screen Screen::standard_error() {
  return {stderr, is_screen(STDERR_FILENO), columns_of(STDERR_FILENO).value_or(kColumnsUnknown),
          monotonic_seconds};
}

std::size_t output_columns() { return columns_of(STDOUT_FILENO).value_or(kPageColumns); }

bool error_has_color() {
  const char* refused = std::getenv("NO_COLOR");
  return is_screen(STDERR_FILENO) && (refused == nullptr || *refused == '\0');
}

ProgressLine::ProgressLine(Verbosity verbosity, const Screen& screen)
    : verbosity_(verbosity), screen_(screen) {}

ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::operator()(const Progress& progress) {
  // While text is streamed, the text itself is the progress.
  if (verbosity_ == Verbosity::quiet || progress.stage == Stage::decode) return;
  const double now = screen_.now_seconds();
  if (!started_ || progress.stage != stage_) {
    clear();
    started_ = true;
    stage_ = progress.stage;
    begin_s_ = last_s_ = now;
    return;
  }
  if (due(now)) draw(progress_text(progress, now - begin_s_));
}

void ProgressLine::show(FunctionRef<std::string()> words) {
  if (verbosity_ == Verbosity::quiet) return;
  const double now = screen_.now_seconds();
  if (!started_) {
    started_ = true;
    begin_s_ = last_s_ = now;
  } else if (due(now)) {
    draw(words());
  }
}

bool ProgressLine::due(double now) {
  if (now - begin_s_ < kSilentSeconds) return false;
  if (now - last_s_ < (screen_.terminal ? kRedrawSeconds : kPlainSeconds)) return false;
  last_s_ = now;
  return true;
}

void ProgressLine::draw(std::string text) {
  if (!screen_.terminal) {
    std::fprintf(screen_.stream, "%s\n", text.c_str());
    return;
  }
  text.resize(std::min(text.size(), screen_.columns - 1));
  std::fprintf(screen_.stream, "\r%s\033[K", text.c_str());
  drawn_ = true;
}

void ProgressLine::clear() {
  if (drawn_) std::fputs("\r\033[K", screen_.stream);
  drawn_ = false;
}

void say_plan(const Plan& plan, Verbosity verbosity) {
  if (verbosity == Verbosity::quiet || !plan.check().ok()) return;
  for (const std::string& warning : plan.warnings()) print_warning(warning);
  const std::string text = verbosity == Verbosity::verbose ? plan.explain() : plan.summary() + "\n";
  print_words(stderr, text);
}

void warn_of_what_is_not_kept(const Runtime& runtime, Verbosity verbosity) {
  const Result<void> kept = runtime.keep();
  if (kept.ok() || verbosity == Verbosity::quiet) return;
  print_warning("what was computed is not kept for later runs, or not all of it: " +
                kept.error().message);
}

std::string report_line(const Report& report) {
  std::string line = fmt::format(
      "prefill {} tokens ({} cached) at {:.1f} tok/s | first token {} | decode {:.1f} tok/s",
      report.prompt_tokens, report.cached_tokens, report.prefill_tokens_per_second,
      format_seconds(report.time_to_first_token_s), report.decode_tokens_per_second);
  // Bytes come while loading and while the sweeps run.
  const std::uint64_t spared = report.draft_accepted + 1;  // the first comes out of the prefill
  const double decoded =
      report.new_tokens > spared ? static_cast<double>(report.new_tokens - spared) : 0;
  const double prefill_s = report.prefill_tokens_per_second > 0
                               ? static_cast<double>(report.prompt_tokens - report.cached_tokens) /
                                     report.prefill_tokens_per_second
                               : 0;
  const double seconds =
      report.load_s +
      (report.streamed_bytes == 0 ? 0 : prefill_s + decoded * report.seconds_per_sweep);
  const double rate = seconds > 0 ? static_cast<double>(report.bytes_read) / seconds : 0;
  line += fmt::format(" | read {} at {:.2f} GB/s", format_bytes(report.bytes_read), rate / 1e9);
  if (report.draft_tokens != 0) {
    line +=
        fmt::format(" | guessed {} tokens, {} held", report.draft_tokens, report.draft_accepted);
  }
  if (report.kv_bytes_read != 0 || report.kv_bytes_written != 0) {
    line += fmt::format(" | KV read {}, written {}", format_bytes(report.kv_bytes_read),
                        format_bytes(report.kv_bytes_written));
  }
  if (report.kv_corrupt_blocks != 0)
    line += fmt::format(", {} corrupt blocks computed again", report.kv_corrupt_blocks);
  line += fmt::format(" | peak {} of {} planned", format_bytes(report.peak_bytes),
                      format_bytes(report.planned_peak_bytes));
  return line;
}

}  // namespace ollm::cli
