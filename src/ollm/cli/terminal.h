// What a person sees on stderr while a command works: progress, and one line afterwards.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>

#include "ollm/ollm.h"

namespace ollm::cli {

enum class Verbosity { quiet, normal, verbose };
Verbosity verbosity(const Settings& settings);

/// Where progress is shown, and by which clock.
struct Screen {
  std::FILE* stream;
  bool terminal;        // whether a line can be drawn over
  std::size_t columns;  // of a terminal; no line is longer, as its end alone would be drawn over
  double (*now_seconds)();  // monotonic

  static Screen standard_error();
};

/// The columns of the terminal on standard output, or what a page of text has elsewhere.
std::size_t output_columns();

/// Whether standard error shows colours: a terminal that knows them, and NO_COLOR is not set
/// (https://no-color.org).
bool error_has_color();

/// Progress with speed and time left: one line that is redrawn on a terminal, a plain line every
/// few seconds otherwise. Nothing when quiet, and nothing for what is done within a second.
class ProgressLine {
 public:
  explicit ProgressLine(Verbosity verbosity, const Screen& screen = Screen::standard_error());
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void operator()(const Progress& progress);
  /// The same in words of the caller's, which are asked for when they are to be shown.
  void show(FunctionRef<std::string()> words);
  /// Wipes the line, before something else is printed.
  void clear();

 private:
  bool due(double now);
  void draw(std::string text);

  const Verbosity verbosity_;
  const Screen screen_;
  Stage stage_ = Stage::load;
  bool started_ = false;
  bool drawn_ = false;
  double begin_s_ = 0;
  double last_s_ = 0;
};

/// "prefill 33 tokens (0 cached) at 310.2 tok/s | first token 0.11 s | decode 25.1 tok/s | ..."
std::string report_line(const Report& report);

/// What the run will take, on stderr before it starts: a line, or all of it where it is verbose. A
/// plan that cannot run says nothing here: its error will.
void say_plan(const Plan& plan, Verbosity verbosity);

/// After a run: waits until what it computed is stored, and warns where some of it is not kept.
void warn_of_what_is_not_kept(const Runtime& runtime, Verbosity verbosity);

/// Decimal seconds for people: "0.85 s", "3 min 20 s", "2 h 05 min".
std::string format_seconds(double seconds);

}  // namespace ollm::cli
