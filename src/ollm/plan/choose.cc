#include "ollm/plan/choose.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "ollm/backend/backend.h"
#include "ollm/base/checked_math.h"
#include "ollm/base/text_size.h"
#include "ollm/base/thread_pool.h"
#include "ollm/models/inventory.h"

namespace ollm::plan {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// Program, libraries, malloc, headers of the model: VmHWM of `ollm plan` on a small model is 12 MiB
// (measured with scripts/test's memory tests on Debian 12); room for threads' stacks beside.
constexpr std::uint64_t kProcessBytes = 16 * kMiB;

// A tokenizer in memory beside the size of its tokenizer.json (measured on llama3's 9 MB: 3 times),
// and while it is parsed.
constexpr std::uint64_t kTokenizerFactor = 4;
constexpr std::uint64_t kTokenizerLoadFactor = 3;

// Kept free for the rest of the machine when nobody says how much may be used.
constexpr std::uint64_t kReserveBytes = 512 * kMiB;

// Rows of a prefill sweep: enough for the matrix products to run at their peak (bench/), small
// enough for a first answer of cancellation and progress.
constexpr std::size_t kPreferredChunk = 512;

// Logits of one sweep when all of them are wanted; beyond, the chunk shrinks.
constexpr std::uint64_t kLogitsBytes = 64 * kMiB;

constexpr std::size_t kBlockTokens = backend::kTileTokens;

// Rates of a machine that nobody measured: careful values for today's desktop and server cores.
constexpr double kAssumedMemoryBytesPerCore = 10e9;
constexpr double kAssumedMemoryBytesMax = 40e9;
constexpr double kAssumedDiskBytes = 1.5e9;
double assumed_flops_per_core(backend::Isa isa, backend::ComputeMode mode) {
  switch (isa) {
    case backend::Isa::reference:
    case backend::Isa::scalar:
      return 1e9;
    case backend::Isa::avx2:
      return mode == backend::ComputeMode::bf16 ? 20e9 : 30e9;
    case backend::Isa::avx512:
      return mode == backend::ComputeMode::bf16 ? 30e9 : 60e9;
    case backend::Isa::avx512_bf16:
      return mode == backend::ComputeMode::bf16 ? 120e9 : 60e9;
  }
  return 1e9;
}

class Chooser {
 public:
  Chooser(const models::Composition& composition, const checkpoint::TensorIndex& tensors,
          const TextFiles& text, const Machine& machine, const Wishes& wishes,
          const Workload& workload)
      : composition_(composition),
        tensors_(tensors),
        text_(text),
        machine_(machine),
        wishes_(wishes) {
    plan_.workload = workload;
  }

  Result<ExecutionPlan> choose() {
    OLLM_TRY_VOID(choose_compute());
    choose_threads();
    OLLM_TRY_VOID(choose_context());
    choose_budget();
    OLLM_TRY(const weights::TapeMap map,
             weights::map_tape(tensors_, composition_.tape, plan_.weights));
    plan_.weight_bytes = map.storage_bytes;
    OLLM_TRY_VOID(choose_chunk());
    estimate();
    return std::move(plan_);
  }

 private:
  void decide(std::string what, std::string chosen, std::string because) {
    plan_.decisions.push_back({std::move(what), std::move(chosen), std::move(because)});
  }

  Result<void> choose_compute() {
    const backend::ComputeMode natural = models::default_compute(tensors_, composition_);
    const backend::ComputeMode mode = wishes_.compute.value_or(natural);
    if (mode == backend::ComputeMode::bf16 && natural != mode) {
      return fail(ErrorKind::invalid_argument,
                  "compute bf16: the weights are not all BF16, and rounding them would change the "
                  "model; use --compute f32");
    }
    plan_.backend.compute = mode;
    decide("compute", std::string(to_string(mode)),
           wishes_.compute                         ? "asked for"
           : natural == backend::ComputeMode::bf16 ? "the weights are BF16"
                                                   : "the weights are not all BF16");
    plan_.backend.isa = wishes_.isa.value_or(best_isa(mode));
    decide("isa", std::string(to_string(plan_.backend.isa)),
           wishes_.isa ? "asked for" : "the fastest table that this machine runs");
    return {};
  }

  // The fastest of the machine's tables: a plan may be made for another machine than this one.
  backend::Isa best_isa(backend::ComputeMode mode) const {
    backend::Isa best = backend::Isa::scalar;
    for (const backend::Isa isa : machine_.isas) {
      if (isa == backend::Isa::avx512_bf16 && mode == backend::ComputeMode::f32) continue;
      best = isa;
    }
    return best;
  }

