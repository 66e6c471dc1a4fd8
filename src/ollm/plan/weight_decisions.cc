#include "ollm/plan/weight_decisions.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "ollm/base/text_size.h"

namespace ollm::plan {
namespace {

class Writer {
 public:
  Writer(const LoadPlan& plan, const weights::TapeMap& map, const WeightReasons& reasons)
      : plan_(plan), map_(map), reasons_(reasons) {}

  std::vector<Decision> write() {
    chunk();
    dense();
    if (plan_.experts) experts();
    pages();
    reads();
    return std::move(out_);
  }

 private:
  void decide(std::string what, std::string chosen, std::string because) {
    out_.push_back({std::move(what), std::move(chosen), std::move(because)});
  }

  void chunk() {
    const std::size_t chunk = plan_.engine.max_rows;
    decide("prefill_chunk", fmt::format("{}", chunk),
           !plan_.fits                      ? "the smallest; even it does not fit"
           : reasons_.chunk_was_asked_for   ? "asked for"
           : chunk >= reasons_.rows_at_most ? "the whole prompt is one sweep"
           : plan_.workload.all_logits
               ? fmt::format("all logits are wanted, at most {} of them at a time",
                             format_bytes(kMostLogitsBytes))
           : map_.stream.loads.empty() && !plan_.experts
               ? "enough rows for the arithmetic's peak"
               : "the fastest that fits: enough rows that computing hides reading, and the rest "
                 "of the memory pins weights");
    if (plan_.engine.feed_forward_rows < chunk) {
      decide("feed_forward_rows", fmt::format("{}", plan_.engine.feed_forward_rows),
             fmt::format("the intermediate of {} rows would take more than 1/{} of the budget",
                         chunk, kFeedForwardShare));
    }
  }

  void dense() {
    if (map_.all_pinned()) {
      decide("weights", "pinned",
             plan_.experts ? "every segment but those of experts is held in memory"
                           : "every segment is held in memory");
    } else if (map_.stream.loads.empty()) {
      decide("weights", "pinned",
             "every segment but the embedding, whose rows are read one by one");
    } else {
      decide("weights", map_.pinned_bytes == 0 ? "streamed" : "pinned and streamed",
             fmt::format("{} of {} fit beside the rest; {} are read in every sweep",
                         format_bytes(map_.pinned_bytes), format_bytes(map_.sweep_bytes()),
                         format_bytes(map_.stream_bytes())));
    }
  }

  void experts() {
    const ExpertsPlan& experts = *plan_.experts;
    if (experts.kept == experts.experts) {
      decide("experts", "held", fmt::format("all {} have room", experts.experts));
      return;
    }
    decide("experts", fmt::format("{} of {} kept", experts.kept, experts.experts),
           fmt::format("{} each; a token meets {}, of which {} are taken to be kept ({}): {} are "
                       "read for each token",
                       format_bytes(experts.expert_bytes), experts.per_token,
                       fmt::format("{:.0f} %", 100 * experts.hit_share), experts.because,
                       format_bytes(experts.read_bytes_per_token)));
  }

  void pages() {
    const bool huge = reasons_.machine.huge_pages;
    decide("memory.pages", huge ? "2 MiB" : "4 KiB",
           huge ? "the system gives transparent huge pages to who asks"
                : "the system gives no transparent huge pages; reading into small ones costs more "
                  "CPU (/sys/kernel/mm/transparent_hugepage/enabled)");
  }

  void reads() {
    decide("weights.reads",
           reasons_.direct ? fmt::format("direct, {}", to_string(plan_.weights.read_method))
                           : "buffered, pread",
           !reasons_.direct            ? "the file system has no direct access"
           : reasons_.machine.io_uring ? "past the page cache, by the kernel's queue"
                                       : "past the page cache; io_uring is not allowed here");
  }

  const LoadPlan& plan_;
  const weights::TapeMap& map_;
  const WeightReasons& reasons_;
  std::vector<Decision> out_;
};

}  // namespace

std::vector<Decision> weight_decisions(const LoadPlan& plan, const weights::TapeMap& map,
                                       const WeightReasons& reasons) {
  return Writer(plan, map, reasons).write();
}

}  // namespace ollm::plan
