#include "ollm/plan/choose_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace ollm::plan {
namespace {

// What more lines must bring, all of them together.
constexpr double kNearlyTheBest = 1.05;
// Two doublings that bring less are the end of the search.
constexpr double kStillHelps = 1.01;
// Of lines between two that were looked at, only every so manyth part is: the model of the machine
// is not more exact.
constexpr std::size_t kSteps = 8;

double cost(const LinesChoice& choice, LinesMeasure measure) {
  return measure == LinesMeasure::job ? choice.seconds_per_request
                                      : 1 / choice.decode_tokens_per_second;
}

using Look = FunctionRef<std::optional<LinesChoice>(std::size_t)>;

// The choice with the most lines below `beyond` that fits, if it has more than `fits`.
std::optional<LinesChoice> most_that_fits(std::size_t fits, std::size_t beyond, Look look) {
  const std::size_t step = std::max<std::size_t>(1, fits / kSteps);
  std::optional<LinesChoice> found;
  while (beyond - fits > step) {
    const std::size_t middle = fits + (beyond - fits) / 2;
    if (auto choice = look(middle)) {
      found = std::move(choice);
      fits = middle;
    } else {
      beyond = middle;
    }
  }
  return found;
}

// Whether more lines than the last do not fit; fills `choices`.
bool look_until_the_end(std::vector<LinesChoice>& choices, std::size_t most, LinesMeasure measure,
                        Look look) {
  for (std::size_t lines = 1;; lines = std::min(most, 2 * lines)) {
    auto choice = look(lines);
    if (!choice) {
      if (choices.empty()) return true;
      if (auto last = most_that_fits(choices.back().lines, lines, look))
        choices.push_back(*std::move(last));
      return true;
    }
    choices.push_back(*std::move(choice));
    const std::size_t count = choices.size();
    if (lines == most) return false;
    if (count > 2 &&
        cost(choices[count - 1], measure) * kStillHelps > cost(choices[count - 3], measure))
      return false;
  }
}

// Why no more than `pay` do. Where the best are many more, those between gain little, whatever
// sweeps wait for; else it is what the best end at.
std::string what_bounds(const std::vector<LinesChoice>& choices, std::size_t pay,
                        std::size_t requests, bool full, LinesMeasure measure) {
  const auto best = std::min_element(choices.begin(), choices.end(),
                                     [&](const LinesChoice& a, const LinesChoice& b) {
                                       return cost(a, measure) < cost(b, measure);
                                     });
  if (2 * pay > best->lines) {
    if (best->lines == requests) return "requests";
    const auto next = best + 1;
    if (next == choices.end() && full) return "budget";
    if (next != choices.end() && cost(*next, measure) > kNearlyTheBest * cost(*best, measure))
      return "kv-frames";
  }
  const auto first = std::find_if(choices.begin(), choices.end(),
                                  [&](const LinesChoice& choice) { return choice.lines >= pay; });
  return first->bound_by;
}

}  // namespace

LinesPlan choose_lines(std::size_t requests, std::size_t most, LinesMeasure measure, Look look) {
  if (requests != 0) most = std::min(most, requests);
  LinesPlan out;
  const bool full = look_until_the_end(out.choices, most, measure, look);
  if (out.choices.empty()) return out;
  double best = cost(out.choices.front(), measure);
  for (const LinesChoice& choice : out.choices) best = std::min(best, cost(choice, measure));
  const auto pays = [&](const LinesChoice& choice) {
    return cost(choice, measure) <= best * kNearlyTheBest;
  };
  auto at = std::find_if(out.choices.begin(), out.choices.end(), pays);
  std::size_t fewest = at->lines;
  std::size_t too_few = at == out.choices.begin() ? fewest - 1 : std::prev(at)->lines;
  const std::size_t step = std::max<std::size_t>(1, too_few / kSteps);
  std::optional<LinesChoice> between;
  while (fewest - too_few > step) {
    const std::size_t middle = too_few + (fewest - too_few) / 2;
    auto choice = look(middle);
    if (choice && pays(*choice)) {
      between = std::move(choice);
      fewest = middle;
    } else {
      too_few = middle;
    }
  }
  out.pay = fewest;
  if (between) out.choices.insert(at, *std::move(between));
  out.bound_by = what_bounds(out.choices, out.pay, requests, full, measure);
  return out;
}

std::string why_no_more(const LinesPlan& lines) {
  if (lines.pay == 0) return "not even one fits";
  if (lines.bound_by == "requests") return "there are no more requests";
  if (lines.bound_by == "budget") return "more do not fit";
  if (lines.bound_by == "kv-frames") return "keys and values of more take the memory from all else";
  const std::string waits = lines.bound_by == "compute"  ? "computing takes the time"
                            : lines.bound_by == "memory" ? "reading memory takes the time"
                            : lines.bound_by == "kv-disk"
                                ? "keys and values from disk take the time"
                                : "weights from disk take the time";
  return fmt::format("more would gain less than 5 %: {}", waits);
}

}  // namespace ollm::plan
