// Attention by plain loops in double, over the same tiles and spans, as p is rounded relative to
// the maximum of its tile in bf16 mode.
// Leaves to others: everything else (reference_backend.cc).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ollm/backend/float_mode.h"
#include "ollm/backend/reference/elements.h"
#include "ollm/backend/reference/reference_backend.h"

namespace ollm::backend {
namespace {

// The running softmax of one row and head: a maximum, a sum and values [value_size].
struct Softmax {
  double* at;  // maximum, sum, values
  std::size_t value_size;

  double& maximum() const { return at[0]; }
  double& sum() const { return at[1]; }
  double& value(std::size_t i) const { return at[2 + i]; }

  void clear() const {
    std::fill(at, at + 2 + value_size, 0.0);
    maximum() = -std::numeric_limits<double>::infinity();
  }
  void rescale(double new_maximum) const {
    const double factor = std::exp(maximum() - new_maximum);
    maximum() = new_maximum;
    sum() *= factor;
    for (std::size_t i = 0; i < value_size; ++i) value(i) *= factor;
  }
};

// State: for each row and head the running softmax, its total, and the running one's span.
struct State {
  const AttentionOptions& options;
  std::byte* base;

  std::size_t value_size() const { return options.layout.value_size; }
  std::size_t doubles() const { return 2 * (2 + value_size()) + 1; }
  double* of(std::size_t row, std::size_t head) const {
    return reinterpret_cast<double*>(base) + (row * options.heads + head) * doubles();
  }
  Softmax running(std::size_t row, std::size_t head) const {
    return {of(row, head) + 1, value_size()};
  }
  Softmax total(std::size_t row, std::size_t head) const {
    return {of(row, head) + 1 + 2 + value_size(), value_size()};
  }
  double& span(std::size_t row, std::size_t head) const { return of(row, head)[0]; }

  void merge(std::size_t row, std::size_t head) const {
    const Softmax from = running(row, head);
    const Softmax to = total(row, head);
    if (from.sum() == 0) return;
    const double both = std::max(from.maximum(), to.maximum());
    from.rescale(both);
    to.rescale(both);
    to.sum() += from.sum();
    for (std::size_t i = 0; i < value_size(); ++i) to.value(i) += from.value(i);
    from.clear();
  }
};

// Where one element of a head's keys or values stands in a tile (kv_layout.h).
std::size_t key_index(const KvLayout& layout, std::size_t slot, std::size_t i) {
  const std::size_t pair = layout.mode == ComputeMode::bf16 ? 2 : 1;
  return (slot / 16 * (layout.padded_key_size() / pair) + i / pair) * 16 * pair + slot % 16 * pair +
         i % pair;
}
std::size_t value_index(const KvLayout& layout, std::size_t slot, std::size_t i) {
  const std::size_t pair = layout.mode == ComputeMode::bf16 ? 2 : 1;
  return (slot / pair * layout.padded_value_size() + i) * pair + slot % pair;
}

double element_at(const KvLayout& layout, const std::byte* data, std::size_t index) {
  const DType dtype = layout.mode == ComputeMode::bf16 ? DType::bf16 : DType::f32;
  return static_cast<double>(weight_at(data, dtype, index));
}

void put_element(const KvLayout& layout, std::byte* data, std::size_t index, float x) {
  if (layout.mode == ComputeMode::bf16) {
    const std::uint16_t half = f32_to_bf16(x);
    std::memcpy(data + 2 * index, &half, 2);
  } else {
    std::memcpy(data + 4 * index, &x, 4);
  }
}

// One row of one head.
struct Attend {
  ComputeMode mode;
  const AttentionOptions& options;
  const AttentionRows& rows;
  State state;

  void begin(std::size_t row, std::size_t head) const {
    state.span(row, head) = -1;
    state.running(row, head).clear();
    state.total(row, head).clear();
  }

