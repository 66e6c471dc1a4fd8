// Stop strings over a stream of text pieces, wherever token borders fall.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ollm::runtime {

/// Holds text back as long as it may be the beginning of a stop string.
class StopStrings {
 public:
  /// Empty strings are left out.
  explicit StopStrings(std::vector<std::string> stops);

  /// Takes a piece; returns what may be shown now. Once a stop string was met, what stands before
  /// it is returned and nothing after.
  std::string push(std::string_view piece);

  /// What was held back, when the text ends without a stop string.
  std::string finish();

  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace ollm::runtime
