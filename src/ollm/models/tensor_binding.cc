#include "ollm/models/tensor_binding.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>

#include "ollm/tensor/weight_format.h"

namespace ollm::models {
namespace {

using checkpoint::TensorInfo;
using weights::ExpertMatrix;
using weights::ExpertsForm;

constexpr std::size_t kBlockCols = kMxfp4.scale->cols;
constexpr std::size_t kBlockBytes = kBlockCols / 2;

// What compressed-tensors makes of name.weight.
constexpr std::string_view kWeight = ".weight";
std::string packed_name(const std::string& name) { return name + "_packed"; }
std::string scales_name(const std::string& name) { return name + "_scale"; }

Error of_tensor(ErrorKind kind, std::string_view name, std::string_view what) {
  return fail(kind, fmt::format("tensor {}: {}", name, what));
}

Result<void> check_built(std::string_view name, const WeightFormat& format) {
  const std::string reason = unsupported_reason(format);
  if (reason.empty()) return {};
  return of_tensor(ErrorKind::unsupported, name, reason);
}

// Whole blocks, so that no block holds columns of two rows.
Result<void> check_blocks(std::string_view name, std::size_t cols) {
  if (cols % kBlockCols == 0) return {};
  return of_tensor(ErrorKind::unsupported, name,
                   fmt::format("{} columns are no whole blocks of {}: such MXFP4 is not built",
                               cols, kBlockCols));
}

// Sizes of a config each have a limit; together they may still be of no tensor.
Result<Shape> shape_of(std::string_view name, std::initializer_list<std::uint64_t> sizes) {
  Result<Shape> shape = Shape::make(sizes);
  if (shape.ok()) return shape;
  return of_tensor(ErrorKind::corrupt, name,
                   fmt::format("config.json asks for [{}], more elements than a tensor can have",
                               fmt::join(sizes, ", ")));
}

Result<void> check_type(const TensorInfo& tensor) {
  if (holds_built_weights(tensor)) return {};
  return of_tensor(ErrorKind::unsupported, tensor.name,
                   fmt::format("expected F32, F16 or BF16, found {}", to_string(tensor.dtype)));
}

}  // namespace

Result<const TensorInfo*> TensorBinding::take(std::string& name, const Shape& expected) {
  OLLM_TRY(const TensorInfo* tensor, names_.require(name));
  if (tensor->shape != expected) {
    return of_tensor(ErrorKind::corrupt, tensor->name,
                     fmt::format("expected {} from config.json, found {}", to_string(expected),
                                 to_string(tensor->shape)));
  }
  used_.insert(tensor);
  name = tensor->name;
  return tensor;
}

Result<void> TensorBinding::take_bytes(std::string& name, const Shape& expected) {
  OLLM_TRY(const TensorInfo* tensor, take(name, expected));
  if (tensor->dtype == DType::u8) return {};
  return of_tensor(ErrorKind::unsupported, tensor->name,
                   fmt::format("expected U8, as MXFP4 is stored, found {}: other quantized weights "
                               "are not built; use the model's F32, F16 or BF16 form",
                               to_string(tensor->dtype)));
}

// Whether another name stands for this one.
bool TensorBinding::packed(const std::string& name) const {
  return name.ends_with(kWeight) && names_.find(name) == nullptr &&
         names_.find(packed_name(name)) != nullptr;
}

Result<void> TensorBinding::bind(std::string& name, const Shape& shape) {
  OLLM_TRY(const TensorInfo* tensor, take(name, shape));
  return check_type(*tensor);
}

Result<void> TensorBinding::bind(weights::MatrixUse& use) {
  const bool gathered = weights::kind_of(use.section) == weights::SectionKind::gathered;
  if (gathered || use.held || !packed(use.tensor))
    return bind(use.tensor, Shape{use.tensor_rows, use.cols});
  use.scales = scales_name(use.tensor);
  use.tensor = packed_name(use.tensor);
  use.format = kMxfp4;
  OLLM_TRY_VOID(take_bytes(use.tensor, Shape{use.tensor_rows, use.cols / 2}));
  OLLM_TRY_VOID(check_blocks(use.tensor, use.cols));
  OLLM_TRY_VOID(take_bytes(use.scales, Shape{use.tensor_rows, use.cols / kBlockCols}));
  return check_built(use.tensor, *use.format);
}

Result<void> TensorBinding::bind(weights::VectorUse& use) {
  OLLM_TRY(const Shape shape, weights::shape_of(use));
  return bind(use.tensor, shape);
}

bool TensorBinding::some_there(const ExpertsForm& form) const {
  const auto there = [&](const std::string& name) {
    return names_.find(name) != nullptr || packed(name);
  };
  return std::any_of(form.matrices.begin(), form.matrices.end(), [&](const ExpertMatrix& matrix) {
    return there(matrix.tensors.front()) || there(matrix.tensors.back());
  });
}

Result<void> TensorBinding::bind(weights::ExpertsUse& use) {
  const auto found = std::find_if(use.forms.begin(), use.forms.end(),
                                  [&](const ExpertsForm& form) { return some_there(form); });
  if (found == use.forms.end()) {
    OLLM_TRY_VOID(names_.require(use.forms.front().matrices.front().tensors.front()));
    return {};
  }
  ExpertsForm form = std::move(*found);
  for (ExpertMatrix& matrix : form.matrices) OLLM_TRY_VOID(bind(use.experts, matrix));
  use.forms.clear();
  use.forms.push_back(std::move(form));
  return {};
}

Result<void> TensorBinding::bind(std::size_t experts, ExpertMatrix& matrix) {
  if (matrix.scales.empty() && (packed(matrix.tensors.front()) || packed(matrix.tensors.back()))) {
    for (std::string& name : matrix.tensors) {
      matrix.scales.push_back(scales_name(name));
      name = packed_name(name);
    }
    matrix.format = kMxfp4;
  }
  return matrix.scales.empty() ? bind_plain(experts, matrix) : bind_mxfp4(experts, matrix);
}

// Whether all experts stand in a single tensor, of that rank; a sole expert may stand either way.
bool TensorBinding::in_one_tensor(std::size_t experts, const ExpertMatrix& matrix,
                                  std::size_t rank) const {
  if (matrix.tensors.size() != experts) return true;
  const TensorInfo* tensor = names_.find(matrix.tensors.front());
  return experts == 1 && tensor != nullptr && tensor->shape.rank() == rank;
}

Result<void> TensorBinding::bind_plain(std::size_t experts, ExpertMatrix& matrix) {
  const bool turned = matrix.format.layout == WeightLayout::in_by_out;
  const std::uint64_t first = turned ? matrix.cols : matrix.rows;
  const std::uint64_t second = turned ? matrix.rows : matrix.cols;
  const bool stacked = in_one_tensor(experts, matrix, 3);
  const std::string& front = matrix.tensors.front();
  OLLM_TRY(const Shape shape,
           stacked ? shape_of(front, {experts, first, second}) : shape_of(front, {first, second}));
  const TensorInfo* like = nullptr;
  for (std::string& name : matrix.tensors) {
    OLLM_TRY(const TensorInfo* tensor, take(name, shape));
    OLLM_TRY_VOID(check_type(*tensor));
    if (like == nullptr) like = tensor;
    if (tensor->dtype == like->dtype) continue;
    return of_tensor(ErrorKind::unsupported, tensor->name,
                     fmt::format("expected {} as tensor {}, found {}: experts of several types are "
                                 "not built",
                                 to_string(like->dtype), like->name, to_string(tensor->dtype)));
  }
  matrix.format.element = plain_format(like->dtype)->element;
  return check_built(like->name, matrix.format);
}

Result<void> TensorBinding::bind_mxfp4(std::size_t experts, ExpertMatrix& matrix) {
  const std::uint64_t rows = matrix.rows;
  const std::uint64_t blocks = matrix.cols / kBlockCols;
  const bool stacked = in_one_tensor(experts, matrix, 4);
  const std::string& front = matrix.tensors.front();
  OLLM_TRY_VOID(check_blocks(front, matrix.cols));
  OLLM_TRY(const Shape codes, stacked ? shape_of(front, {experts, rows, blocks, kBlockBytes})
                                      : shape_of(front, {rows, blocks * kBlockBytes}));
  OLLM_TRY(const Shape scales,
           stacked ? shape_of(front, {experts, rows, blocks}) : shape_of(front, {rows, blocks}));
  for (std::string& name : matrix.tensors) OLLM_TRY_VOID(take_bytes(name, codes));
  for (std::string& name : matrix.scales) OLLM_TRY_VOID(take_bytes(name, scales));
  return check_built(front, matrix.format);
}

bool holds_built_weights(const TensorInfo& tensor) {
  const std::optional<WeightFormat> format = plain_format(tensor.dtype);
  return format && unsupported_reason(*format).empty();
}

}  // namespace ollm::models
