// What was measured of this machine: the rates that plans estimate with. Measuring is not looking:
// `ollm doctor --measure` does it before.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "ollm/base/json_cursor.h"
#include "ollm/machine/expert_history.h"
#include "ollm/plan/doctor_sections.h"

namespace ollm::plan {
namespace {

constexpr double kGiga = 1e9;

DoctorCheck of_table(const machine::TableRates& table) {
  DoctorCheck check{.name =
                        fmt::format("rates:{}-{}", to_string(table.isa), to_string(table.compute))};
  std::string flops, rows;
  for (const machine::RowsRate& rate : table.matmul) {
    flops += fmt::format("{}{:.0f}", flops.empty() ? "" : ", ", rate.flops / kGiga);
    rows += fmt::format("{}{}", rows.empty() ? "" : ", ", rate.rows);
  }
  check.message = fmt::format(
      "peak {:.0f} GFLOP/s; products {} GFLOP/s with {} rows; attention {:.0f} GFLOP/s; one row "
      "{:.1f} GB/s of weights",
      table.peak_flops / kGiga, flops, rows, table.attention_flops / kGiga,
      table.matvec_bytes_per_second / kGiga);
  check.details.set("peak_flops", fmt::format("{:.0f}", table.peak_flops));
  return check;
}

// What was learned of mixtures: how uneven their routing is.
DoctorCheck of_experts(std::size_t number, const machine::ExpertHistory& history) {
  std::vector<float> wanted = history.wanted;
  std::sort(wanted.begin(), wanted.end(), std::greater<>());
  const double all = std::accumulate(wanted.begin(), wanted.end(), 0.0);
  const auto quarter = wanted.begin() + static_cast<std::ptrdiff_t>(wanted.size() / 4);
  const double share = all > 0 ? std::accumulate(wanted.begin(), quarter, 0.0) / all : 0;
  DoctorCheck check{.name = fmt::format("rates:experts-{}", number)};
  check.message = fmt::format("{}: of {} experts the quarter wanted most had {:.0f} % of the uses",
                              printable(history.model), wanted.size(), 100 * share);
  check.details.set("experts", fmt::format("{}", wanted.size()));
  return check;
}

void check_measured(const DoctorInputs& inputs, std::vector<DoctorCheck>& out) {
  if (!inputs.machine.profile) {
    out.push_back({.name = "rates:profile",
                   .status = DoctorStatus::warn,
                   .message = "nothing was measured: plans estimate with assumed rates",
                   .advice = "ollm doctor --measure (about half a minute)"});
    return;
  }
  const machine::Profile& profile = *inputs.machine.profile;
  DoctorCheck memory{.name = "rates:memory"};
  memory.message =
      fmt::format("{:.1f} GB/s read by {} threads, measured {}",
                  profile.memory_bytes_per_second / kGiga, profile.threads, profile.measured);
  memory.details.set("bytes_per_second", fmt::format("{:.0f}", profile.memory_bytes_per_second));
  out.push_back(std::move(memory));
  for (const machine::TableRates& table : profile.tables) out.push_back(of_table(table));
  std::size_t number = 0;
  for (const machine::DiskRate& disk : profile.disks) {
    DoctorCheck check{.name = fmt::format("rates:disk-{}", ++number)};
    check.message =
        fmt::format("{:.2f} GB/s of direct reads, {}", disk.bytes_per_second / kGiga, disk.path);
    check.details.set("device", fmt::format("{}", disk.device));
    check.details.set("bytes_per_second", fmt::format("{:.0f}", disk.bytes_per_second));
    out.push_back(std::move(check));
  }
}

}  // namespace

void check_rates(const DoctorInputs& inputs, std::vector<DoctorCheck>& out) {
  check_measured(inputs, out);
  std::size_t number = 0;
  for (const machine::ExpertHistory& history :
       machine::all_expert_histories(inputs.environment, *inputs.calls))
    out.push_back(of_experts(++number, history));
}

}  // namespace ollm::plan
