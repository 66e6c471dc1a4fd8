// Building the trie level by level from the sorted strings (byte_trie.h).
// Leaves walking it to the header.
#include "ollm/text/byte_trie.h"

namespace ollm::text {

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, std::int32_t>> strings) {
  root_.fill(kNone);
  std::stable_sort(strings.begin(), strings.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  struct Range {  // strings [begin, end) share their first `depth` bytes, which lead to `node`
    std::size_t begin;
    std::size_t end;
    std::size_t depth;
    std::uint32_t node;
  };
  std::vector<Range> level;
  std::vector<Range> below;
  // Hands each group of strings with the same byte behind `depth` to `add(byte, range)`.
  const auto group = [&](std::size_t begin, std::size_t end, std::size_t depth, const auto& add) {
    while (begin < end) {
      const char byte = strings[begin].first[depth];
      std::size_t last = begin + 1;
      while (last < end && strings[last].first[depth] == byte) ++last;
      const auto node = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
      add(byte, node);
      below.push_back({begin, last, depth + 1, node});
      begin = last;
    }
  };
  std::size_t start = 0;
  while (start < strings.size() && strings[start].first.empty()) ++start;
  group(start, strings.size(), 0,
        [&](char byte, std::uint32_t node) { root_[static_cast<unsigned char>(byte)] = node; });
  while (!below.empty()) {
    level.swap(below);
    below.clear();
    for (Range range : level) {
      if (strings[range.begin].first.size() == range.depth) {
        nodes_[range.node].value = strings[range.begin].second;
      }
      while (range.begin < range.end && strings[range.begin].first.size() == range.depth) {
        ++range.begin;
      }
      const auto first_edge = static_cast<std::uint32_t>(edges_.size());
      group(range.begin, range.end, range.depth, [&](char byte, std::uint32_t node) {
        edges_.push_back({node, static_cast<unsigned char>(byte)});
      });
      nodes_[range.node].first_edge = first_edge;
      nodes_[range.node].edge_count = static_cast<std::uint32_t>(edges_.size()) - first_edge;
    }
  }
}

}  // namespace ollm::text
