// Lines that a person types at a terminal, with editing, history, and pasted text of several lines.
// Leaves to others: what lines mean (chat.cc).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ollm/base/result.h"

namespace ollm::cli {

/// Reads from standard input, by libedit. What is pasted with line ends stands in the line as
/// "[paste 1: 12 lines]", and is itself again when the line is read.
class LineEditor {
 public:
  /// `prompt`: what stands in front of each line. Errors: io where the terminal cannot be set up.
  static Result<LineEditor> open(std::string prompt);
  LineEditor(LineEditor&&) noexcept;
  LineEditor& operator=(LineEditor&&) noexcept;
  ~LineEditor();

  /// Takes in the lines of earlier runs from a file, to which `remember` writes; it is made, for
  /// its owner alone, where it is not there. Errors: io.
  Result<void> use_history_file(const std::string& path);

  enum class Event {
    line,         // `text` was entered
    interrupted,  // Ctrl-C on a line with text, which is thrown away
    left,         // Ctrl-C on an empty line, or the end of input
  };
  struct Read {
    Event event = Event::left;
    std::string text = {};
  };
  Read read();

  /// Keeps the last line for the up key, and in the file if there is one.
  void remember();

 private:
  struct State;
  explicit LineEditor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ollm::cli
