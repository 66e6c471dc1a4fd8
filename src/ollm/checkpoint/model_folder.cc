#include "ollm/checkpoint/model_folder.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/base/json_cursor.h"
#include "ollm/checkpoint/folder_paths.h"
#include "ollm/checkpoint/foreign_file.h"
#include "ollm/checkpoint/safetensors.h"
#include "ollm/checkpoint/shard_index.h"

namespace ollm::checkpoint {
namespace {

constexpr std::string_view kConfig = "config.json";
constexpr std::string_view kGenerationConfig = "generation_config.json";
constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kShardIndex = "model.safetensors.index.json";
constexpr std::string_view kAdapterConfig = "adapter_config.json";

struct OtherProgramsFile {
  std::string_view name;
  std::string_view because;
};
// Transformers' causal models pass them over too; whoever wrote them had more in mind.
constexpr OtherProgramsFile kOtherProgramsFiles[] = {
    {"modules.json",
     "sentence-transformers' modules (pooling, normalisation) are not run; the language model is"},
    {"quantize_config.json",
     "GPTQ's settings; how weights are stored, config.json and headers tell"},
    {"quant_config.json", "AWQ's settings; how weights are stored, config.json and headers tell"},
    {"hf_quant_config.json",
     "ModelOpt's settings; how weights are stored, config.json and headers tell"},
};

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

Result<std::string> read_text_at(const std::filesystem::path& path, std::uint64_t limit_bytes,
                                 io::SystemCalls& calls) {
  OLLM_TRY(std::string text, io::read_whole_file(path, limit_bytes, calls));
  // As spaces in JSON, so that messages count the file's bytes; a template would print them.
  if (path.extension() != ".jinja") {
    blank_byte_order_mark(text);
  } else if (text.starts_with(kByteOrderMark)) {
    text.erase(0, kByteOrderMark.size());
  }
  if (auto foreign = foreign_text(std::string_view(text).substr(0, kForeignFileBytes)))
    return std::move(*foreign).within(printable(path.native()));
  return text;
}

Result<std::string> read_text_file(const FolderPaths& paths, std::string_view name,
                                   std::uint64_t limit_bytes, io::SystemCalls& calls) {
  OLLM_TRY(const FolderFile file, paths.resolve(name));
  return read_text_at(file.path, limit_bytes, calls);
}

// "'a', 'b', 'c' and 5 more".
std::string some_of(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 3;
  std::string out;
  for (std::size_t i = 0; i < std::min(kShown, names.size()); ++i)
    out += fmt::format("{}{}", i == 0 ? "" : ", ", quote_name(names[i]));
  if (names.size() > kShown) out += fmt::format(" and {} more", names.size() - kShown);
  return out;
}

// The base that an adapter says it belongs to: " of 'org/name'", or nothing.
std::string base_of_adapter(const FolderPaths& paths, io::SystemCalls& calls) {
  const auto text = read_text_file(paths, kAdapterConfig, JsonLimits().size_bytes, calls);
  if (!text.ok()) return {};
  const auto config = parse_json(*text, kAdapterConfig);
  if (!config.ok() || !config->is_object()) return {};
  const auto base = config->find("base_model_name_or_path");
  if (base == config->end() || !base->is_string()) return {};
  return fmt::format(" of {}", quote_name(base->get_ref<const std::string&>()));
}

// Transformers would put it on top of the weights; leaving it out would be another model's answer.
Error adapter_beside(const FolderPaths& paths, io::SystemCalls& calls) {
  const std::string where = printable(paths.path().native());
  const std::string base = base_of_adapter(paths, calls);
  if (!paths.has(kSingleFile) && !paths.has(kShardIndex))
    return fail(
        ErrorKind::unsupported,
        fmt::format("{}: is an adapter{} (it has {} and no weights of a model), and adapters "
                    "are not built yet: name the folder of its base model, or merge the two "
                    "(PEFT: merge_and_unload, then save_pretrained)",
                    where, base, kAdapterConfig));
  return fail(
      ErrorKind::unsupported,
      fmt::format(
          "{}: {}: an adapter{} lies beside the weights, and adapters are not built yet: to "
          "run the base alone, move adapter_config.json and adapter_model.* away; to run "
          "both, merge them (PEFT: merge_and_unload, then save_pretrained)",
          where, kAdapterConfig, base));
}

// "model.fp16.safetensors": Transformers reads it where a caller asks for the variant "fp16".
bool is_variant(std::string_view name) {
  return (name.starts_with("model.") && name.ends_with(".safetensors") && name != kSingleFile) ||
         (name.starts_with("model.safetensors.index.") && name != kShardIndex);
}

// A folder without what is read, by what is there instead.
Error no_weights(const FolderPaths& paths) {
  const std::string where = printable(paths.path().native());
  std::string_view shard;
  std::string_view variant;
  std::string_view other;
  std::string_view part;
  for (const std::string& name : paths.names()) {
    if (name.starts_with("model-") && name.ends_with(".safetensors")) shard = name;
    if (is_variant(name)) variant = name;
    if (name.ends_with(".safetensors")) other = name;
    if (name.ends_with(".incomplete") || name.ends_with(".part") || name.ends_with(".crdownload"))
      part = name;
  }
  if (!variant.empty())
    return fail(
        ErrorKind::not_found,
        fmt::format("{}: has neither {} nor {}; {} is a variant, which is not read: give it "
                    "the name without the variant's",
                    where, kSingleFile, kShardIndex, printable(variant)));
  if (!shard.empty())
    return fail(ErrorKind::not_found,
                fmt::format("{}: has {} but no {}, which says what lies where; the download is not "
                            "whole",
                            where, printable(shard), kShardIndex));
  if (!part.empty())
    return fail(ErrorKind::not_found, fmt::format("{}: has no weights, but {}: the download is not "
                                                  "whole",
                                                  where, printable(part)));
  for (const std::string& name : paths.names())
    if (auto foreign = foreign_weights_name(name)) return std::move(*foreign).within(where);
  if (!other.empty())
    return fail(
        ErrorKind::not_found,
        fmt::format("{}: has neither {} nor {}; {} is in another naming than Hugging Face's "
                    "and is not read",
                    where, kSingleFile, kShardIndex, printable(other)));
  return fail(ErrorKind::not_found, fmt::format("{}: has no weights: neither {} nor {}", where,
                                                kSingleFile, kShardIndex));
}

Error no_config(const FolderPaths& paths, io::SystemCalls& calls) {
  const std::string where = printable(paths.path().native());
  const auto is_not = [&](std::string_view what) {
    return fail(ErrorKind::not_found, fmt::format("{}: has no {}; {}", where, kConfig, what));
  };
  if (paths.has("snapshots"))
    return is_not("it is a model of the Hugging Face cache: name a folder in its snapshots");
  if (paths.has(kAdapterConfig))
    return is_not(fmt::format("it is an adapter{}: name the folder of its base model",
                              base_of_adapter(paths, calls)));
  for (const std::string& name : paths.names()) {
    if (name.starts_with("models--"))
      return is_not("it is the Hugging Face cache: name one of its models, ORG/NAME");
    if (name.ends_with(".gguf"))
      if (auto foreign = foreign_weights_name(name)) return std::move(*foreign).within(where);
  }
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

  // The number of the file: that of an earlier one where both names lead to the same.
  Result<std::uint32_t> add(const std::filesystem::path& path, io::SystemCalls& calls) {
    OLLM_TRY(io::File file, io::File::open(path, io::Access::buffered, calls));
    const auto number = static_cast<std::uint32_t>(files.size());
    for (std::uint32_t i = 0; i < number; ++i)
      if (infos[i].identity == file.identity()) return i;
    OLLM_TRY(const SafetensorsFile read, read_safetensors_header(file));
    tensors.reserve(tensors.size() + read.header.tensor_count());
    for (std::size_t i = 0; i < read.header.tensor_count(); ++i) {
      const SafetensorsTensor tensor = read.header.tensor(i);
      tensors.push_back({.name = std::string(tensor.name),
                         .dtype = tensor.dtype,
                         .shape = tensor.shape,
                         .file = number,
                         .offset_bytes = read.data_offset_bytes + tensor.begin_bytes,
                         .size_bytes = tensor.end_bytes - tensor.begin_bytes});
    }
    infos.push_back({path, file.identity()});
    files.push_back(std::move(file));
    return number;
  }
};

// The files that an index names, and by which number each was read.
struct Shards {
  ShardIndex index;
  std::vector<std::uint32_t> files;  // by the number of the shard
};

// How an index differs from the headers of its shards, one kind after the other.
class Disagreement {
 public:
  void add(std::string_view kind, std::string sentence) {
    Kind& entry = kinds_[std::string(kind)];
    if (entry.count++ == 0) entry.first = std::move(sentence);
  }
  bool empty() const { return kinds_.empty(); }
  std::string text() const {
    std::string out;
    for (const auto& [name, kind] : kinds_) {
      out += fmt::format("{}{}", out.empty() ? "" : "; ", kind.first);
      if (kind.count > 1) out += fmt::format(" (and {} more)", kind.count - 1);
    }
    return out;
  }

