#include "ollm/sampling/logits_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace ollm::sampling {
namespace {

// Also false for NaN.
bool below_infinity(float value) { return value <= std::numeric_limits<float>::max(); }

}  // namespace

Result<void> check_logits(std::span<const float> logits, std::size_t position) {
  // Without an exit, so that it runs at the speed of memory.
  unsigned bad = 0;
  unsigned finite = 0;
  for (const float x : logits) {
    bad |= below_infinity(x) ? 0U : 1U;
    finite |= x >= std::numeric_limits<float>::lowest() ? 1U : 0U;
  }
  if (bad == 0 && finite != 0) return {};
  const auto first = std::find_if_not(logits.begin(), logits.end(), below_infinity);
  const std::string what = first == logits.end()
                               ? "all are -inf"
                               : fmt::format("{} for token {}", std::isnan(*first) ? "nan" : "inf",
                                             first - logits.begin());
  return fail(ErrorKind::corrupt,
              fmt::format("logits at position {}: {}, expected finite numbers: the weights are "
                          "damaged, or the model overflows in this compute mode",
                          position, what));
}

}  // namespace ollm::sampling
