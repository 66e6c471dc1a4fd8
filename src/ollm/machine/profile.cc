#include "ollm/machine/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/backend/backend.h"
#include "ollm/base/json_reader.h"
#include "ollm/io/atomic_replace.h"
#include "ollm/io/file.h"

namespace ollm::machine {
namespace {

constexpr std::uint64_t kLargestProfileBytes = 1 << 20;

// Rates of a machine that nobody measured: careful values for today's desktop and server cores.
constexpr double kAssumedMemoryBytesPerCore = 10e9;
constexpr double kAssumedMemoryBytesMax = 40e9;
constexpr double kAssumedDiskBytes = 1.5e9;
constexpr double kAssumedAttentionShare = 0.4;  // of the rate of matrix products
double assumed_flops_per_core(const backend::Options& table) {
  const bool bf16 = table.compute == backend::ComputeMode::bf16;
  switch (table.isa) {
    case backend::Isa::reference:
    case backend::Isa::scalar:
      return 1e9;
    case backend::Isa::avx2:
      return 30e9;
    case backend::Isa::avx512:  // half of what a Xeon's core reaches, in both modes
      return 60e9;
    case backend::Isa::avx512_bf16:
      return bf16 ? 120e9 : 60e9;  // on AMD's, where it is chosen
  }
  return 1e9;
}

std::optional<backend::ComputeMode> compute_mode(std::string_view text) {
  for (const auto mode : {backend::ComputeMode::bf16, backend::ComputeMode::f32})
    if (to_string(mode) == text) return mode;
  return std::nullopt;
}

std::optional<backend::Isa> isa(std::string_view text) {
  for (const auto one :
       {backend::Isa::scalar, backend::Isa::avx2, backend::Isa::avx512, backend::Isa::avx512_bf16})
    if (to_string(one) == text) return one;
  return std::nullopt;
}

// A profile is our own file, but a person may have edited it: every key is looked at.
class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {}

  Result<double> positive(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_number() || !(found->get<double>() > 0))
      return fail(ErrorKind::corrupt,
                  fmt::format("profile: {}: a number above 0 is expected", key));
    return found->get<double>();
  }
  Result<std::uint64_t> count(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_number_integer() ||
        (!found->is_number_unsigned() && found->get<std::int64_t>() < 0))
      return fail(ErrorKind::corrupt, fmt::format("profile: {}: a count is expected", key));
    return found->get<std::uint64_t>();
  }
  Result<std::string> text(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_string())
      return fail(ErrorKind::corrupt, fmt::format("profile: {}: a string is expected", key));
    return found->get<std::string>();
  }
  Result<const Json*> list(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_array())
      return fail(ErrorKind::corrupt, fmt::format("profile: {}: a list is expected", key));
    for (const auto& entry : *found)
      if (!entry.is_object())
        return fail(ErrorKind::corrupt, fmt::format("profile: {}: objects are expected", key));
    return &*found;
  }

 private:
  const Json& json_;
};

}  // namespace

const TableRates* Profile::find(const backend::Options& table) const {
  for (const TableRates& rates : tables)
    if (rates.isa == table.isa && rates.compute == table.compute) return &rates;
  return nullptr;
}

const DiskRate* Profile::find_disk(std::uint64_t device) const {
  for (const DiskRate& disk : disks)
    if (disk.device == device) return &disk;
  return nullptr;
}

