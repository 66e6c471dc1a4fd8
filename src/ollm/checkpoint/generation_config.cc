#include "ollm/checkpoint/generation_config.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "ollm/checkpoint/config_object.h"
#include "ollm/checkpoint/json_reader.h"

namespace ollm::checkpoint {
namespace {

constexpr IntegerRange kTokenId{-1, std::numeric_limits<std::int32_t>::max()};

// An id of -1 is an old spelling of "none": no token has it.
Result<std::optional<std::int32_t>> token_id(const ConfigObject& config, std::string_view key) {
  OLLM_TRY(auto id, config.optional<std::int32_t>(key, kTokenId));
  if (id == -1) id.reset();
  return id;
}

}  // namespace

Result<GenerationConfig> parse_generation_config(std::string_view text,
                                                 std::string_view file_name) {
  OLLM_TRY(const Json document, parse_json(text, file_name));
  OLLM_TRY(const ConfigObject config, ConfigObject::make(document, std::string(file_name)));
  GenerationConfig out;
  OLLM_TRY(const auto end_ids, config.list<std::int32_t>("eos_token_id", kTokenId));
  for (const std::int32_t id : end_ids)
    if (id != -1 && std::find(out.eos_token_ids.begin(), out.eos_token_ids.end(), id) ==
                        out.eos_token_ids.end())
      out.eos_token_ids.push_back(id);
  OLLM_TRY(out.bos_token_id, token_id(config, "bos_token_id"));
  OLLM_TRY(out.pad_token_id, token_id(config, "pad_token_id"));

  OLLM_TRY(out.do_sample, config.optional<bool>("do_sample"));
  OLLM_TRY(out.temperature, config.optional<double>("temperature", {.min = 0}));
  OLLM_TRY(out.top_k, config.optional<std::int32_t>("top_k", IntegerRange::non_negative()));
  OLLM_TRY(out.top_p, config.optional<double>("top_p", NumberRange::above(0, 1)));
  OLLM_TRY(out.min_p, config.optional<double>("min_p", {.min = 0, .max = 1}));
  OLLM_TRY(out.typical_p, config.optional<double>("typical_p", NumberRange::above(0, 1)));
  OLLM_TRY(out.repetition_penalty,
           config.optional<double>("repetition_penalty", NumberRange::above(0)));
  OLLM_TRY(out.presence_penalty, config.optional<double>("presence_penalty"));
  OLLM_TRY(out.frequency_penalty, config.optional<double>("frequency_penalty"));
  OLLM_TRY(out.max_new_tokens,
           config.optional<std::int32_t>("max_new_tokens", IntegerRange::positive()));
  OLLM_TRY(out.max_length, config.optional<std::int32_t>("max_length", IntegerRange::positive()));
  return out;
}

}  // namespace ollm::checkpoint
