// The memory of one sweep: every buffer between two layers, sized once for the most rows that a
// sweep may have, so that the token loop allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ollm/backend/backend.h"
#include "ollm/base/result.h"
#include "ollm/memory/buffer.h"
#include "ollm/models/composition.h"

namespace ollm::models {

/// The constants of one layer's attention as the backend takes them; sinks are weights, and not
/// here.
backend::AttentionOptions attention_options(const AttentionSpec& spec,
                                            const backend::KvLayout& layout);

/// Bytes that Activations::make will charge; the plan's ledger counts with the same function.
std::uint64_t activation_bytes(const Composition& composition, const backend::Backend& backend,
                               std::size_t max_rows, std::size_t feed_forward_rows);

/// Bytes that the LeftOperand of one piece of rows takes in `left`.
std::size_t left_piece_bytes(const backend::Backend& backend, std::size_t rows, std::size_t cols);

/// Of each row of a sweep the first token of its line that it sees, and the one behind the last.
struct SeenTokens {
  std::uint32_t* first = nullptr;  // [rows]
  std::uint32_t* end = nullptr;    // [rows]
};

/// Buffers of a sweep of at most `max_rows` rows. All f32 row-major, packed.
struct Activations {
  /// Errors: out_of_budget.
  static Result<Activations> make(const Composition& composition, const backend::Backend& backend,
                                  std::size_t max_rows, std::size_t feed_forward_rows,
                                  memory::Budget& budget);

  /// First cosine and sine of a rotary of Composition::rotaries: [rows, its pairs], packed.
  float* cosines_of(std::size_t rotary) { return cosines.as<float>() + rotary * rotary_stride; }
  float* sines_of(std::size_t rotary) { return sines.as<float>() + rotary * rotary_stride; }

  /// What rows see in layers of this window, which must be one of `windows`.
  SeenTokens seen_of(std::size_t window);

  std::vector<std::size_t> windows;   // of all layers, each once, ascending
  std::size_t seen_stride = 0;        // values of one window: the most rows
  std::size_t rotary_stride = 0;      // values of one rotary: the most rows times the most pairs
  std::size_t feed_forward_rows = 0;  // of `up` at once; max_rows: all
  std::size_t expert_piece = 0;       // rows that an expert computes at once

  memory::Buffer hidden;     // [rows, hidden] the residual stream
  memory::Buffer normed;     // [rows, hidden] a block's input; later its output
  memory::Buffer side;       // [rows, hidden] the feed-forward's input in a parallel layer
  memory::Buffer q;          // [rows, q]
  memory::Buffer k, v;       // [rows, k], [rows, v]
  memory::Buffer attended;   // [rows, attended]
  memory::Buffer gate;       // [rows, intermediate]
  memory::Buffer up;         // [feed_forward_rows, intermediate]
  memory::Buffer left;       // LeftOperand of the widest input
  memory::Buffer positions;  // [rows] u32, for rotaries
  memory::Buffer first_seen, end_seen;  // [windows, seen_stride] u32
  memory::Buffer cosines, sines;        // [rotaries, rotary_stride]
  memory::Buffer attention_state;
  memory::Buffer query_factors;  // [rows]
  memory::Buffer projected;   // [rows, projected] what a projection gives, before it is taken apart
  memory::Buffer mixer_gate;  // [rows, mixer_gate]
  memory::Buffer slots;       // [rows] backend::KvSlot, of the layer that runs
  memory::Buffer lines;       // [rows] backend::AttentionLine, of one call

  // Of delta nets.
  memory::Buffer conv_inputs;    // [rows, channels]
  memory::Buffer delta_betas;    // [rows, value heads]
  memory::Buffer delta_decays;   // [rows, value heads]
  memory::Buffer delta_scratch;  // of the backend
  memory::Buffer conv_lines;     // [rows] backend::ConvLine
  memory::Buffer conv_before;    // [rows, taps - 1] const float*
  memory::Buffer delta_lines;    // [rows] backend::DeltaLine
  memory::Buffer delta_chunks;   // backend::DeltaChunk, of all lines one behind the other

  // Of mixtures; [piece] are rows of one expert.
  memory::Buffer mixed;                   // [rows, hidden] the sum over experts
  memory::Buffer products;                // [rows, experts] of the router
  memory::Buffer routing_scratch;         // of one row
  memory::Buffer expert_ids;              // [rows, chosen] u32
  memory::Buffer expert_weights;          // [rows, chosen]
  memory::Buffer expert_first;            // [experts + 2] u32
  memory::Buffer expert_rows;             // [rows * chosen] u32, by expert
  memory::Buffer expert_row_weights;      // [rows * chosen], by expert
  memory::Buffer used_experts;            // [experts] u32
  memory::Buffer expert_in, expert_out;   // [piece, hidden]
  memory::Buffer expert_gate, expert_up;  // [piece, inner], [piece, 2 * inner]
  memory::Buffer expert_left;             // LeftOperand of [piece, inner]
};

}  // namespace ollm::models
