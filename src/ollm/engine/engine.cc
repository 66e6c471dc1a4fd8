#include "ollm/engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ollm/base/check.h"
#include "ollm/base/checked_math.h"
#include "ollm/models/blocks/attention.h"
#include "ollm/models/blocks/delta_net.h"
#include "ollm/models/blocks/feed_forward.h"
#include "ollm/models/blocks/linear.h"
#include "ollm/models/blocks/mixture.h"

namespace ollm::engine {

using models::LayerSpec;
using models::NormSpec;
using models::RowSpan;
using models::SweepTools;

namespace {

// What std::visit calls, one function for each kind.
template <typename... Functions>
struct Overloads : Functions... {
  using Functions::operator()...;
};
template <typename... Functions>
Overloads(Functions...) -> Overloads<Functions...>;

}  // namespace

std::uint64_t activation_bytes(const models::Composition& composition,
                               const backend::Backend& backend, const Options& options) {
  return models::activation_bytes(composition, backend, options.max_rows,
                                  options.feed_forward_rows);
}

std::uint64_t logits_bytes(const models::Composition& composition, const backend::Backend& backend,
                           const Options& options) {
  const std::size_t rows = options.max_logit_rows;
  return memory::charged_bytes(rows * composition.hidden_size * sizeof(float)) +
         memory::charged_bytes(backend.left_bytes(rows, composition.hidden_size)) +
         memory::charged_bytes(rows * composition.head.out * sizeof(float));
}

Engine::Engine(const models::Composition& composition, weights::Tape& tape,
               backend::Backend& backend, const Options& options)
    : composition_(composition), tape_(tape), backend_(backend), options_(options) {}

Result<std::unique_ptr<Engine>> Engine::make(const models::Composition& composition,
                                             weights::Tape& tape, backend::Backend& backend,
                                             const Options& options, memory::Budget& budget) {
  OLLM_CHECK(options.max_rows > 0 && options.max_logit_rows > 0);
  std::unique_ptr<Engine> engine(new Engine(composition, tape, backend, options));
  OLLM_TRY(engine->activations_, models::Activations::make(composition, backend, options.max_rows,
                                                           options.feed_forward_rows, budget));
  const std::size_t rows = options.max_logit_rows;
  const auto logits_buffer = [&](memory::Buffer& buffer, std::size_t bytes) -> Result<void> {
    OLLM_TRY(buffer, memory::Buffer::make(budget, "logits", bytes));
    return {};
  };
  OLLM_TRY_VOID(logits_buffer(engine->head_input_, rows * composition.hidden_size * sizeof(float)));
  OLLM_TRY_VOID(
      logits_buffer(engine->head_left_, backend.left_bytes(rows, composition.hidden_size)));
  OLLM_TRY_VOID(logits_buffer(engine->logits_, rows * composition.head.out * sizeof(float)));
  engine->spans_.reserve(options.max_rows);
  engine->failures_.reserve(options.max_rows);
  engine->logit_rows_.reserve(options.max_logit_rows);
  engine->lines_.reserve(options.max_rows);
  engine->ids_.reserve(options.max_rows);
  return engine;
}

Result<void> Engine::check_ids(const Work& work) const {
  for (std::size_t i = 0; i < work.tokens.size(); ++i) {
    const TokenId id = work.tokens[i];
    if (id >= 0 && static_cast<std::size_t>(id) < composition_.vocab_size) continue;
    return fail(ErrorKind::invalid_argument,
                fmt::format("token id {} at position {}: the model has ids 0 to {}", id,
                            work.line->tokens() + i, composition_.vocab_size - 1));
  }
  return {};
}

void Engine::drop(std::size_t work, Error why) {
  failures_[work] = std::move(why);
  spans_[work].dropped = true;
}

// The rows' blocks are in memory, and those that they see begin to come there. A line for which
// that cannot be has no rows in this sweep.
void Engine::begin_lines(std::span<const Work> work) {
  spans_.clear();
  failures_.assign(work.size(), std::nullopt);
  lines_.clear();
  std::size_t rows = 0;
  for (std::size_t i = 0; i < work.size(); ++i) {
    const Work& item = work[i];
    rows += item.tokens.size();
    spans_.push_back({item.line, 0, 0, false});
    if (item.tokens.empty()) continue;
    Result<void> ready = check_ids(item);
    if (ready.ok()) ready = item.line->prepare(item.tokens.size());
    if (!ready.ok()) {
      drop(i, std::move(ready).error());
      continue;
    }
    lines_.push_back({item.line, item.tokens.size()});
    kv_reads_ = item.line->store().sweep_reads();
  }
  OLLM_CHECK(rows <= options_.max_rows);
  if (kv_reads_ != nullptr) kv_reads_->begin(lines_);
}

void Engine::lay_out_rows(std::span<const Work> work) {
  ids_.clear();
  std::uint32_t* positions = activations_.positions.as<std::uint32_t>();
  for (std::size_t i = 0; i < work.size(); ++i) {
    spans_[i].first_row = ids_.size();
    if (spans_[i].dropped) continue;
    spans_[i].rows = work[i].tokens.size();
    const std::size_t first_position = work[i].line->tokens();
    for (std::size_t token = 0; token < work[i].tokens.size(); ++token) {
      positions[ids_.size()] = static_cast<std::uint32_t>(first_position + token);
      ids_.push_back(static_cast<std::uint32_t>(work[i].tokens[token]));
    }
  }
  rows_ = ids_.size();
  models::lay_out_seen(spans_, activations_);
}

// Lines whose stored blocks are damaged, and those that nobody wants any more.
// Errors: cancelled, where no line is left.
Result<void> Engine::drop_what_failed(std::span<const Work> work, StillWanted still_wanted) {
  bool left = false;
  for (std::size_t i = 0; i < work.size(); ++i) {
    if (spans_[i].dropped) continue;
    if (work[i].line->is_damaged()) {
      drop(i, *work[i].line->damage());
    } else if (!still_wanted(i)) {
      drop(i, Error{ErrorKind::cancelled, "stopped by the caller"});
    } else {
      left = left || spans_[i].rows > 0;
    }
  }
  if (!left) return fail(ErrorKind::cancelled, "no line of the sweep is left");
  return {};
}

Result<void> Engine::embed(weights::TapePass& pass) {
  float* hidden = activations_.hidden.as<float>();
  OLLM_TRY_VOID(pass.gather_rows(
      composition_.embedding, ids_, [&](const backend::WeightRows& row, std::size_t position) {
        backend_.widen(row, hidden + position * composition_.hidden_size);
      }));
  if (composition_.embedding_multiplier != 1)
    backend_.scale(hidden, composition_.embedding_multiplier, rows_ * composition_.hidden_size);

  const std::uint32_t* positions = activations_.positions.as<std::uint32_t>();
  for (std::size_t i = 0; i < composition_.rotaries.size(); ++i) {
    const models::RotarySpec& rotary = composition_.rotaries[i];
    backend_.rotary_table(positions, rows_, rotary.inverse_frequencies.data(),
                          rotary.inverse_frequencies.size(), rotary.magnitude,
                          activations_.cosines_of(i), activations_.sines_of(i));
  }
  return {};
}

Result<void> Engine::layer(std::size_t index, weights::TapePass& pass) {
  const LayerSpec& spec = composition_.layers[index];
  const SweepTools tools{backend_, tape_, pass};
  const std::size_t values = rows_ * composition_.hidden_size;
  float* hidden = activations_.hidden.as<float>();
  float* normed = activations_.normed.as<float>();

  const auto before = [&](const std::optional<NormSpec>& norm, float* out) {
    if (norm) {
      models::norm(tools, *norm, hidden, out, rows_);
    } else {
      std::memcpy(out, hidden, values * sizeof(float));
    }
  };
  const auto after = [&](const std::optional<NormSpec>& norm) {
    if (norm) models::norm(tools, *norm, normed, normed, rows_);
    backend_.add(hidden, normed, composition_.residual_multiplier, values);
  };
  before(spec.before_mixer, normed);
  float* side = activations_.side.as<float>();
  if (spec.wiring == models::Wiring::parallel) {
    if (spec.before_feed_forward) {
      before(spec.before_feed_forward, side);
    } else {
      std::memcpy(side, normed, values * sizeof(float));
    }
  }
  OLLM_TRY_VOID(mix(index, tools));
  after(spec.after_mixer);
  if (std::holds_alternative<models::NoFeedForward>(spec.feed_forward)) return {};
  if (models::mixture_of(spec) != nullptr && index + 1 < composition_.layers.size())
    models::guess_experts(tools, composition_.layers[index + 1], rows_, activations_);
  if (spec.wiring == models::Wiring::parallel) {
    std::memcpy(normed, side, values * sizeof(float));
  } else {
    before(spec.before_feed_forward, normed);
  }
  if (const models::DenseSpec* dense = models::dense_of(spec)) {
    OLLM_TRY_VOID(models::feed_forward(tools, *dense, rows_, activations_));
  } else {
    OLLM_TRY_VOID(models::mixture(tools, *models::mixture_of(spec), rows_, activations_));
  }
  after(spec.after_feed_forward);
  return {};
}

Result<void> Engine::mix(std::size_t index, const SweepTools& tools) {
  const auto run = Overloads{
      [&](const models::AttentionSpec& spec) {
        return models::attention(tools, composition_, spec, index, spans_, rows_, activations_);
      },
      [&](const models::DeltaNetSpec& spec) {
        return models::delta_net(tools, spec, index, spans_, rows_, activations_);
      }};
  return std::visit(run, composition_.layers[index].mixer);
}

// Logits of the rows that want them, in the order of the work.
Result<void> Engine::head(std::span<const Work> work, weights::TapePass& pass) {
  // Only rows whose logits are wanted meet the head, the largest matrix of most models.
  const std::size_t hidden_size = composition_.hidden_size;
  float* input = head_input_.as<float>();
  for (std::size_t i = 0; i < work.size(); ++i) {
    if (spans_[i].dropped) continue;
    for (std::size_t token = work[i].first_logit; token < work[i].tokens.size(); ++token) {
      OLLM_CHECK(logit_rows_.size() < options_.max_logit_rows);
      std::memcpy(input + logit_rows_.size() * hidden_size,
                  activations_.hidden.as<float>() + (spans_[i].first_row + token) * hidden_size,
                  hidden_size * sizeof(float));
      logit_rows_.push_back({i, token});
    }
  }
  const std::size_t wanted = logit_rows_.size();
  if (wanted == 0) return {};
  const SweepTools tools{backend_, tape_, pass};
  models::norm(tools, composition_.final_norm, input, input, wanted);
  const backend::LeftOperand left =
      backend_.prepare_left(input, hidden_size, wanted, hidden_size, head_left_.data());
  const std::size_t vocab = composition_.head.out;
  float* logits = logits_.as<float>();
  OLLM_TRY_VOID(models::linear(tools, composition_.head, left, logits, vocab));
  if (composition_.logits_divisor != 1)
    backend_.divide(logits, composition_.logits_divisor, wanted * vocab);
  if (composition_.logits_multiplier != 1)
    backend_.scale(logits, composition_.logits_multiplier, wanted * vocab);
  if (composition_.logits_cap != 0)
    backend_.soft_cap(logits, composition_.logits_cap, wanted * vocab);
  return {};
}

std::span<float> Engine::logits(std::size_t index) {
  OLLM_CHECK(index < logit_rows_.size());
  const std::size_t vocab = composition_.head.out;
  return {logits_.as<float>() + index * vocab, vocab};
}

Result<void> Engine::compute(std::span<const Work> work, StillWanted still_wanted) {
  kv_reads_ = nullptr;
  logit_rows_.clear();
  Result<void> done = run(work, still_wanted);
  // Also where it failed: nothing is read into frames that go to other blocks now.
  if (kv_reads_ != nullptr) kv_reads_->end();
  if (!done.ok()) logit_rows_.clear();
  return done;
}

Result<void> Engine::run(std::span<const Work> work, StillWanted still_wanted) {
  begin_lines(work);
  lay_out_rows(work);
  if (rows_ == 0) return {};
  weights::Sections sections = {weights::Section::layers};
  for (const Work& item : work) {
    if (item.first_logit < item.tokens.size())
      sections = {weights::Section::layers, weights::Section::head};
  }
  OLLM_TRY(weights::TapePass pass, weights::TapePass::begin(tape_, sections));
  OLLM_TRY_VOID(embed(pass));
  for (std::size_t i = 0; i < composition_.layers.size(); ++i) {
    OLLM_TRY_VOID(drop_what_failed(work, still_wanted));
    OLLM_TRY_VOID(layer(i, pass));
  }
  OLLM_TRY_VOID(drop_what_failed(work, still_wanted));
  OLLM_TRY_VOID(head(work, pass));
  // Before anybody sees logits or commits tokens: what was computed from a file that changed
  // meanwhile is of no model.
  OLLM_TRY_VOID(pass.end());
  ++sweeps_;
  return {};
}

}  // namespace ollm::engine
