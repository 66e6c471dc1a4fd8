// How many lines at once pay. Leaves to others: what a number of lines brings (choose.h).
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "ollm/base/callback.h"
#include "ollm/plan/plans.h"

namespace ollm::plan {

/// What to judge a number of lines by: the time of the whole job, or the rate of decoding.
enum class LinesMeasure { job, decoding };

/// Looks at 1, 2, 4, ... lines, no more than there are requests (0: any number) and than `most`,
/// until more neither fit nor help, then for the fewest that pay. `look` gives nothing for a number
/// that does not fit; more than that do not fit either.
LinesPlan choose_lines(std::size_t requests, std::size_t most, LinesMeasure measure,
                       FunctionRef<std::optional<LinesChoice>(std::size_t lines)> look);

/// Why more than those that pay would not, for people.
std::string why_no_more(const LinesPlan& lines);

}  // namespace ollm::plan
