// The table of limits that are held on what comes from outside. Each value is the constant that the
// code checks against: a limit without a line here is none of those that people meet.
#include "ollm/text/template/limits.h"

#include "ollm/base/json_reader.h"
#include "ollm/base/token_id.h"
#include "ollm/checkpoint/folder_paths.h"
#include "ollm/checkpoint/model_folder.h"
#include "ollm/checkpoint/safetensors.h"
#include "ollm/checkpoint/shard_index.h"
#include "ollm/hub/cache.h"
#include "ollm/models/model_config.h"
#include "ollm/ollm.h"
#include "ollm/plan/reference.h"
#include "ollm/plan/resolve.h"
#include "ollm/settings/fields.h"
#include "ollm/tensor/shape.h"
#include "ollm/text/added_tokens.h"
#include "ollm/text/json_fields.h"
#include "ollm/text/oniguruma.h"
#include "ollm/text/regex.h"
#include "ollm/text/sentencepiece_model.h"
#include "ollm/text/tokenizer.h"
#include "ollm/text/tokenizer_json.h"

namespace ollm {
namespace {

constexpr JsonLimits kJson;
constexpr text::CompileLimits kCompile;
constexpr text::RenderLimits kRender;

constexpr std::uint64_t number(auto value) { return static_cast<std::uint64_t>(value); }

constexpr Limit kLimits[] = {
    {"settings", "file_bytes", settings::SettingsLimits::kFileBytes, "of ollm.toml"},
    {"settings", "value_bytes", settings::SettingsLimits::kTextBytes, "of one text"},
    {"settings", "stop_strings", settings::SettingsLimits::kStops, "of one run"},
    {"settings", "stop_string_bytes", settings::SettingsLimits::kStopBytes, "of one stop string"},

    {"reference", "bytes", plan::kMaxReferenceBytes, "of a model reference"},
    {"reference", "models_dir_entries", plan::kMaxModelFolders, "of the models folder"},
    {"reference", "hub_cache_entries", hub::kMaxCachedNames, "of the hub's cache, listed"},

    {"folder", "names", checkpoint::kMaxFolderNames, "in a model's folder"},
    {"folder", "tokenizer_bytes", checkpoint::ModelFolderLimits::kTokenizerBytes,
     "of tokenizer.json as a file"},
    {"folder", "text_bytes", checkpoint::ModelFolderLimits::kTextBytes, "of any other text file"},

    {"json", "bytes", kJson.size_bytes, "of config.json and generation_config.json"},
    {"json", "depth", kJson.depth, "of lists and objects inside each other"},
    {"json", "keys_per_object", kJson.keys_per_object, "of one object"},

    {"config", "dimension", number(models::ModelConfigLimits::kDimension), "of any size"},
    {"config", "layers", number(models::ModelConfigLimits::kLayers), "of a model"},
    {"config", "heads", number(models::ModelConfigLimits::kHeads), "of attention"},
    {"config", "positions", number(models::ModelConfigLimits::kPositions), "of a model"},
    {"config", "experts", number(models::ModelConfigLimits::kExperts), "of a layer"},
    {"config", "experts_of_all_layers", number(models::ModelConfigLimits::kExpertsOfAllLayers),
     "of a model"},

    {"safetensors", "header_bytes", checkpoint::SafetensorsLimits::kHeaderBytes, "of one file"},
    {"safetensors", "tensors", checkpoint::SafetensorsLimits::kTensors, "of one file"},
    {"safetensors", "metadata_entries", checkpoint::SafetensorsLimits::kMetadataEntries,
     "of one file"},
    {"safetensors", "name_bytes", checkpoint::SafetensorsLimits::kNameBytes, "of a tensor's name"},
    {"safetensors", "rank", kMaxRank, "dimensions of a tensor"},
    {"safetensors", "index_bytes", checkpoint::ShardIndexLimits::kFileBytes,
     "of model.safetensors.index.json"},
    {"safetensors", "index_tensors", checkpoint::ShardIndexLimits::kTensors, "of all shards"},
    {"safetensors", "shards", checkpoint::ShardIndexLimits::kShards, "of a model"},

    {"tokenizer", "json_bytes", text::kMaxTokenizerJsonBytes, "of tokenizer.json when parsed"},
    {"tokenizer", "small_json_bytes", text::kMaxSmallJsonBytes,
     "of the tokenizer's other JSON files"},
    {"tokenizer", "json_depth", text::kMaxJsonDepth, "of the tokenizer's JSON files"},
    {"tokenizer", "sentencepiece_bytes", text::kMaxSentencePieceBytes, "of tokenizer.model"},
    {"tokenizer", "token_id", number(kMaxTokenId), "the largest id"},
    {"tokenizer", "added_token_bytes", text::AddedTokens::kMaxContentBytes, "of an added token"},
    {"tokenizer", "text_bytes", text::kMaxTextBytes, "of one text to encode"},

    {"pattern", "bytes", text::kMaxPatternBytes, "of a tokenizer's pattern"},
    {"pattern", "set_depth", number(text::kMaxPatternDepth), "of sets inside each other"},
    {"pattern", "nesting", text::RegexLimits::kNesting, "of brackets inside each other"},
    {"pattern", "steps", text::RegexLimits::kSteps, "of one search, and on top of it"},
    {"pattern", "steps_per_byte", text::RegexLimits::kStepsPerByte, "for each byte of the text"},
    {"pattern", "heap_bytes", text::RegexLimits::kHeapBytes, "of one search"},
    {"pattern", "jit_stack_bytes", text::RegexLimits::kJitStackBytes, "of one search"},

    {"template", "source_bytes", kCompile.source_bytes, "of a chat template"},
    {"template", "nesting", kCompile.nesting, "of blocks and brackets inside each other"},
    {"template", "chain", kCompile.chain, "links of a.b|c"},
    {"template", "steps", kRender.steps, "of one rendering"},
    {"template", "range_items", kRender.range_items, "of range()"},
    {"template", "macro_recursion", kRender.macro_recursion, "of macros inside each other"},
    {"template", "evaluation_depth", kRender.evaluation_depth, "of expressions inside each other"},
    {"template", "value_nesting", kRender.value_nesting, "of lists and dicts inside each other"},
    {"template", "output_bytes", kRender.output_bytes, "of one rendering"},
    {"template", "memory_bytes", kRender.memory_bytes,
     "of values at one time, and four times the variables' text on top"},
    {"template", "cpu_ms", number(kRender.cpu_time.count()), "of one rendering"},
};

}  // namespace

std::span<const Limit> limits() { return kLimits; }

}  // namespace ollm
