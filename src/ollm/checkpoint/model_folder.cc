#include "ollm/checkpoint/model_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/checkpoint/folder_paths.h"
#include "ollm/checkpoint/foreign_file.h"
#include "ollm/checkpoint/json_cursor.h"
#include "ollm/checkpoint/safetensors.h"
#include "ollm/checkpoint/shard_index.h"

namespace ollm::checkpoint {
namespace {

constexpr std::string_view kConfig = "config.json";
constexpr std::string_view kGenerationConfig = "generation_config.json";
constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kShardIndex = "model.safetensors.index.json";

constexpr std::array<std::string_view, 13> kTokenizerFiles{
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "processor_config.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.json",
    "merges.txt",
    "tekken.json",
    "tiktoken.model",
};

Result<std::string> read_text_file(const FolderPaths& paths, std::string_view name,
                                   std::uint64_t limit_bytes, io::SystemCalls& calls) {
  OLLM_TRY(const std::filesystem::path path, paths.resolve(name));
  OLLM_TRY(std::string text, io::read_whole_file(path, limit_bytes, calls));
  if (auto foreign = foreign_text(std::string_view(text).substr(0, kForeignFileBytes)))
    return std::move(*foreign).within(path.native());
  return text;
}

// A folder without what is read, by what is there instead.
Error no_weights(const FolderPaths& paths) {
  const std::string& where = paths.path().native();
  std::string_view shard;
  std::string_view other;
  std::string_view part;
  for (const std::string& name : paths.names()) {
    if (name.starts_with("model-") && name.ends_with(".safetensors")) shard = name;
    if (name.ends_with(".safetensors")) other = name;
    if (name.ends_with(".incomplete") || name.ends_with(".part") || name.ends_with(".crdownload"))
      part = name;
  }
  if (!shard.empty())
    return fail(ErrorKind::not_found,
                fmt::format("{}: has {} but no {}, which says what lies where; the download is not "
                            "whole",
                            where, shard, kShardIndex));
  if (!part.empty())
    return fail(ErrorKind::not_found,
                fmt::format("{}: has no weights, but {}: the download is not whole", where, part));
  for (const std::string& name : paths.names())
    if (auto foreign = foreign_weights_name(name)) return std::move(*foreign).within(where);
  if (!other.empty())
    return fail(
        ErrorKind::not_found,
        fmt::format("{}: has neither {} nor {}; {} is in another naming than Hugging Face's "
                    "and is not read",
                    where, kSingleFile, kShardIndex, other));
  return fail(ErrorKind::not_found, fmt::format("{}: has no weights: neither {} nor {}", where,
                                                kSingleFile, kShardIndex));
}

Error no_config(const FolderPaths& paths) {
  const std::string& where = paths.path().native();
  if (paths.has("snapshots"))
    return fail(ErrorKind::not_found,
                fmt::format("{}: has no {}; it is a model of the Hugging Face cache: name a folder "
                            "in its snapshots",
                            where, kConfig));
  if (paths.has("adapter_config.json"))
    return fail(ErrorKind::not_found,
                fmt::format("{}: has no {}; it is an adapter: name the folder of its base model",
                            where, kConfig));
  for (const std::string& name : paths.names())
    if (name.ends_with(".gguf"))
      if (auto foreign = foreign_weights_name(name)) return std::move(*foreign).within(where);
  return fail(ErrorKind::not_found,
              fmt::format("{}: has no {}, so it is no model folder in Hugging "
                          "Face's form",
                          where, kConfig));
}

// Collects the tensors of one file after the other.
struct Weights {
  std::vector<TensorInfo> tensors;
  std::vector<WeightFile> infos;
  std::vector<io::File> files;

