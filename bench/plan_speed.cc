// How long planning takes, by the shape of the model: a plan reads headers and does arithmetic, so
// a model of 70B in 30 shards should be planned in tens of milliseconds. CSV on stdout.
//
//     build/release/bench/plan_speed [repeats]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/plan/plan_run.h"
#include "ollm/plan/sparse_model.h"

namespace {

using namespace ollm;

struct Row {
  const char* name;
  plan::SparseShape shape;
};

constexpr Row kRows[] = {
    {"1B", {2048, 8192, 16, 32, 8, 128256, 1}},
    {"8B", {4096, 14336, 32, 32, 8, 128256, 4}},
    {"70B", {}},
    {"405B", {16384, 53248, 126, 128, 8, 128256, 191}},
};

double milliseconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

int measure(const Row& row, int repeats) {
  const io::TemporaryFolder folder;
  const std::uint64_t headers = plan::write_sparse_llama(folder.path() / "model", row.shape);
  plan::RunInputs inputs;
  inputs.environment.working_directory = folder.path();
  inputs.settings.runtime.model_reference = "./model";
  inputs.machine.cores = 2;
  inputs.machine.total_bytes = inputs.machine.available_bytes = std::uint64_t{24} << 30;
  inputs.machine.isas = {backend::Isa::scalar, backend::Isa::avx2};
  inputs.workload.prompt_tokens = 7'000;  // of the 8192 positions
  inputs.workload.max_new_tokens = 500;

  io::FaultySystemCalls counted;
  const auto first = plan::plan_run(inputs, counted);
  if (!first.ok() || !first->runtime().is_executable()) {
    std::fprintf(stderr, "%s: %s\n", row.name,
                 first.ok() ? first->runtime().reason.c_str() : first.error().message.c_str());
    return 1;
  }
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const auto planned = plan::plan_run(inputs);
    times.push_back(milliseconds_since(begin));
    if (!planned.ok()) return 1;
  }
  std::sort(times.begin(), times.end());
  const std::string line =
      fmt::format("{},{},{},{},{:.1f},{:.1f},{:.1f}", row.name, row.shape.shards, headers,
                  counted.bytes_read(), times[times.size() / 2], times.front(), times.back());
  std::printf("%s\n", line.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::max(1, std::atoi(argv[1])) : 15;
  std::printf("shape,shards,header_bytes,read_bytes,median_ms,min_ms,max_ms\n");
  int failed = 0;
  for (const Row& row : kRows) failed |= measure(row, repeats);
  return failed;
}
