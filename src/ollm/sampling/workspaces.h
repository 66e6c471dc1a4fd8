// Workspaces that the threads of a pool lend each other: no more than choose at once.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "ollm/sampling/sampler.h"

namespace ollm::sampling {

/// Workspaces of one vocabulary, each made when it is first needed. Any thread.
class Workspaces {
 public:
  explicit Workspaces(std::size_t vocab_size) : vocab_size_(vocab_size) {}

  /// The right to use one of them.
  class Lease {
   public:
    explicit Lease(Workspaces& owner) : owner_(owner), lent_(owner.take()) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { owner_.put_back(std::move(lent_)); }
    Workspace& operator*() const { return *lent_; }

   private:
    Workspaces& owner_;
    std::unique_ptr<Workspace> lent_;
  };

 private:
  std::unique_ptr<Workspace> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<Workspace> last = std::move(free_.back());
        free_.pop_back();
        return last;
      }
    }
    return std::make_unique<Workspace>(vocab_size_);
  }
  void put_back(std::unique_ptr<Workspace> lent) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(lent));
  }

  const std::size_t vocab_size_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_;  // guarded by mutex_
};

}  // namespace ollm::sampling