  // `accept` sees each name before it is taken.
  template <typename Accept>
  Result<void> add(const std::filesystem::path& path, io::SystemCalls& calls, Accept accept) {
    OLLM_TRY(io::File file, io::File::open(path, io::Access::buffered, calls));
    OLLM_TRY(const SafetensorsFile read, read_safetensors_header(file));
    const auto number = static_cast<std::uint32_t>(files.size());
    tensors.reserve(tensors.size() + read.header.tensor_count());
    for (std::size_t i = 0; i < read.header.tensor_count(); ++i) {
      const SafetensorsTensor tensor = read.header.tensor(i);
      OLLM_TRY_VOID(accept(tensor.name));
      tensors.push_back({.name = std::string(tensor.name),
                         .dtype = tensor.dtype,
                         .shape = tensor.shape,
                         .file = number,
                         .offset_bytes = read.data_offset_bytes + tensor.begin_bytes,
                         .size_bytes = tensor.end_bytes - tensor.begin_bytes});
    }
    infos.push_back({path, file.identity()});
    files.push_back(std::move(file));
    return {};
  }
};

Result<void> add_shards(const FolderPaths& paths, io::SystemCalls& calls, Weights& weights) {
  OLLM_TRY(std::string text,
           read_text_file(paths, kShardIndex, ShardIndexLimits::kFileBytes, calls));
  OLLM_TRY(const ShardIndex index,
           parse_shard_index(std::move(text), (paths.path() / kShardIndex).native()));

  const auto first_tensor_of = [&](std::uint32_t shard) {
    const auto entry = std::find_if(index.entries.begin(), index.entries.end(),
                                    [&](const auto& e) { return e.shard == shard; });
    return quote_name(entry->tensor);
  };
  std::vector<bool> found(index.entries.size());
  for (std::uint32_t shard = 0; shard < index.shards.size(); ++shard) {
    const std::string& name = index.shards[shard];
    if (!paths.has(name))
      return fail(ErrorKind::not_found,
                  fmt::format("{}: the shard {} is missing, which {} names for tensor {} and "
                              "others; the download is not whole",
                              paths.path().native(), name, kShardIndex, first_tensor_of(shard)));
    OLLM_TRY(const std::filesystem::path path, paths.resolve(name));
    const auto disagree = [&](std::string_view tensor, std::string_view how) {
      return fail(ErrorKind::corrupt,
                  fmt::format("{}: tensor {} is in {}, but {}", paths.path().native(),
                              quote_name(tensor), name, how));
    };
    OLLM_TRY_VOID(weights.add(path, calls, [&](std::string_view tensor) -> Result<void> {
      const ShardIndex::Entry* entry = index.find(tensor);
      if (entry == nullptr)
        return disagree(tensor, fmt::format("{} does not name it", kShardIndex));
      if (entry->shard != shard)
        return disagree(tensor, fmt::format("{} says {}", kShardIndex, index.shards[entry->shard]));
      found[static_cast<std::size_t>(entry - index.entries.data())] = true;
      return {};
    }));
  }
  const auto absent = std::find(found.begin(), found.end(), false);
  if (absent == found.end()) return {};
  const auto& entry = index.entries[static_cast<std::size_t>(absent - found.begin())];
  return fail(ErrorKind::corrupt,
              fmt::format("{}: tensor {} is not in {}, where {} puts it", paths.path().native(),
                          quote_name(entry.tensor), index.shards[entry.shard], kShardIndex));
}

}  // namespace

struct ModelFolder::State {
  FolderPaths paths;
  io::SystemCalls* calls = nullptr;
  bool has_config = false;
  std::string config_text;
  Json config;
  std::optional<io::File> config_file;  // opened before it was read, to notice that it changed
  bool has_generation_config = false;
  std::string generation_config_text;
  GenerationConfig generation_config;
  TensorIndex tensors;
  std::vector<io::File> files;  // by TensorInfo::file
  std::vector<std::string> tokenizer_files;

  Result<void> read_texts() {
    for (const std::string_view name : kTokenizerFiles)
      if (paths.has(name)) tokenizer_files.emplace_back(name);
    if (paths.has(kConfig)) {
      OLLM_TRY(const std::filesystem::path config_path, paths.resolve(kConfig));
      OLLM_TRY(config_file, io::File::open(config_path, io::Access::buffered, *calls));
      OLLM_TRY(config_text, read_text_file(paths, kConfig, JsonLimits().size_bytes, *calls));
      OLLM_TRY(config, parse_json(config_text, (paths.path() / kConfig).native()));
      if (!config.is_object())
        return fail(ErrorKind::corrupt,
                    fmt::format("{}: expected an object, found {}",
                                (paths.path() / kConfig).native(), describe(config)));
      has_config = true;
    }
    if (paths.has(kGenerationConfig)) {
      OLLM_TRY(generation_config_text,
               read_text_file(paths, kGenerationConfig, JsonLimits().size_bytes, *calls));
      OLLM_TRY(generation_config,
               parse_generation_config(generation_config_text,
                                       (paths.path() / kGenerationConfig).native()));
      has_generation_config = true;
    }
    return {};
  }

