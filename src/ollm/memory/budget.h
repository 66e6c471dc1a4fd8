// Who holds how many bytes: every large allocation is charged to a named owner before it is made.
// Leaves to others: what the limit is and how much each owner should get (plan/).
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"

namespace ollm::memory {

class Budget;

/// Bytes that an owner holds of a budget; given back when it goes.
class Charge {
 public:
  Charge() = default;
  Charge(Charge&& other) noexcept;
  Charge& operator=(Charge&& other) noexcept;
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;
  ~Charge();

  std::uint64_t bytes() const { return bytes_; }

 private:
  friend class Budget;
  Charge(Budget* budget, std::string owner, std::uint64_t bytes);
  void release();

  Budget* budget_ = nullptr;
  std::string owner_;
  std::uint64_t bytes_ = 0;
};

/// A limit in bytes that is shared by named owners. Must outlive its charges. Any thread may call.
class Budget {
 public:
  struct Line {
    std::string owner;
    std::uint64_t bytes = 0;       // now
    std::uint64_t peak_bytes = 0;  // the most it held at once
  };

  explicit Budget(std::uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  /// Errors: out_of_budget, naming owner, bytes asked for, bytes left and the limit.
  Result<Charge> charge(std::string_view owner, std::uint64_t bytes);

  std::uint64_t limit_bytes() const { return limit_bytes_; }
  std::uint64_t used_bytes() const;
  std::uint64_t peak_bytes() const;

  /// All owners that ever held something, by name.
  std::vector<Line> lines() const;

 private:
  friend class Charge;
  void give_back(const std::string& owner, std::uint64_t bytes);

  const std::uint64_t limit_bytes_;
  mutable std::mutex mutex_;
  // guarded by mutex_
  std::uint64_t used_bytes_ = 0;
  std::uint64_t peak_bytes_ = 0;
  std::map<std::string, Line, std::less<>> lines_;
};

}  // namespace ollm::memory
