#include "ollm/models/inventory.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <unordered_set>

namespace ollm::models {
namespace {

constexpr std::string_view kHead = "lm_head.weight";

// Buffers that older checkpoints stored; Transformers computes them anew.
constexpr std::string_view kIgnoredSuffixes[] = {
    ".rotary_emb.inv_freq",
    ".self_attn.rotary_emb.cos_cached",
    ".self_attn.rotary_emb.sin_cached",
    ".self_attn.masked_bias",
    ".self_attn.bias_mask",
};

bool ignored(std::string_view name) {
  return std::any_of(std::begin(kIgnoredSuffixes), std::end(kIgnoredSuffixes),
                     [&](std::string_view suffix) { return name.ends_with(suffix); });
}

Result<void> check_type(const checkpoint::TensorInfo& tensor) {
  if (tensor.dtype == DType::f32 || tensor.dtype == DType::f16 || tensor.dtype == DType::bf16)
    return {};
  return fail(ErrorKind::unsupported, fmt::format("tensor {}: expected F32, F16 or BF16, found {}",
                                                  tensor.name, to_string(tensor.dtype)));
}

Result<void> check_shape(const checkpoint::TensorInfo& tensor, const Shape& expected) {
  if (tensor.shape == expected) return check_type(tensor);
  return fail(ErrorKind::corrupt,
              fmt::format("tensor {}: expected {} from config.json, found {}", tensor.name,
                          to_string(expected), to_string(tensor.shape)));
}

// The first names of a list, for a message of bounded length.
std::string some_of(const std::vector<std::string_view>& names) {
  constexpr std::size_t kShown = 5;
  const std::size_t shown = std::min(names.size(), kShown);
  std::string text = fmt::format(
      "{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

}  // namespace

Result<void> check_inventory(const checkpoint::TensorIndex& index, const Composition& composition) {
  std::unordered_set<std::string_view> used;
  for (const weights::MatrixUse& use : composition.tape.matrices) {
    OLLM_TRY(const checkpoint::TensorInfo* tensor, index.require(use.tensor));
    OLLM_TRY_VOID(check_shape(*tensor, Shape{use.tensor_rows, use.cols}));
    used.insert(tensor->name);
  }
  for (const weights::VectorUse& use : composition.tape.vectors) {
    OLLM_TRY(const checkpoint::TensorInfo* tensor, index.require(use.tensor));
    OLLM_TRY_VOID(check_shape(*tensor, Shape{use.tensor_size}));
    used.insert(tensor->name);
  }
  if (const checkpoint::TensorInfo* head = stored_tied_head(index, composition)) {
    OLLM_TRY_VOID(check_shape(*head, Shape{composition.head.out, composition.head.in}));
    used.insert(head->name);
  }
  std::vector<std::string_view> left;
  for (const checkpoint::TensorInfo& tensor : index.tensors())
    if (!used.contains(tensor.name) && !ignored(tensor.name)) left.push_back(tensor.name);
  if (left.empty()) return {};
  return fail(ErrorKind::unsupported,
              fmt::format("tensors that nothing uses: {}; the model computes something that is "
                          "not understood",
                          some_of(left)));
}

backend::ComputeMode default_compute(const checkpoint::TensorIndex& index,
                                     const Composition& composition) {
  for (const weights::MatrixUse& use : composition.tape.matrices) {
    const checkpoint::TensorInfo* tensor = index.find(use.tensor);
    if (tensor == nullptr || tensor->dtype != DType::bf16) return backend::ComputeMode::f32;
  }
  return backend::ComputeMode::bf16;
}

const checkpoint::TensorInfo* stored_tied_head(const checkpoint::TensorIndex& index,
                                               const Composition& composition) {
  const std::string& head = composition.tape.matrices[composition.head.weight.index].tensor;
  return head == kHead ? nullptr : index.find(kHead);
}

}  // namespace ollm::models
