// Measuring the machine: memory, arithmetic, what the kernels reach of both, and the disk as a bare
// reader sees it. Leaves to others: keeping the figures and what they mean (machine/profile.h).
#include "ollm/runtime/measure.h"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/backend/machine_limits.h"
#include "ollm/base/clock.h"
#include "ollm/base/text_size.h"
#include "ollm/bench.h"
#include "ollm/io/file.h"
#include "ollm/io/output_file.h"
#include "ollm/io/read_probes.h"
#include "ollm/machine/profile.h"
#include "ollm/memory/buffer.h"

namespace ollm {
namespace {

// Weights that are measured with: beyond the caches of most machines. Where memory is short a
// quarter of it, down to where products find no two matrices in it.
constexpr std::size_t kPoolBytes = std::size_t{1} << 30;
constexpr std::size_t kLeastPoolBytes = std::size_t{128} << 20;
constexpr std::uint64_t kScratchBytes = std::uint64_t{1} << 30;
constexpr std::size_t kRounds = 5;
constexpr double kRoundSeconds = 0.1;
// One call that takes so long is told by itself: there are machines with the scalar table alone.
constexpr double kLongCallSeconds = 0.5;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Result<std::size_t> pool_bytes(const machine::Machine& machine) {
  const std::uint64_t quarter = machine.available_bytes / 4;
  if (machine.available_bytes != 0 && quarter < kLeastPoolBytes)
    return fail(ErrorKind::out_of_budget, fmt::format("measuring takes {}; the machine leaves {}",
                                                      format_bytes(4 * kLeastPoolBytes),
                                                      format_bytes(machine.available_bytes)));
  if (machine.available_bytes == 0 || quarter >= kPoolBytes) return kPoolBytes;
  return static_cast<std::size_t>(quarter) / kLeastPoolBytes * kLeastPoolBytes;
}

// bf16 values of size about one; read as f32 it is the same.
Result<memory::Buffer> weight_pool(memory::Budget& budget, std::size_t bytes) {
  OLLM_TRY(memory::Buffer pool, memory::Buffer::make(budget, "measured weights", bytes));
  std::mt19937 random(1);
  std::vector<std::uint16_t> some(std::size_t{1} << 20);
  for (std::uint16_t& half : some)
    half = static_cast<std::uint16_t>(0x3f00U | (random() & 0x80ffU));
  for (std::size_t at = 0; at < bytes; at += 2 * some.size())
    std::memcpy(pool.data() + at, some.data(), 2 * some.size());
  return pool;
}

std::vector<float> random_floats(std::size_t count) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

// What one table's kernels reach, on shapes of a small model.
class KernelRates {
 public:
  KernelRates(const backend::Options& table, double round_seconds, ThreadPool& pool,
              memory::Buffer& weights, memory::Budget& budget)
      : table_(table),
        round_seconds_(round_seconds),
        pool_(pool),
        weights_(weights),
        budget_(budget) {}

  Result<machine::TableRates> measure() {
    OLLM_TRY(backend_, backend::make_backend(table_, pool_));
    machine::TableRates rates{table_.isa, table_.compute};
    std::vector<double> peaks;
    for (std::size_t i = 0; i < kRounds; ++i)
      peaks.push_back(backend::peak_flops(table_.isa, table_.compute, pool_, round_seconds_ / 2));
    rates.peak_flops = median(peaks);
    // The scalar table is for checking others; fewer rows tell as much about it.
    const bool slow = table_.isa == backend::Isa::scalar;
    OLLM_TRY(const double matvec, product_seconds(1));
    rates.matvec_bytes_per_second = static_cast<double>(kIn * kOut * element_bytes()) / matvec;
    rates.matmul.push_back({1, 2.0 * static_cast<double>(kIn * kOut) / matvec});
    for (const std::size_t rows : {4u, 16u, 64u, 512u}) {
      if (slow && rows > 4) continue;
      OLLM_TRY(const double seconds, product_seconds(rows));
      rates.matmul.push_back({rows, 2.0 * static_cast<double>(rows * kIn * kOut) / seconds});
    }
    OLLM_TRY(rates.attention_flops, attention_rate(slow ? 2 : 256));
    return rates;
  }

