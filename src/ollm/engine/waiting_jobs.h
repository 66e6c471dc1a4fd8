// Jobs that wait for a line, in the order in which they are taken. Leaves to others: whether there
// is room for one (scheduler.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ollm/base/callback.h"
#include "ollm/engine/job.h"
#include "ollm/kv/line.h"

namespace ollm::engine {

/// How a job's line is run.
struct Terms {
  int priority = 0;          // higher ones first
  std::size_t room = 0;      // tokens that the line may come to have
  kv::Line* line = nullptr;  // it goes on with; null: with one of its own
  std::size_t kept = 0;      // tokens of `line` that stay
  /// Where later lines may begin that have the tokens before in common, where the store keeps
  /// entries; 0: nowhere of its own.
  std::size_t entry = 0;
  /// Whether tokens that are stored, or stand in another line, are not computed again.
  bool reuses = true;
};

/// A job and what the scheduler knows of it.
struct Entry {
  std::shared_ptr<Job> job;
  Terms terms;
  std::uint64_t arrival = 0;
  std::size_t overtaken = 0;  // by how many that came after it
  std::size_t known = 0;      // tokens of which it is known that they need not be computed
  bool looked_up = false;     // whether what is stored counts in `known`
  bool put_aside = false;     // it had a line, which is on its way to disk
};

/// The order in which jobs run and wait: the highest priority first, then who came first.
bool goes_before(const Entry& a, const Entry& b);

/// What waits. One thread.
class WaitingJobs {
 public:
  /// Of so many that came first, those are preferred of which most need not be computed.
  static constexpr std::size_t kWindow = 1024;
  /// A job that so many later ones were taken before goes before all others.
  static constexpr std::size_t kMostOvertakes = 1024;

  void add(std::unique_ptr<Entry> entry);
  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }

  /// Takes the first that `fits`, asked in the order of preference: what was overtaken too often,
  /// then the highest priority, of it in the window the most known tokens, then the order of
  /// arrival. Null where none fits. `fits` may say that no further one is to be asked.
  enum class Fit { yes, no, none_does };
  std::unique_ptr<Entry> take(FunctionRef<Fit(Entry&)> fits);

  /// Takes all for which it holds.
  std::vector<std::unique_ptr<Entry>> take_all(FunctionRef<bool(const Entry&)> which);

  /// Tells those in the window that the tokens of a line are computed soon: what they have in
  /// common with it will be there.
  void learn(std::span<const TokenId> tokens);

  /// Those in the window of which was not looked up yet what is stored.
  void look_up(FunctionRef<std::size_t(std::span<const TokenId>)> stored);

 private:
  std::size_t window() const;

  std::vector<std::unique_ptr<Entry>> entries_;  // by priority, then arrival
};

/// How many tokens both begin with.
std::size_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b);

}  // namespace ollm::engine
