// The `details` of a plan: text by text, in the order in which the keys were first set.
// Leaves to others: which keys there are (select.cc, passes.cc, kv_selector.cc).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ollm {

/// A small map that keeps its order, as the order is part of the JSON. Some twenty keys: looked up
/// one by one.
class Details {
 public:
  /// Key and value.
  using Entry = std::pair<std::string, std::string>;

  /// A key that is there keeps its place and takes the new value.
  void set(std::string_view key, std::string value) {
    for (Entry& entry : entries_) {
      if (entry.first == key) {
        entry.second = std::move(value);
        return;
      }
    }
    entries_.emplace_back(key, std::move(value));
  }

  /// The value, or nullptr.
  const std::string* find(std::string_view key) const {
    for (const Entry& entry : entries_)
      if (entry.first == key) return &entry.second;
    return nullptr;
  }

  /// Sets all entries of another, in their order.
  void merge(const Details& other) {
    for (const auto& [key, value] : other.entries_) set(key, value);
  }

  /// The entries, in the order of their keys.
  ///@{
  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }
  ///@}

  friend bool operator==(const Details&, const Details&) = default;

 private:
  std::vector<Entry> entries_;
};

}  // namespace ollm
