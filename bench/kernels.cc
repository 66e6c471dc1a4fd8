// Kernels as shares of what the machine can do, measured in the same run: matrix-vector products
// against the memory's read rate, matrix products against it or the arithmetic peak, whichever
// bounds them, attention against the peak. Leaves to others: whole models (`ollm bench`).
//
//   kernels_bench [--threads N] [--rounds N] [--only TEXT] [--isa NAME] [--all]
//
// Each figure is the median of the rounds with its least and largest; the limit is measured again
// beside every round, as other processes share the machine.
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/backend/machine_limits.h"
#include "ollm/base/check.h"

namespace ollm::bench {
namespace {

using backend::Backend;
using backend::ComputeMode;
using backend::Isa;
using backend::peak_flops;
using backend::read_rate;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr std::size_t kPoolBytes = std::size_t{1} << 30;
constexpr std::size_t kScalesBytes = kPoolBytes / 16;

constexpr std::size_t kFewAndManyRows[] = {2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 512};

// Weights of one format, by the name that its figures have.
struct NamedFormat {
  const char* name;
  WeightFormat format;
};
constexpr NamedFormat kF32 = {"F32", {WeightElement::f32}};
constexpr NamedFormat kBf16 = {"BF16", {WeightElement::bf16}};
constexpr NamedFormat kMxfp4 = {"MXFP4", ollm::kMxfp4};
constexpr NamedFormat kBf16InByOut = {"BF16 [in, out]",
                                      {WeightElement::bf16, std::nullopt, WeightLayout::in_by_out}};

// A gibibyte of huge pages filled with bf16 values of size about 1; read as f32 it is the same, and
// as codes of four bits any bytes are good. Beside it the scales of as many codes, of few sizes, as
// those of models are.
class WeightPool {
 public:
  WeightPool() {
    void* mapped = mmap(nullptr, kPoolBytes + kScalesBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OLLM_CHECK(mapped != MAP_FAILED);
    madvise(mapped, kPoolBytes + kScalesBytes, MADV_HUGEPAGE);
    data_ = static_cast<std::byte*>(mapped);
    std::mt19937 random(1);
    std::vector<std::uint16_t> some(std::size_t{1} << 20);
    for (auto& half : some) half = static_cast<std::uint16_t>(0x3f00u | (random() & 0x80ffu));
    for (std::size_t at = 0; at < kPoolBytes; at += 2 * some.size())
      std::memcpy(data_ + at, some.data(), 2 * some.size());
    for (std::size_t at = 0; at < kScalesBytes; ++at)
      data_[kPoolBytes + at] = static_cast<std::byte>(118 + random() % 6);
  }
  ~WeightPool() { munmap(data_, kPoolBytes + kScalesBytes); }
  WeightPool(const WeightPool&) = delete;
  WeightPool& operator=(const WeightPool&) = delete;

  std::span<const std::byte> all() const { return {data_, kPoolBytes}; }

  // Such a matrix, which was not read lately, at any place, as in a file.
  backend::WeightRows matrix(const WeightFormat& format, std::size_t out, std::size_t in) {
    const std::byte* data = next(size_bytes(format, out * in));
    const std::byte* scales = format.scale ? data_ + kPoolBytes + (data - data_) / 16 : nullptr;
    return {data, format, out, in, scales};
  }

  // `size` bytes that were not read lately, `shift` bytes after a multiple of 64: weights stand at
  // any place in a file, tiles of a cache do not.
  const std::byte* next(std::size_t size, std::size_t shift = 2) {
    if (at_ + size + 64 > kPoolBytes) at_ = 0;
    const std::byte* found = data_ + at_ + shift;
    at_ = (at_ + size + 63) / 64 * 64;
    return found;
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t at_ = 0;
};

struct Free {
  void operator()(std::byte* p) const { std::free(p); }
};
using Bytes = std::unique_ptr<std::byte, Free>;

Bytes aligned(std::size_t size) {
  Bytes bytes(static_cast<std::byte*>(std::aligned_alloc(64, (size + 127) / 64 * 64)));
  std::memset(bytes.get(), 0, size);
  return bytes;
}

std::vector<float> random_floats(std::size_t n) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

struct Setup {
  std::size_t threads = std::max(1u, std::thread::hardware_concurrency());
  std::size_t rounds = 7;
  std::string only;  // part of the names of what is measured
  std::string isa;   // one table, or all
  bool all = false;
};

class Bench {
 public:
  explicit Bench(const Setup& setup) : setup_(setup), pool_(setup.threads) {}

  void run() {
    std::vector<double> one_rate;
    std::vector<double> rate;
    ThreadPool one(1);
    for (std::size_t i = 0; i < 3; ++i) {
      one_rate.push_back(read_rate(weights_.all(), one, backend::supported_isas()));
      rate.push_back(read_rate(weights_.all(), pool_, backend::supported_isas()));
    }
    fmt::print("memory reads: {:.1f} GB/s by one thread, {:.1f} by {}\n",
               *std::ranges::max_element(one_rate) / 1e9, *std::ranges::max_element(rate) / 1e9,
               setup_.threads);
    for (const ComputeMode mode : {ComputeMode::f32, ComputeMode::bf16}) {
      for (const Isa isa : backend::supported_isas()) {
        if (!setup_.isa.empty() && to_string(isa) != setup_.isa) continue;
        if (isa == Isa::scalar && !setup_.all) continue;
        if (isa == Isa::avx512_bf16 && mode == ComputeMode::f32) continue;  // as avx512
        table(isa, mode);
      }
    }
  }

 private:
  void table(Isa isa, ComputeMode mode) {
    auto made = backend::make_backend({isa, mode}, pool_);
    OLLM_CHECK(made.ok());
    Backend& b = **made;
    fmt::print("\n{}, {}: peak {:.0f} GFLOP/s\n", to_string(isa), to_string(mode),
               peak_flops(isa, mode, pool_, 0.05) / 1e9);
    fmt::print("  {:<34} {:>9} {:>10} {:>7}  {}\n", "", "ms", "rate", "share", "least-largest");
    const bool slow = isa == Isa::scalar;
    struct Shape {
      std::size_t in, out;
    };
    const NamedFormat& dtype = mode == ComputeMode::bf16 ? kBf16 : kF32;
    for (const Shape s :
         {Shape{2048, 2048}, Shape{2048, 8192}, Shape{8192, 2048}, Shape{2048, 128256}}) {
      if (slow && s.out > 10000) continue;
      matvec(b, s.in, s.out, dtype);
    }
    if (mode == ComputeMode::f32 && !slow) matvec(b, 2048, 8192, kBf16);
    // The products of the 1B shape; of few rows the two ways through its feed-forward.
    for (const std::size_t rows : kFewAndManyRows) {
      if (slow && rows > 8) continue;
      for (const Shape s : {Shape{2048, 512}, Shape{2048, 2048}, Shape{2048, 8192},
                            Shape{8192, 2048}, Shape{2048, 128256}}) {
        if (rows != 512 && s.in + s.out != 2048 + 8192 && !setup_.all) continue;
        if (s.out > 10000 && !setup_.all) continue;
        matmul(b, rows, s.in, s.out, dtype);
      }
    }
    experts(b);
    if (slow) return;
    if (mode == ComputeMode::f32) matmul(b, 512, 2048, 8192, kBf16);
    for (const std::size_t head_size : {std::size_t{64}, std::size_t{128}}) {
      for (const std::size_t context : {std::size_t{4096}, std::size_t{32768}}) {
        attention(b, 1, context, head_size);
        attention(b, context > 5000 && !setup_.all ? 128 : 512, context, head_size);
      }
    }
    for (const std::size_t lines : {std::size_t{1}, std::size_t{8}, std::size_t{64}})
      decoding_lines(b, lines, 512);
  }

  // The products of one expert of gpt-oss, of formats beside each other.
  void experts(Backend& b) {
    for (const std::size_t out : {std::size_t{5760}, std::size_t{2880}}) {
      for (const NamedFormat& format : {kBf16, kBf16InByOut, kMxfp4}) matvec(b, 2880, out, format);
      for (const std::size_t rows : {std::size_t{4}, std::size_t{64}})
        for (const NamedFormat& format : {kBf16, kBf16InByOut, kMxfp4})
          matmul(b, rows, 2880, out, format);
    }
  }

  // Rounds of a limit and a body, one beside the other; `amount` is bytes or operations of one
  // call of the body.
  void measure(const std::string& name, double amount, const char* unit,
               const std::function<double()>& limit, const std::function<void()>& body) {
    if (name.find(setup_.only) == std::string::npos) return;
    body();
    double start = now_seconds();
    body();
    const auto calls = static_cast<std::size_t>(0.1 / std::max(1e-6, now_seconds() - start)) + 1;
    std::vector<double> shares;
    std::vector<double> seconds;
    for (std::size_t round = 0; round < setup_.rounds; ++round) {
      const double top = limit();
      std::vector<double> one;  // the median of calls: a mean would count who else ran
      for (std::size_t i = 0; i < calls; ++i) {
        start = now_seconds();
        body();
        one.push_back(now_seconds() - start);
      }
      std::ranges::sort(one);
      seconds.push_back(one[one.size() / 2]);
      shares.push_back(amount / seconds.back() / top);
    }
    std::ranges::sort(shares);
    std::ranges::sort(seconds);
    const double middle = seconds[seconds.size() / 2];
    fmt::print("  {:<34} {:>9.3f} {:>6.1f} {} {:>6.2f}  {:.2f}-{:.2f}\n", name, middle * 1e3,
               amount / middle / 1e9, unit, shares[shares.size() / 2], shares.front(),
               shares.back());
    std::fflush(stdout);
  }

  double memory_limit() {
    return read_rate(weights_.all().first(kPoolBytes / 4), pool_, backend::supported_isas());
  }

  // With the scales that belong to them.
  static std::size_t bytes_of(const WeightFormat& format, std::size_t weights) {
    return size_bytes(format, weights) + (format.scale ? weights / 32 : 0);
  }

  void matvec(Backend& b, std::size_t in, std::size_t out, const NamedFormat& weights) {
    const std::size_t bytes = bytes_of(weights.format, in * out);
    const std::vector<float> x = random_floats(in);
    const Bytes left = aligned(b.left_bytes(1, in));
    std::vector<float> y(out);
    measure(
        fmt::format("matvec {}x{} {}", in, out, weights.name), static_cast<double>(bytes), "GB/s  ",
        [this] { return memory_limit(); },
        [&] {
          const auto prepared = b.prepare_left(x.data(), in, 1, in, left.get());
          b.matmul(prepared, weights_.matrix(weights.format, out, in), y.data(), out);
        });
  }

  void matmul(Backend& b, std::size_t rows, std::size_t in, std::size_t out,
              const NamedFormat& weights) {
    const std::size_t bytes = bytes_of(weights.format, in * out);
    const std::vector<float> x = random_floats(rows * in);
    const Bytes left = aligned(b.left_bytes(rows, in));
    std::vector<float> y(rows * out);
    const double flops = 2.0 * static_cast<double>(rows * in * out);
    measure(
        fmt::format("matmul {} rows {}x{} {}", rows, in, out, weights.name), flops, "GFLOP/s",
        [&] {
          const double peak = peak_flops(b.options().isa, b.options().compute, pool_, 0.02);
          return std::min(peak, flops * memory_limit() / static_cast<double>(bytes));
        },
        [&] {
          const auto prepared = b.prepare_left(x.data(), in, rows, in, left.get());
          b.matmul(prepared, weights_.matrix(weights.format, out, in), y.data(), out);
        });
  }

  void attention(Backend& b, std::size_t rows, std::size_t context, std::size_t head_size) {
    backend::AttentionOptions options;
    options.heads = 32;
    options.layout = {8, head_size, head_size, b.options().compute};
    options.scale = 1 / std::sqrt(static_cast<float>(head_size));
    const std::vector<float> q = random_floats(rows * options.heads * head_size);
    std::vector<float> out(q.size());
    const std::vector<std::uint32_t> first_seen(rows, 0);
    std::vector<std::uint32_t> end_seen;
    for (std::size_t r = 0; r < rows; ++r)
      end_seen.push_back(static_cast<std::uint32_t>(context - rows + r + 1));
    const Bytes state = aligned(b.attention_state_bytes(options, rows));
    const std::size_t tile_bytes = options.layout.tile_bytes();
    const std::size_t count = context / backend::kTileTokens;
    // Values of size one in every slot, as the pool holds them.
    std::vector<const std::byte*> tiles;
    const backend::AttentionRows r = {.q = q.data(),
                                      .out = out.data(),
                                      .first_seen = first_seen.data(),
                                      .end_seen = end_seen.data(),
                                      .rows = rows};
    const auto body = [&] {
      tiles.clear();
      for (std::size_t t = 0; t < count; ++t) tiles.push_back(weights_.next(tile_bytes, 0));
      const backend::AttentionLine line = {.rows = rows, .tiles = tiles};
      b.attention(options, r, {&line, 1}, state.get());
    };
    const std::string name =
        fmt::format("attention {} rows, {}k, head {}", rows, context / 1024, head_size);
    if (rows == 1) {
      measure(
          name, static_cast<double>(tile_bytes * count), "GB/s  ",
          [this] { return memory_limit(); }, body);
      return;
    }
    const double seen =
        static_cast<double>(rows) * (static_cast<double>(context) - static_cast<double>(rows) / 2);
    measure(
        name, 4.0 * static_cast<double>(options.heads * head_size) * seen, "GFLOP/s",
        [&] { return peak_flops(b.options().isa, b.options().compute, pool_, 0.02); }, body);
  }

  // One new token of each of some lines, as a server decodes them.
  void decoding_lines(Backend& b, std::size_t lines, std::size_t context) {
    constexpr std::size_t kHeadSize = 64;
    backend::AttentionOptions options;
    options.heads = 32;
    options.layout = {8, kHeadSize, kHeadSize, b.options().compute};
    options.scale = 0.125f;
    const std::vector<float> q = random_floats(lines * options.heads * kHeadSize);
    std::vector<float> out(q.size());
    const std::vector<std::uint32_t> first_seen(lines, 0);
    const std::vector<std::uint32_t> end_seen(lines, static_cast<std::uint32_t>(context));
    const Bytes state = aligned(b.attention_state_bytes(options, lines));
    const std::size_t tile_bytes = options.layout.tile_bytes();
    const std::size_t count = context / backend::kTileTokens;
    std::vector<const std::byte*> tiles(lines * count);
    std::vector<backend::AttentionLine> runs;
    for (std::size_t line = 0; line < lines; ++line)
      runs.push_back(
          {.first_row = line,
           .rows = 1,
           .tiles = std::span<const std::byte* const>(tiles).subspan(line * count, count)});
    const backend::AttentionRows r = {.q = q.data(),
                                      .out = out.data(),
                                      .first_seen = first_seen.data(),
                                      .end_seen = end_seen.data(),
                                      .rows = lines};
    const auto body = [&] {
      for (const std::byte*& tile : tiles) tile = weights_.next(tile_bytes, 0);
      b.attention(options, r, runs, state.get());
    };
    measure(
        fmt::format("attention of {} lines, {} tokens", lines, context),
        static_cast<double>(lines * tiles.size() * tile_bytes), "GB/s  ",
        [this] { return memory_limit(); }, body);
  }

  const Setup setup_;
  ThreadPool pool_;
  WeightPool weights_;
};

int run(int argc, char** argv) {
  Setup setup;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--all") {
      setup.all = true;
    } else if (i + 1 < argc && flag == "--threads") {
      setup.threads = std::strtoul(argv[++i], nullptr, 10);
    } else if (i + 1 < argc && flag == "--rounds") {
      setup.rounds = std::strtoul(argv[++i], nullptr, 10);
    } else if (i + 1 < argc && flag == "--only") {
      setup.only = argv[++i];
    } else if (i + 1 < argc && flag == "--isa") {
      setup.isa = argv[++i];
    } else {
      fmt::print(
          stderr,
          "usage: kernels_bench [--threads N] [--rounds N] [--only TEXT] [--isa NAME] [--all]\n");
      return 2;
    }
  }
  if (setup.threads == 0 || setup.rounds == 0) return 2;
  Bench(setup).run();
  return 0;
}

}  // namespace
}  // namespace ollm::bench

int main(int argc, char** argv) { return ollm::bench::run(argc, argv); }
