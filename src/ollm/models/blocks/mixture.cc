#include "ollm/models/blocks/mixture.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "ollm/models/blocks/feed_forward.h"
#include "ollm/models/blocks/routing.h"
#include "ollm/weights/experts.h"

namespace ollm::models {
namespace {

using backend::WeightRows;

// Rows beyond which the sweep's own misses keep the disk busy, and a guess would be nearly all
// experts.
constexpr std::size_t kGuessedRows = 8;

// products = router(x) + bias for rows of x [rows, hidden]; never rounded before.
void router_products(const SweepTools& tools, const RouterSpec& router, const float* x,
                     std::size_t rows, Activations& activations) {
  const LinearSpec& linear = router.products;
  float* out = activations.products.as<float>();
  const backend::LeftOperand left = tools.backend.prepare_left(
      x, linear.in, rows, linear.in, activations.left.data(), backend::LeftRounding::none);
  tools.backend.matmul(left, tools.tape.held(linear.weight), out, linear.out);
  if (linear.bias) tools.backend.add_bias(out, linear.out, rows, tools.tape.vector(*linear.bias));
}

const float* correction_of(const SweepTools& tools, const RouterSpec& router) {
  return router.correction ? tools.tape.vector(*router.correction).data : nullptr;
}

// Which rows each expert has, and what it weighs there: by expert, and of one by row.
class Assignment {
 public:
  Assignment(const SweepTools& tools, const RouterSpec& router, std::size_t rows,
             Activations& activations)
      : experts_(router.products.out),
        chosen_(router.chosen),
        ids_(activations.expert_ids.as<std::uint32_t>()),
        weights_(activations.expert_weights.as<float>()),
        first_(activations.expert_first.as<std::uint32_t>()),
        rows_(activations.expert_rows.as<std::uint32_t>()),
        row_weights_(activations.expert_row_weights.as<float>()),
        used_(activations.used_experts.as<std::uint32_t>()) {
    const float* correction = correction_of(tools, router);
    for (std::size_t row = 0; row < rows; ++row) {
      route(router, activations.products.as<float>() + row * experts_, correction,
            {activations.routing_scratch.as<float>(), routing_floats(router)}, ids_ + row * chosen_,
            weights_ + row * chosen_);
    }
    sort_by_expert(rows);
  }

  std::span<const std::uint32_t> used() const { return {used_, used_count_}; }
  std::span<const std::uint32_t> rows_of(std::uint32_t expert) const {
    return {rows_ + first_[expert], first_[expert + 1] - first_[expert]};
  }
  const float* weights_of(std::uint32_t expert) const { return row_weights_ + first_[expert]; }

 private:
  // Counted first, then placed: rows ascend within an expert.
  void sort_by_expert(std::size_t rows) {
    std::fill_n(first_, experts_ + 2, 0u);
    for (std::size_t i = 0; i < rows * chosen_; ++i) ++first_[ids_[i] + 2];
    for (std::size_t e = 0; e < experts_; ++e) {
      if (first_[e + 2] != 0) used_[used_count_++] = static_cast<std::uint32_t>(e);
      first_[e + 2] += first_[e + 1];
    }
    for (std::size_t i = 0; i < rows * chosen_; ++i) {
      const std::uint32_t at = first_[ids_[i] + 1]++;
      rows_[at] = static_cast<std::uint32_t>(i / chosen_);
      row_weights_[at] = weights_[i];
    }
  }

  const std::size_t experts_, chosen_;
  std::uint32_t* ids_;
  float* weights_;
  std::uint32_t* first_;  // [experts + 2]: of each expert, once all rows are placed
  std::uint32_t* rows_;
  float* row_weights_;
  std::uint32_t* used_;
  std::size_t used_count_ = 0;
};

// The rows [first, first + rows) of a matrix that stands outputs by inputs.
WeightRows some_rows(WeightRows matrix, std::size_t first, std::size_t rows) {
  matrix.data += size_bytes(matrix.format, first * matrix.cols);
  if (matrix.scales != nullptr) {
    const BlockScale& scale = *matrix.format.scale;
    matrix.scales += first / scale.rows * (matrix.cols / scale.cols);
  }
  matrix.rows = rows;
  return matrix;
}

// Runs the experts of one layer over the rows that chose them.
class ExpertRunner {
 public:
  ExpertRunner(const SweepTools& tools, const MixtureSpec& spec, std::size_t rows,
               Activations& activations)
      : tools_(tools),
        spec_(spec),
        form_(tools.tape.layout().experts[spec.experts.index].form()),
        hidden_(spec.router.products.in),
        rows_(rows),
        activations_(activations) {
    if (rows == 1) left_ = prepare(activations.normed.as<float>(), 1, hidden_);
  }