std::string profile_json(const Profile& profile) {
  using Json = nlohmann::ordered_json;
  Json tables = Json::array();
  for (const TableRates& rates : profile.tables) {
    Json matmul = Json::array();
    for (const RowsRate& rate : rates.matmul)
      matmul.push_back({{"rows", rate.rows}, {"flops", rate.flops}});
    tables.push_back({{"isa", to_string(rates.isa)},
                      {"compute", to_string(rates.compute)},
                      {"peak_flops", rates.peak_flops},
                      {"matmul", std::move(matmul)},
                      {"matvec_bytes_per_second", rates.matvec_bytes_per_second},
                      {"attention_flops", rates.attention_flops}});
  }
  Json disks = Json::array();
  for (const DiskRate& disk : profile.disks) {
    disks.push_back({{"device", disk.device},
                     {"path", disk.path},
                     {"bytes_per_second", disk.bytes_per_second}});
  }
  return Json{{"version", 1},
              {"measured", profile.measured},
              {"cpu_model", profile.cpu_model},
              {"cores", profile.cores},
              {"total_bytes", profile.total_bytes},
              {"threads", profile.threads},
              {"memory_bytes_per_second", profile.memory_bytes_per_second},
              {"tables", std::move(tables)},
              {"disks", std::move(disks)}}
             .dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

Result<Profile> parse_profile(std::string_view text) {
  OLLM_TRY(const Json json, parse_json(text, "profile.json"));
  if (!json.is_object()) return fail(ErrorKind::corrupt, "profile: an object is expected");
  const Reader top(json);
  OLLM_TRY(const std::uint64_t version, top.count("version"));
  if (version != 1)
    return fail(ErrorKind::corrupt, fmt::format("profile: version {}: 1 is expected", version));
  Profile profile;
  OLLM_TRY(profile.measured, top.text("measured"));
  OLLM_TRY(profile.cpu_model, top.text("cpu_model"));
  OLLM_TRY(profile.cores, top.count("cores"));
  OLLM_TRY(profile.total_bytes, top.count("total_bytes"));
  OLLM_TRY(profile.threads, top.count("threads"));
  if (profile.threads == 0) return fail(ErrorKind::corrupt, "profile: threads: 0");
  OLLM_TRY(profile.memory_bytes_per_second, top.positive("memory_bytes_per_second"));
  OLLM_TRY(const Json* tables, top.list("tables"));
  for (const auto& entry : *tables) {
    const Reader reader(entry);
    OLLM_TRY(const std::string isa_text, reader.text("isa"));
    OLLM_TRY(const std::string mode_text, reader.text("compute"));
    const auto table = isa(isa_text);
    const auto mode = compute_mode(mode_text);
    if (!table || !mode)
      return fail(ErrorKind::corrupt,
                  fmt::format("profile: tables: no table {} {}", isa_text, mode_text));
    TableRates rates{*table, *mode};
    OLLM_TRY(rates.peak_flops, reader.positive("peak_flops"));
    OLLM_TRY(const Json* matmul, reader.list("matmul"));
    for (const auto& point : *matmul) {
      const Reader of_point(point);
      RowsRate rate;
      OLLM_TRY(rate.rows, of_point.count("rows"));
      OLLM_TRY(rate.flops, of_point.positive("flops"));
      if (rate.rows <= (rates.matmul.empty() ? 0 : rates.matmul.back().rows))
        return fail(ErrorKind::corrupt, "profile: matmul: rows must ascend");
      rates.matmul.push_back(rate);
    }
    if (rates.matmul.empty()) return fail(ErrorKind::corrupt, "profile: matmul: an empty list");
    OLLM_TRY(rates.matvec_bytes_per_second, reader.positive("matvec_bytes_per_second"));
    OLLM_TRY(rates.attention_flops, reader.positive("attention_flops"));
    profile.tables.push_back(rates);
  }
  OLLM_TRY(const Json* disks, top.list("disks"));
  for (const auto& entry : *disks) {
    const Reader reader(entry);
    DiskRate disk;
    OLLM_TRY(disk.device, reader.count("device"));
    OLLM_TRY(disk.path, reader.text("path"));
    OLLM_TRY(disk.bytes_per_second, reader.positive("bytes_per_second"));
    profile.disks.push_back(std::move(disk));
  }
  return profile;
}

std::filesystem::path profile_path(const io::Environment& environment) {
  if (const auto cache = environment.find_filled("XDG_CACHE_HOME"))
    return io::absolute_path(*cache, environment) / "ollm" / "profile.json";
  if (const auto home = environment.find_filled("HOME"))
    return io::absolute_path(*home, environment) / ".cache" / "ollm" / "profile.json";
  return {};
}

std::optional<Profile> load_profile(const io::Environment& environment, std::string_view cpu_model,
                                    std::uint64_t cores, io::SystemCalls& calls) {
  const std::filesystem::path path = profile_path(environment);
  if (path.empty()) return std::nullopt;
  const Result<std::string> text = io::read_whole_file(path, kLargestProfileBytes, calls);
  if (!text.ok()) return std::nullopt;
  Result<Profile> profile = parse_profile(*text);
  if (!profile.ok() || profile->cpu_model != cpu_model || profile->cores != cores)
    return std::nullopt;
  return std::move(profile).value();
}

Result<void> save_profile(const Profile& profile, const io::Environment& environment,
                          io::SystemCalls& calls) {
  const std::filesystem::path path = profile_path(environment);
  if (path.empty())
    return fail(ErrorKind::not_found, "neither XDG_CACHE_HOME nor HOME names a cache folder");
  std::string folder;
  for (const std::filesystem::path& part : path.parent_path()) {
    folder = (std::filesystem::path(folder) / part).string();
    if (calls.mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST && errno != EISDIR)
      return fail(ErrorKind::io,
                  fmt::format("{}: make folder: {}", folder, io::describe_errno(errno)));
  }
  return io::atomic_replace(path, profile_json(profile), 0600, calls);
}

double Rates::matmul_flops(double rows) const {
  if (rows <= static_cast<double>(matmul.front().rows)) return matmul.front().flops;
  for (std::size_t i = 1; i < matmul.size(); ++i) {
    const auto below = static_cast<double>(matmul[i - 1].rows);
    const auto above = static_cast<double>(matmul[i].rows);
    if (rows > above) continue;
    const double part = std::log(rows / below) / std::log(above / below);
    return matmul[i - 1].flops + part * (matmul[i].flops - matmul[i - 1].flops);
  }
  return matmul.back().flops;
}

Rates rates_for(const std::optional<Profile>& profile, const backend::Options& table,
                std::size_t threads, std::optional<std::uint64_t> device) {
  const double count = static_cast<double>(threads);
  Rates rates;
  const TableRates* of_table = profile ? profile->find(table) : nullptr;
  const DiskRate* of_disk = profile && device ? profile->find_disk(*device) : nullptr;
  if (of_table != nullptr) {
    const double scale = count / static_cast<double>(profile->threads);
    rates.matmul = of_table->matmul;
    for (RowsRate& rate : rates.matmul) rate.flops *= scale;
    rates.attention_flops = of_table->attention_flops * scale;
    // Memory is shared: fewer threads read less, more do not read more.
    rates.memory_bytes_per_second = of_table->matvec_bytes_per_second * std::min(1.0, scale);
    rates.measured = true;
  } else {
    rates.matmul = {{1, assumed_flops_per_core(table) * count}};
    rates.attention_flops = rates.matmul[0].flops * kAssumedAttentionShare;
    rates.memory_bytes_per_second =
        std::min(kAssumedMemoryBytesPerCore * count, kAssumedMemoryBytesMax);
  }
  rates.disk_bytes_per_second = of_disk ? of_disk->bytes_per_second : kAssumedDiskBytes;
  rates.because = fmt::format(
      "{:.1f} GB/s of memory, {:.0f} GFLOP/s {}; {:.1f} GB/s of disk {}",
      rates.memory_bytes_per_second / 1e9, rates.matmul.back().flops / 1e9,
      of_table ? "measured " + profile->measured : "assumed (ollm doctor --measure would tell)",
      rates.disk_bytes_per_second / 1e9,
      of_disk ? "measured on " + of_disk->path : std::string("assumed"));
  return rates;
}

}  // namespace ollm::machine
