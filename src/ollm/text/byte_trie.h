// A set of strings in which all that begin at some place of a text are found by one walk.
// Leaves which of them counts to who asks: added tokens take the longest, Unigram weighs all.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace ollm::text {

/// A trie over bytes, built once. Each string carries a number.
class ByteTrie {
 public:
  ByteTrie() { root_.fill(kNone); }

  /// Of strings that stand several times the first counts. Empty strings are left out.
  explicit ByteTrie(std::vector<std::pair<std::string_view, std::int32_t>> strings);

  bool empty() const { return nodes_.empty(); }
  bool may_begin_with(char byte) const { return root_[static_cast<unsigned char>(byte)] != kNone; }

  /// Calls `found(value, length)` for each string that stands at byte `at` of `text`, shortest
  /// first.
  template <typename Found>
  void match(std::string_view text, std::size_t at, const Found& found) const {
    const std::size_t begin = at;
    if (at >= text.size()) return;
    std::uint32_t node = root_[static_cast<unsigned char>(text[at++])];
    while (node != kNone) {
      if (nodes_[node].value >= 0) found(nodes_[node].value, at - begin);
      if (at >= text.size()) return;
      node = child(nodes_[node], text[at++]);
    }
  }

  std::size_t memory_bytes() const {
    return nodes_.capacity() * sizeof(Node) + edges_.capacity() * sizeof(Edge);
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Node {
    std::uint32_t first_edge = 0;
    std::uint32_t edge_count = 0;
    std::int32_t value = -1;
  };
  struct Edge {
    std::uint32_t node;
    unsigned char byte;
  };

  std::uint32_t child(const Node& node, char byte) const {
    const auto wanted = static_cast<unsigned char>(byte);
    const Edge* first = edges_.data() + node.first_edge;
    const Edge* last = first + node.edge_count;
    const Edge* found = std::lower_bound(
        first, last, wanted, [](const Edge& edge, unsigned char b) { return edge.byte < b; });
    return found != last && found->byte == wanted ? found->node : kNone;
  }

  std::array<std::uint32_t, 256> root_;  // by first byte
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;  // of one node side by side, ascending
};

}  // namespace ollm::text
