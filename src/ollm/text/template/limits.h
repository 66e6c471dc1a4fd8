// How much one template may use: steps, nesting, memory, output, time; and the meter that counts.
// Leaves to others: what a step is (the evaluator) and how large a value is (value.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace ollm::text {

/// Bounds of compiling: they keep the parser's stack and the tree small. Real templates stay below
/// 20 KB and a nesting of 12.
struct CompileLimits {
  std::size_t source_bytes = std::size_t{256} << 10;
  /// Blocks, brackets, calls and unary operators inside each other.
  std::size_t nesting = 64;
  /// Links of one chain such as `a.b|c.d()|e`.
  std::size_t chain = 256;
};

/// Bounds of one rendering. A template is a program of a stranger, and its loops end here.
struct RenderLimits {
  /// Every node evaluated is a step, every item a filter touches is one, and so are every 64 bytes
  /// of text that are made or searched; this alone ends nearly all hostile templates.
  std::uint64_t steps = 5'000'000;
  /// Length of range(); more is refused as in Jinja's sandbox.
  std::uint64_t range_items = 100'000;
  /// Macros, callers, blocks and recursive loops inside each other.
  std::size_t macro_recursion = 64;
  /// Nodes evaluated inside each other, over all macros: bounds the stack, to 2 MiB (measured).
  std::size_t evaluation_depth = 2'000;
  /// Lists and dicts inside each other, those of the variables too.
  std::size_t value_nesting = 128;
  std::size_t output_bytes = std::size_t{16} << 20;
  /// What values may hold at one time, beside the output; four times the bytes of the variables'
  /// strings come on top, as templates copy what they are given.
  std::size_t memory_bytes = std::size_t{16} << 20;
  /// Processor time of the rendering thread, so that a machine that was busy or asleep is not
  /// mistaken for a hostile template.
  std::chrono::milliseconds cpu_time{1'000};
};

namespace jinja {

/// Counts what one rendering uses. Running over a limit is sticky: the first limit that was met is
/// kept, and everything that asks afterwards is told to stop.
class Budget {
 public:
  explicit Budget(const RenderLimits& limits);

  /// Counts `steps`; false once any limit was met.
  bool spend(std::uint64_t steps) {
    if (steps > steps_until_check_) return spend_slowly(steps);
    steps_until_check_ -= steps;
    return !exceeded_;
  }
  /// Counts work on text: a step for every 64 bytes.
  bool spend_bytes(std::size_t bytes) { return spend(bytes / 64 + 1); }

  /// A value of that size came to be, or went away.
  void hold(std::size_t bytes) {
    held_bytes_ += bytes;
    if (held_bytes_ > memory_limit_) exceed_memory();
  }
  void release(std::size_t bytes) { held_bytes_ -= bytes; }
  /// Grants the memory that comes with variables of that size.
  void grant_for_variables(std::size_t string_bytes) { memory_limit_ += 4 * string_bytes; }

  /// The most bytes that one more value may have.
  std::size_t room_bytes() const {
    return memory_limit_ > held_bytes_ ? memory_limit_ - held_bytes_ : 0;
  }

  void exceed_memory();
  void exceed(std::string message);

  bool exceeded() const { return exceeded_; }
  /// Which limit was met first, with its value.
  const std::string& message() const { return message_; }
  const RenderLimits& limits() const { return limits_; }
  std::size_t held_bytes() const { return held_bytes_; }

 private:
  bool spend_slowly(std::uint64_t steps);

  RenderLimits limits_;
  std::uint64_t steps_left_;
  std::uint64_t steps_until_check_ = 0;  // steps already taken off steps_left_
  std::size_t held_bytes_ = 0;
  std::size_t memory_limit_;
  double cpu_deadline_;  // in thread_cpu_seconds()
  bool exceeded_ = false;
  std::string message_;
};

}  // namespace jinja
}  // namespace ollm::text
