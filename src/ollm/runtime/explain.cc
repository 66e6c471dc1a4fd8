// A plan in sentences, for people: what runs and why, where the memory goes, how long it takes, and
// what would change it.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "ollm/base/text_size.h"
#include "ollm/plan/choose_lines.h"
#include "ollm/runtime/state.h"

namespace ollm {
namespace {

constexpr std::size_t kBarWidth = 40;
// Numbers of lines beyond those that pay that are shown: enough to see that they do not.
constexpr std::size_t kLinesBeyond = 2;

std::string duration(double seconds) {
  if (seconds < 0.01) return fmt::format("{:.2f} ms", seconds * 1e3);
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1e3);
  if (seconds < 120) return fmt::format("{:.1f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

std::string bar(std::uint64_t part, std::uint64_t whole) {
  const double share =
      whole == 0 ? 0 : std::min(1.0, static_cast<double>(part) / static_cast<double>(whole));
  const auto filled = static_cast<std::size_t>(share * kBarWidth + 0.5);
  return std::string(filled, '#') + std::string(kBarWidth - filled, '.');
}

std::string_view when(memory::Phase phase) {
  switch (phase) {
    case memory::Phase::always:
      return "";
    case memory::Phase::text:
      return "  before loading";
    case memory::Phase::load:
      return "  while loading";
    case memory::Phase::run:
      return "  while running";
  }
  return "";
}

std::string memory_text(const plan::LoadPlan& plan) {
  std::string out =
      fmt::format("Memory: {} of the {} granted{}.\n", format_bytes(plan.memory.peak_bytes()),
                  format_bytes(plan.budget_bytes), plan.fits ? "" : ", which does NOT fit");
  for (const memory::LedgerLine& line : plan.memory.lines()) {
    out += fmt::format("  {:<14} {:>10} {}{}\n", line.owner, format_bytes(line.bytes),
                       bar(line.bytes, plan.budget_bytes), when(line.phase));
  }
  out += fmt::format("  The smallest budget that runs this as asked is {} MiB.\n",
                     plan.minimum_bytes >> 20);
  return out;
}

std::string experts_text(const ExpertsPlan& experts) {
  if (experts.kept == experts.experts)
    return fmt::format("Experts: all {} in memory after loading.\n", experts.experts);
  return fmt::format(
      "Experts: {} of {} stay in memory, {} each; a token meets {}, and reads {} of them from "
      "disk ({}).\n",
      experts.kept, experts.experts, format_bytes(experts.expert_bytes), experts.per_token,
      format_bytes(experts.read_bytes_per_token), experts.because);
}

std::string weights_text(const plan::LoadPlan& plan) {
  const std::string_view beside = plan.experts ? " beside the experts'" : "";
  const std::string of_experts = plan.experts ? experts_text(*plan.experts) : "";
  if (plan.streamed_bytes == 0)
    return fmt::format("Weights{}: all in memory after loading.\n{}", beside, of_experts);
  return fmt::format(
      "Weights{}: {} of {} are read once and kept; {} are read from disk in every sweep ({}, "
      "{}).\n{}",
      beside, format_bytes(plan.pinned_bytes),
      format_bytes(plan.pinned_bytes + plan.streamed_bytes), format_bytes(plan.streamed_bytes),
      plan.weights.access == io::Access::direct ? "past the page cache" : "through the page cache",
      to_string(plan.weights.read_method), of_experts);
}

// Answers that another strategy would not give are told before all else.
std::string first_line(const plan::LoadPlan& plan) {
  const kv::Strategy* strategy = kv::find_strategy(plan.kv.strategy);
  if (strategy == nullptr || strategy->exact()) return "";
  return fmt::format("KV strategy {} changes the answer. ", strategy->id);
}

std::string kv_groups_text(const KvPlan& kv) {
  std::string out = fmt::format("Keys and values: {} a token", format_bytes(kv.bytes_per_token));
  if (kv.groups.size() == 1) return out;
  for (const KvGroup& group : kv.groups) {
    out += fmt::format("{} {} in {} layers that see {}", &group == &kv.groups.front() ? ":" : ",",
                       format_bytes(group.bytes_per_token), group.layers,
                       group.window == 0 ? "all tokens" : fmt::format("{} tokens", group.window));
  }
  return out;
}

// Of layers that keep a state instead of keys and values.
std::string states_text(const kv::Options& options) {
  std::size_t layers = 0;
  std::uint64_t bytes = 0;
  for (const kv::LayerOptions& layer : options.layers) {
    if (!layer.recurrent) continue;
    ++layers;
    bytes += std::uint64_t{kv::frames_of(options, layer)} * kv::part_bytes(options, layer);
  }
  if (layers == 0) return "";
  return fmt::format(", {} of it states of {} layers", format_bytes(bytes), layers);
}

std::string kv_text(const plan::LoadPlan& plan) {
  const KvPlan kv = plan::execution_plan(plan).kv;
  std::string out =
      fmt::format("{}; {} for {} tokens{}", kv_groups_text(kv), format_bytes(kv.bytes),
                  kv.context_tokens * kv.sequences, states_text(plan.kv));
  if (!kv.folder) return out + ", all in memory, none of it kept.\n";
  out += fmt::format(". Strategy {}, {}: {} of {} blocks of {} tokens have a place in memory.\n",
                     kv.strategy, kv.lifecycle, kv.frames, kv.blocks, kv.block_tokens);
  out +=
      fmt::format("  On disk, in {}: up to {}", kv.folder->string(), format_bytes(kv.disk_bytes));
  if (kv.disk_free_bytes) out += fmt::format(" of {} free", format_bytes(*kv.disk_free_bytes));
  out += fmt::format("; {} are written in all", format_bytes(kv.written_bytes));
  if (plan.kv.spills()) {
    out += fmt::format(", {} are read by the prompt's sweeps, {} for each new token",
                       format_bytes(kv.prefill_read_bytes), format_bytes(kv.read_bytes_per_token));
  }
  return out + ".\n";
}

std::string job_text(const plan::LoadPlan& plan) {
  const Estimate& estimate = plan.estimate;
  const Workload& work = plan.workload;
  if (work.requests == 0) {
    return fmt::format("  The whole job, {} new tokens{}: {}.\n", work.max_new_tokens,
                       work.sequences > 1 ? fmt::format(" for each of {} sequences", work.sequences)
                                          : std::string(),
                       duration(estimate.total_s));
  }
  return fmt::format(
      "  The whole job, {} new tokens for each of {} requests, {} at a time: {} ({:.2f} new tok/s; "
      "a request has its line for {}).\n",
      work.max_new_tokens, work.requests, work.sequences, duration(estimate.total_s),
      estimate.job_tokens_per_second, duration(estimate.request_s));
}

std::string time_text(const plan::LoadPlan& plan) {
  const Estimate& estimate = plan.estimate;
  const Workload& work = plan.workload;
  std::string out = fmt::format(
      "Time: loading {}, then {} for a prompt of {} tokens{} in sweeps of {} ({:.1f} tok/s), then "
      "{} a token ({:.2f} tok/s, bound by {}).\n",
      duration(estimate.load_s), duration(estimate.time_to_first_token_s), estimate.prompt_tokens,
      work.prompt_tokens == 0 ? " (assumed: it fills the context)" : "", plan.engine.max_rows,
      estimate.prefill_tokens_per_second, duration(estimate.seconds_per_sweep),
      estimate.decode_tokens_per_second, estimate.bound_by);
  out += job_text(plan);
  if (plan.streamed_bytes != 0) {
    out += fmt::format(
        "  {} rows would fill a sweep: from there on computing, not reading, takes "
        "the time.\n",
        estimate.rows_that_fill);
  }
  return out;
}

// The same run with other numbers of lines, up to where more are no use.
std::string lines_text(const plan::LoadPlan& plan) {
  const LinesPlan& lines = plan.lines;
  if (lines.choices.size() < 2) return "";
  std::string out =
      fmt::format("Lines at once: {} pay; {}.\n", lines.pay, plan::why_no_more(lines));
  out += "  lines      tok/s  a request  bound by  weights pinned  keys and values in memory\n";
  std::size_t beyond = 0;
  for (const LinesChoice& choice : lines.choices) {
    if (choice.lines > lines.pay && ++beyond > kLinesBeyond) break;
    out += fmt::format("  {:>5} {:>10.2f} {:>10}  {:<8}  {:>14}  {:>10} of {}\n", choice.lines,
                       choice.decode_tokens_per_second, duration(choice.seconds_per_request),
                       choice.bound_by, format_bytes(choice.pinned_bytes),
                       format_bytes(choice.kv_frames_bytes), format_bytes(choice.kv_bytes));
  }
  return out;
}

std::string kept_experts_text(const plan::LoadPlan& plan) {
  if (!plan.experts) return "";
  return fmt::format(", keeps {} of {} experts, {:.0f} % of what a token meets,",
                     plan.experts->kept, plan.experts->experts, 100 * plan.experts->hit_share);
}

// The same run with other budgets: what a person could do about it.
std::string change_text(const plan::PlannedRun& run, const plan::LoadPlan& plan) {
  const auto with = [&](std::uint64_t budget) -> std::optional<plan::LoadPlan> {
    Result<plan::LoadPlan> other = plan::choose_again(run, budget);
    if (!other.ok() || !other->fits) return std::nullopt;
    return std::move(other).value();
  };
  std::string out = "What would change it:\n";
  const std::size_t empty = out.size();
  if (!plan.fits) {
    out += fmt::format("  --memory {}MiB would run", plan.minimum_bytes >> 20);
    if (const auto other = with(plan.minimum_bytes))
      out += fmt::format(", in {}", duration(other->estimate.total_s));
    return out + ".\n";
  }
  std::uint64_t unread = plan.streamed_bytes + plan::kv_bytes(plan.kv) -
                         std::min(plan::kv_bytes(plan.kv), kv::frames_bytes(plan.kv));
  if (plan.experts)
    unread += (plan.experts->experts - plan.experts->kept) * plan.experts->expert_bytes;
  if (unread == 0) {
    return out + "  more memory would not: everything is held already.\n";
  }
  const std::uint64_t whole = plan.memory.peak_bytes() + unread * 102 / 100;
  std::vector<std::uint64_t> budgets = {plan.budget_bytes + plan.budget_bytes / 2};
  if (plan.experts) budgets.push_back(2 * plan.budget_bytes);
  budgets.push_back(whole);
  for (const std::uint64_t budget : budgets) {
    if (budget > whole) continue;
    const auto other = with((budget + (std::uint64_t{1} << 20) - 1) >> 20 << 20);
    if (!other) continue;
    out += fmt::format("  --memory {}MiB pins {}{} and takes {} instead of {} ({:.2f} tok/s).\n",
                       other->budget_bytes >> 20, format_bytes(other->pinned_bytes),
                       kept_experts_text(*other), duration(other->estimate.total_s),
                       duration(plan.estimate.total_s), other->estimate.decode_tokens_per_second);
  }
  return out.size() == empty ? std::string() : out;
}

}  // namespace

std::string Plan::summary() const {
  if (!state_->run.execution) return "";
  const plan::LoadPlan& plan = *state_->run.execution;
  const Estimate& estimate = plan.estimate;
  std::string out = fmt::format(
      "plan: {}load {}, first token after {}, {:.2f} tok/s (bound by {}), {} in all | memory {} of "
      "{}",
      first_line(plan), duration(estimate.load_s), duration(estimate.time_to_first_token_s),
      estimate.decode_tokens_per_second, estimate.bound_by, duration(estimate.total_s),
      format_bytes(plan.memory.peak_bytes()), format_bytes(plan.budget_bytes));
  if (estimate.bytes_per_sweep != 0)
    out += fmt::format(" | {} from disk per sweep", format_bytes(estimate.bytes_per_sweep));
  if (plan.kv.pool && plan.kv.pool->kept) {
    out += fmt::format(" | keys and values are kept in {} (--no-cache: not)",
                       plan.kv.pool->folder.string());
  }
  return out;
}

std::string Plan::explain() const {
  const RuntimePlan& runtime = runtime_plan();
  std::string out =
      fmt::format("{}{}: {}\n", state_->run.execution ? first_line(*state_->run.execution) : "",
                  runtime.resolved_model().reference.raw, runtime.reason());
  if (!state_->run.execution) {
    // The error tells more than the reason does: where was looked, and what to do.
    const Result<void> can_run = check();
    if (!can_run.ok() && can_run.error().message != runtime.reason())
      out += fmt::format("It cannot run: {}\n", can_run.error().message);
    return out;
  }
  const plan::LoadPlan& plan = *state_->run.execution;
  out += fmt::format("Runs on: {} ({}), {} arithmetic, table {}, {} threads.\n",
                     runtime.backend_id().value_or("none"), to_string(runtime.support_level()),
                     to_string(plan.backend.compute), to_string(plan.backend.isa), plan.threads);
  out += memory_text(plan) + weights_text(plan) + kv_text(plan) + time_text(plan) +
         lines_text(plan) + change_text(state_->run, plan);
  out += "Why:\n";
  for (const Decision& decision : plan.decisions)
    out += fmt::format("  {} = {}: {}\n", decision.what, decision.chosen, decision.because);
  return out;
}

}  // namespace ollm