 private:
  struct Kind {
    std::size_t count = 0;
    std::string first;
  };
  std::map<std::string, Kind> kinds_;
};

// Headers decide; what the index says otherwise is told, not followed.
Disagreement compare(const Shards& shards, const TensorIndex& tensors) {
  const ShardIndex& index = shards.index;
  Disagreement out;
  if (index.repeated_key)
    out.add("repeated", fmt::format("key {} stands twice in it, and the last counts",
                                    quote_name(*index.repeated_key)));
  if (index.unusual_name)
    out.add("spelling", fmt::format("it names a shard as {}", quote_name(*index.unusual_name)));
  const auto name_of = [&](std::uint32_t file) {
    const auto shard = std::find(shards.files.begin(), shards.files.end(), file);
    return quote_name(index.shards[static_cast<std::size_t>(shard - shards.files.begin())]);
  };
  for (const TensorInfo& tensor : tensors.tensors()) {
    const ShardIndex::Entry* entry = index.find(tensor.name);
    if (entry == nullptr)
      out.add("unlisted", fmt::format("it lacks tensor {} of {}", quote_name(tensor.name),
                                      name_of(tensor.file)));
    else if (shards.files[entry->shard] != tensor.file)
      out.add("elsewhere", fmt::format("it says {} for tensor {}, which is in {}",
                                       quote_name(index.shards[entry->shard]),
                                       quote_name(tensor.name), name_of(tensor.file)));
  }
  for (const ShardIndex::Entry& entry : index.entries)
    if (tensors.find(entry.tensor) == nullptr)
      out.add("absent",
              fmt::format("it names tensor {}, which no shard has", quote_name(entry.tensor)));
  return out;
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

  std::vector<FolderNote> notes;
  std::vector<std::string> outside;  // files whose links leave the folder, "NAME to PATH"

  void note(std::string_view what, std::string_view chosen, std::string because) {
    notes.push_back({std::string(what), std::string(chosen), std::move(because)});
  }

  // The path to open, noting a link that leaves the folder.
  Result<std::filesystem::path> follow(std::string_view name) {
    OLLM_TRY(FolderFile file, paths.resolve_below(name));
    if (file.outside) outside.push_back(fmt::format("{} to {}", name, file.outside->native()));
    return std::move(file.path);
  }

  Result<void> read_texts() {
    for (const std::string_view name : kTokenizerFiles) {
      if (!paths.has(name)) continue;
      tokenizer_files.emplace_back(name);
      (void)follow(name).ok();  // one that leads nowhere matters to those that read it
    }
    if (paths.has(kConfig)) {
      OLLM_TRY(const std::filesystem::path config_path, follow(kConfig));
      const std::string shown = printable(config_path.native());
      OLLM_TRY(config_file, io::File::open(config_path, io::Access::buffered, *calls));
      OLLM_TRY(config_text, read_text_at(config_path, JsonLimits().size_bytes, *calls));
      OLLM_TRY(config, parse_json(config_text, shown));
      if (!config.is_object())
        return fail(ErrorKind::corrupt,
                    fmt::format("{}: expected an object, found {}", shown, describe(config)));
      has_config = true;
    }
    if (paths.has(kGenerationConfig)) OLLM_TRY_VOID(read_generation_config());
    return {};
  }

  // What of it cannot be read matters to those who use it; that it cannot be had at all (a link
  // that leads nowhere, a disk that fails) is an error.
  Result<void> read_generation_config() {
    OLLM_TRY(const std::filesystem::path path, follow(kGenerationConfig));
    has_generation_config = true;
    auto text = read_text_at(path, JsonLimits().size_bytes, *calls);
    if (text.ok()) {
      generation_config_text = std::move(text).value();
      generation_config = parse_generation_config(generation_config_text, printable(path.native()));
    } else if (text.error().kind == ErrorKind::corrupt ||
               text.error().kind == ErrorKind::unsupported) {
      generation_config = GenerationConfig::broken(std::move(text).error());
    } else {
      return std::move(text).error();
    }
    for (std::size_t i = 0; i < generation_config.unreadable.size(); ++i)
      note("generation_config", "passed over",
           fmt::format("{}; {}", generation_config.unreadable[i].message,
                       generation_config.unreadable_whole
                           ? "its end tokens are not known, those of config.json count; its "
                             "sampling matters to --model-defaults alone"
                       : i < generation_config.unreadable_ids
                           ? "token ids that can be read count, else those of config.json"
                           : "it matters to --model-defaults alone"));
    return {};
  }

  Result<void> read_headers() {
    if (paths.has(kAdapterConfig)) return adapter_beside(paths, *calls);
    Weights weights;
    std::optional<Shards> shards;
    // In Transformers' order: a single file wins over an index beside it.
    if (paths.has(kSingleFile)) {
      OLLM_TRY(const std::filesystem::path path, follow(kSingleFile));
      OLLM_TRY_VOID(weights.add(path, *calls));
      if (paths.has(kShardIndex))
        note("weights.files", kSingleFile,
             fmt::format("{} lies beside it and is passed over, as Transformers takes the single "
                         "file where both are there",
                         kShardIndex));
    } else if (paths.has(kShardIndex)) {
      OLLM_TRY(shards, add_shards(weights));
    } else {
      return no_weights(paths);
    }
    if (weights.tensors.empty())
      return fail(ErrorKind::corrupt,
                  fmt::format("{}: holds no tensor", printable(weights.infos[0].path.native())));
    OLLM_TRY(tensors, TensorIndex::make(std::move(weights.tensors), std::move(weights.infos)));
    files = std::move(weights.files);
    if (shards) {
      if (const Disagreement differs = compare(*shards, tensors); !differs.empty())
        note("weights.index", "headers",
             fmt::format("the shards' headers say what lies where, not {}: {}", kShardIndex,
                         differs.text()));
    }
    note_files_beside(shards);
    if (!outside.empty())
      note("folder.links", "followed",
           fmt::format("out of {}: {}", printable(paths.path().native()), some_of(outside)));
    return {};
  }

  Result<Shards> add_shards(Weights& weights) {
    OLLM_TRY(const std::filesystem::path index_path, follow(kShardIndex));
    OLLM_TRY(std::string text, read_text_at(index_path, ShardIndexLimits::kFileBytes, *calls));
    Shards out;
    OLLM_TRY(out.index, parse_shard_index(std::move(text), printable(index_path.native())));
    for (std::uint32_t shard = 0; shard < out.index.shards.size(); ++shard) {
      auto path = follow(out.index.shards[shard]);
      if (!path.ok()) return missing_shard(out.index, shard, std::move(path).error());
      OLLM_TRY(const std::uint32_t number, weights.add(*path, *calls));
      out.files.push_back(number);
    }
    return out;
  }

  // The error of a shard that cannot be found; one whose link is broken tells of the link.
  Error missing_shard(const ShardIndex& index, std::uint32_t shard, Error error) const {
    const std::string& name = index.shards[shard];
    const bool is_link = has_entry(name);
    if (error.kind != ErrorKind::not_found || is_link) return error;
    const auto entry = std::find_if(index.entries.begin(), index.entries.end(),
                                    [&](const auto& e) { return e.shard == shard; });
    return fail(ErrorKind::not_found,
                fmt::format("{}: the shard {} is missing, which {} names for tensor {} and "
                            "others; the download is not whole",
                            printable(paths.path().native()), printable(name), kShardIndex,
                            quote_name(entry->tensor)));
  }

  bool has_entry(const std::string& name) const {
    struct stat status{};
    return calls->lstat((paths.path() / name).c_str(), &status) == 0;
  }

  // Weights that lie there and are not read, and settings of other programs.
  void note_files_beside(const std::optional<Shards>& shards) {
    std::vector<std::string> beside;
    for (const std::string& name : paths.names()) {
      if (!name.ends_with(".safetensors") || name == kSingleFile) continue;
      if (shards &&
          std::binary_search(shards->index.shards.begin(), shards->index.shards.end(), name))
        continue;
      beside.push_back(name);
    }
    if (!beside.empty())
      note("weights.beside", "not read",
           fmt::format("{} in the folder: only {} read", some_of(beside),
                       shards ? "the shards that the index names are" : "model.safetensors is"));
    for (const OtherProgramsFile& file : kOtherProgramsFiles)
      if (paths.has(file.name))
        note("folder.beside", "not read", fmt::format("{}: {}", file.name, file.because));
  }
};

ModelFolder::ModelFolder(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<ModelFolder> ModelFolder::open(const std::filesystem::path& dir, io::SystemCalls& calls) {
  auto state = std::make_shared<State>();
  state->calls = &calls;
  OLLM_TRY(state->paths, FolderPaths::open(dir, calls));
  if (!state->paths.has(kConfig)) return no_config(state->paths, calls);
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
const std::vector<FolderNote>& ModelFolder::notes() const { return state_->notes; }
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
      return std::move(plain).error().within(printable(path().native()));
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
    OLLM_TRY(const FolderFile file, paths.resolve(name));
    if (state_->calls->stat(file.path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) continue;
    if (templates.size() == ModelFolderLimits::kTemplates)
      return fail(ErrorKind::unsupported, fmt::format("{}: holds more than {} chat templates",
                                                      dir.native(), ModelFolderLimits::kTemplates));
    OLLM_TRY(templates[name.substr(0, name.size() - kEnding.size())],
             read_text_at(file.path, ModelFolderLimits::kTemplateBytes, *state_->calls));
  }
  return templates;
}

}  // namespace ollm::checkpoint
