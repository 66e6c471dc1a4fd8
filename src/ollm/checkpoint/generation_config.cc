#include "ollm/checkpoint/generation_config.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/json_reader.h"
#include "ollm/checkpoint/config_object.h"

namespace ollm::checkpoint {
namespace {

constexpr IntegerRange kTokenId{-1, std::numeric_limits<std::int32_t>::max()};

Result<ConfigObject> open_object(const Result<Json>& document, std::string_view file_name) {
  if (!document.ok()) return document.error();
  return ConfigObject::make(*document, std::string(file_name));
}

// Takes the fields of one file, and keeps count of those that could not be read.
class Fields {
 public:
  Fields(const ConfigObject& config, std::vector<Error>& unreadable)
      : config_(config), unreadable_(unreadable) {}

  template <typename T>
  void take(std::string_view key, RangeOf<T> range, std::optional<T>& out) {
    auto read = config_.optional<T>(key, range);
    if (read.ok())
      out = *std::move(read);
    else
      unreadable_.push_back(std::move(read).error());
  }

  // An id of -1 is an old spelling of "none": no token has it.
  void take_id(std::string_view key, std::optional<std::int32_t>& out) {
    take<std::int32_t>(key, kTokenId, out);
    if (out == -1) out.reset();
  }

  void take_ids(std::string_view key, std::vector<std::int32_t>& out) {
    auto read = config_.readable<std::int32_t>(key, kTokenId);
    for (const std::int32_t id : read.values)
      if (id != -1 && std::find(out.begin(), out.end(), id) == out.end()) out.push_back(id);
    if (read.problem) unreadable_.push_back(*std::move(read.problem));
  }

 private:
  const ConfigObject& config_;
  std::vector<Error>& unreadable_;
};

}  // namespace

Result<void> GenerationConfig::check_sampling() const {
  if (unreadable.size() > unreadable_ids) return unreadable[unreadable_ids];
  return {};
}

GenerationConfig GenerationConfig::broken(Error error) {
  GenerationConfig out;
  out.unreadable.push_back(std::move(error));
  out.unreadable_whole = true;
  return out;
}

GenerationConfig parse_generation_config(std::string_view text, std::string_view file_name) {
  const auto document = parse_json(text, file_name);
  const auto config = open_object(document, file_name);
  if (!config.ok()) return GenerationConfig::broken(config.error());
  GenerationConfig out;
  Fields fields(*config, out.unreadable);
  fields.take_ids("eos_token_id", out.eos_token_ids);
  fields.take_id("bos_token_id", out.bos_token_id);
  fields.take_id("pad_token_id", out.pad_token_id);

  out.unreadable_ids = out.unreadable.size();
  fields.take("do_sample", {}, out.do_sample);
  fields.take("temperature", {.min = 0}, out.temperature);
  fields.take("top_k", IntegerRange::non_negative(), out.top_k);
  fields.take("top_p", NumberRange::above(0, 1), out.top_p);
  fields.take("min_p", {.min = 0, .max = 1}, out.min_p);
  fields.take("typical_p", NumberRange::above(0, 1), out.typical_p);
  fields.take("repetition_penalty", NumberRange::above(0), out.repetition_penalty);
  fields.take("presence_penalty", {}, out.presence_penalty);
  fields.take("frequency_penalty", {}, out.frequency_penalty);
  fields.take("max_new_tokens", IntegerRange::positive(), out.max_new_tokens);
  fields.take("max_length", IntegerRange::positive(), out.max_length);
  return out;
}

}  // namespace ollm::checkpoint
