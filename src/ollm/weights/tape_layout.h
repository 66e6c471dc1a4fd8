// Which weights a sweep touches, in the order in which it does: names, rows and shapes, no bytes;
// and the experts of which it chooses some.
// Written by models/ from a composition; leaves to tape.h where the bytes are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/tensor/shape.h"
#include "ollm/tensor/weight_format.h"

namespace ollm::weights {

/// Index into TapeLayout::matrices, TapeLayout::vectors and TapeLayout::experts.
struct MatrixId {
  std::uint32_t index = 0;
};
struct VectorId {
  std::uint32_t index = 0;
};
struct ExpertsId {
  std::uint32_t index = 0;
};

/// The parts of a tape, of which a pass names those that it runs.
enum class Section : std::uint8_t {
  embedding,  // gathered: single rows, at any time
  encoder,
  tower,
  layers,
  mtp_head,
  head,
};
inline constexpr std::size_t kSections = 6;

/// How a section's matrices are met.
enum class SectionKind {
  gathered,  // by single rows, in no order and in any pass
  swept,     // whole, in the order of the layout; what most passes begin with, so it is read ahead
  optional,  // as swept, by the passes that name it; not read ahead of its pass
};
constexpr SectionKind kind_of(Section section) {
  if (section == Section::embedding) return SectionKind::gathered;
  return section == Section::layers ? SectionKind::swept : SectionKind::optional;
}

/// A set of sections.
class Sections {
 public:
  constexpr Sections() = default;
  constexpr Sections(std::initializer_list<Section> sections) {
    for (const Section section : sections) bits_ |= bit(section);
  }
  constexpr bool contains(Section section) const { return (bits_ & bit(section)) != 0; }

  friend bool operator==(const Sections&, const Sections&) = default;

 private:
  static constexpr unsigned bit(Section section) { return 1U << static_cast<unsigned>(section); }
  unsigned bits_ = 0;
};

/// Rows [first_row, first_row + rows) of a stored tensor [*, cols]. Fused projections are several
/// uses of one tensor.
struct MatrixUse {
  std::string tensor;
  std::size_t first_row = 0;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t tensor_rows = 0;  // of the whole tensor, to be checked against the file
  Section section = Section::layers;
  /// Stays in memory whatever the limit, and may be met at any time: a router, which also guesses.
  bool held = false;
  /// Its scales [rows, ...] and how it is stored, where its blocks have some: named when it is
  /// bound to tensors. Else the tensor holds plain weights of its type, [tensor_rows, cols].
  std::string scales = {};
  std::optional<WeightFormat> format = std::nullopt;
};

/// Elements [first, first + size) of a stored tensor of tensor_size; always held in memory, as f32.
struct VectorUse {
  std::string tensor;
  std::size_t first = 0;
  std::size_t size = 0;
  std::size_t tensor_size = 0;
  /// Of weights of RMS norms alone: added to each element after it was widened. 1 where the norm
  /// multiplies by 1 + w; else 0, which makes a weight of -0 one of +0.
  std::optional<float> add = std::nullopt;
  /// Rows of the stored tensor, which is then [rows, tensor_size / rows]: a bias of each expert.
  /// 0: it is [tensor_size].
  std::size_t tensor_rows = 0;
  /// Taps of a convolution of each channel: the stored tensor is [tensor_size / taps, 1, taps]. 0:
  /// it is none.
  std::size_t taps = 0;
};

/// The shape of its tensor. Errors: corrupt where none has so many elements.
Result<Shape> shape_of(const VectorUse& use);

/// One matrix of every expert of a layer, of `rows` outputs and `cols` inputs.
struct ExpertMatrix {
  /// One tensor for each expert, by the number of the expert; or a single one in which all are
  /// stacked, [experts, ...]. Of each expert a tensor holds what `format` says: [rows, cols] or, of
  /// in_by_out, [cols, rows]; of e2m1 bytes of two weights, [rows, cols / 2] or [rows, cols / 32,
  /// 16].
  std::vector<std::string> tensors;
  /// Its scales, [rows, cols / 32] of each expert, in as many tensors; empty: it has none.
  std::vector<std::string> scales;
  std::size_t rows = 0;
  std::size_t cols = 0;
  /// How it is stored. The type of its plain weights (F32, F16, BF16) is that of its tensors, and
  /// written here when they are bound.
  WeightFormat format;
};

/// How the gates and the ups of a feed-forward stand in its matrices.
enum class GateUp : std::uint8_t {
  apart,        // gate, up, down: three matrices
  halves,       // gate and up in one, all gates first; down
  interleaved,  // the same, gate and up by turns
  none,         // up, down: there is no gate
};

/// One way to store the experts of a layer: their matrices, in the order of use.
struct ExpertsForm {
  GateUp gate_up = GateUp::apart;
  std::vector<ExpertMatrix> matrices;
};

/// The experts of a layer: each sweep wants those that its rows choose.
struct ExpertsUse {
  std::size_t experts = 0;
  /// How they may be stored. Binding to tensors keeps the first whose tensors are there.
  std::vector<ExpertsForm> forms;

  const ExpertsForm& form() const { return forms.front(); }
};

/// The order of a sweep.
struct TapeLayout {
  /// Those of one section stand together. Each is used at most once a pass, in this order; those
  /// that are gathered, at any time.
  std::vector<MatrixUse> matrices;
  std::vector<VectorUse> vectors;
  std::vector<ExpertsUse> experts;  // of each layer that has some, in the order of the layers
};

}  // namespace ollm::weights
