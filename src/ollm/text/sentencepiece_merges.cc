// Finding the pairs piece by piece (sentencepiece_merges.h).
// Leaves applying them to model_bpe.cc.
#include "ollm/text/sentencepiece_merges.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

// Of the largest published vocabulary, 262,144 pieces, come 600,000.
constexpr std::size_t kMaxMerges = 4'000'000;

}  // namespace

Result<std::vector<Merge>> sentencepiece_merges(const Vocabulary& vocabulary,
                                                std::span<const MergeSource> sources) {
  std::vector<TokenId> order(sources.size());
  std::iota(order.begin(), order.end(), 0);
  const auto source = [&](TokenId id) { return sources[static_cast<std::size_t>(id)]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](TokenId a, TokenId b) { return source(a).score > source(b).score; });
  std::vector<Merge> merges;
  for (const TokenId id : order) {
    if (!source(id).mergeable) continue;
    const std::string_view piece = *vocabulary.at(id);
    std::size_t at = 0;
    unicode::next_code_point(piece, at);
    while (at < piece.size()) {
      const auto left = vocabulary.find(piece.substr(0, at));
      const auto right = left ? vocabulary.find(piece.substr(at)) : std::nullopt;
      if (right && source(*left).mergeable && source(*right).mergeable) {
        if (merges.size() == kMaxMerges) {
          return fail(ErrorKind::unsupported,
                      fmt::format("more than {} pairs of pieces join to a third", kMaxMerges));
        }
        merges.push_back({*left, *right, id});
      }
      unicode::next_code_point(piece, at);
    }
  }
  return merges;
}

}  // namespace ollm::text
