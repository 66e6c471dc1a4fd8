#include "ollm/plan/choose.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "ollm/backend/backend.h"
#include "ollm/base/checked_math.h"
#include "ollm/base/text_size.h"
#include "ollm/base/thread.h"
#include "ollm/base/thread_pool.h"
#include "ollm/engine/prompt_lookup.h"
#include "ollm/machine/profile.h"
#include "ollm/models/inventory.h"
#include "ollm/plan/choose_lines.h"
#include "ollm/plan/choose_table.h"
#include "ollm/plan/estimate.h"
#include "ollm/plan/kv_decisions.h"
#include "ollm/plan/weight_decisions.h"
#include "ollm/sampling/sampler.h"
#include "ollm/text/tokenizer.h"

namespace ollm::plan {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// Program, libraries, malloc, headers of the model: VmHWM of `ollm plan` on a small model is 12 MiB
// (measured with scripts/test's memory tests on Debian 12); room for threads' stacks beside.
constexpr std::uint64_t kProcessBytes = 20 * kMiB;

// Kept free for the rest of the machine when nobody says how much may be used.
constexpr std::uint64_t kReserveBytes = 512 * kMiB;

// Rows of a prefill sweep: enough for the matrix products to run at their peak (bench/), small
// enough for a first answer of cancellation and progress.
constexpr std::size_t kPreferredChunk = 512;

// A text on its way to ids, for each byte: itself, what it is quoted and rendered into, and what
// the encoder holds. Documents of 15 MB (words, spaces, kanji) through the tokenizers of
// tokenizer_memory_test, with and without a template, took 1.3 to 10.5. And its ids, as their list
// grows.
constexpr std::uint64_t kTextFactor = 11;
constexpr std::uint64_t kGrowingIdBytes = 5;

// Bytes of a text that a token stands for, where only the context bounds what a session is given.
constexpr std::uint64_t kTextBytesPerToken = 8;

// Of the index of what is kept: a share of the budget, no more than finds a hundred thousand
// blocks, no less than finds some hundreds.
constexpr std::uint64_t kIndexShare = 64;
constexpr std::uint64_t kMostIndexBytes = 16 * kMiB;
constexpr std::uint64_t kLeastIndexBytes = kMiB / 16;

// Of any one owner: far above every machine, and far below where sums would wrap.
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 56;

// Guesses of a step, where nobody says how many: their logits take memory.
constexpr std::size_t kDrafts = 32;

// Chunks that are looked at: enough of them that the best is never far.
constexpr std::size_t kChunks[] = {1,   2,   4,   8,   16,   32,   64,   96,   128, 192,
                                   256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096};

// Ways that are this near to the fastest count as equal: the model of the machine is not more
// exact.
constexpr double kNearlyAsFast = 1.03;

// Rings, from the largest: one takes a small share of the budget, reads stay long.
struct RingSize {
  std::size_t segment_bytes, slots;
};
constexpr RingSize kRings[] = {{4 << 20, 8}, {2 << 20, 6}, {1 << 20, 4}, {256 << 10, 3}};
constexpr std::uint64_t kRingShare = 24;
// The smallest ring's segments are for small models: a large one would have too many of them.
constexpr std::uint64_t kSmallModelBytes = std::uint64_t{1} << 30;

// Pieces of the feed-forward's intermediate: a multiple of every table's row group.
constexpr std::size_t kFeedForwardRows = 96;

class Chooser {
 public:
  Chooser(const models::Composition& composition, const checkpoint::TensorIndex& tensors,
          const TextFiles& text, const Storage& storage, const machine::Machine& machine,
          const Wishes& wishes, const Workload& workload)
      : composition_(composition),
        tensors_(tensors),
        text_(text),
        storage_(storage),
        machine_(machine),
        wishes_(wishes) {
    plan_.workload = workload;
  }

  Result<LoadPlan> choose() {
    OLLM_TRY_VOID(choose_compute());
    choose_threads();
    OLLM_TRY_VOID(choose_context());
    choose_budget();
    rates_ = machine::rates_for(machine_.profile, plan_.backend, plan_.threads, storage_.device);
    decide("machine.profile", rates_.measured ? "measured" : "assumed", rates_.because);
    OLLM_TRY_VOID(choose_memory());
    return std::move(plan_);
  }

 private:
  void decide(std::string what, std::string chosen, std::string because) {
    plan_.decisions.push_back({std::move(what), std::move(chosen), std::move(because)});
  }

  void note(std::vector<Decision> decisions) {
    for (Decision& decision : decisions) plan_.decisions.push_back(std::move(decision));
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
    TableChoice table = choose_table(machine_, mode);
    plan_.backend.isa = wishes_.isa.value_or(table.isa);
    decide("isa", std::string(to_string(plan_.backend.isa)),
           wishes_.isa ? "asked for" : std::move(table.because));
    return {};
  }

