#include "ollm/plan/kv_selector.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "ollm/kv/strategies.h"

namespace ollm::plan {
namespace {

constexpr std::string_view kRuntimeScoped = "runtime-scoped";
constexpr std::string_view kPersistent = "persistent";
constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The first number in a text that stands directly before a "b": "Qwen3-Next-80B-A3B" is 80.
std::optional<double> billions_in(std::string_view text) {
  const auto digits_end = [&](std::size_t i) {
    while (i < text.size() && is_digit(text[i])) ++i;
    return i;
  };
  const auto is_b = [&](std::size_t i) {
    return i < text.size() && (text[i] == 'b' || text[i] == 'B');
  };
  for (std::size_t begin = 0; begin < text.size();) {
    if (!is_digit(text[begin])) {
      ++begin;
      continue;
    }
    const std::size_t whole = digits_end(begin);
    std::size_t end = whole;
    if (whole + 1 < text.size() && text[whole] == '.' && is_digit(text[whole + 1]))
      end = digits_end(whole + 1);
    if (is_b(end))
      return std::strtod(std::string(text.substr(begin, end - begin)).c_str(), nullptr);
    begin = whole;
  }
  return std::nullopt;
}

// "small", "medium", "large" by two limits in GiB.
std::string tier(std::optional<std::uint64_t> bytes, double small_below, double medium_below) {
  if (!bytes) return "unknown";
  const double gib = static_cast<double>(*bytes) / kGiB;
  if (gib < small_below) return "small";
  return gib < medium_below ? "medium" : "large";
}

std::string size_tier(std::optional<double> billions) {
  if (!billions) return "unknown";
  if (*billions <= 4) return "small";
  return *billions <= 16 ? "medium" : "large";
}

std::string accelerator_tier(std::string_view kind, const SelectorMachine& machine) {
  if (kind == "cpu") return "none";
  if (kind != "cuda") return "unknown";
  return tier(machine.accelerator_memory_bytes, 8, 24);
}

// All that a rule may ask.
struct Question {
  const PlanDraft& plan;
  const settings::RuntimeConfig& config;
  const SelectorDimensions& dimensions;

