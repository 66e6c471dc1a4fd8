#include "ollm/weights/expert_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ollm/tensor/weight_format.h"
#include "ollm/weights/expert_cache.h"
#include "ollm/weights/tape_map.h"

namespace ollm::weights {
namespace {

using checkpoint::TensorInfo;

// Of the slots that experts pass through, all together: enough for long reads, few enough that what
// is left keeps experts.
constexpr std::uint64_t kPassingBytes = std::uint64_t{160} << 20;
constexpr std::size_t kLeastPassing = 3;

// Of a vector's string on the heap, by and large: names of tensors.
constexpr std::uint64_t kNameBytes = 112;
// Of each: in the index of tensors and its table, the composition, the plan's and the tape's.
constexpr std::uint64_t kNameCopies = 5;

// The part of a tensor, or the tensor, that is of expert `expert`.
Result<FileExtent> extent_of(const checkpoint::TensorIndex& index,
                             const std::vector<std::string>& tensors, std::size_t expert,
                             std::size_t experts) {
  const bool stacked = tensors.size() == 1 && experts > 1;
  OLLM_TRY(const TensorInfo* tensor, index.require(tensors[stacked ? 0 : expert]));
  const std::uint64_t bytes = tensor->size_bytes / (stacked ? experts : 1);
  return FileExtent{tensor->file, tensor->offset_bytes + (stacked ? expert * bytes : 0), bytes};
}

Result<void> check_format(const checkpoint::TensorIndex& index, const ExpertMatrix& matrix) {
  OLLM_TRY(const TensorInfo* tensor, index.require(matrix.tensors.front()));
  const std::string reason = unsupported_reason(matrix.format);
  if (reason.empty()) return {};
  return fail(ErrorKind::unsupported, fmt::format("tensor {}: {}", tensor->name, reason));
}

class Mapper {
 public:
  Mapper(const checkpoint::TensorIndex& index, std::size_t read_bytes)
      : index_(index), read_bytes_(read_bytes) {}

  Result<void> add(const ExpertsUse& use) {
    const std::vector<ExpertMatrix>& matrices = use.form().matrices;
    for (const ExpertMatrix& matrix : matrices) OLLM_TRY_VOID(check_format(index_, matrix));
    map_.layers.push_back({map_.count(), static_cast<std::uint32_t>(use.experts),
                           static_cast<std::uint32_t>(map_.places.size()),
                           static_cast<std::uint32_t>(matrices.size())});
    for (std::size_t expert = 0; expert < use.experts; ++expert)
      OLLM_TRY_VOID(add(use, matrices, expert));
    return {};
  }

  ExpertMap take() { return std::move(map_); }

 private:
  Result<void> add(const ExpertsUse& use, const std::vector<ExpertMatrix>& matrices,
                   std::size_t expert) {
    items_.clear();
    std::uint64_t bytes = 0;
    for (const ExpertMatrix& matrix : matrices) {
      LoadItem item;
      OLLM_TRY(item.extent, extent_of(index_, matrix.tensors, expert, use.experts));
      if (!matrix.scales.empty()) {
        OLLM_TRY(item.scales, extent_of(index_, matrix.scales, expert, use.experts));
      }
      bytes += item.extent.size_bytes + item.scales.size_bytes;
      items_.push_back(item);
    }
    const Laid laid = lay_out(items_, read_bytes_);
    map_.places.insert(map_.places.end(), laid.places.begin(), laid.places.end());
    map_.loads.add(laid);
    map_.bytes += bytes;
    map_.most_bytes = std::max(map_.most_bytes, bytes);
    return {};
  }

  const checkpoint::TensorIndex& index_;
  const std::size_t read_bytes_;
  ExpertMap map_;
  std::vector<LoadItem> items_;
};

}  // namespace

Result<ExpertMap> map_experts(const checkpoint::TensorIndex& index, const TapeLayout& layout,
                              std::size_t read_bytes) {
  Mapper mapper(index, read_bytes);
  for (const ExpertsUse& use : layout.experts) OLLM_TRY_VOID(mapper.add(use));
  return mapper.take();
}

std::size_t passing_slots(const ExpertMap& map, const Options& options) {
  if (map.empty()) return 0;
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(
      kPassingBytes / std::max<std::uint64_t>(1, map.loads.largest_bytes), kLeastPassing,
      std::max(kLeastPassing, options.most_passing_slots)));
}

std::size_t least_expert_slots(const ExpertMap& map) {
  return std::min<std::size_t>(map.count(), kLeastPassing);
}

std::size_t expert_slots(const ExpertMap& map, const Options& options) {
  return std::clamp<std::size_t>(options.expert_slots, least_expert_slots(map), map.count());
}

std::size_t kept_experts(const ExpertMap& map, const Options& options) {
  const std::size_t slots = expert_slots(map, options);
  return slots == map.count() ? slots : slots - std::min(slots, passing_slots(map, options));
}

io::SlotRing::Options expert_ring_options(const ExpertMap& map, const Options& options) {
  io::SlotRing::Options ring;
  ring.slots = expert_slots(map, options);
  ring.slot_bytes = map.loads.largest_bytes;
  ring.read_bytes = options.read_bytes;
  ring.most_reads = map.loads.most_reads;
  return ring;
}

std::uint64_t expert_slot_bytes(const ExpertMap& map, const Options& options) {
  if (map.empty()) return 0;
  return ring_bytes(expert_ring_options(map, options)) + io::File::kDirectAlignment;
}

std::uint64_t expert_table_bytes(const ExpertMap& map, const Options& options) {
  if (map.empty()) return 0;
  const std::uint64_t names = kNameCopies * map.places.size() * kNameBytes;
  return names + map.places.size() * sizeof(Laid::Place) +
         map.loads.extents.size() * sizeof(FileExtent) + map.loads.loads.size() * sizeof(Load) +
         io::SlotRing::table_bytes(expert_ring_options(map, options)) +
         ExpertCache::table_bytes(map.count(), expert_slots(map, options)) +
         (map.count() + expert_slots(map, options) * 6) * sizeof(std::uint64_t);
}

}  // namespace ollm::weights