  Result<void> read_headers() {
    Weights weights;
    // In Transformers' order: a single file wins over an index beside it.
    if (paths.has(kSingleFile)) {
      OLLM_TRY(const std::filesystem::path path, paths.resolve(kSingleFile));
      OLLM_TRY_VOID(weights.add(path, *calls, [](std::string_view) { return Result<void>(); }));
    } else if (paths.has(kShardIndex)) {
      OLLM_TRY_VOID(add_shards(paths, *calls, weights));
    } else {
      return no_weights(paths);
    }
    if (weights.tensors.empty())
      return fail(ErrorKind::corrupt,
                  fmt::format("{}: holds no tensor", weights.infos[0].path.native()));
    OLLM_TRY(tensors, TensorIndex::make(std::move(weights.tensors), std::move(weights.infos)));
    files = std::move(weights.files);
    return {};
  }
};

ModelFolder::ModelFolder(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<ModelFolder> ModelFolder::open(const std::filesystem::path& dir, io::SystemCalls& calls) {
  auto state = std::make_shared<State>();
  state->calls = &calls;
  OLLM_TRY(state->paths, FolderPaths::open(dir, calls));
  if (!state->paths.has(kConfig)) return no_config(state->paths);
  OLLM_TRY_VOID(state->read_texts());
  OLLM_TRY_VOID(state->read_headers());
  return ModelFolder(std::move(state));
}

Result<ModelFolder> ModelFolder::open_without_weights(const std::filesystem::path& dir,
                                                      io::SystemCalls& calls) {
  auto state = std::make_shared<State>();
  state->calls = &calls;
  OLLM_TRY(state->paths, FolderPaths::open(dir, calls));
  OLLM_TRY_VOID(state->read_texts());
  return ModelFolder(std::move(state));
}

const std::filesystem::path& ModelFolder::path() const { return state_->paths.path(); }
const std::filesystem::path& ModelFolder::canonical_path() const {
  return state_->paths.canonical_path();
}
bool ModelFolder::has_config() const { return state_->has_config; }
const Json& ModelFolder::config() const { return state_->config; }
const std::string& ModelFolder::config_text() const { return state_->config_text; }
bool ModelFolder::has_generation_config() const { return state_->has_generation_config; }
const GenerationConfig& ModelFolder::generation_config() const { return state_->generation_config; }
const std::string& ModelFolder::generation_config_text() const {
  return state_->generation_config_text;
}
bool ModelFolder::has_weights() const { return !state_->files.empty(); }
const TensorIndex& ModelFolder::tensors() const { return state_->tensors; }
const std::vector<std::string>& ModelFolder::tokenizer_files() const {
  return state_->tokenizer_files;
}
bool ModelFolder::has_file(std::string_view name) const { return state_->paths.has(name); }

const io::File& ModelFolder::file(std::uint32_t index) const {
  OLLM_CHECK(index < state_->files.size());
  return state_->files[index];
}

Result<void> ModelFolder::check_unchanged() const {
  if (state_->config_file) OLLM_TRY_VOID(state_->config_file->check_unchanged());
  for (const io::File& file : state_->files) OLLM_TRY_VOID(file.check_unchanged());
  return {};
}

Result<std::string> ModelFolder::read_text(std::string_view name) const {
  const std::uint64_t limit_bytes =
      name == "tokenizer.json" ? ModelFolderLimits::kTokenizerBytes : ModelFolderLimits::kTextBytes;
  return read_text_file(state_->paths, name, limit_bytes, *state_->calls);
}

Result<std::optional<std::string>> ModelFolder::read_optional_text(std::string_view name) const {
  if (!has_file(name)) {
    if (auto plain = check_plain_file_name(name); !plain.ok())
      return std::move(plain).error().within(path().native());
    return std::optional<std::string>();
  }
  OLLM_TRY(std::string text, read_text(name));
  return std::optional<std::string>(std::move(text));
}

Result<std::map<std::string, std::string>> ModelFolder::read_additional_chat_templates() const {
  constexpr std::string_view kFolder = "additional_chat_templates";
  constexpr std::string_view kEnding = ".jinja";
  std::map<std::string, std::string> templates;
  const std::filesystem::path dir = path() / kFolder;
  struct stat status{};
  // As in Transformers a file of that name is none of its business.
  if (!has_file(kFolder) || state_->calls->stat(dir.c_str(), &status) != 0 ||
      !S_ISDIR(status.st_mode))
    return templates;
  OLLM_TRY(const FolderPaths paths, FolderPaths::open(dir, *state_->calls));
  for (const std::string& name : paths.names()) {
    if (!name.ends_with(kEnding) || name.starts_with('.')) continue;
    OLLM_TRY(const std::filesystem::path file, paths.resolve(name));
    if (state_->calls->stat(file.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) continue;
    if (templates.size() == ModelFolderLimits::kTemplates)
      return fail(ErrorKind::unsupported, fmt::format("{}: holds more than {} chat templates",
                                                      dir.native(), ModelFolderLimits::kTemplates));
    OLLM_TRY(templates[name.substr(0, name.size() - kEnding.size())],
             read_text_file(paths, name, ModelFolderLimits::kTemplateBytes, *state_->calls));
  }
  return templates;
}

}  // namespace ollm::checkpoint
