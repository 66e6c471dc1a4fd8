// A model as a folder in the form of Hugging Face: its configuration, its tensors, its text files.
// Leaves to others: which folder (plan/ and hub/ resolve references) and what is in it (models/,
// text/). Only headers are read here, never weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/json_reader.h"
#include "ollm/base/result.h"
#include "ollm/checkpoint/generation_config.h"
#include "ollm/checkpoint/tensor_index.h"
#include "ollm/io/file.h"
#include "ollm/io/system_calls.h"

namespace ollm::checkpoint {

struct ModelFolderLimits {
  static constexpr std::uint64_t kTokenizerBytes = 256u << 20;  // the largest published: some 35 MB
  static constexpr std::uint64_t kTextBytes = 64u << 20;        // of any other text file
  // Of additional_chat_templates/; published folders have one or two, of some KB.
  static constexpr std::size_t kTemplates = 64;
  static constexpr std::uint64_t kTemplateBytes = 1u << 20;
};

/// Something that a folder holds and that one may not expect, with what was made of it; the plan
/// makes a decision of each.
struct FolderNote {
  std::string what;     // "weights.index"
  std::string chosen;   // "headers"
  std::string because;  // which files, and how they differ
};

/// An opened model folder. Constant once opened; any number of threads may read it. Copies share.
///
/// Files are reached by plain names only, shards also by names of the index that stay below the
/// folder. Links are followed to regular files, wherever they are (folder_paths.h).
class ModelFolder {
 public:
  /// Opens a folder with weights: reads config.json, generation_config.json, and the headers of
  /// model.safetensors or of the shards that model.safetensors.index.json names. Other
  /// *.safetensors files are left alone (consolidated.safetensors is a second copy in another
  /// naming). Where the index disagrees with the headers, these decide; a generation_config.json
  /// that cannot be read is what generation_config() tells. `calls` has to outlive the folder.
  ///
  /// Errors: not_found for a missing folder, config.json, weights or shard, saying what is there
  /// instead; unsupported for pickle (.bin, .pt, .pth, .ckpt), GGUF and other foreign weights, and
  /// for an adapter that lies beside the weights, with the way out; corrupt for files that break
  /// their format and for a tensor that is stored twice; those of FolderPaths; io.
  static Result<ModelFolder> open(const std::filesystem::path& dir,
                                  io::SystemCalls& calls = io::posix());

  /// Opens a folder of which only text files are needed: weights are not looked at and config.json
  /// may be absent.
  /// Errors: not_found, corrupt, io, as above.
  static Result<ModelFolder> open_without_weights(const std::filesystem::path& dir,
                                                  io::SystemCalls& calls = io::posix());

  /// The folder as it was given, and without links.
  const std::filesystem::path& path() const;
  const std::filesystem::path& canonical_path() const;

  bool has_config() const;
  /// config.json; null where has_config() is false.
  const Json& config() const;
  const std::string& config_text() const;

  /// generation_config.json; all absent where there is none.
  bool has_generation_config() const;
  const GenerationConfig& generation_config() const;
  const std::string& generation_config_text() const;

  bool has_weights() const;
  /// All tensors of the weights; empty without weights.
  const TensorIndex& tensors() const;
  /// What was found and passed over, taken otherwise than written, or followed out of the folder.
  const std::vector<FolderNote>& notes() const;
  /// The opened file of `TensorInfo::file`, for buffered reads; `reopen` it for direct ones.
  const io::File& file(std::uint32_t index) const;
  /// That config.json and all files of weights are still those that were read.
  /// Errors: corrupt, io (File::check_unchanged).
  Result<void> check_unchanged() const;

  /// The tokenizer's files that are there, of: tokenizer.json, tokenizer_config.json,
  /// special_tokens_map.json, added_tokens.json, chat_template.jinja, chat_template.json,
  /// processor_config.json, tokenizer.model, spiece.model, vocab.json, merges.txt, tekken.json,
  /// tiktoken.model.
  const std::vector<std::string>& tokenizer_files() const;
  /// Whether a file of that name is there; any plain name.
  bool has_file(std::string_view name) const;
  /// A text file of the folder, whole: tokenizer.json up to 256 MiB, others up to 64 MiB.
  /// Errors: those of FolderPaths::resolve; corrupt for a git-LFS pointer or a web page in its
  /// place; unsupported above the limit; io.
  Result<std::string> read_text(std::string_view name) const;
  /// The same, or nothing where it is not there.
  Result<std::optional<std::string>> read_optional_text(std::string_view name) const;
  /// The files additional_chat_templates/NAME.jinja by NAME; hidden files and what is no file are
  /// passed over. Errors: as read_text; unsupported for more than kTemplates or a larger one than
  /// kTemplateBytes.
  Result<std::map<std::string, std::string>> read_additional_chat_templates() const;

 private:
  struct State;
  explicit ModelFolder(std::shared_ptr<const State> state);

  std::shared_ptr<const State> state_;  // shared, as runtime and tokenizer both keep the folder
};

}  // namespace ollm::checkpoint