  // With the context that was chosen, which may be less than was asked for.
  Workload estimated_workload() const {
    Workload work = plan_.workload;
    work.context_tokens = plan_.context_tokens;
    return work;
  }

  void choose_threads() {
    plan_.threads = wishes_.threads.value_or(machine_.cores);
    decide("threads", fmt::format("{}", plan_.threads),
           wishes_.threads ? "asked for" : "every core that this process may use");
  }

  Result<void> check_lines() {
    Workload& work = plan_.workload;
    if ((work.sequences == 0 && work.requests == 0) || work.sequences > kMostSequences) {
      return fail(ErrorKind::invalid_argument, fmt::format("{} sequences at once: 1 to {} can be",
                                                           work.sequences, kMostSequences));
    }
    if (work.requests > kMostRequests) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{} requests: at most {} can be", work.requests, kMostRequests));
    }
    asked_lines_ = work.sequences;
    if (work.requests != 0) work.sequences = std::min(work.sequences, work.requests);
    // How many pay depends on all the rest; as many as asked for, or the least that there can be.
    work.sequences = std::max<std::size_t>(1, work.sequences);
    return {};
  }

  Result<void> choose_context() {
    Workload& work = plan_.workload;
    const std::size_t positions = composition_.max_positions;
    OLLM_TRY_VOID(check_lines());
    for (std::size_t* held : {&work.text_bytes, &work.total_tokens, &work.caller_bytes})
      *held = std::min<std::size_t>(*held, kMostBytes / 64);
    if (wishes_.prefill_chunk && *wishes_.prefill_chunk > kMostRows) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("a prefill chunk of {} tokens: at most {} can be",
                              *wishes_.prefill_chunk, kMostRows));
    }
    if (work.prompt_tokens > positions) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("the prompt has {} tokens, the model only {} positions",
                              work.prompt_tokens, positions));
    }
    // No sum of what was asked for may wrap; beyond the positions all are alike.
    const std::size_t asked_new = std::min(work.max_new_tokens, positions);
    std::size_t wanted = std::max(work.context_tokens, work.prompt_tokens + asked_new);
    if (wishes_.context_tokens) {
      if (work.prompt_tokens > *wishes_.context_tokens) {
        return fail(ErrorKind::invalid_argument,
                    fmt::format("the prompt has {} tokens, more than --context {}",
                                work.prompt_tokens, *wishes_.context_tokens));
      }
      wanted = *wishes_.context_tokens;
    }
    plan_.context_tokens = std::max<std::size_t>(1, std::min(wanted, positions));
    if (wishes_.context_tokens && *wishes_.context_tokens > positions) {
      decide("context", fmt::format("{}", plan_.context_tokens),
             fmt::format("{} were asked for; the model has {} positions", *wishes_.context_tokens,
                         positions));
    }
    if (plan_.context_tokens < work.prompt_tokens + asked_new || asked_new < work.max_new_tokens) {
      const std::size_t room = plan_.context_tokens - work.prompt_tokens;
      decide("max_new_tokens", fmt::format("{}", room),
             fmt::format("{} were asked for; {} leaves room for no more", work.max_new_tokens,
                         wanted > positions ? fmt::format("the model's {} positions", positions)
                                            : fmt::format("--context {}", wanted)));
      work.max_new_tokens = room;
    }
    return {};
  }

  std::string_view available_from() const {
    return machine_.available_from.empty() ? "the machine"
                                           : std::string_view(machine_.available_from);
  }

  void choose_budget() {
    const std::uint64_t available = machine_.available_bytes;
    if (!wishes_.memory_bytes) {
      plan_.budget_bytes =
          available > 2 * kReserveBytes ? available - kReserveBytes : available / 2;
      decide("memory", format_bytes(plan_.budget_bytes),
             fmt::format("{} leaves {}; {} stay free", available_from(), format_bytes(available),
                         format_bytes(available - plan_.budget_bytes)));
      return;
    }
    plan_.budget_bytes = *wishes_.memory_bytes;
    if (available != 0 && plan_.budget_bytes > available) {
      plan_.budget_bytes = available;
      decide("memory", format_bytes(available),
             fmt::format("{} were granted, but {} leaves no more",
                         format_bytes(*wishes_.memory_bytes), available_from()));
    } else {
      decide("memory", format_bytes(plan_.budget_bytes), "asked for");
    }
  }

  // Whether the feed-forward's intermediate is computed in pieces of rows.
  enum class Intermediate { whole, in_pieces };

  // As the budget wants it: in pieces where all of it would take more than its share.
  Intermediate intermediate_of(std::size_t chunk) const {
    const std::uint64_t bytes = std::uint64_t{models::widths(composition_).intermediate} *
                                std::max(chunk, plan_.workload.sequences) * sizeof(float);
    return bytes > plan_.budget_bytes / kFeedForwardShare ? Intermediate::in_pieces
                                                          : Intermediate::whole;
  }

  engine::Options engine_options(std::size_t chunk, Intermediate intermediate) const {
    engine::Options options;
    options.max_rows = std::max(chunk, plan_.workload.sequences);
    options.max_logit_rows =
        plan_.workload.all_logits
            ? options.max_rows
            : std::min(options.max_rows, plan_.workload.sequences + draft_rows_);
    options.feed_forward_rows = options.max_rows;
    if (wishes_.feed_forward_rows) {
      options.feed_forward_rows = std::min(options.max_rows, *wishes_.feed_forward_rows);
    } else if (intermediate == Intermediate::in_pieces) {
      options.feed_forward_rows = std::min(options.max_rows, kFeedForwardRows);
    }
    return options;
  }

  // Ids that stand beside the weights: a line and what of it is computed for each sequence, the
  // line before a call, the caller's prompt; of a score all rows with their log probabilities.
  std::uint64_t token_id_bytes(const engine::Options& options) const {
    const Workload& work = plan_.workload;
    const std::uint64_t context = plan_.context_tokens;
    const std::uint64_t given =
        std::max<std::uint64_t>(work.total_tokens, context * work.sequences);
    const std::uint64_t sessions = context * (2 * work.sequences + 1) * sizeof(TokenId);
    const std::uint64_t rows = options.max_rows * (sizeof(models::RowSpan) + sizeof(TokenId));
    const std::uint64_t lookups =
        draft_rows_ == 0 ? 0 : work.sequences * engine::PromptLookup::size_bytes(context);
    return sessions + rows + lookups +
           given * (sizeof(TokenId) + (work.all_logits ? sizeof(double) : sizeof(TokenId)));
  }

  // Of the kernels' own, for the largest product of each kind.
  std::uint64_t scratch_bytes(const engine::Options& options) const {
    const models::Widths widths = models::widths(composition_);
    const std::size_t outputs =
        std::max({widths.hidden, widths.q, widths.k, widths.v, widths.intermediate});
    std::uint64_t most = std::max(
        backend_->scratch_bytes(plan_.threads, options.max_rows, outputs),
        backend_->scratch_bytes(plan_.threads, options.max_logit_rows, composition_.head.out));
    for (const weights::ExpertsUse& use : composition_.tape.experts) {
      for (const weights::ExpertMatrix& matrix : use.form().matrices) {
        most = std::max(most, backend_->scratch_bytes(plan_.threads, options.max_rows, matrix.rows,
                                                      matrix.format.layout));
      }
    }
    return most;
  }

  // What a run holds beside weights and their ring.
  memory::Ledger ledger_without_weights(const engine::Options& options,
                                        const kv::Options& kv) const {
    memory::Ledger ledger;
    using memory::Charged;
    using memory::Phase;
    const Workload& work = plan_.workload;
    const std::size_t vocab = composition_.head.out;
    ledger.add("process", Phase::always, kProcessBytes, Charged::at_start);
    const text::TokenizerMemory tokenizer =
        text::tokenizer_memory(text_.tokenizer_json_bytes, text_.sentencepiece_bytes);
    if (tokenizer.held_bytes != 0) {
      ledger.add("tokenizer", Phase::always, tokenizer.held_bytes, Charged::at_start);
      // One after the other: the tokenizer is opened, then the text goes through it.
      const std::uint64_t opening = tokenizer.opening_bytes - tokenizer.held_bytes;
      const std::uint64_t text =
          encoding_bytes(work.text_bytes) + work.prompt_tokens * kGrowingIdBytes;
      if (opening > text) {
        ledger.add("tokenizer files", Phase::text, opening, Charged::on_load);
      } else {
        ledger.add("text", Phase::text, text, Charged::on_load);
      }
      if (work.text_bytes == 0) {
        ledger.add("text", Phase::run, encoding_bytes(plan_.context_tokens * kTextBytesPerToken),
                   Charged::on_load);
      }
    }
    if (plan_.threads > 1)
      ledger.add("threads", Phase::always, (plan_.threads - 1) * Thread::kResidentBytes,
                 Charged::on_load);
    add_kv(ledger, kv);
    ledger.add("activations", Phase::run,
               engine::activation_bytes(composition_, *backend_, options));
    ledger.add("logits", Phase::run, engine::logits_bytes(composition_, *backend_, options));
    if (const std::uint64_t scratch = scratch_bytes(options); scratch != 0)
      ledger.add("scratch", Phase::run, scratch, Charged::on_load);
    // Lines that run have the counts of their penalties each, threads that choose a workspace each.
    const std::size_t choosing = makes_one_token() || work.all_logits ? 1 : work.sequences;
    ledger.add("sampler", Phase::run,
               std::min(plan_.threads, choosing) * sampling::Workspace::size_bytes(vocab) +
                   choosing * vocab * sizeof(std::uint32_t),
               Charged::on_load);
    ledger.add("token ids", Phase::run, token_id_bytes(options), Charged::on_load);
    if (work.caller_bytes != 0)
      ledger.add("rows", Phase::always, work.caller_bytes, Charged::at_start);
    return ledger;
  }

  // The same with a tape that is mapped.
  Result<memory::Ledger> ledger(const engine::Options& options, const kv::Options& kv,
                                const weights::Options& weights,
                                const weights::TapeMap& map) const {
    memory::Ledger ledger = ledger_without_weights(options, kv);
    using memory::Phase;
    ledger.add("weights", Phase::always, map.storage_bytes);
    ledger.add("load ring", Phase::load, weights::load_ring_bytes(map, weights));
    if (!map.experts.empty()) {
      ledger.add("experts", Phase::always, weights::expert_slot_bytes(map.experts, weights));
      ledger.add("expert table", Phase::always, weights::expert_table_bytes(map.experts, weights),
                 memory::Charged::on_load);
    }
    if (!map.all_pinned()) ledger.add("ring", Phase::always, weights::stream_bytes(map, weights));
    return ledger;
  }

  // A way to run that is looked at: its memory by closed forms, as mapping a large tape for each
  // would make planning slow.
  struct Candidate {
    engine::Options engine;
    kv::Options kv;
    weights::Options weights;
    bool fits = false;
    bool all_pinned = false;
    std::uint64_t pinned_bytes = 0;
    Estimate estimate = {};
    double seconds() const { return estimate.total_s; }
  };

  // Whether every block of keys and values has a frame; else whether memory goes to frames or to
  // weights first.
  enum class KvWay { in_memory, frames_first, weights_first };

  // Nothing where there is no such way.
  std::optional<kv::Options> kv_options(KvWay way, std::size_t rows, KvRing ring,
                                        std::uint64_t index_bytes) const {
    if (way == KvWay::in_memory)
      return kv_in_memory(lines_, wishes_.kv, storage_.cache, rows, index_bytes);
    return kv_spilled(lines_, wishes_.kv, storage_.cache, rows, ring, index_bytes);
  }

  std::optional<kv::Options> kv_options(KvWay way, std::size_t rows) const {
    const std::uint64_t index =
        std::clamp(plan_.budget_bytes / kIndexShare, kLeastIndexBytes, kMostIndexBytes);
    auto options = kv_options(way, rows, KvRing::roomy, index);
    if (options && kv::ring_bytes(*options) > plan_.budget_bytes / kRingShare)
      options = kv_options(way, rows, KvRing::least, index);
    return options;
  }

  weights::Options weights_options(const RingSize& ring) const {
    weights::Options options;
    options.segment_bytes = ring.segment_bytes;
    options.ring_slots = ring.slots;
    options.read_bytes = std::min<std::size_t>(options.read_bytes, ring.segment_bytes);
    options.access = storage_.direct ? io::Access::direct : io::Access::buffered;
    options.read_method =
        storage_.direct && machine_.io_uring ? io::ReadMethod::io_uring : io::ReadMethod::threads;
    return options;
  }

  // An upper bound of what a ring takes, its slot for rows of the embedding included.
  std::uint64_t ring_bound(const RingSize& ring) const {
    const std::uint64_t slot = weights::load_slot_bytes(weights_options(ring));
    return (ring.slots + 1) * std::max<std::uint64_t>(slot, 32 * weights::gather_space(all_)) +
           2 * io::File::kDirectAlignment;
  }

  Candidate look_at(std::size_t chunk, const RingSize& ring, Intermediate intermediate,
                    KvWay way) const {
    Candidate out;
    out.engine = engine_options(chunk, intermediate);
    out.weights = weights_options(ring);
    auto kv = kv_options(way, out.engine.max_rows);
    if (!kv) return out;
    out.kv = *std::move(kv);
    memory::Ledger other = ledger_without_weights(out.engine, out.kv);
    const std::uint64_t load_ring =
        std::min(ring_bound(ring), 2 * all_.storage_bytes + (std::uint64_t{1} << 20));
    out.weights.expert_slots = first_expert_slots(all_.experts, plan_.budget_bytes);
    const std::uint64_t experts = expert_space(all_.experts, out.weights);
    const std::uint64_t streamed_at_least = all_.held_bytes + ring_bound(ring) + experts;
    const std::uint64_t all_pinned = all_.storage_bytes + experts;
    const auto peak = [&](std::uint64_t always) {
      return always +
             std::max(other.bytes(memory::Phase::load) + load_ring,
                      other.bytes(memory::Phase::run)) +
             other.bytes(memory::Phase::always);
    };
    if (way == KvWay::frames_first && peak(streamed_at_least) < plan_.budget_bytes) {
      add_frames(out.kv, plan_.budget_bytes - peak(streamed_at_least));
      other = ledger_without_weights(out.engine, out.kv);
    }
    const bool text_fits = other.text_peak_bytes() <= plan_.budget_bytes;
    std::uint64_t pinned = all_.sweep_bytes();
    if (peak(all_pinned) <= plan_.budget_bytes) {
      out.fits = text_fits;
      out.all_pinned = true;
      // What is left holds more blocks; shorter segments may be padded more than those of `all_`.
      const std::uint64_t padding = all_.segments.size() * memory::kCacheLineBytes + kMiB;
      const std::uint64_t held = all_pinned + other.bytes(memory::Phase::run) +
                                 other.bytes(memory::Phase::always) + padding;
      if (out.kv.spills() && held < plan_.budget_bytes) {
        add_frames(out.kv, plan_.budget_bytes - held);
        other = ledger_without_weights(out.engine, out.kv);
      }
      if (const std::uint64_t now = peak(all_pinned) + padding; now < plan_.budget_bytes)
        give_room(all_.experts, plan_.budget_bytes - now, out.weights);
      // Rows of the embedding are few a sweep: experts that do not all have room may have its.
      const std::uint64_t swept = all_.sweep_bytes() + padding;
      const std::uint64_t without = peak(all_.held_bytes + swept + ring_bound(ring) + experts);
      if (weights::kept_experts(all_.experts, out.weights) < all_.experts.count() &&
          without + padding < plan_.budget_bytes && swept < all_.storage_bytes) {
        out.weights.pinned_limit_bytes = swept;
        out.weights.expert_slots = first_expert_slots(all_.experts, plan_.budget_bytes);
        give_room(all_.experts, plan_.budget_bytes - without - padding, out.weights);
      }
    } else {
      const std::uint64_t rest = peak(streamed_at_least);
      out.fits = text_fits && rest <= plan_.budget_bytes;
      pinned = out.fits ? plan_.budget_bytes - rest : 0;
      // Runs of pinned segments are aligned each.
      const std::uint64_t padding = all_.segments.size() * memory::kCacheLineBytes;
      pinned -= std::min(pinned, padding);
      out.weights.pinned_limit_bytes = pinned;
    }
    if (!out.fits) return out;
    const double streamed =
        1 - std::min(1.0, static_cast<double>(pinned) / static_cast<double>(all_.sweep_bytes()));
    SweepSizes sizes = sweep_sizes(out.engine, out.kv);
    sizes.body_stream_bytes =
        static_cast<std::uint64_t>(streamed * static_cast<double>(sizes.body_bytes));
    sizes.head_stream_bytes =
        static_cast<std::uint64_t>(streamed * static_cast<double>(sizes.head_bytes));
    sizes.pinned_bytes = out.pinned_bytes = std::min(pinned, all_.sweep_bytes());
    sizes.experts = expert_use(composition_, all_.experts, out.weights, storage_.wanted_experts);
    out.estimate = plan::estimate(composition_, sizes, rates_, estimated_workload());
    return out;
  }

  SweepSizes sweep_sizes(const engine::Options& engine, const kv::Options& kv) const {
    SweepSizes sizes;
    sizes.head_bytes = all_.part(weights::Section::head).bytes;
    sizes.body_bytes = all_.part(weights::Section::layers).bytes;
    sizes.kv_bytes_per_token = kv::block_bytes(kv) / kv.block_tokens;
    sizes.kv_written_bytes_per_token = kv_written_bytes_per_token(kv);
    sizes.kv_groups = plan_.kv_groups;
    sizes.kv_disk_share = static_cast<double>(kv::stored_block_bytes(kv)) /
                          static_cast<double>(std::max<std::uint64_t>(1, kv::block_bytes(kv)));
    sizes.kv_disk_bytes_per_second = kv_disk_rate_;
    if (kv.spills()) sizes.kv_resident_tokens = pinned_blocks(kv) * kv.block_tokens;
    if (kv.pool && (kv.reuses || kv.spills()))
      sizes.kv_written_from = kv.reuses ? 0 : sizes.kv_resident_tokens;
    sizes.chunk_rows = engine.max_rows;
    return sizes;
  }

  std::vector<std::size_t> chunks(std::size_t rows_at_most) const {
    if (wishes_.prefill_chunk) return {std::min(*wishes_.prefill_chunk, rows_at_most)};
    std::size_t most = rows_at_most;
    if (plan_.workload.all_logits) {
      most = std::min(most, std::max<std::size_t>(
                                1, kMostLogitsBytes / (composition_.head.out * sizeof(float))));
    }
    std::vector<std::size_t> out;
    for (const std::size_t chunk : kChunks)
      if (chunk < most) out.push_back(chunk);
    if (most <= kChunks[std::size(kChunks) - 1]) out.push_back(most);
    return out;
  }

  std::vector<RingSize> rings() const {
    std::vector<RingSize> out;
    for (const RingSize& ring : kRings) {
      const bool small = ring.segment_bytes < (std::size_t{1} << 20);
      if (small && all_.sweep_bytes() > kSmallModelBytes) continue;
      out.push_back(ring);
    }
    return out;
  }

  // The fastest way that fits; of those nearly as fast, one whose chunk the arithmetic likes.
  Candidate choose_candidate(const std::vector<std::size_t>& chunks,
                             const std::vector<RingSize>& rings, KvWay way) const {
    std::vector<Candidate> fitting;
    for (const RingSize& ring : rings) {
      const bool last = &ring == &rings.back();
      if (!last && ring_bound(ring) > plan_.budget_bytes / kRingShare) continue;
      for (const std::size_t chunk : chunks) {
        Candidate candidate = look_at(chunk, ring, intermediate_of(chunk), way);
        if (candidate.fits) fitting.push_back(std::move(candidate));
      }
      if (!fitting.empty()) break;
    }
    if (fitting.empty()) return {};
    double best = fitting.front().seconds();
    for (const Candidate& candidate : fitting) best = std::min(best, candidate.seconds());
    // Of those nearly as fast the first with enough rows for the peak, or the last with fewer.
    const Candidate* chosen = nullptr;
    for (const Candidate& candidate : fitting) {
      if (candidate.seconds() > best * kNearlyAsFast) continue;
      chosen = &candidate;
      if (candidate.engine.max_rows >= kPreferredChunk) break;
    }
    return *chosen;
  }

  // Keys and values stay in memory where that is nearly as fast, all of them or as many as fit:
  // then no disk is written to for them that need not be. Of one line the weights come first: all
  // of them are read in every sweep, its later blocks only once they are there.
  Candidate choose_candidate(const std::vector<std::size_t>& chunks,
                             const std::vector<RingSize>& rings) const {
    Candidate in_memory = choose_candidate(chunks, rings, KvWay::in_memory);
    if (in_memory.fits && in_memory.all_pinned) return in_memory;
    Candidate spilled = choose_candidate(chunks, rings, KvWay::weights_first);
    if (!spilled.fits) return in_memory;
    if (plan_.workload.sequences > 1 && !spilled.all_pinned) {
      Candidate frames = choose_candidate(chunks, rings, KvWay::frames_first);
      if (frames.fits && frames.seconds() <= spilled.seconds() * kNearlyAsFast)
        spilled = std::move(frames);
    }
    if (in_memory.fits && in_memory.seconds() <= spilled.seconds() * kNearlyAsFast)
      return in_memory;
    return spilled;
  }

  // The way that holds least of all there are for these wishes, whatever the budget: counted
  // exactly, so that a MiB less than it is refused and it itself runs.
  struct Smallest {
    Candidate way;
    std::uint64_t peak_bytes = std::numeric_limits<std::uint64_t>::max();
  };
  Result<Smallest> smallest(std::size_t chunk, const RingSize& ring) const {
    weights::Options streamed = weights_options(ring);
    streamed.pinned_limit_bytes = 0;
    streamed.expert_slots = weights::least_expert_slots(all_.experts);
    weights::Options pinned = weights_options(ring);
    pinned.expert_slots = streamed.expert_slots;
    Smallest least;
    for (const weights::Options& options : {streamed, pinned}) {
      // Mapping a large model takes a while, and holding all of it is not its smallest way.
      if (options.pinned_limit_bytes != 0 && all_.storage_bytes > least.peak_bytes) continue;
      OLLM_TRY(const weights::TapeMap map, weights::map_tape(tensors_, composition_.tape, options));
      // Pieces save the intermediate's second half, and may lose more to padding; frames for all
      // blocks save the ring.
      for (const Intermediate intermediate : {Intermediate::whole, Intermediate::in_pieces}) {
        const engine::Options engine = engine_options(chunk, intermediate);
        for (const KvWay way : {KvWay::in_memory, KvWay::weights_first}) {
          const auto kv = kv_options(way, engine.max_rows, KvRing::least, kLeastIndexBytes);
          if (!kv) continue;
          OLLM_TRY(const memory::Ledger whole, ledger(engine, *kv, options, map));
          if (whole.peak_bytes() >= least.peak_bytes) continue;
          least.peak_bytes = whole.peak_bytes();
          least.way.engine = engine;
          least.way.kv = *kv;
          least.way.weights = options;
        }
      }
    }
    return least;
  }

  // Whether sizes of all keys and values stay far from overflow.
  bool can_count_kv() const {
    const kv::Options whole = kv_in_memory(lines_, {}, {}, 0, 0);
    const auto bytes = checked_mul(kv::block_bytes(whole), whole.max_blocks);
    return bytes && *bytes <= kMostBytes;
  }

  // What there is to hold, and where.
  Result<void> look_at_kv() {
    lines_ = {models::kv_layers(composition_, plan_.backend.compute), plan_.context_tokens,
              plan_.workload.sequences};
    if (!can_count_kv()) {
      return fail(
          ErrorKind::invalid_argument,
          fmt::format("{} sequences of {} tokens: their keys and values would take more "
                      "than {}",
                      plan_.workload.sequences, plan_.context_tokens, format_bytes(kMostBytes)));
    }
    plan_.kv_groups = kv_groups(lines_.layers);
    plan_.disk_free_bytes = storage_.cache.free_bytes;
    kv_disk_rate_ =
        machine::rates_for(machine_.profile, plan_.backend, plan_.threads, storage_.cache.device)
            .disk_bytes_per_second;
    return {};
  }

  // A prompt of unknown length may fill the context.
  std::size_t rows_at_most() const {
    const std::size_t prompt =
        plan_.workload.prompt_tokens != 0 ? plan_.workload.prompt_tokens : plan_.context_tokens;
    return std::min(kMostRows, std::max<std::size_t>(1, prompt * plan_.workload.sequences));
  }

  void set_lines(std::size_t lines) { lines_.lines = plan_.workload.sequences = lines; }

  // What so many lines would bring; nothing where they do not fit.
  std::optional<LinesChoice> look_at_lines(std::size_t lines, const std::vector<RingSize>& rings) {
    set_lines(lines);
    if (!can_count_kv()) return std::nullopt;
    const Candidate candidate = choose_candidate(chunks(rows_at_most()), rings);
    if (!candidate.fits) return std::nullopt;
    const Estimate& estimate = candidate.estimate;
    const std::size_t requests = plan_.workload.requests;
    const double of_job = estimate.total_s - estimate.load_s;
    return LinesChoice{
        lines,
        estimate.decode_tokens_per_second,
        requests == 0 ? estimate.seconds_per_request : of_job / static_cast<double>(requests),
        estimate.job_bound_by,
        candidate.pinned_bytes,
        kv::frames_bytes(candidate.kv),
        kv_bytes(candidate.kv)};
  }

  // How many lines pay; as many are taken where nobody says how many there are to be.
  void choose_lines(const std::vector<RingSize>& rings) {
    const std::size_t given = plan_.workload.sequences;
    const std::size_t requests = plan_.workload.requests;
    if (plan_.workload.all_logits) return;
    plan_.lines = plan::choose_lines(
        requests, kMostSequences,
        plan_.workload.max_new_tokens > 1 ? LinesMeasure::job : LinesMeasure::decoding,
        [&](std::size_t lines) { return look_at_lines(lines, rings); });
    set_lines(asked_lines_ == 0 ? std::max<std::size_t>(1, plan_.lines.pay) : given);
    if (plan_.workload.sequences == 1 && requests == 0) return;
    const std::string why = why_no_more(plan_.lines);
    decide("lines", fmt::format("{}", plan_.workload.sequences),
           asked_lines_ == 0 ? why
           : given < asked_lines_
               ? fmt::format("{} were asked for; there are no more requests", asked_lines_)
               : fmt::format("asked for; {} pay: {}", plan_.lines.pay, why));
  }

  Result<void> choose_memory() {
    OLLM_TRY_VOID(look_at_kv());

    // Sizes alone are asked of it: how the table pads its operands.
    ThreadPool pool(1);
    OLLM_TRY(backend_, backend::make_backend(plan_.backend, pool));
    const weights::Options options = weights_options(kRings[0]);
    OLLM_TRY(all_, weights::map_tape(tensors_, composition_.tape, options));
    plan_.weight_bytes = all_.storage_bytes + all_.experts.bytes;

    const std::vector<RingSize> rings = this->rings();
    OLLM_TRY(const Smallest least, smallest(chunks(rows_at_most()).front(), rings.back()));
    plan_.minimum_bytes = round_up(least.peak_bytes, kMiB);
    draft_rows_ = wished_drafts();
    choose_lines(rings);
    const std::vector<std::size_t> chunks = this->chunks(rows_at_most());
    Candidate chosen = choose_candidate(chunks, rings);
    if (!chosen.fits && draft_rows_ > 0) {
      draft_rows_ = 0;
      chosen = choose_candidate(chunks, rings);
    }
    // The closed forms are upper bounds; the smallest way there is fits exactly.
    if (!chosen.fits) chosen = least.way;
    plan_.engine = chosen.engine;
    plan_.kv = std::move(chosen.kv);
    plan_.weights = chosen.weights;
    OLLM_TRY(const weights::TapeMap map,
             weights::map_tape(tensors_, composition_.tape, plan_.weights));
    OLLM_TRY(plan_.memory, ledger(plan_.engine, plan_.kv, plan_.weights, map));
    plan_.fits = plan_.memory.peak_bytes() <= plan_.budget_bytes;
    plan_.pinned_bytes = map.pinned_bytes;
    plan_.streamed_bytes = map.stream_bytes();

    SweepSizes sizes = sweep_sizes(plan_.engine, plan_.kv);
    sizes.pinned_bytes = map.storage_bytes;
    sizes.body_stream_bytes = map.part(weights::Section::layers).stream_bytes;
    sizes.head_stream_bytes = map.part(weights::Section::head).stream_bytes;
    sizes.experts = expert_use(composition_, map.experts, plan_.weights, storage_.wanted_experts);
    if (!map.experts.empty())
      plan_.experts =
          experts_plan(sizes.experts, map.experts, plan_.weights, storage_.wanted_experts);
    note(weight_decisions(
        plan_, map,
        {machine_, storage_.direct, rows_at_most(), wishes_.prefill_chunk.has_value()}));
    plan_.estimate = plan::estimate(composition_, sizes, rates_, estimated_workload());
    plan_.kv_traffic = kv_traffic(composition_, sizes, rates_, estimated_workload());
    choose_speculation();
    note(kv_decisions(plan_, storage_.cache));
    return {};
  }

  // Whether no line goes on behind the first token that it is asked for.
  bool makes_one_token() const {
    const Workload& work = plan_.workload;
    return work.max_new_tokens == 1 ||
           (work.max_new_tokens == 0 && work.context_tokens <= work.prompt_tokens);
  }

  // Guesses of a sweep that memory is set aside for, before it is known how many rows are free.
  std::size_t wished_drafts() const {
    if (plan_.workload.all_logits || makes_one_token()) return 0;
    return wishes_.most_drafts.value_or(kDrafts);
  }

  void choose_speculation() {
    const std::size_t lines = plan_.workload.sequences;
    engine::SpeculationOptions& chosen = plan_.speculation;
    const std::size_t room =
        plan_.engine.max_logit_rows - std::min(plan_.engine.max_logit_rows, lines);
    chosen.free_rows = std::min(plan_.estimate.rows_that_fill, room + lines);
    chosen.most_drafts = std::min(
        {draft_rows_, room, chosen.free_rows - std::min<std::size_t>(1, chosen.free_rows)});
    if (wishes_.most_drafts == 0) {
      decide("speculation", "off", "asked for");
    } else if (chosen.on()) {
      decide("speculation", fmt::format("up to {} tokens a step", chosen.most_drafts),
             fmt::format("reading leaves {} rows of a sweep to the arithmetic; what the line "
                         "repeats is guessed, and no answer depends on it",
                         plan_.estimate.rows_that_fill));
    } else if (draft_rows_ > 0) {
      decide("speculation", "off",
             room == 0 ? "a sweep has no rows beside those of the lines"
             : plan_.experts
                 ? "no row of a sweep is free: a further one reads further experts"
                 : "no row of a sweep is free: its arithmetic takes as long as its reading");
    }
  }

  const models::Composition& composition_;
  const checkpoint::TensorIndex& tensors_;
  const TextFiles& text_;
  const Storage& storage_;
  const machine::Machine& machine_;
  const Wishes& wishes_;
  machine::Rates rates_;
  std::unique_ptr<backend::Backend> backend_;
  weights::TapeMap all_;  // with everything pinned
  KvLines lines_;
  std::size_t asked_lines_ = 0;  // 0: as many as pay
  double kv_disk_rate_ = 0;      // bytes a second, of the disk for keys and values
  std::size_t draft_rows_ = 0;   // of a sweep, for guesses
  LoadPlan plan_;
};

}  // namespace

std::uint64_t encoding_bytes(std::uint64_t text_bytes) { return text_bytes * kTextFactor; }

Result<LoadPlan> choose(const models::Composition& composition,
                        const checkpoint::TensorIndex& tensors, const TextFiles& text,
                        const Storage& storage, const machine::Machine& machine,
                        const Wishes& wishes, const Workload& workload) {
  return Chooser(composition, tensors, text, storage, machine, wishes, workload).choose();
}

}  // namespace ollm::plan
