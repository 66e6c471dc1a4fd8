// The names of tensors as models/ composes them, for folders whose names were wrapped: by
// compilers, trainers and adapters, or as the text model of a multimodal one. Leaves to others:
// which tensors a model needs (inventory.h).
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/checkpoint/tensor_index.h"

namespace ollm::models {

/// A view of a tensor index, which has to outlive it, by the names of a plain folder:
/// "model.layers.0.self_attn.q_proj.weight", "lm_head.weight".
class TensorNames {
 public:
  /// Takes off what wraps names (`_orig_mod.`, `module.`, `base_model.model.`, ...), and where no
  /// plain name is left, finds the text model under `language_model.` or without any prefix.
  /// Errors: unsupported where two tensors are then named alike, naming both.
  static Result<TensorNames> make(const checkpoint::TensorIndex& index);

  const checkpoint::TensorIndex& index() const { return *index_; }

  /// The tensor of a plain name, or nullptr.
  const checkpoint::TensorInfo* find(std::string_view name) const;
  /// The same where it has to be there. Errors: not_found, naming the tensor and a similar one.
  Result<const checkpoint::TensorInfo*> require(std::string_view name) const;
  /// The plain name of a stored one.
  std::string_view plain(const checkpoint::TensorInfo& tensor) const;

  /// What was taken off names, each once: "_orig_mod.", "language_model.model.". Empty for a plain
  /// folder.
  const std::vector<std::string>& taken_off() const { return taken_off_; }
  /// Whether the text model stands inside another one, whose other tensors are not its own.
  bool inside_multimodal() const { return inside_; }

 private:
  const checkpoint::TensorIndex* index_ = nullptr;
  std::vector<std::string> plain_;  // of each tensor of the index; empty where all are as stored
  std::map<std::string, const checkpoint::TensorInfo*, std::less<>> by_plain_;
  std::vector<std::string> taken_off_;
  bool inside_ = false;
};

}  // namespace ollm::models
