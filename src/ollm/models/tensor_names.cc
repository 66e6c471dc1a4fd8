#include "ollm/models/tensor_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace ollm::models {
namespace {

using checkpoint::TensorIndex;
using checkpoint::TensorInfo;

// What torch.compile, FSDP and gradient checkpointing put before the name of any module.
constexpr std::string_view kAnywhere[] = {"_orig_mod.", "_fsdp_wrapped_module.",
                                          "_checkpoint_wrapped_module."};
// What DDP, PEFT and TRL put before all names.
constexpr std::string_view kInFront[] = {"module.", "base_model.model.", "pretrained_model."};

// Where multimodal folders of Transformers 4 and 5 keep the text model's body and head.
struct Inside {
  std::string_view stored;
  std::string_view plain;
};
constexpr Inside kInside[] = {
    {"language_model.model.", "model."}, {"language_model.lm_head.", "lm_head."},
    {"model.language_model.", "model."}, {"model.text_model.", "model."},
    {"text_model.model.", "model."},     {"text_model.lm_head.", "lm_head."},
};

constexpr std::string_view kBody[] = {"embed_tokens.", "layers.", "norm."};

class Unwrapper {
 public:
  std::string unwrap(std::string name) {
    for (const std::string_view segment : kAnywhere)
      for (std::size_t at = find_segment(name, segment); at != std::string::npos;
           at = find_segment(name, segment))
        take(name, at, segment);
    for (bool again = true; again;) {
      again = false;
      for (const std::string_view prefix : kInFront) {
        if (!name.starts_with(prefix)) continue;
        take(name, 0, prefix);
        again = true;
      }
    }
    return name;
  }

  // Whether some module was wrapped, maybe one layer alone.
  static bool wraps_any(const TensorIndex& index) {
    for (const TensorInfo& tensor : index.tensors())
      for (const std::string_view segment : kAnywhere)
        if (find_segment(tensor.name, segment) != std::string::npos) return true;
    return false;
  }

  void note(std::string_view what) {
    if (std::find(taken_off.begin(), taken_off.end(), what) == taken_off.end())
      taken_off.emplace_back(what);
  }

  std::vector<std::string> taken_off;

 private:
  // Where a segment stands whole, at the front or behind a dot.
  static std::size_t find_segment(const std::string& name, std::string_view segment) {
    for (std::size_t at = name.find(segment); at != std::string::npos;
         at = name.find(segment, at + 1))
      if (at == 0 || name[at - 1] == '.') return at;
    return std::string::npos;
  }

  void take(std::string& name, std::size_t at, std::string_view what) {
    note(what);
    name.erase(at, what.size());
  }
};

constexpr std::string_view kEmbedding = "model.embed_tokens.weight";

}  // namespace

Result<TensorNames> TensorNames::make(const TensorIndex& index) {
  TensorNames names;
  names.index_ = &index;
  if (index.find(kEmbedding) != nullptr && !Unwrapper::wraps_any(index))
    return names;  // as nearly all are

  Unwrapper unwrapper;
  std::vector<std::string> plain;
  for (const TensorInfo& tensor : index.tensors()) plain.push_back(unwrapper.unwrap(tensor.name));
  const auto has = [&](std::string_view name) {
    return std::find(plain.begin(), plain.end(), name) != plain.end();
  };
  if (!has(kEmbedding)) {
    for (std::string& name : plain) {
      for (const Inside& inside : kInside) {
        if (!name.starts_with(inside.stored)) continue;
        unwrapper.note(inside.stored);
        name = std::string(inside.plain) + name.substr(inside.stored.size());
        names.inside_ = true;
        break;
      }
    }
  }
  if (!has(kEmbedding) && has(kEmbedding.substr(sizeof("model.") - 1))) {
    unwrapper.note("");
    for (std::string& name : plain)
      if (std::any_of(std::begin(kBody), std::end(kBody),
                      [&](std::string_view part) { return name.starts_with(part); }))
        name.insert(0, "model.");
  }
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const TensorInfo& tensor = index.tensors()[i];
    const auto [at, is_new] = names.by_plain_.emplace(plain[i], &tensor);
    if (!is_new) {
      return fail(ErrorKind::unsupported,
                  fmt::format("tensors {} and {} are both {}: which one counts is not known",
                              at->second->name, tensor.name, plain[i]));
    }
  }
  names.plain_ = std::move(plain);
  names.taken_off_ = std::move(unwrapper.taken_off);
  return names;
}

const TensorInfo* TensorNames::find(std::string_view name) const {
  if (plain_.empty()) return index_->find(name);
  const auto found = by_plain_.find(name);
  return found == by_plain_.end() ? nullptr : found->second;
}

Result<const TensorInfo*> TensorNames::require(std::string_view name) const {
  if (const TensorInfo* tensor = find(name)) return tensor;
  return index_->require(name);  // its error names what is most like it
}

std::string_view TensorNames::plain(const TensorInfo& tensor) const {
  if (plain_.empty()) return tensor.name;
  return plain_[static_cast<std::size_t>(&tensor - index_->tensors().data())];
}

}  // namespace ollm::models
