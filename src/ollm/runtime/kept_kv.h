// The keys and values of a loaded model on disk: opens the pool that was planned, finds out what
// the model is, and gives its blocks their names. Leaves to others: blocks (kv/), hashing
// (checkpoint/background_hash.h), what a name depends on (fingerprint.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/callback.h"
#include "ollm/base/result.h"
#include "ollm/checkpoint/background_hash.h"
#include "ollm/checkpoint/model_folder.h"
#include "ollm/kv/pool.h"
#include "ollm/kv/store.h"
#include "ollm/memory/budget.h"
#include "ollm/ollm.h"
#include "ollm/plan/load_plan.h"

namespace ollm::runtime {

/// Outlives the store that it is attached to.
class KeptKv {
 public:
  /// `model`: what people call it. All else must outlive this. Errors: those of kv::Pool::open;
  /// out_of_budget.
  static Result<std::unique_ptr<KeptKv>> open(const plan::LoadPlan& plan,
                                              const models::Composition& composition,
                                              const checkpoint::ModelFolder& folder,
                                              std::string_view model, memory::Budget& budget);

  kv::Pool& pool() { return *pool_; }
  /// Gives the store names as soon as they are known.
  void attach(kv::Store& store);

  /// Before so many tokens are computed, or where they were: if the model is not hashed yet and
  /// computing them takes longer than that, waits for it.
  void settle(std::size_t tokens, OnProgress on_progress, const CancellationToken& cancel);
  /// Gives the store names if they are known by now.
  void poll();
  /// Whether this is a child of the process that opened it, which has none of its threads.
  bool in_child() const;
  /// The same for all tokens that were computed since it was opened, and makes durable what is to
  /// be kept of them. Errors: why some of it is not, since it was opened.
  Result<void> keep();
  /// That tokens were computed.
  void computed(std::size_t tokens) { computed_ += tokens; }

 private:
  KeptKv(const plan::LoadPlan& plan, const models::Composition& composition);
  Digest fingerprint(const Digest& content) const;
  bool name_by(const Digest& fingerprint);
  void give_names(const Result<Digest>& content);

  const plan::LoadPlan& plan_;
  const models::Composition& composition_;
  std::unique_ptr<kv::Pool> pool_;
  std::unique_ptr<checkpoint::BackgroundHash> hash_;  // null where nothing waits for it
  kv::Store* store_ = nullptr;
  const std::int64_t process_;
  std::string model_;
  std::optional<Error> nameless_;  // why blocks get no names
  std::uint64_t model_bytes_ = 0;
  std::size_t computed_ = 0;
};

}  // namespace ollm::runtime