  // Takes the tile whose first token is `token`.
  void fold(std::size_t row, std::size_t head, const std::byte* tile, std::size_t token) const {
    const KvLayout& layout = options.layout;
    const std::size_t kv_head = head / (options.heads / layout.kv_heads);
    const std::byte* keys = tile + kv_head * layout.head_bytes();
    const std::byte* values = keys + layout.key_bytes();
    double scores[kTileTokens];
    bool seen[kTileTokens];
    double largest = -std::numeric_limits<double>::infinity();
    for (std::size_t slot = 0; slot < kTileTokens; ++slot) {
      seen[slot] = rows.first_seen[row] <= token + slot && token + slot < rows.end_seen[row];
      if (!seen[slot]) continue;
      scores[slot] = score(row, head, keys, slot) - bias(row, head, token + slot);
      largest = std::max(largest, scores[slot]);
    }
    if (std::none_of(seen, seen + kTileTokens, [](bool s) { return s; })) return;
    const Softmax running = state.running(row, head);
    const auto span = static_cast<double>(token / kSpanTokens);
    if (state.span(row, head) != span) state.merge(row, head);
    state.span(row, head) = span;
    running.rescale(std::max(running.maximum(), largest));
    for (std::size_t slot = 0; slot < kTileTokens; ++slot) {
      if (!seen[slot]) continue;
      const double p = std::exp(scores[slot] - running.maximum());
      const auto weight = static_cast<double>(rounded(mode, static_cast<float>(p)));
      running.sum() += p;
      for (std::size_t i = 0; i < layout.value_size; ++i)
        running.value(i) += weight * element_at(layout, values, value_index(layout, slot, i));
    }
  }

  double score(std::size_t row, std::size_t head, const std::byte* keys, std::size_t slot) const {
    const KvLayout& layout = options.layout;
    const float* q = rows.q + (row * options.heads + head) * layout.key_size;
    double sum = 0;
    for (std::size_t i = 0; i < layout.key_size; ++i)
      sum += static_cast<double>(rounded(mode, q[i])) *
             element_at(layout, keys, key_index(layout, slot, i));
    sum *= static_cast<double>(options.scale);
    const auto cap = static_cast<double>(options.soft_cap);
    return cap == 0 ? sum : cap * std::tanh(sum / cap);
  }

  // What a key loses by its distance.
  double bias(std::size_t row, std::size_t head, std::size_t token) const {
    if (options.distance_slopes == nullptr) return 0;
    const double distance = static_cast<double>(rows.positions[row]) - static_cast<double>(token);
    return std::fabs(distance) * static_cast<double>(options.distance_slopes[head]);
  }

  void finish(std::size_t row, std::size_t head) const {
    state.merge(row, head);
    const Softmax total = state.total(row, head);
    float* out = rows.out + (row * options.heads + head) * options.layout.value_size;
    if (options.sinks != nullptr && total.sum() != 0) {
      const auto sink = static_cast<double>(options.sinks[head]);
      total.rescale(std::max(total.maximum(), sink));
      total.sum() += std::exp(sink - total.maximum());
    }
    for (std::size_t i = 0; i < options.layout.value_size; ++i)
      out[i] = total.sum() == 0 ? 0.0f : static_cast<float>(total.value(i) / total.sum());
  }
};

}  // namespace

void ReferenceBackend::store_kv(const KvLayout& layout, const float* k, const float* v,
                                std::span<const KvSlot> slots) {
  for (const auto& [tile, slot] : slots) {
    for (std::size_t head = 0; head < layout.kv_heads; ++head) {
      std::byte* keys = tile + head * layout.head_bytes();
      std::byte* values = keys + layout.key_bytes();
      for (std::size_t i = 0; i < layout.key_size; ++i)
        put_element(layout, keys, key_index(layout, slot, i), *k++);
      for (std::size_t i = 0; i < layout.value_size; ++i)
        put_element(layout, values, value_index(layout, slot, i), *v++);
    }
  }
}

std::size_t ReferenceBackend::attention_state_bytes(const AttentionOptions& options,
                                                    std::size_t rows) const {
  return rows * options.heads * State{options, nullptr}.doubles() * sizeof(double);
}

void ReferenceBackend::attention(const AttentionOptions& options, const AttentionRows& rows,
                                 std::span<const AttentionLine> lines, std::byte* state) {
  const FloatMode float_mode;
  const Attend attend = {mode_, options, rows, {options, state}};
  for (const AttentionLine& line : lines) {
    for (std::size_t row = line.first_row; row < line.first_row + line.rows; ++row) {
      for (std::size_t head = 0; head < options.heads; ++head) {
        if (line.first_run) attend.begin(row, head);
        for (std::size_t t = 0; t < line.tiles.size(); ++t)
          attend.fold(row, head, line.tiles[t], line.first_token + t * kTileTokens);
        if (line.last_run) attend.finish(row, head);
      }
    }
  }
}

}  // namespace ollm::backend
