#include "ollm/sampling/log_probs.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "ollm/base/check.h"
#include "ollm/base/exp.h"

namespace ollm::sampling {
namespace {

// What a heap keeps at its front is what goes first when a likelier one comes.
struct Likelier {
  std::span<const float> logits;
  bool operator()(TokenId a, TokenId b) const {
    const float x = logits[static_cast<std::size_t>(a)];
    const float y = logits[static_cast<std::size_t>(b)];
    return x > y || (x == y && a < b);
  }
};

std::vector<TokenId> likeliest(std::span<const float> logits, std::size_t count) {
  count = std::min(count, logits.size());
  std::vector<TokenId> heap(count);
  if (count == 0) return heap;
  const Likelier likelier{logits};
  for (std::size_t i = 0; i < count; ++i) heap[i] = static_cast<TokenId>(i);
  std::make_heap(heap.begin(), heap.end(), likelier);
  for (std::size_t i = count; i < logits.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!likelier(id, heap.front())) continue;
    std::pop_heap(heap.begin(), heap.end(), likelier);
    heap.back() = id;
    std::push_heap(heap.begin(), heap.end(), likelier);
  }
  std::sort_heap(heap.begin(), heap.end(), likelier);
  return heap;
}

}  // namespace

double log_of_sum(double x) {
  // x = 2^k m with 1 <= m < 2, and log m = 2 atanh(s) with s = (m - 1) / (m + 1) <= 1/3.
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const auto k = static_cast<double>(static_cast<std::int64_t>(bits >> 52) - 1023);
  constexpr std::uint64_t kMantissa = (std::uint64_t{1} << 52) - 1;
  const double m = std::bit_cast<double>((bits & kMantissa) | (std::uint64_t{1023} << 52));
  const double s = (m - 1) / (m + 1);
  const double square = s * s;
  // The first term left out is below 2 (1/3)^37 / 37 < 2e-19.
  double series = 0;
  for (int term = 35; term >= 1; term -= 2) series = series * square + 1.0 / term;
  return k * exp_negative_detail::kLn2 + 2 * s * series;
}

TokenLogProbs log_probs(std::span<const float> logits, TokenId chosen, std::size_t top) {
  OLLM_CHECK(chosen >= 0 && static_cast<std::size_t>(chosen) < logits.size());
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += exp_negative(largest - logit);
  const double log_sum = log_of_sum(sum);
  const auto of = [&](TokenId id) {
    return (logits[static_cast<std::size_t>(id)] - largest) - log_sum;
  };
  TokenLogProbs out{.log_prob = of(chosen), .top = {}};
  out.top.reserve(std::min(top, logits.size()));
  for (const TokenId id : likeliest(logits, top)) out.top.push_back({id, of(id)});
  return out;
}

}  // namespace ollm::sampling
