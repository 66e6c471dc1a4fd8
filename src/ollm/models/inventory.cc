#include "ollm/models/inventory.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "ollm/tensor/weight_format.h"

namespace ollm::models {
namespace {

constexpr std::string_view kHead = "lm_head.weight";

// Buffers that older checkpoints stored; Transformers computes them anew.
constexpr std::string_view kIgnoredSuffixes[] = {
    "rotary_emb.inv_freq",
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
  if (holds_built_weights(tensor)) return {};
  return fail(ErrorKind::unsupported, fmt::format("tensor {}: expected F32, F16 or BF16, found {}",
                                                  tensor.name, to_string(tensor.dtype)));
}

Result<void> check_shape(const checkpoint::TensorInfo& tensor, const Shape& expected) {
  if (tensor.shape == expected) return check_type(tensor);
  return fail(ErrorKind::corrupt,
              fmt::format("tensor {}: expected {} from config.json, found {}", tensor.name,
                          to_string(expected), to_string(tensor.shape)));
}

// Of rewards and values that trainers put beside the head; Transformers passes over them.
constexpr std::string_view kLeftByTrainers[] = {"v_head.", "score.", "value_head."};

// What a text model is made of, wherever it stands.
constexpr std::string_view kOfTextModel[] = {"model.embed_tokens.", "model.layers.", "model.norm.",
                                             "lm_head."};

// The first names of a list, for a message of bounded length.
std::string some_of(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 5;
  const std::size_t shown = std::min(names.size(), kShown);
  std::string text = fmt::format(
      "{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

bool starts_with_any(std::string_view name, std::span<const std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

Result<Inventory> sort_unused(const TensorNames& names, const UnusedTensors& unused,
                              const std::unordered_set<const checkpoint::TensorInfo*>& used) {
  Inventory out;
  std::vector<std::string> left;
  bool of_layers = false;  // a part of what is computed, which nobody should leave out
  for (const checkpoint::TensorInfo& tensor : names.index().tensors()) {
    const std::string_view plain = names.plain(tensor);
    if (used.contains(&tensor) || ignored(plain)) continue;
    const bool allowed =
        std::any_of(unused.allowed.begin(), unused.allowed.end(),
                    [&](const std::string& pattern) { return matches(pattern, tensor.name); });
    if (allowed) {
      out.allowed.push_back(tensor.name);
    } else if (starts_with_any(plain, kLeftByTrainers)) {
      out.left_by_trainers.push_back(tensor.name);
    } else if (names.inside_multimodal() && plain == tensor.name &&
               !starts_with_any(plain, kOfTextModel)) {
      out.of_other_models.push_back(tensor.name);
    } else {
      left.push_back(tensor.name);
      of_layers |= plain.starts_with("model.layers.");
    }
  }
  if (left.empty()) return out;
  return fail(ErrorKind::unsupported,
              fmt::format("tensors that nothing uses: {}; the model computes something that is "
                          "not understood{}",
                          some_of(left),
                          of_layers ? "" : "; --allow-unused-tensors PATTERN runs without them"));
}

}  // namespace

Result<Inventory> bind_tensors(const TensorNames& names, const UnusedTensors& unused,
                               Composition& composition) {
  std::unordered_set<const checkpoint::TensorInfo*> used;
  const auto bind = [&](std::string& name, const Shape& shape) -> Result<void> {
    OLLM_TRY(const checkpoint::TensorInfo* tensor, names.require(name));
    OLLM_TRY_VOID(check_shape(*tensor, shape));
    used.insert(tensor);
    name = tensor->name;
    return {};
  };
  const bool tied = composition.tape.matrices[composition.head.weight.index].tensor ==
                    composition.tape.matrices[composition.embedding.index].tensor;
  for (weights::MatrixUse& use : composition.tape.matrices)
    OLLM_TRY_VOID(bind(use.tensor, Shape{use.tensor_rows, use.cols}));
  for (weights::VectorUse& use : composition.tape.vectors)
    OLLM_TRY_VOID(bind(use.tensor, Shape{use.tensor_size}));
  if (tied && names.find(kHead) != nullptr) {
    composition.stored_head = kHead;
    OLLM_TRY_VOID(bind(composition.stored_head, Shape{composition.head.out, composition.head.in}));
  }
  return sort_unused(names, unused, used);
}

bool holds_built_weights(const checkpoint::TensorInfo& tensor) {
  const std::optional<WeightFormat> format = plain_format(tensor.dtype);
  return format && unsupported_reason(*format).empty();
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
  return composition.stored_head.empty() ? nullptr : index.find(composition.stored_head);
}

void untie(Composition& composition) {
  composition.tape.matrices[composition.head.weight.index].tensor =
      std::exchange(composition.stored_head, {});
}

bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;  // the last one, and what it has taken so far
  std::size_t taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace ollm::models
