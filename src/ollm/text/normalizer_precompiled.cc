// Precompiled (normalizer.h): SentencePiece's map from short strings to their normal form.
// Leaves base64 to the reader of the file.
//
// The map is a 32-bit little-endian size, a double-array trie of that many bytes, and the targets,
// each ended by a zero byte. A unit of the trie is 32 bits: label in bits 0 to 7, "has a leaf" in
// bit 8, "offset is shifted by 8" in bit 9, offset in bits 10 to 30; a leaf has bit 31 and its
// value in bits 0 to 30. Source: Darts-clone, darts.h; SentencePiece, normalizer.cc.
#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "ollm/text/normalizer.h"
#include "ollm/text/utf8.h"

namespace ollm::text {
namespace {

class Precompiled final : public Normalizer {
 public:
  Precompiled(std::vector<std::uint32_t> units, std::string targets)
      : units_(std::move(units)), targets_(std::move(targets)) {}

  // A short cluster that has a target is replaced as a whole, any other character by character. So
  // does the Hugging Face library; SentencePiece itself takes the longest match.
  Result<void> apply(TrackedText& text, RegexScratch&) const override {
    const std::string_view in = text.text;
    TrackedWriter out(text);
    for (std::size_t at = 0; at < in.size();) {
      const std::size_t end = cluster_end(in, at);
      const std::string_view cluster = in.substr(at, end - at);
      if (cluster.size() < kLongCluster) {
        if (const auto target = find(cluster)) {
          out.put(*target, at);
          at = end;
          continue;
        }
      }
      while (at < end) {
        const std::size_t begin = at;
        unicode::next_code_point(in, at);
        if (const auto target = find(in.substr(begin, at - begin))) {
          out.put(*target, begin);
        } else {
          out.copy(begin, at);
        }
      }
    }
    text = out.take();
    return {};
  }
  std::size_t memory_bytes() const override {
    return units_.capacity() * sizeof(std::uint32_t) + targets_.capacity();
  }

  Growth growth() const override { return Growth::of_rewriting(std::max(1.0, most_)); }

 private:
  static constexpr std::size_t kLongCluster = 6;  // bytes

  static std::size_t cluster_end(std::string_view text, std::size_t at) {
    // Two ASCII characters are never one cluster, but for carriage return and newline.
    if (static_cast<signed char>(text[at]) >= 0 && text[at] != '\r' &&
        (at + 1 == text.size() || static_cast<signed char>(text[at + 1]) >= 0)) {
      return at + 1;
    }
    utf8proc_int32_t state = 0;
    auto left = static_cast<utf8proc_int32_t>(unicode::next_code_point(text, at));
    while (at < text.size()) {
      std::size_t behind = at;
      const auto right = static_cast<utf8proc_int32_t>(unicode::next_code_point(text, behind));
      if (utf8proc_grapheme_break_stateful(left, right, &state)) break;
      left = right;
      at = behind;
    }
    return at;
  }

  // The target of the shortest prefix of `key` that has one, which for the maps in use is `key`.
  std::optional<std::string_view> find(std::string_view key) const {
    if (units_.empty()) return std::nullopt;
    std::size_t at = offset_of(units_[0]);
    for (const char c : key) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte == 0) return std::nullopt;
      at ^= byte;
      if (at >= units_.size()) return std::nullopt;
      const std::uint32_t unit = units_[at];
      if ((unit & 0x800000FFu) != byte) return std::nullopt;
      at ^= offset_of(unit);
      if (at >= units_.size()) return std::nullopt;
      if ((unit >> 8 & 1) != 0) return target(units_[at] & 0x7FFFFFFFu);
    }
    return std::nullopt;
  }

  static std::size_t offset_of(std::uint32_t unit) {
    return static_cast<std::size_t>(unit >> 10) << ((unit & 0x200u) >> 6);
  }

  std::optional<std::string_view> target(std::uint32_t index) const {
    const std::string_view all = targets_;
    if (index >= all.size() || unicode::is_utf8_continuation(all[index])) return std::nullopt;
    return all.substr(index, std::min(all.find('\0', index), all.size()) - index);
  }

  // The longest target against its key, over all keys: of a walk through the trie, each unit of
  // which is entered once in a sound file and which is given up where there are more ways than
  // that.
  double largest_growth() const {
    if (units_.empty()) return 1;
    struct Place {
      std::size_t at;
      std::size_t depth;
    };
    double most = 1;
    std::vector<Place> open{{offset_of(units_[0]), 0}};
    for (std::size_t entered = 0; !open.empty();) {
      const Place place = open.back();
      open.pop_back();
      if (++entered > units_.size()) return static_cast<double>(targets_.size() + 1);
      for (std::size_t byte = 1; byte < 256; ++byte) {
        const std::size_t child = place.at ^ byte;
        if (child >= units_.size() || (units_[child] & 0x800000FFu) != byte) continue;
        const std::size_t below = child ^ offset_of(units_[child]);
        if (below >= units_.size()) continue;
        if ((units_[child] >> 8 & 1) != 0) {
          const auto found = target(units_[below] & 0x7FFFFFFFu);
          const auto size = static_cast<double>(found ? found->size() : 0);
          most = std::max(most, size / static_cast<double>(place.depth + 1));
        }
        open.push_back({below, place.depth + 1});
      }
    }
    return most;
  }

  std::vector<std::uint32_t> units_;
  std::string targets_;
  double most_ = 1;
};

}  // namespace

Result<NormalizerPtr> make_precompiled_normalizer(std::string_view charsmap) {
  std::uint32_t trie_bytes = 0;
  if (charsmap.size() < sizeof(trie_bytes))
    return fail(ErrorKind::corrupt, "shorter than its size");
  std::memcpy(&trie_bytes, charsmap.data(), sizeof(trie_bytes));
  charsmap.remove_prefix(sizeof(trie_bytes));
  if (trie_bytes > charsmap.size() || trie_bytes % sizeof(std::uint32_t) != 0) {
    return fail(ErrorKind::corrupt,
                fmt::format("a trie of {} bytes in {}", trie_bytes, charsmap.size()));
  }
  std::vector<std::uint32_t> units(trie_bytes / sizeof(std::uint32_t));
  // Without units their data() is null, which memcpy must not be given.
  if (!units.empty()) std::memcpy(units.data(), charsmap.data(), trie_bytes);
  std::string targets(charsmap.substr(trie_bytes));
  if (unicode::valid_utf8_prefix(targets) != targets.size()) {
    return fail(ErrorKind::corrupt, "targets that are not UTF-8");
  }
  return NormalizerPtr(std::make_unique<Precompiled>(std::move(units), std::move(targets)));
}

}  // namespace ollm::text