 private:
  static constexpr std::size_t kIn = 2048, kOut = 8192;

  std::size_t element_bytes() const { return table_.compute == backend::ComputeMode::bf16 ? 2 : 4; }

  const std::byte* next(std::size_t size) {
    if (at_ + size > weights_.size_bytes()) at_ = 0;
    const std::byte* found = weights_.data() + at_;
    at_ += size;
    return found;
  }

  // Seconds of one call: the median of rounds, each the median of its calls.
  double seconds_of(const std::function<void()>& body) const {
    const double first = monotonic_seconds();
    body();
    const double once = monotonic_seconds() - first;
    if (once > kLongCallSeconds) return once;
    std::vector<double> rounds;
    // Where a call takes longer than a round, fewer rounds are enough.
    const double longest = 2 * static_cast<double>(kRounds) * round_seconds_;
    for (std::size_t round = 0;
         round < kRounds && (round == 0 || monotonic_seconds() - first < longest); ++round) {
      std::vector<double> calls;
      const double begin = monotonic_seconds();
      do {
        const double start = monotonic_seconds();
        body();
        calls.push_back(std::max(1e-9, monotonic_seconds() - start));
      } while (monotonic_seconds() - begin < round_seconds_);
      rounds.push_back(median(calls));
    }
    return median(rounds);
  }

  Result<double> product_seconds(std::size_t rows) {
    const std::vector<float> x = random_floats(rows * kIn);
    std::vector<float> out(rows * kOut);
    OLLM_TRY(memory::Buffer left,
             memory::Buffer::make(budget_, "measured rows", backend_->left_bytes(rows, kIn)));
    const DType dtype = table_.compute == backend::ComputeMode::bf16 ? DType::bf16 : DType::f32;
    return seconds_of([&] {
      const auto prepared = backend_->prepare_left(x.data(), kIn, rows, kIn, left.data());
      const std::byte* weights = next(kIn * kOut * element_bytes());
      backend_->matmul(prepared, {weights, *plain_format(dtype), kOut, kIn}, out.data(), kOut);
    });
  }

  Result<double> attention_rate(std::size_t rows) {
    constexpr std::size_t kContext = 2048, kHeads = 32, kKvHeads = 8, kHeadSize = 128;
    backend::AttentionOptions options;
    options.heads = kHeads;
    options.layout = {kKvHeads, kHeadSize, kHeadSize, table_.compute};
    options.scale = 1 / std::sqrt(static_cast<float>(kHeadSize));
    const std::vector<float> q = random_floats(rows * kHeads * kHeadSize);
    std::vector<float> out(q.size());
    const std::vector<std::uint32_t> first_seen(rows, 0);
    std::vector<std::uint32_t> end_seen;
    for (std::size_t r = 0; r < rows; ++r)
      end_seen.push_back(static_cast<std::uint32_t>(kContext - rows + r + 1));
    OLLM_TRY(memory::Buffer state,
             memory::Buffer::make(budget_, "measured rows",
                                  backend_->attention_state_bytes(options, rows)));
    std::vector<const std::byte*> tiles;
    for (std::size_t t = 0; t < kContext / backend::kTileTokens; ++t)
      tiles.push_back(next(options.layout.tile_bytes()));
    const backend::AttentionRows block{.q = q.data(),
                                       .out = out.data(),
                                       .first_seen = first_seen.data(),
                                       .end_seen = end_seen.data(),
                                       .rows = rows};
    const backend::AttentionLine line{.rows = rows, .tiles = tiles};
    const double seconds =
        seconds_of([&] { backend_->attention(options, block, {&line, 1}, state.data()); });
    const double seen =
        static_cast<double>(rows) * (static_cast<double>(kContext) - static_cast<double>(rows) / 2);
    return 4.0 * static_cast<double>(kHeads * kHeadSize) * seen / seconds;
  }

