// A terminal with a shell line running in it: what a person would see, and what they type.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace ollm::testing {

class Terminal {
 public:
  /// Starts `exec SCRIPT` in sh, its three streams on a new terminal of 24 lines and 80 columns;
  /// "$OLLM" is the program.
  explicit Terminal(const std::string& script);
  /// Whether the system gives terminals: a root without /dev/pts does not.
  static bool available();
  /// Kills what still runs.
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// Reads until `text` stands in what was written since the start, behind what was last read
  /// until. False where the end came first, or nothing for a minute.
  bool read_until(std::string_view text);

  /// As on the keyboard: "\x03" is Ctrl-C.
  void type(std::string_view keys);

  /// Reads all that still comes; the exit code, or -1 for a program that a signal ended, or that
  /// was killed here after a minute of silence.
  int wait();

  /// All that was written up to now. The terminal makes "\r\n" of a line's end.
  const std::string& text() const { return text_; }

 private:
  bool read_more();

  int descriptor_ = -1;
  pid_t process_ = -1;
  bool silent_ = false;  // for all of the patience
  std::string text_;
  std::size_t read_ = 0;  // of it, up to the end of what was last read until
};

}  // namespace ollm::testing