  void run(std::uint32_t expert, const weights::ExpertWeights& weights,
           std::span<const std::uint32_t> rows, const float* row_weights) {
    const std::size_t piece = activations_.expert_piece;
    for (std::size_t at = 0; at < rows.size(); at += piece) {
      const std::size_t count = std::min(piece, rows.size() - at);
      run_piece(expert, weights, rows.subspan(at, count), row_weights + at);
    }
  }

 private:
  backend::LeftOperand prepare(const float* x, std::size_t rows, std::size_t cols) {
    return tools_.backend.prepare_left(x, cols, rows, cols, activations_.left.data());
  }

  void add_bias(const std::optional<VectorId>& bias, std::uint32_t expert, float* x,
                std::size_t rows, std::size_t size) {
    if (!bias) return;
    const backend::WeightVector all = tools_.tape.vector(*bias);
    tools_.backend.add_bias(x, size, rows, {all.data + expert * size, size});
  }

  // x [rows, hidden] of the rows, one after the other; of a single row all that there is.
  backend::LeftOperand input(std::span<const std::uint32_t> rows) {
    if (rows_ == 1) return left_;
    const float* x = activations_.normed.as<float>();
    float* gathered = activations_.expert_in.as<float>();
    for (std::size_t i = 0; i < rows.size(); ++i)
      std::memcpy(gathered + i * hidden_, x + rows[i] * hidden_, hidden_ * sizeof(float));
    return prepare(gathered, rows.size(), hidden_);
  }

  void run_piece(std::uint32_t expert, const weights::ExpertWeights& weights,
                 std::span<const std::uint32_t> rows, const float* row_weights) {
    float* inner = activations_.expert_gate.as<float>();
    activate(expert, weights, input(rows), inner);
    const WeightRows& down = weights.matrices.back();
    // Of a single row the input is met again by the next expert: `left` keeps it.
    const backend::LeftOperand left = tools_.backend.prepare_left(
        inner, spec_.inner, rows.size(), spec_.inner, activations_.expert_left.data());
    float* out = activations_.expert_out.as<float>();
    tools_.backend.matmul(left, down, out, hidden_);
    add_bias(spec_.down_bias, expert, out, rows.size(), hidden_);
    tools_.backend.add_weighted(activations_.mixed.as<float>(), hidden_, rows.data(), row_weights,
                                out, rows.size(), hidden_);
  }

  // out [rows, inner] = activation(gate(x)) * up(x).
  void activate(std::uint32_t expert, const weights::ExpertWeights& weights,
                const backend::LeftOperand& x, float* out) {
    const std::size_t inner = spec_.inner;
    float* up = activations_.expert_up.as<float>();
    backend::Backend& backend = tools_.backend;
    if (form_.gate_up == weights::GateUp::interleaved) {
      backend.matmul(x, weights.matrices[0], up, 2 * inner);
      add_bias(spec_.gate_up_bias, expert, up, x.rows, 2 * inner);
      backend.clamped_swiglu(up, spec_.clamped->alpha, spec_.clamped->limit, out, x.rows * inner);
      return;
    }
    if (form_.gate_up == weights::GateUp::none) {
      backend.matmul(x, weights.matrices[0], out, inner);
      backend.activate(spec_.activation, out, nullptr, out, x.rows * inner);
      return;
    }
    if (form_.gate_up == weights::GateUp::apart) {
      backend.matmul(x, weights.matrices[0], out, inner);
      backend.matmul(x, weights.matrices[1], up, inner);
      backend.activate(spec_.activation, out, up, out, x.rows * inner);
      return;
    }
    const WeightRows& both = weights.matrices[0];
    if (both.format.layout == WeightLayout::out_by_in) {
      backend.matmul(x, some_rows(both, 0, inner), out, inner);
      backend.matmul(x, some_rows(both, inner, inner), up, inner);
      backend.activate(spec_.activation, out, up, out, x.rows * inner);
      return;
    }
    backend.matmul(x, both, up, 2 * inner);
    for (std::size_t row = 0; row < x.rows; ++row) {
      const float* gate = up + row * 2 * inner;
      backend.activate(spec_.activation, gate, gate + inner, out + row * inner, inner);
    }
  }

