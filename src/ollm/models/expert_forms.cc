#include "ollm/models/expert_forms.h"

#include <fmt/format.h>

#include <utility>

namespace ollm::models {
namespace {

using weights::ExpertMatrix;
using weights::ExpertsForm;
using weights::GateUp;

// name.0.part.weight, name.1.part.weight, ...
ExpertMatrix apart(const ExpertSizes& sizes, std::string_view name, std::string_view part,
                   std::size_t rows, std::size_t cols) {
  ExpertMatrix matrix;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.tensors.reserve(sizes.experts);
  for (std::size_t expert = 0; expert < sizes.experts; ++expert)
    matrix.tensors.push_back(fmt::format("{}.{}.{}.weight", name, expert, part));
  return matrix;
}

ExpertMatrix stacked(std::string tensor, std::size_t rows, std::size_t cols, WeightFormat format) {
  ExpertMatrix matrix;
  matrix.tensors.push_back(std::move(tensor));
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.format = format;
  return matrix;
}

}  // namespace

ExpertsForm experts_apart(const ExpertSizes& sizes, std::string_view name,
                          const ExpertNames& names) {
  ExpertsForm form;
  form.gate_up = names.gate.empty() ? GateUp::none : GateUp::apart;
  if (!names.gate.empty())
    form.matrices.push_back(apart(sizes, name, names.gate, sizes.inner, sizes.hidden));
  form.matrices.push_back(apart(sizes, name, names.up, sizes.inner, sizes.hidden));
  form.matrices.push_back(apart(sizes, name, names.down, sizes.hidden, sizes.inner));
  return form;
}

ExpertsForm experts_stacked(const ExpertSizes& sizes, std::string gate_up, std::string down,
                            GateUp order, WeightLayout layout) {
  const WeightFormat format{.layout = layout};
  ExpertsForm form;
  form.gate_up = order;
  form.matrices.push_back(stacked(std::move(gate_up), 2 * sizes.inner, sizes.hidden, format));
  form.matrices.push_back(stacked(std::move(down), sizes.hidden, sizes.inner, format));
  return form;
}

ExpertsForm experts_stacked_mxfp4(const ExpertSizes& sizes, std::string_view gate_up,
                                  std::string_view down, GateUp order) {
  ExpertsForm form =
      experts_stacked(sizes, fmt::format("{}_blocks", gate_up), fmt::format("{}_blocks", down),
                      order, WeightLayout::out_by_in);
  form.matrices[0].scales = {fmt::format("{}_scales", gate_up)};
  form.matrices[1].scales = {fmt::format("{}_scales", down)};
  for (ExpertMatrix& matrix : form.matrices) matrix.format = kMxfp4;
  return form;
}

}  // namespace ollm::models
