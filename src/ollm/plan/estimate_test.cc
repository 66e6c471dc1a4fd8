// The whole job, held to a scheduler that runs it.
#include "ollm/plan/estimate.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <vector>

#include "ollm/engine/row_shares.h"
#include "ollm/plan/shaped_model.h"

namespace ollm::plan {
namespace {

// A machine on which every sweep takes a second, as it waits for the disk: times are then counts of
// sweeps.
machine::Rates one_second_a_sweep(const SweepSizes& sizes) {
  machine::Rates rates;
  rates.memory_bytes_per_second = rates.attention_flops = 1e30;
  rates.matmul = {{1, 1e30}};
  rates.disk_bytes_per_second =
      static_cast<double>(sizes.body_stream_bytes) / 0.95;  // what streaming reaches of it
  return rates;
}

SweepSizes sizes_of(std::size_t chunk_rows) {
  SweepSizes sizes;
  sizes.body_bytes = sizes.body_stream_bytes = 1 << 30;
  sizes.chunk_rows = chunk_rows;
  return sizes;
}

// Sweeps until the request at each place is done, as engine::Scheduler shares their rows out.
std::vector<double> run(const Workload& work, std::size_t chunk_rows) {
  struct Line {
    std::size_t prompt, decoded;
  };
  std::vector<double> done;
  std::deque<Line> lines;
  std::size_t left = work.requests;
  for (double sweep = 1; done.size() < work.requests; ++sweep) {
    for (; left > 0 && lines.size() < work.sequences; --left)
      lines.push_back({work.prompt_tokens, 0});
    std::vector<engine::RowShare> shares;
    for (const Line& line : lines)
      shares.push_back({.pending = std::max<std::size_t>(1, line.prompt), .first_logit = 0});
    for (std::size_t i = 0; i < lines.size(); ++i) shares[i].first_logit = shares[i].pending - 1;
    engine::share_rows(shares, {chunk_rows, work.sequences, 0});
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::size_t rows = std::min(lines[i].prompt, shares[i].rows);
      const bool made_a_token = lines[i].prompt == rows && shares[i].rows > 0;
      lines[i].prompt -= rows;
      if (made_a_token) ++lines[i].decoded;
      if (lines[i].decoded == work.max_new_tokens) done.push_back(sweep);
    }
    std::erase_if(lines, [&](const Line& line) { return line.decoded == work.max_new_tokens; });
  }
  return done;
}

TEST(Estimate, TheJobTakesAsManySweepsAsTheScheduler) {
  const Model model(kTiny);
  for (const std::size_t prompt : {1, 10, 300, 2000}) {
    for (const std::size_t made : {2, 20, 200}) {
      for (const std::size_t lines : {1, 2, 7, 64}) {
        for (const std::size_t chunk : {64, 512}) {
          const std::size_t rows = std::max(chunk, lines);
          Workload work{.prompt_tokens = prompt, .max_new_tokens = made, .sequences = lines};
          work.requests = 12 * lines;
          SCOPED_TRACE(fmt::format("{} + {} tokens, {} lines, {} rows", prompt, made, lines, rows));
          const SweepSizes sizes = sizes_of(rows);
          const Estimate estimate =
              plan::estimate(model.composition, sizes, one_second_a_sweep(sizes), work);
          const std::vector<double> done = run(work, rows);
          const double in_between = static_cast<double>(6 * lines);
          const double each = (done[9 * lines - 1] - done[3 * lines - 1]) / in_between;
          EXPECT_NEAR(estimate.seconds_per_request, each, 0.1 * each);
          const double total = done.back();
          EXPECT_NEAR(estimate.total_s - estimate.load_s, total, 0.2 * total);
        }
      }
    }
  }
}

TEST(Estimate, AsManyRequestsAsLinesAreCountedAsBefore) {
  const Model model(k1B);
  for (const std::size_t lines : {1, 8, 64}) {
    Workload work{.prompt_tokens = 700, .max_new_tokens = 50, .sequences = lines};
    const auto before = model.plan(kGiB, work, {}, {}, fast_machine());
    work.requests = lines;
    const auto counted = model.plan(kGiB, work, {}, {}, fast_machine());
    ASSERT_TRUE(before.ok() && counted.ok());
    EXPECT_EQ(before->estimate, counted->estimate);
    EXPECT_EQ(before->engine.max_rows, counted->engine.max_rows);
    EXPECT_EQ(before->pinned_bytes, counted->pinned_bytes);
  }
}

TEST(Estimate, OneLineTakesOneRequestAfterTheOther) {
  const Model model(k8B);
  Workload work{.prompt_tokens = 3000, .max_new_tokens = 100};
  const auto one = model.plan(3 * kGiB, work, {}, {}, fast_machine());
  work.requests = 1000;
  const auto many = model.plan(3 * kGiB, work, {}, {}, fast_machine());
  ASSERT_TRUE(one.ok() && many.ok());
  const double each = one->estimate.total_s - one->estimate.load_s;
  EXPECT_NEAR(many->estimate.total_s, one->estimate.load_s + 1000 * each, each);
  EXPECT_NEAR(many->estimate.request_s, each, each / 1000);
  EXPECT_NEAR(many->estimate.job_tokens_per_second, 100 / each, 1);
}

TEST(Estimate, LongPromptsInManySmallSweepsAreCountedAsQuickly) {
  SweepSizes sizes = sizes_of(1);
  sizes.kv_bytes_per_token = 100;
  sizes.kv_groups = {{.layers = 1, .bytes_per_token = 100}};
  sizes.kv_resident_tokens = 5000;
  const machine::Rates rates = one_second_a_sweep(sizes);
  const Workload work{.prompt_tokens = 100'000, .sequences = 64};
  const KvTraffic traffic = kv_traffic(Model(kTiny).composition, sizes, rates, work);
  const double rows = 6.4e6 - 5000;  // that are beyond what is in memory
  EXPECT_NEAR(static_cast<double>(traffic.prefill_read_bytes) / (100 * rows * rows / 2), 1, 1e-3);
}

}  // namespace
}  // namespace ollm::plan
