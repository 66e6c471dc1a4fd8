// What was measured of this machine, kept between runs: the rates that estimates are made with.
// Leaves to others: measuring (runtime/measure.h); planning itself never measures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/backend/options.h"
#include "ollm/base/result.h"
#include "ollm/io/environment.h"
#include "ollm/io/system_calls.h"

namespace ollm::machine {

/// Operations a second of matrix products with so many rows: few rows reach less.
struct RowsRate {
  std::size_t rows = 1;
  double flops = 0;
};

/// Of one table of kernels in one compute mode, all threads together: the arithmetic peak, and what
/// the kernels themselves reach: matrix products of some numbers of rows, products of one row
/// (bytes of weights a second), attention of many rows.
struct TableRates {
  backend::Isa isa = backend::Isa::scalar;
  backend::ComputeMode compute = backend::ComputeMode::f32;
  double peak_flops = 0;
  std::vector<RowsRate> matmul = {};  // ascending
  double matvec_bytes_per_second = 0;
  double attention_flops = 0;
};

/// Of one file system: direct reads of a file on it, several under way.
struct DiskRate {
  std::uint64_t device = 0;  // st_dev
  std::string path;          // the file that was read
  double bytes_per_second = 0;
};

struct Profile {
  std::string measured;  // "2026-11-24T10:30:00Z"
  // Of which machine: another one's figures are not used.
  std::string cpu_model;
  std::uint64_t cores = 0;
  std::uint64_t total_bytes = 0;

  std::uint64_t threads = 1;  // that measured together
  double memory_bytes_per_second = 0;
  std::vector<TableRates> tables;
  std::vector<DiskRate> disks;

  const TableRates* find(const backend::Options& table) const;
  const DiskRate* find_disk(std::uint64_t device) const;
};

/// docs/formats/profile.schema.json.
std::string profile_json(const Profile& profile);
/// Errors: corrupt, naming the key.
Result<Profile> parse_profile(std::string_view json);

/// $XDG_CACHE_HOME/ollm/profile.json, or under ~/.cache; empty where neither is known.
std::filesystem::path profile_path(const io::Environment& environment);

/// The stored profile; nothing where there is none, where it cannot be read, or where it is another
/// machine's.
std::optional<Profile> load_profile(const io::Environment& environment, std::string_view cpu_model,
                                    std::uint64_t cores, io::SystemCalls& calls);
/// Errors: io, not_found where no cache folder is known.
Result<void> save_profile(const Profile& profile, const io::Environment& environment,
                          io::SystemCalls& calls = io::posix());

/// What an estimate counts with, for one table and one file system.
struct Rates {
  double memory_bytes_per_second = 0;  // of products of one row
  std::vector<RowsRate> matmul;        // ascending, at least one
  double attention_flops = 0;
  double disk_bytes_per_second = 0;
  bool measured = false;
  std::string because;  // what of it was measured, and when

  /// Between the measured numbers of rows, straight in the logarithm; beyond them, the last.
  double matmul_flops(double rows) const;
};
/// Those of the profile where it has them, else careful values for today's machines; `threads`
/// other than the profile's scale what scales with them.
Rates rates_for(const std::optional<Profile>& profile, const backend::Options& table,
                std::size_t threads, std::optional<std::uint64_t> device);

}  // namespace ollm::machine