  bool text_only() const { return dimensions.modality_bucket == "text-only"; }
  bool profile(std::string_view name) const { return config.strategy_selector_profile == name; }
  bool small() const { return dimensions.model_size_tier == "small"; }
  // Whether what is computed is to be found again, which what is in memory alone is not.
  bool stores() const {
    return config.use_cache && (config.kv_ephemeral || config.kv_cache_lifecycle == kPersistent);
  }
  bool fast_in_memory() const {
    return profile("latency") && text_only() && dimensions.host_ram_tier == "large" &&
           (small() || dimensions.model_size_tier == "medium");
  }
  bool small_in_memory() const {
    return profile("balanced") && text_only() && small() &&
           (dimensions.host_ram_tier == "large" || dimensions.accelerator_memory_tier == "large");
  }
};

struct Rule {
  std::string_view id;
  bool (*holds)(const Question&);
  std::span<const std::string_view> chain;  // the first is preferred
  bool asked_for;  // by name: nothing else takes its place, and a disk cache is needed
  std::string_view reason;
};

constexpr std::string_view kSlidingChain[] = {kv::kSlidingWindow};
constexpr std::string_view kResidentChain[] = {kv::kResident};
constexpr std::string_view kQuantizedChain[] = {kv::kQuantizedColdTier, kv::kPaged, kv::kChunked,
                                                kv::kResident};
constexpr std::string_view kPagedChain[] = {kv::kPaged, kv::kChunked, kv::kResident};
constexpr std::string_view kResidentFirstChain[] = {kv::kResident, kv::kPaged, kv::kChunked};

// docs/resolving.md §5: the first that holds. explicit-override, above all of them, has the
// strategy of the settings in place of a list. Policy rows of other systems are left out.
constexpr std::array kRules{
    Rule{"bounded-window-profile", [](const Question& q) { return q.profile("bounded-window"); },
         kSlidingChain, true,
         "the profile bounded-window keeps a window of tokens, which changes the answer"},
    Rule{"explicit-window-budget",
         [](const Question& q) { return q.config.kv_cache_window_tokens.has_value(); },
         kSlidingChain, true, "a window was asked for, which changes the answer"},
    Rule{"no-disk-cache-support", [](const Question& q) { return !q.plan.supports_disk_cache; },
         kResidentChain, false, "the plan has no disk cache"},
    Rule{"capacity-text-full-history",
         [](const Question& q) { return q.profile("capacity") && q.text_only(); }, kQuantizedChain,
         false,
         "the profile capacity keeps the whole history in the least space, as int8, which changes "
         "the answer"},
    Rule{"capacity-multimodal-conservative",
         [](const Question& q) { return q.profile("capacity"); }, kPagedChain, false,
         "the profile capacity keeps images and audio at full precision"},
    Rule{"latency-high-headroom-resident",
         [](const Question& q) { return q.fast_in_memory() && !q.stores(); }, kResidentFirstChain,
         false, "the profile latency, and memory for all of it"},
    Rule{"latency-conservative-paged", [](const Question& q) { return q.profile("latency"); },
         kPagedChain, false, "the profile latency, without memory to be sure of"},
    Rule{"balanced-small-model-resident",
         [](const Question& q) { return q.small_in_memory() && !q.stores(); }, kResidentFirstChain,
         false, "a small model, and memory for all of it"},
    Rule{"balanced-paged-default", [](const Question&) { return true; }, kPagedChain, false,
         "pages on disk suit most models"},
};

const Rule& first_rule(const Question& question) {
  return *std::find_if(kRules.begin(), kRules.end() - 1,
                       [&](const Rule& rule) { return rule.holds(question); });
}

// What the rules would say of the same plan if it had a disk cache.
const Rule& rule_with_disk_cache(const Question& question) {
  PlanDraft plan = question.plan;
  plan.supports_disk_cache = true;
  return first_rule({plan, question.config, question.dimensions});
}

std::string why_no_disk_cache(const Question& question) {
  if (!question.plan.is_executable()) return "the plan cannot execute";
  if (!question.config.use_cache) return "nothing is stored, and memory holds all of it";
  return "its passes keep none";
}

// Rules that answer resident hold where nothing is stored; else their models get the next choice.
std::string instead_of_resident(const Question& question) {
  if (!question.stores() || !(question.fast_in_memory() || question.small_in_memory())) return {};
  return fmt::format(
      "; {} would answer {} where nothing is stored: here each block has a frame where the budget "
      "holds it, is written behind, and is read back by a later run alone",
      question.fast_in_memory() ? "latency-high-headroom-resident"
                                : "balanced-small-model-resident",
      kv::kResident);
}

// Goes down the list to the first that can be had.
Result<void> apply_first(KvSelection& out, WhyNotStrategy why_not) {
  for (const std::string& strategy : out.fallback_chain) {
    std::optional<std::string> why;
    if (why_not) why = why_not(strategy);
    if (!why) {
      out.applied = strategy;
      return {};
    }
    out.reason += fmt::format("; {} was not taken: {}", strategy, *why);
  }
  return fail(ErrorKind::out_of_budget,
              fmt::format("no KV strategy can be had ({}): {}", out.rule_id, out.reason));
}

Error needs_disk_cache(const Question& question, std::string_view rule_id,
                       std::string_view strategy) {
  return fail(ErrorKind::unsupported,
              fmt::format("KV strategy '{}' ({}) needs a disk cache, which the plan has not: {}",
                          strategy, rule_id, why_no_disk_cache(question)));
}

// A program may ask for any word.
Error not_known(std::string_view rule_id, std::string_view strategy) {
  return fail(ErrorKind::invalid_argument,
              fmt::format("no KV strategy is '{}' ({}): there are {}", strategy, rule_id,
                          fmt::join(kv::kStrategyIds, ", ")));
}

void apply_lifecycle(KvSelection& out, const settings::RuntimeConfig& config) {
  out.requested_lifecycle = config.kv_cache_lifecycle;
  const bool never = kv::find_strategy(out.applied)->writing == kv::Writing::never;
  const bool kept = !never && config.use_cache && !config.kv_ephemeral;
  out.applied_lifecycle = kept ? config.kv_cache_lifecycle : std::string(kRuntimeScoped);
  if (out.applied_lifecycle == out.requested_lifecycle) return;
  out.lifecycle_reason = never ? fmt::format("{} requires {}: it is gone when the process ends",
                                             out.applied, kRuntimeScoped)
                               : std::string("nothing is kept for later runs");
}

}  // namespace

SelectorDimensions selector_dimensions(const PlanDraft& plan, const SelectorMachine& machine) {
  const ResolvedModel& model = plan.resolved_model;
  const CapabilityProfile& capabilities = model.capabilities;
  SelectorDimensions out;
  out.model_family =
      model.native_family ? std::string(to_string(*model.native_family)) : std::string("generic");
  const bool text_only =
      capabilities.modalities.size() == 1 && capabilities.modalities.front() == ModelModality::text;
  out.modality_bucket = text_only ? "text-only" : "multimodal";
  out.platform = machine.platform.empty() ? "unknown" : machine.platform;
  const std::string* device = plan.details.find("execution_device_type");
  out.accelerator_kind = device != nullptr ? *device : "unknown";
  out.host_ram_tier = tier(machine.host_memory_bytes, 16, 64);
  out.accelerator_memory_tier = accelerator_tier(out.accelerator_kind, machine);
  out.required_runtime_features.emplace_back(plan.supports_disk_cache ? "disk-cache-support"
                                                                      : "no-disk-cache-support");
  if (capabilities.requires_processor)
    out.required_runtime_features.emplace_back("processor-required");
  if (plan.specialization_enabled)
    out.required_runtime_features.emplace_back("specialization-enabled");
  out.model_size_tier = size_tier(billions_in_name(model));
  return out;
}

std::optional<double> billions_in_name(const ResolvedModel& model) {
  if (const auto found = billions_in(model.normalized_name)) return found;
  if (const auto found = billions_in(model.reference.raw)) return found;
  return model.repo_id ? billions_in(*model.repo_id) : std::nullopt;
}

Result<KvSelection> select_kv(const PlanDraft& plan, const settings::RuntimeConfig& config,
                              const SelectorMachine& machine, WhyNotStrategy why_not) {
  KvSelection out;
  out.dimensions = selector_dimensions(plan, machine);
  out.profile = config.strategy_selector_profile;
  const Question question{plan, config, out.dimensions};
  bool asked_for = true;
  if (config.kv_cache_strategy) {
    out.rule_id = "explicit-override";
    out.requested_override = *config.kv_cache_strategy;
    out.fallback_chain = {*config.kv_cache_strategy};
    out.reason = fmt::format("{} was asked for", *config.kv_cache_strategy);
  } else {
    const Rule& rule = first_rule(question);
    out.rule_id = rule.id;
    out.fallback_chain.assign(rule.chain.begin(), rule.chain.end());
    out.reason = rule.reason;
    if (!rule.asked_for && out.rule_id != "no-disk-cache-support")
      out.reason += instead_of_resident(question);
    asked_for = rule.asked_for;
  }
  out.selected = out.fallback_chain.front();
  if (kv::find_strategy(out.selected) == nullptr) return not_known(out.rule_id, out.selected);
  if (asked_for && out.selected != kv::kResident && !plan.supports_disk_cache)
    return needs_disk_cache(question, out.rule_id, out.selected);
  if (out.rule_id == "no-disk-cache-support") {
    const Rule& preferred = rule_with_disk_cache(question);
    out.reason += fmt::format(": {}; with one, {} would prefer {}", why_no_disk_cache(question),
                              preferred.id, fmt::join(preferred.chain, ", then "));
  }
  OLLM_TRY_VOID(apply_first(out, why_not));
  apply_lifecycle(out, config);
  out.decisions.push_back(
      {"kv.strategy", out.applied, fmt::format("{}: {}", out.rule_id, out.reason)});
  if (!out.lifecycle_reason.empty())
    out.decisions.push_back({"kv.lifecycle", out.applied_lifecycle, out.lifecycle_reason});
  return out;
}

PlanDraft with_selection(PlanDraft plan, const KvSelection& selection) {
  const auto set = [&](std::string_view name, std::string value) {
    plan.details.set(fmt::format("strategy_selector_{}", name), std::move(value));
  };
  const SelectorDimensions& dimensions = selection.dimensions;
  set("model_family", dimensions.model_family);
  set("modality_bucket", dimensions.modality_bucket);
  set("platform", dimensions.platform);
  set("accelerator_kind", dimensions.accelerator_kind);
  set("host_ram_tier", dimensions.host_ram_tier);
  set("accelerator_memory_tier", dimensions.accelerator_memory_tier);
  set("required_runtime_features",
      fmt::format("{}", fmt::join(dimensions.required_runtime_features, ",")));
  set("model_size_tier", dimensions.model_size_tier);
  set("profile", selection.profile);
  set("rule_id", selection.rule_id);
  set("requested_override", selection.requested_override);
  set("selected_kv_cache_strategy", selection.selected);
  set("applied_kv_cache_strategy", selection.applied);
  set("fallback_chain", fmt::format("{}", fmt::join(selection.fallback_chain, ",")));
  set("reason", selection.reason);
  set("requested_kv_cache_lifecycle", selection.requested_lifecycle);
  set("applied_kv_cache_lifecycle", selection.applied_lifecycle);
  if (!selection.lifecycle_reason.empty()) set("lifecycle_reason", selection.lifecycle_reason);
  return plan;
}

bool reuses_kv(const settings::RuntimeConfig& config, const KvSelection& selection) {
  return config.use_cache && selection.applied != kv::kResident;
}

bool keeps_kv(const settings::RuntimeConfig& config, const KvSelection& selection) {
  return reuses_kv(config, selection) && selection.applied_lifecycle == kPersistent;
}

settings::RuntimeConfig effective_config(settings::RuntimeConfig config,
                                         const KvSelection& selection) {
  config.kv_cache_strategy = selection.applied;
  config.kv_cache_lifecycle = selection.applied_lifecycle;
  return config;
}

}  // namespace ollm::plan
