#include "ollm/models/inventory.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "ollm/models/tensor_binding.h"
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

bool matches_any(const std::vector<std::string>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return matches(pattern, name); });
}

Result<Inventory> sort_unused(const TensorNames& names, const UnusedTensors& unused,
                              const TensorBinding& binding) {
  Inventory out;
  std::vector<std::string> left;
  bool of_layers = false;  // a part of what is computed, which nobody should leave out
  for (const checkpoint::TensorInfo& tensor : names.index().tensors()) {
    const std::string_view plain = names.plain(tensor);
    if (binding.uses(tensor) || ignored(plain)) continue;
    if (matches_any(unused.allowed, tensor.name)) {
      out.allowed.push_back(tensor.name);
    } else if (matches_any(unused.guessing_heads, plain)) {
      out.guessing_heads.push_back(tensor.name);
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
  TensorBinding binding(names);
  const bool tied = composition.tape.matrices[composition.head.weight.index].tensor ==
                    composition.tape.matrices[composition.embedding.index].tensor;
  for (weights::MatrixUse& use : composition.tape.matrices) OLLM_TRY_VOID(binding.bind(use));
  for (weights::VectorUse& use : composition.tape.vectors) OLLM_TRY_VOID(binding.bind(use));
  for (weights::ExpertsUse& use : composition.tape.experts) OLLM_TRY_VOID(binding.bind(use));
  if (tied && names.find(kHead) != nullptr) {
    composition.stored_head = kHead;
    OLLM_TRY_VOID(
        binding.bind(composition.stored_head, Shape{composition.head.out, composition.head.in}));
  }
  return sort_unused(names, unused, binding);
}

backend::ComputeMode default_compute(const checkpoint::TensorIndex& index,
                                     const Composition& composition) {
  const auto of_bf16 = [](WeightElement element) {
    return element == WeightElement::bf16 || element == WeightElement::e2m1;
  };
  for (const weights::MatrixUse& use : composition.tape.matrices) {
    if (use.held) continue;  // f32 in both modes
    const checkpoint::TensorInfo* tensor = index.find(use.tensor);
    const std::optional<WeightFormat> format =
        use.format || tensor == nullptr ? use.format : plain_format(tensor->dtype);
    if (!format || !of_bf16(format->element)) return backend::ComputeMode::f32;
  }
  for (const weights::ExpertsUse& use : composition.tape.experts)
    for (const weights::ExpertMatrix& matrix : use.form().matrices)
      if (!of_bf16(matrix.format.element)) return backend::ComputeMode::f32;
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
