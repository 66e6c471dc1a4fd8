// The gated delta rule token by token, in double, and what stands around it by plain loops.
// Leaves to others: chunks (cpu/delta_net.inc), whose kept rows and states it reads and writes.
#include <cmath>
#include <vector>

#include "ollm/backend/float_mode.h"
#include "ollm/backend/reference/reference_backend.h"

namespace ollm::backend {
namespace {

double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

// One value head of one line.
class Recurrence {
 public:
  Recurrence(const DeltaLayout& layout, const DeltaRows& rows, const DeltaLine& line,
             std::size_t head)
      : layout_(layout),
        rows_(rows),
        line_(line),
        head_(head),
        key_head_(head / (layout.value_heads / layout.key_heads)),
        state_(layout.key_size * layout.value_size) {
    if (const float* from = line.chunks[0].state)
      for (std::size_t i = 0; i < state_.size(); ++i)
        state_[i] = static_cast<double>(from[head * state_.size() + i]);
    for (std::size_t slot = 0; slot < line.first_slot; ++slot) replay(slot);
  }

  void run() {
    const DeltaChunk* chunk = line_.chunks;
    std::size_t slot = line_.first_slot;
    for (std::size_t r = 0; r < line_.rows; ++r) {
      step(line_.first_row + r, chunk->kept == nullptr ? nullptr : kept(*chunk, slot));
      if (++slot < kDeltaChunkTokens) continue;
      slot = 0;
      sum_ = 0;
      if (float* to = (++chunk)->state)
        for (std::size_t i = 0; i < state_.size(); ++i)
          to[head_ * state_.size() + i] = static_cast<float>(state_[i]);
    }
  }

 private:
  float* kept(const DeltaChunk& chunk, std::size_t slot) const {
    return chunk.kept + slot * line_.kept_stride;
  }
  std::size_t writes_at() const {
    return layout_.key_heads * layout_.key_size + head_ * layout_.value_size;
  }
  std::size_t decay_at() const {
    return layout_.key_heads * layout_.key_size + layout_.value_heads * layout_.value_size + head_;
  }

  void decay(double factor) {
    for (double& value : state_) value *= factor;
  }
  void write(const float* k, const std::vector<double>& writes) {
    for (std::size_t d = 0; d < layout_.key_size; ++d)
      for (std::size_t c = 0; c < layout_.value_size; ++c)
        state_[d * layout_.value_size + c] += static_cast<double>(k[d]) * writes[c];
  }
  double read(const float* x, std::size_t c) const {
    double sum = 0;
    for (std::size_t d = 0; d < layout_.key_size; ++d)
      sum += static_cast<double>(x[d]) * state_[d * layout_.value_size + c];
    return sum;
  }

  // An earlier token of the first chunk, from what is kept of it.
  void replay(std::size_t slot) {
    const float* row = kept(line_.chunks[0], slot);
    const auto sum = static_cast<double>(row[decay_at()]);
    decay(std::exp(sum - sum_));
    sum_ = sum;
    std::vector<double> writes(row + writes_at(), row + writes_at() + layout_.value_size);
    write(row + key_head_ * layout_.key_size, writes);
  }

  void step(std::size_t r, float* kept) {
    const float* k = rows_.k + r * rows_.stride + key_head_ * layout_.key_size;
    const float* q = rows_.q + r * rows_.stride + key_head_ * layout_.key_size;
    const float* v = rows_.v + r * rows_.stride + head_ * layout_.value_size;
    const auto log = static_cast<double>(rows_.decay[r * layout_.value_heads + head_]);
    const auto beta = static_cast<double>(rows_.beta[r * layout_.value_heads + head_]);
    decay(std::exp(log));
    sum_ += log;
    std::vector<double> writes(layout_.value_size);
    for (std::size_t c = 0; c < layout_.value_size; ++c)
      writes[c] = beta * (static_cast<double>(v[c]) - read(k, c));
    write(k, writes);
    float* out = rows_.out + (r * layout_.value_heads + head_) * layout_.value_size;
    for (std::size_t c = 0; c < layout_.value_size; ++c) out[c] = static_cast<float>(read(q, c));
    if (kept == nullptr) return;
    for (std::size_t d = 0; d < layout_.key_size; ++d)
      kept[key_head_ * layout_.key_size + d] = k[d];
    for (std::size_t c = 0; c < layout_.value_size; ++c)
      kept[writes_at() + c] = static_cast<float>(writes[c]);
    kept[decay_at()] = static_cast<float>(sum_);
  }

  const DeltaLayout& layout_;
  const DeltaRows& rows_;
  const DeltaLine& line_;
  const std::size_t head_;
  const std::size_t key_head_;
  std::vector<double> state_;  // [key_size, value_size]
  double sum_ = 0;             // of the decays since the chunk began
};

}  // namespace

void ReferenceBackend::causal_conv(const float* x, const WeightVector& weight, std::size_t taps,
                                   std::span<const ConvLine> lines, float* out) {
  const FloatMode mode;
  const std::size_t channels = weight.size / taps;
  for (const ConvLine& line : lines) {
    const auto input = [&](std::size_t row, std::size_t back) -> const float* {
      if (back <= row) return x + (line.first_row + row - back) * channels;
      return line.before[taps - 1 + row - back];
    };
    for (std::size_t r = 0; r < line.rows; ++r) {
      for (std::size_t c = 0; c < channels; ++c) {
        double sum = 0;
        for (std::size_t m = 0; m < taps; ++m)
          if (const float* from = input(r, taps - 1 - m))
            sum += static_cast<double>(from[c]) * static_cast<double>(weight.data[c * taps + m]);
        out[(line.first_row + r) * channels + c] = static_cast<float>(sum);
      }
    }
  }
}

void ReferenceBackend::l2_norm(float* x, std::size_t x_stride, std::size_t rows, std::size_t heads,
                               std::size_t size, float eps, float scale) {
  const FloatMode mode;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t h = 0; h < heads; ++h) {
      float* head = x + r * x_stride + h * size;
      double squares = static_cast<double>(eps);
      for (std::size_t i = 0; i < size; ++i)
        squares += static_cast<double>(head[i]) * static_cast<double>(head[i]);
      const double factor = static_cast<double>(scale) / std::sqrt(squares);
      for (std::size_t i = 0; i < size; ++i)
        head[i] = static_cast<float>(static_cast<double>(head[i]) * factor);
    }
  }
}

void ReferenceBackend::delta_gates(const float* a, const float* b, const WeightVector& a_log,
                                   const WeightVector& dt_bias, std::size_t rows, float* decay,
                                   float* beta) {
  const FloatMode mode;
  const std::size_t heads = a_log.size;
  for (std::size_t i = 0; i < rows * heads; ++i) {
    const std::size_t h = i % heads;
    const double time = static_cast<double>(a[i]) + static_cast<double>(dt_bias.data[h]);
    const double strength = 1 / (1 + std::exp(-static_cast<double>(b[i])));
    decay[i] = static_cast<float>(-std::exp(static_cast<double>(a_log.data[h])) * softplus(time));
    beta[i] = static_cast<float>(strength);
  }
}

void ReferenceBackend::delta_rule(const DeltaLayout& layout, const DeltaRows& rows,
                                  std::span<const DeltaLine> lines, std::byte*) {
  const FloatMode mode;
  for (const DeltaLine& line : lines)
    for (std::size_t head = 0; head < layout.value_heads; ++head)
      Recurrence(layout, rows, line, head).run();
}

}  // namespace ollm::backend