  const SweepTools& tools_;
  const MixtureSpec& spec_;
  const weights::ExpertsForm& form_;
  const std::size_t hidden_;
  const std::size_t rows_;  // of the sweep
  Activations& activations_;
  backend::LeftOperand left_;  // of the only row
};

// mixed += shared(normed), each row times the sigmoid of its gate where there is one.
Result<void> add_shared(const SweepTools& tools, const MixtureSpec& spec, std::size_t rows,
                        Activations& activations) {
  float* normed = activations.normed.as<float>();
  float* factors = activations.products.as<float>();
  const std::size_t hidden = spec.router.products.in;
  if (spec.shared_gate) {
    const backend::LeftOperand left =
        tools.backend.prepare_left(normed, hidden, rows, hidden, activations.left.data());
    OLLM_TRY_VOID(linear(tools, *spec.shared_gate, left, factors, 1));
    for (std::size_t row = 0; row < rows; ++row) factors[row] = sigmoid(factors[row]);
  }
  OLLM_TRY_VOID(feed_forward(tools, *spec.shared, rows, activations));
  if (spec.shared_gate) tools.backend.multiply_rows(normed, rows, hidden, factors);
  tools.backend.add(activations.mixed.as<float>(), normed, 1, rows * hidden);
  return {};
}

}  // namespace

Result<void> mixture(const SweepTools& tools, const MixtureSpec& spec, std::size_t rows,
                     Activations& activations) {
  const std::size_t hidden = spec.router.products.in;
  float* normed = activations.normed.as<float>();
  float* mixed = activations.mixed.as<float>();
  router_products(tools, spec.router, normed, rows, activations);
  const Assignment assignment(tools, spec.router, rows, activations);
  std::memset(mixed, 0, rows * hidden * sizeof(float));
  ExpertRunner runner(tools, spec, rows, activations);
  OLLM_TRY_VOID(tools.tape.experts()->use(
      spec.experts, assignment.used(),
      [&](std::uint32_t expert, const weights::ExpertWeights& weights) -> Result<void> {
        runner.run(expert, weights, assignment.rows_of(expert), assignment.weights_of(expert));
        return {};
      }));
  if (spec.shared) OLLM_TRY_VOID(add_shared(tools, spec, rows, activations));
  std::memcpy(normed, mixed, rows * hidden * sizeof(float));
  return {};
}

void guess_experts(const SweepTools& tools, const LayerSpec& following, std::size_t rows,
                   Activations& activations) {
  const MixtureSpec* spec = mixture_of(following);
  if (spec == nullptr || rows > kGuessedRows || tools.tape.experts()->holds_all()) return;
  const float* hidden = activations.hidden.as<float>();
  float* normed = activations.expert_in.as<float>();
  if (following.before_feed_forward)
    norm(tools, *following.before_feed_forward, hidden, normed, rows);
  else
    std::memcpy(normed, hidden, rows * spec->router.products.in * sizeof(float));
  router_products(tools, spec->router, normed, rows, activations);
  const Assignment assignment(tools, spec->router, rows, activations);
  // Those of most rows first; of as many, those that weigh most.
  std::uint32_t* ids = activations.used_experts.as<std::uint32_t>();
  const std::size_t count = assignment.used().size();
  const auto likelier = [&](std::uint32_t a, std::uint32_t b) {
    const std::size_t rows_a = assignment.rows_of(a).size();
    const std::size_t rows_b = assignment.rows_of(b).size();
    if (rows_a != rows_b) return rows_a > rows_b;
    const float weight_a = *assignment.weights_of(a), weight_b = *assignment.weights_of(b);
    // Weights that are no numbers, of a line that is damaged, have an order too.
    if (std::isnan(weight_a) || std::isnan(weight_b))
      return !std::isnan(weight_a) || (std::isnan(weight_b) && a < b);
    return weight_a > weight_b;
  };
  std::sort(ids, ids + count, likelier);
  tools.tape.experts()->guess(spec->experts, {ids, count});
}

}  // namespace ollm::models