  void choose_threads() {
    plan_.threads = wishes_.threads.value_or(machine_.cores);
    decide("threads", fmt::format("{}", plan_.threads),
           wishes_.threads ? "asked for" : "every core that this process may use");
  }

  Result<void> choose_context() {
    Workload& work = plan_.workload;
    const std::size_t positions = composition_.max_positions;
    if (work.prompt_tokens > positions) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("the prompt has {} tokens, the model only {} positions",
                              work.prompt_tokens, positions));
    }
    std::size_t wanted = std::max(work.context_tokens, work.prompt_tokens + work.max_new_tokens);
    if (wishes_.context_tokens) {
      if (work.prompt_tokens > *wishes_.context_tokens) {
        return fail(ErrorKind::invalid_argument,
                    fmt::format("the prompt has {} tokens, more than --context {}",
                                work.prompt_tokens, *wishes_.context_tokens));
      }
      wanted = *wishes_.context_tokens;
    }
    plan_.context_tokens = std::max<std::size_t>(1, std::min(wanted, positions));
    if (plan_.context_tokens < work.prompt_tokens + work.max_new_tokens) {
      const std::size_t room = plan_.context_tokens - work.prompt_tokens;
      decide("max_new_tokens", fmt::format("{}", room),
             fmt::format("{} were asked for; {} leaves room for no more", work.max_new_tokens,
                         wanted > positions ? fmt::format("the model's {} positions", positions)
                                            : fmt::format("--context {}", wanted)));
      work.max_new_tokens = room;
    }
    return {};
  }

  void choose_budget() {
    const std::uint64_t available = machine_.available_bytes;
    if (!wishes_.memory_bytes) {
      plan_.budget_bytes =
          available > 2 * kReserveBytes ? available - kReserveBytes : available / 2;
      decide("memory", format_bytes(plan_.budget_bytes),
             fmt::format("the machine leaves {}; {} stay free", format_bytes(available),
                         format_bytes(available - plan_.budget_bytes)));
      return;
    }
    plan_.budget_bytes = *wishes_.memory_bytes;
    if (available != 0 && plan_.budget_bytes > available) {
      plan_.budget_bytes = available;
      decide("memory", format_bytes(available),
             fmt::format("{} were granted, but the machine leaves no more",
                         format_bytes(*wishes_.memory_bytes)));
    } else {
      decide("memory", format_bytes(plan_.budget_bytes), "asked for");
    }
  }

  engine::Options engine_options(std::size_t chunk) const {
    engine::Options options;
    options.max_rows = std::max(chunk, plan_.workload.sequences);
    options.max_logit_rows =
        plan_.workload.all_logits ? options.max_rows : plan_.workload.sequences;
    return options;
  }

  memory::Ledger ledger(const engine::Options& options, const backend::Backend& backend) const {
    memory::Ledger ledger;
    using memory::Phase;
    ledger.add("process", Phase::always, kProcessBytes);
    if (text_.tokenizer_bytes != 0) {
      ledger.add("tokenizer", Phase::always, text_.tokenizer_bytes * kTokenizerFactor);
      ledger.add("tokenizer.json", Phase::load, text_.tokenizer_bytes * kTokenizerLoadFactor);
    }
    ledger.add("weights", Phase::always, plan_.weight_bytes);
    ledger.add("kv", Phase::run, kv::block_bytes(plan_.kv) * plan_.kv.max_blocks);
    ledger.add("activations", Phase::run, engine::activation_bytes(composition_, backend, options));
    ledger.add("logits", Phase::run, engine::logits_bytes(composition_, backend, options));
    return ledger;
  }

  Result<void> choose_chunk() {
    plan_.kv.strategy = "resident";
    plan_.kv.layers = models::kv_layouts(composition_, plan_.backend.compute);
    plan_.kv.block_tokens = kBlockTokens;
    plan_.kv.max_blocks =
        kv::blocks_for_tokens(plan_.kv, plan_.context_tokens) * plan_.workload.sequences;

    // Sizes alone are asked of it: how the table pads its operands.
    ThreadPool pool(1);
    OLLM_TRY(const std::unique_ptr<backend::Backend> backend,
             backend::make_backend(plan_.backend, pool));

    // A prompt of unknown length may fill the context.
    const std::size_t prompt =
        plan_.workload.prompt_tokens != 0 ? plan_.workload.prompt_tokens : plan_.context_tokens;
    const std::size_t rows_at_most = std::max<std::size_t>(1, prompt * plan_.workload.sequences);
    std::size_t chunk = std::min(wishes_.prefill_chunk.value_or(kPreferredChunk), rows_at_most);
    std::string because = wishes_.prefill_chunk   ? "asked for"
                          : chunk == rows_at_most ? "the whole prompt is one sweep"
                                                  : "enough rows for the arithmetic's peak";
    if (plan_.workload.all_logits && !wishes_.prefill_chunk) {
      const std::size_t rows =
          std::max<std::size_t>(1, kLogitsBytes / (composition_.head.out * sizeof(float)));
      if (rows < chunk) {
        chunk = rows;
        because =
            fmt::format("all logits are wanted, {} of them at a time", format_bytes(kLogitsBytes));
      }
    }
    const std::size_t smallest = wishes_.prefill_chunk ? chunk : 1;
    plan_.minimum_bytes = round_up(ledger(engine_options(smallest), *backend).peak_bytes(), kMiB);
    for (;; chunk = (chunk + 1) / 2) {
      plan_.engine = engine_options(chunk);
      plan_.memory = ledger(plan_.engine, *backend);
      plan_.fits = plan_.memory.peak_bytes() <= plan_.budget_bytes;
      if (plan_.fits || chunk <= smallest) break;
      because = fmt::format("a larger one does not fit into {}", format_bytes(plan_.budget_bytes));
    }
    if (!plan_.fits) because = "the smallest; even it does not fit";
    decide("prefill_chunk", fmt::format("{}", plan_.engine.max_rows), std::move(because));
    decide("weights", "pinned", "every segment is held in memory");
    return {};
  }

  void estimate() {
    const double cores = static_cast<double>(plan_.threads);
    const double memory_rate = std::min(kAssumedMemoryBytesPerCore * cores, kAssumedMemoryBytesMax);
    const double flops = assumed_flops_per_core(plan_.backend.isa, plan_.backend.compute) * cores;
    decide("machine.profile", "assumed",
           fmt::format("not measured: {:.0f} GB/s of memory, {:.0f} GFLOP/s, {:.1f} GB/s of disk",
                       memory_rate / 1e9, flops / 1e9, kAssumedDiskBytes / 1e9));

    Estimate& out = plan_.estimate;
    out.memory_bytes_per_sweep = plan_.weight_bytes;
    const double weights_s = static_cast<double>(plan_.weight_bytes) / memory_rate;
    const double layers = 2.0 * static_cast<double>(layer_multiply_adds_per_row(composition_));
    const double head = 2.0 * static_cast<double>(head_multiply_adds_per_row(composition_));
    const double rows = static_cast<double>(plan_.workload.sequences);
    const double decode_compute_s = rows * (layers + head) / flops;
    out.seconds_per_sweep = std::max(weights_s, decode_compute_s);
    out.bound_by = weights_s >= decode_compute_s ? "memory" : "compute";
    out.decode_tokens_per_second = rows / out.seconds_per_sweep;

    const double prompt = rows * static_cast<double>(plan_.workload.prompt_tokens);
    const double chunk = static_cast<double>(plan_.engine.max_rows);
    const double chunk_s = std::max(weights_s, chunk * layers / flops);
    out.prefill_tokens_per_second = chunk / chunk_s;
    out.time_to_first_token_s = prompt / out.prefill_tokens_per_second + decode_compute_s;
    const double load_s = static_cast<double>(plan_.weight_bytes) / kAssumedDiskBytes;
    out.total_s = load_s + out.time_to_first_token_s +
                  static_cast<double>(plan_.workload.max_new_tokens) * out.seconds_per_sweep;
  }

  const models::Composition& composition_;
  const checkpoint::TensorIndex& tensors_;
  const TextFiles& text_;
  const Machine& machine_;
  const Wishes& wishes_;
  ExecutionPlan plan_;
};

}  // namespace

Result<ExecutionPlan> choose(const models::Composition& composition,
                             const checkpoint::TensorIndex& tensors, const TextFiles& text,
                             const Machine& machine, const Wishes& wishes,
                             const Workload& workload) {
  return Chooser(composition, tensors, text, machine, wishes, workload).choose();
}

}  // namespace ollm::plan
