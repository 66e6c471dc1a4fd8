#include "ollm/models/config_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;

constexpr std::string_view kTransformersKeys[] = {
#include "ollm/models/transformers_keys.inc"
};

// Keys of every PretrainedConfig of Transformers 4 and 5, sampling that was saved with the model,
// training, caches, and what tools write: bookkeeping that no class computes with. Sorted.
constexpr std::string_view kBookkeeping[] = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "_commit_hash",
    "_experts_implementation",
    "_experts_implementation_internal",
    "_name_or_path",
    "add_cross_attention",
    "architectures",
    "assistant_confidence_threshold",
    "attention_dropout",
    "attn_implementation",
    "attn_pdrop",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "cache_implementation",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "embedding_dropout",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "eos_token_id",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "hidden_dropout",
    "hidden_dropout_prob",
    "id2label",
    "initializer_range",
    "is_composition",
    "is_decoder",
    "is_encoder_decoder",
    "keys_to_ignore_at_inference",
    "label2id",
    "length_penalty",
    "max_length",
    "min_length",
    "model_type",
    "no_repeat_ngram_size",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_scores",
    "pad_token_id",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "pruned_heads",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "residual_dropout",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tie_last_hidden_states",
    "tokenizer_class",
    "tokenizer_name",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "use_return_dict",
};

// What publishers leave behind, and no class of Transformers reads: with any value, or with the one
// that names what the type computes anyway.
struct Leftover {
  std::string_view key;
  std::string_view harmless;  // as JSON; empty: any
};
constexpr Leftover kLeftovers[] = {
    {"activation", R"("swiglu")"},
    {"attn_output_gate", "true"},
    {"badwordsids", ""},
    {"expert_dropout", ""},
    {"experts_per_token", ""},
    {"full_attn_mod", "1"},
    {"initial_context_length", ""},
    {"interpolate_factor", "1"},
    {"is_llama_config", ""},
    {"layer_switch", ""},
    {"lm_head_bias", "false"},
    {"mamba_ssm_dtype", ""},
    {"max_sequence_length", ""},
    {"mlp_type", R"("default")"},
    {"model_max_length", ""},
    {"moe_capacity", ""},
    {"moe_gate", R"("topk")"},
    {"moe_use_aux_free", "true"},
    {"mtp_num_hidden_layers", ""},
    {"mtp_transformer_layers", ""},
    {"mtp_use_dedicated_embeddings", ""},
    {"norm_type", R"("layer_norm")"},
    {"norm_type", R"("rms_norm")"},
    {"num_mtp_modules", ""},
    {"order_of_interleaved_layers", R"("local_attn_first")"},
    {"rope_interleaved", "false"},
    {"rope_pct", ""},
    {"rope_ratio", "1"},
    {"rope_ratio", "1.0"},
    {"rotary_scaling_factor", "1.0"},
    {"use_embedding_sharing", "true"},
    {"use_flash_attention", ""},
    {"use_flash_attn", ""},
    {"use_gated_activation", "true"},
    {"use_mrope", "false"},
    {"use_mtp", ""},
    {"use_parallel_block", "true"},
    {"use_parallel_embedding", ""},
    {"use_routing_bias", "true"},
};

// Keys of rope_scaling and rope_parameters that some rotary type reads, or that were written there.
constexpr std::string_view kRotaryKeys[] = {
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "factor",
    "finetuned",
    "high_freq_factor",
    "long_factor",
    "long_mscale",
    "low_freq_factor",
    "mrope_interleaved",
    "mrope_section",
    "mscale",
    "mscale_all_dim",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "rope_theta",
    "rope_type",
    "short_factor",
    "short_mscale",
    "truncate",
    "type",
};

bool sorted_holds(std::span<const std::string_view> names, std::string_view name) {
  return std::binary_search(names.begin(), names.end(), name);
}

bool left_over(std::string_view key, const Json& value) {
  return std::any_of(std::begin(kLeftovers), std::end(kLeftovers), [&](const Leftover& known) {
    return known.key == key && (known.harmless.empty() || value.dump() == known.harmless);
  });
}

}  // namespace

static_assert(std::is_sorted(std::begin(kTransformersKeys), std::end(kTransformersKeys)));
static_assert(std::is_sorted(std::begin(kBookkeeping), std::end(kBookkeeping)));
static_assert(std::is_sorted(std::begin(kRotaryKeys), std::end(kRotaryKeys)));

UnreadKeys sort_unread(const ConfigObject& config) {
  UnreadKeys out;
  config.for_each_unused([&](const std::string& path, std::string_view key, const Json& value) {
    if (value.is_null()) return;
    const bool top = path.size() == key.size();  // else of a rotary, the only object that is read
    if (top && sorted_holds(kBookkeeping, key)) return;
    const bool known = top ? sorted_holds(kTransformersKeys, key) || left_over(key, value)
                           : sorted_holds(kRotaryKeys, key);
    (known ? out.of_other_types : out.unknown).push_back(path);
  });
  return out;
}

std::vector<std::string> refused_keys(const std::vector<std::string>& unknown,
                                      const std::vector<std::string>& allowed) {
  std::vector<std::string> refused;
  for (const std::string& key : unknown)
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) refused.push_back(key);
  return refused;
}

Error not_understood(const std::vector<std::string>& keys, bool allowing_helps) {
  return fail(ErrorKind::unsupported,
              fmt::format("config.json: {}: not understood, and it may change what is computed{}",
                          fmt::join(keys, ", "),
                          allowing_helps ? "; --allow-config-key NAME runs without it" : ""));
}

}  // namespace ollm::models
