#include "ollm/plan/expert_estimate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>
#include <vector>

namespace ollm::plan {
namespace {

// Of the budget, what slots that experts pass through may take where many are to be read ahead.
constexpr std::uint64_t kPassingShare = 8;

// Of all that was wanted, what those had that were wanted most; nothing where nothing was. Each
// counts as wanted once more than it was: few uses say little.
std::optional<double> share_of_most_wanted(std::span<const float> wanted, std::size_t kept) {
  if (std::all_of(wanted.begin(), wanted.end(), [](float count) { return count <= 0; }))
    return std::nullopt;
  std::vector<float> sorted(wanted.begin(), wanted.end());
  for (float& count : sorted) count += 1;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const auto border = sorted.begin() + static_cast<std::ptrdiff_t>(std::min(kept, sorted.size()));
  const double all = std::accumulate(sorted.begin(), sorted.end(), 0.0);
  return std::accumulate(sorted.begin(), border, 0.0) / all;
}

}  // namespace
double ExpertUse::met(double rows) const {
  if (layers == 0 || experts <= 0) return 0;
  const double missed = std::pow(1 - std::min(1.0, chosen / experts), rows);
  return static_cast<double>(layers) * experts * (1 - missed);
}

double ExpertUse::rows_of_one(double rows) const {
  const double met_in_a_layer = layers == 0 ? 0 : met(rows) / static_cast<double>(layers);
  return met_in_a_layer == 0 ? rows : rows * chosen / met_in_a_layer;
}

double ExpertUse::read_bytes(double rows, bool first) const {
  if (layers == 0) return 0;
  if (first && kept_share < 1) return met_bytes(rows);
  const double all = static_cast<double>(layers) * experts;
  const double kept = kept_share * all;
  // Of the kept ones no more are met than there are.
  const double hits = std::min(met(rows) * hit_share, kept);
  return (met(rows) - hits) * expert_bytes;
}

ExpertUse expert_use(const models::Composition& composition, const weights::ExpertMap& map,
                     const weights::Options& options, std::span<const float> wanted) {
  ExpertUse out;
  double chosen = 0;
  for (const models::LayerSpec& layer : composition.layers) {
    const models::MixtureSpec* mixture = models::mixture_of(layer);
    if (mixture == nullptr) continue;
    ++out.layers;
    chosen += static_cast<double>(mixture->router.chosen);
  }
  if (out.layers == 0 || map.empty()) return {};
  const auto layers = static_cast<double>(out.layers);
  out.experts = static_cast<double>(map.count()) / layers;
  out.chosen = chosen / layers;
  out.expert_bytes = static_cast<double>(map.bytes) / static_cast<double>(map.count());
  const std::size_t kept = weights::kept_experts(map, options);
  out.kept_share = static_cast<double>(kept) / static_cast<double>(map.count());
  out.hit_share = share_of_most_wanted(wanted, kept).value_or(out.kept_share);
  return out;
}

std::uint64_t expert_space(const weights::ExpertMap& map, const weights::Options& options) {
  return weights::expert_slot_bytes(map, options) + weights::expert_table_bytes(map, options);
}

std::size_t first_expert_slots(const weights::ExpertMap& map, std::uint64_t budget_bytes) {
  const std::size_t passing = weights::passing_slots(map, {});
  if (passing * map.loads.largest_bytes > budget_bytes / kPassingShare)
    return weights::least_expert_slots(map);
  return std::min<std::size_t>(passing, map.count());
}

void give_room(const weights::ExpertMap& map, std::uint64_t bytes, weights::Options& options) {
  if (map.empty()) return;
  weights::Options more = options;
  ++more.expert_slots;
  const std::uint64_t space = expert_space(map, options);
  const std::uint64_t of_one = expert_space(map, more) - space;
  if (of_one == 0) return;  // all have room already
  options.expert_slots = static_cast<std::size_t>(
      std::min<std::uint64_t>(map.count(), options.expert_slots + bytes / of_one));
}

ExpertsPlan experts_plan(const ExpertUse& use, const weights::ExpertMap& map,
                         const weights::Options& options, std::span<const float> wanted) {
  ExpertsPlan out;
  out.experts = map.count();
  out.kept = weights::kept_experts(map, options);
  out.slots = weights::expert_slots(map, options);
  out.expert_bytes = static_cast<std::uint64_t>(use.expert_bytes);
  out.bytes = map.bytes;
  const double met = use.met(1);
  out.per_token = static_cast<std::size_t>(std::llround(met));
  out.hit_share = use.hit_share;
  out.because = wanted.empty() ? "every expert is taken to be chosen alike"
                               : "those that earlier runs wanted most are kept";
  out.read_bytes_per_token = static_cast<std::uint64_t>(use.read_bytes(1));
  return out;
}

}  // namespace ollm::plan