  const backend::Options table_;
  const double round_seconds_;
  ThreadPool& pool_;
  memory::Buffer& weights_;
  memory::Budget& budget_;
  std::unique_ptr<backend::Backend> backend_;
  std::size_t at_ = 0;
};

Error too_many_threads(std::size_t threads) {
  return fail(ErrorKind::invalid_argument,
              fmt::format("{} threads; at most {} can be had", threads, ThreadPool::kMostThreads));
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// A name in `folder` that nothing has, so that nothing of anybody's is replaced.
Result<std::filesystem::path> scratch_path(const std::filesystem::path& folder) {
  for (int number = 0; number < 100; ++number) {
    std::filesystem::path path = folder / fmt::format("ollm-measure-{}-{}.tmp", ::getpid(), number);
    OLLM_TRY(const io::OutputTarget target, io::find_output_target(path));
    if (target.kind == io::OutputTarget::Kind::nothing && target.path == path) return path;
  }
  return fail(ErrorKind::io,
              fmt::format("{}: no name is free for a file to measure with", folder.native()));
}

// A file to read from where none is given: of ordinary bytes, on the disk before it is read.
Result<void> write_scratch(const std::filesystem::path& path, const CancellationToken& cancel) {
  OLLM_TRY(io::OutputFile file, io::OutputFile::create(path, 0600));
  std::mt19937_64 random(3);
  std::vector<std::uint64_t> piece((std::size_t{4} << 20) / sizeof(std::uint64_t));
  for (std::uint64_t& value : piece) value = random();
  const auto bytes = std::as_bytes(std::span(piece));
  for (std::uint64_t at = 0; at < kScratchBytes; at += bytes.size()) {
    OLLM_TRY_VOID(cancel.check());
    OLLM_TRY_VOID(file.write_at(at, bytes));
  }
  return file.finish();
}

class Measurement {
 public:
  Measurement(const MeasureOptions& options, const machine::Machine& machine, double round_seconds,
              OnProgress on_progress, const CancellationToken& cancel)
      : options_(options),
        machine_(machine),
        round_seconds_(round_seconds),
        on_progress_(on_progress),
        cancel_(cancel) {}

  Result<machine::Profile> run() {
    OLLM_TRY_VOID(check_options());
    OLLM_TRY(const std::size_t weight_bytes, pool_bytes(machine_));
    machine::Profile profile;
    profile.measured = utc_now();
    profile.cpu_model = machine_.cpu_model;
    profile.cores = machine_.cores;
    profile.total_bytes = machine_.total_bytes;
    std::vector<backend::Options> tables;
    for (const backend::Isa isa : machine_.isas) {
      for (const auto mode : {backend::ComputeMode::f32, backend::ComputeMode::bf16}) {
        if (isa == backend::Isa::avx512_bf16 && mode == backend::ComputeMode::f32) continue;
        tables.push_back({isa, mode});
      }
    }
    steps_ = tables.size() + 2;

    ThreadPool pool(options_.threads != 0 ? options_.threads : machine_.cores);
    profile.threads = pool.threads();
    memory::Budget budget(2 * kPoolBytes);
    {
      OLLM_TRY(memory::Buffer weights, weight_pool(budget, weight_bytes));
      OLLM_TRY_VOID(step());
      std::vector<double> rates;
      for (std::size_t i = 0; i < 3; ++i)
        rates.push_back(backend::read_rate(weights.bytes(), pool, machine_.isas));
      profile.memory_bytes_per_second = *std::max_element(rates.begin(), rates.end());
      for (const backend::Options& table : tables) {
        OLLM_TRY_VOID(step());
        OLLM_TRY(const machine::TableRates one,
                 KernelRates(table, round_seconds_, pool, weights, budget).measure());
        profile.tables.push_back(one);
      }
    }
    OLLM_TRY_VOID(step());
    OLLM_TRY_VOID(measure_file(profile));
    return profile;
  }

 private:
  Result<void> step() {
    if (on_progress_) on_progress_({Stage::measure, done_, steps_});
    ++done_;
    return cancel_.check();
  }

  // What would fail at the end of the half minute fails before it.
  Result<void> check_options() const {
    if (options_.threads > ThreadPool::kMostThreads) return too_many_threads(options_.threads);
    if (!options_.disk_file.empty()) return io::probe_direct_read(options_.disk_file);
    if (options_.scratch_folder.empty()) return {};
    return scratch_path(options_.scratch_folder).ok()
               ? io::probe_direct_in_folder(options_.scratch_folder)
               : scratch_path(options_.scratch_folder).error();
  }

  Result<void> measure_file(machine::Profile& profile) {
    std::filesystem::path path = options_.disk_file;
    if (path.empty() && options_.scratch_folder.empty()) return {};
    const bool scratch = path.empty();
    if (scratch) {
      OLLM_TRY(path, scratch_path(options_.scratch_folder));
      OLLM_TRY_VOID(write_scratch(path, cancel_));
    }
    const std::filesystem::path files[] = {path};
    Result<DiskLimit> limit = measure_disk(files, 4 * kScratchBytes);
    const Result<io::File> file = io::File::open(path);
    std::error_code ignored;
    if (scratch) std::filesystem::remove(path, ignored);
    if (!limit.ok()) return std::move(limit).error();
    OLLM_TRY_VOID(file.ok() ? Result<void>() : Result<void>(file.error()));
    profile.disks.push_back({file->identity().device,
                             (scratch ? options_.scratch_folder : path).string(),
                             limit->bytes_per_second});
    return {};
  }

  const MeasureOptions& options_;
  const machine::Machine& machine_;
  const double round_seconds_;
  OnProgress on_progress_;
  const CancellationToken& cancel_;
  std::size_t steps_ = 0;
  std::size_t done_ = 0;
};

// Pieces of files that a disk is measured with, counted and never listed: a sparse file may have
// more of them than memory has room for.
class DiskPieces {
 public:
  static constexpr std::size_t kBytes = std::size_t{4} << 20;

  Result<void> add(const std::filesystem::path& path) {
    OLLM_TRY_VOID(io::probe_direct_read(path));
    OLLM_TRY(io::File file, io::File::open(path, io::Access::direct));
    firsts_.push_back(count_);
    count_ += file.size_bytes() / kBytes;
    files_.push_back(std::move(file));
    return {};
  }
  std::uint64_t count() const { return count_; }

  Result<void> read(std::uint64_t piece, std::span<std::byte> out) const {
    const auto after = std::upper_bound(firsts_.begin(), firsts_.end(), piece);
    const auto file = static_cast<std::size_t>(after - firsts_.begin()) - 1;
    return files_[file].read_at((piece - firsts_[file]) * kBytes, out);
  }

 private:
  std::vector<io::File> files_;
  std::vector<std::uint64_t> firsts_;  // the first piece of each
  std::uint64_t count_ = 0;
};

}  // namespace

Result<machine::Profile> runtime::measure(const MeasureOptions& options,
                                          const machine::Machine& machine, double round_seconds,
                                          OnProgress on_progress, const CancellationToken& cancel) {
  return Measurement(options, machine, round_seconds, on_progress, cancel).run();
}

Result<std::string> measure_machine(const MeasureOptions& options, OnProgress on_progress,
                                    const CancellationToken* cancel) {
  static const CancellationToken kNever;
  const machine::Machine machine = machine::Machine::detect();
  const io::Environment environment = io::Environment::of_process();
  OLLM_TRY(machine::Profile profile, runtime::measure(options, machine, kRoundSeconds, on_progress,
                                                      cancel ? *cancel : kNever));
  // Other disks stay as they were measured.
  if (const auto before =
          machine::load_profile(environment, machine.cpu_model, machine.cores, io::posix())) {
    for (const machine::DiskRate& disk : before->disks)
      if (profile.find_disk(disk.device) == nullptr) profile.disks.push_back(disk);
  }
  OLLM_TRY_VOID(machine::save_profile(profile, environment));
  return machine::profile_json(profile);
}

Result<MachineLimits> measure_limits(std::string_view isa, std::string_view compute,
                                     std::size_t threads) {
  OLLM_TRY(const backend::Isa table, backend::parse_isa(isa));
  const bool bf16 = compute == to_string(backend::ComputeMode::bf16);
  if (!bf16 && compute != to_string(backend::ComputeMode::f32))
    return fail(ErrorKind::invalid_argument,
                fmt::format("unknown compute mode \"{}\": expected bf16 or f32", compute));
  if (threads == 0) return fail(ErrorKind::invalid_argument, "0 threads measure nothing; give 1");
  if (threads > ThreadPool::kMostThreads) return too_many_threads(threads);
  const machine::Machine machine = machine::Machine::detect();
  OLLM_TRY(const std::size_t weight_bytes, pool_bytes(machine));
  ThreadPool pool(threads);
  memory::Budget budget(2 * kPoolBytes);
  OLLM_TRY(memory::Buffer weights, weight_pool(budget, weight_bytes));
  const auto mode = bf16 ? backend::ComputeMode::bf16 : backend::ComputeMode::f32;
  MachineLimits limits;
  limits.memory_bytes_per_second = backend::read_rate(weights.bytes(), pool, machine.isas);
  limits.peak_flops = backend::peak_flops(table, mode, pool, kRoundSeconds);
  return limits;
}

Result<DiskLimit> measure_disk(std::span<const std::filesystem::path> files, std::uint64_t bytes) {
  constexpr std::size_t kThreads = 2;
  DiskPieces pieces;
  for (const std::filesystem::path& path : files) OLLM_TRY_VOID(pieces.add(path));
  const std::uint64_t count = std::min(pieces.count(), bytes / DiskPieces::kBytes);
  if (count == 0)
    return fail(ErrorKind::invalid_argument,
                files.empty() ? "no file was given to measure a disk with"
                : bytes < DiskPieces::kBytes
                    ? "a disk is measured with at least 4 MiB"
                    : "files of less than 4 MiB are too small to measure a disk with");
  memory::Budget budget(kThreads * DiskPieces::kBytes);
  std::vector<memory::Buffer> buffers;
  for (std::size_t i = 0; i < kThreads; ++i) {
    OLLM_TRY(memory::Buffer buffer, memory::Buffer::make(budget, "reader", DiskPieces::kBytes));
    std::memset(buffer.data(), 0, DiskPieces::kBytes);  // pages are there before the clock runs
    buffers.push_back(std::move(buffer));
  }
  std::atomic<std::uint64_t> next{0};
  std::vector<Result<void>> results(kThreads);
  const double begin = monotonic_seconds();
  const double cpu = process_cpu_seconds();
  ThreadPool pool(kThreads);  // one reads for both where there is no second
  pool.parallel_for(kThreads, [&](std::size_t t) {
    for (std::uint64_t i = next++; i < count && results[t].ok(); i = next++)
      results[t] = pieces.read(i, buffers[t].bytes());
  });
  const double seconds = std::max(1e-9, monotonic_seconds() - begin);
  const double cpu_s = process_cpu_seconds() - cpu;
  for (Result<void>& result : results) OLLM_TRY_VOID(std::move(result));
  const double total = static_cast<double>(count * DiskPieces::kBytes);
  return DiskLimit{total / seconds, cpu_s / (total / 1e9)};
}

}  // namespace ollm
