#include "ollm/models/rotary_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "ollm/models/model_config.h"

namespace ollm::models {
namespace {

using checkpoint::ConfigObject;
using checkpoint::IntegerRange;
using checkpoint::NumberRange;

// What numbers of config.json become in f32 is neither zero nor infinite within these, and no
// rotary pair turns by more than one radian a token.
constexpr NumberRange kThetas{1, 1e30, false};
constexpr NumberRange kFactors{1e-6, 1e6, false};

struct NamedRotary {
  std::string_view name;
  RotaryType type;
};
constexpr NamedRotary kRotaryTypes[] = {
    {"default", RotaryType::default_}, {"linear", RotaryType::linear},
    {"dynamic", RotaryType::dynamic},  {"llama3", RotaryType::llama3},
    {"yarn", RotaryType::yarn},        {"longrope", RotaryType::longrope}};

// One of the two forms, over what stands beside them.
class Reader {
 public:
  Reader(const ConfigObject& config, const ConfigObject& scaling, const RotaryDefaults& defaults,
         std::size_t head_dim, std::size_t max_positions)
      : config_(config),
        scaling_(scaling),
        defaults_(defaults),
        head_dim_(head_dim),
        max_positions_(max_positions) {}

  // `rotary` holds what stands at the top.
  Result<RotaryConfig> read(RotaryConfig rotary) const {
    OLLM_TRY(rotary.type, type());
    OLLM_TRY(rotary.theta, scaling_.value_or<double>("rope_theta", rotary.theta, kThetas));
    OLLM_TRY_VOID(partial(rotary));
    if (rotary.type == RotaryType::default_) return rotary;
    if (rotary.type != RotaryType::linear && rotary.type != RotaryType::dynamic) {
      OLLM_TRY(rotary.original_max_position_embeddings, original());
    }
    OLLM_TRY_VOID(factor(rotary));
    if (rotary.type == RotaryType::llama3) OLLM_TRY_VOID(llama3(rotary));
    if (rotary.type == RotaryType::yarn) OLLM_TRY_VOID(yarn(rotary));
    if (rotary.type == RotaryType::longrope) OLLM_TRY_VOID(longrope(rotary));
    return rotary;
  }

 private:
  Result<RotaryType> type() const {
    // Older files say `type`; where both stand, Transformers takes rope_type.
    std::optional<std::string> older;
    if (defaults_.older_type) {
      OLLM_TRY(older, scaling_.optional<std::string>("type"));
    }
    OLLM_TRY(const auto newer, scaling_.optional<std::string>("rope_type"));
    std::string name = newer ? *newer : older.value_or("default");
    const char* key = newer ? "rope_type" : "type";
    if (defaults_.longrope_alone && (name == "su" || name == "yarn")) name = "longrope";
    if (defaults_.longrope_alone || defaults_.mscales) {
      if (name != "default" && name != "longrope") {
        return scaling_.error(ErrorKind::unsupported, key,
                              fmt::format("expected longrope, the only one that this model type "
                                          "has, found '{}'",
                                          name));
      }
    }
    std::vector<std::string_view> names;
    for (const NamedRotary& known : kRotaryTypes) {
      if (known.name == name) return known.type;
      names.push_back(known.name);
    }
    return scaling_.error(
        ErrorKind::unsupported, key,
        fmt::format("rotary type '{}' is not built; there are {}", name, fmt::join(names, ", ")));
  }

  Result<void> partial(RotaryConfig& rotary) const {
    // Unread, it is told as without effect.
    if (!defaults_.partial && rotary.type == RotaryType::default_) return {};
    const NumberRange shares = NumberRange::above(0, 1);
    OLLM_TRY(
        const double beside,
        config_.value_or<double>("partial_rotary_factor", defaults_.partial_rotary_factor, shares));
    OLLM_TRY(const double share,
             scaling_.value_or<double>("partial_rotary_factor", beside, shares));
    if (defaults_.partial) rotary.partial_rotary_factor = share;
    if (defaults_.partial || share == 1) return {};
    return scaling_.error(
        ErrorKind::unsupported, "partial_rotary_factor",
        fmt::format("{} with rotary type {}: this model type turns whole heads, and Transformers "
                    "cannot run it either",
                    share, to_string(rotary.type)));
  }

  // What stands beside rope_scaling goes before what stands in it, and the model's length is it
  // where it stands nowhere.
  Result<std::size_t> original() const {
    const auto positions = IntegerRange::positive(ModelConfigLimits::kPositions);
    const std::string_view key = "original_max_position_embeddings";
    OLLM_TRY(const auto inside, scaling_.optional<std::int64_t>(key, positions));
    OLLM_TRY(auto beside, config_.optional<std::int64_t>(key, positions));
    if (!beside && defaults_.original_max_position_embeddings != 0)
      beside = defaults_.original_max_position_embeddings;
    return static_cast<std::size_t>(
        beside.value_or(inside.value_or(static_cast<std::int64_t>(max_positions_))));
  }

  Result<void> factor(RotaryConfig& rotary) const {
    const double stretched =
        static_cast<double>(max_positions_) /
        static_cast<double>(std::max<std::size_t>(1, rotary.original_max_position_embeddings));
    // A yarn that says null, and a longrope without one, take what the lengths say.
    const bool by_lengths = rotary.type == RotaryType::longrope ||
                            (rotary.type == RotaryType::yarn && scaling_.has("factor"));
    if (by_lengths) {
      OLLM_TRY(rotary.factor, scaling_.value_or<double>("factor", stretched, kFactors));
    } else {
      OLLM_TRY(rotary.factor, scaling_.required<double>("factor", kFactors));
    }
    return {};
  }

  Result<void> llama3(RotaryConfig& rotary) const {
    OLLM_TRY(rotary.low_freq_factor, scaling_.required<double>("low_freq_factor", kFactors));
    OLLM_TRY(rotary.high_freq_factor, scaling_.required<double>("high_freq_factor", kFactors));
    if (rotary.high_freq_factor > rotary.low_freq_factor) return {};
    return scaling_.error(ErrorKind::corrupt, "high_freq_factor",
                          fmt::format("expected above low_freq_factor {}, found {}",
                                      rotary.low_freq_factor, rotary.high_freq_factor));
  }

  Result<void> yarn(RotaryConfig& rotary) const {
    if (rotary.theta == 1) {
      return scaling_.error(ErrorKind::corrupt, "rope_theta",
                            "expected above 1 for rotary type yarn, whose pairs it tells apart");
    }
    constexpr NumberRange kScales{0, 1e6, false};
    OLLM_TRY(rotary.attention_factor, scaling_.optional<double>("attention_factor", kFactors));
    OLLM_TRY(rotary.mscale, scaling_.optional<double>("mscale", kScales));
    OLLM_TRY(rotary.mscale_all_dim, scaling_.optional<double>("mscale_all_dim", kScales));
    OLLM_TRY(rotary.beta_fast, turns("beta_fast", 32));
    OLLM_TRY(rotary.beta_slow, turns("beta_slow", 1));
    // Null is false here: Transformers asks only whether it is true.
    OLLM_TRY(rotary.truncate, scaling_.value_or<bool>("truncate", !scaling_.has("truncate")));
    return {};
  }

  // 0 is no number of turns: the default's.
  Result<double> turns(std::string_view key, double absent) const {
    OLLM_TRY(const double said, scaling_.value_or<double>(key, absent, NumberRange{0, 1e6, false}));
    if (said == 0) return absent;
    return scaling_.value_or<double>(key, absent, kFactors);
  }

  Result<void> longrope(RotaryConfig& rotary) const {
    if (rotary.original_max_position_embeddings == 1) {
      return scaling_.error(ErrorKind::corrupt, "original_max_position_embeddings",
                            "expected above 1 for rotary type longrope, found 1");
    }
    OLLM_TRY(rotary.attention_factor, scaling_.optional<double>("attention_factor", kFactors));
    const std::size_t pairs = rotary_size(rotary, head_dim_) / 2;
    OLLM_TRY(rotary.short_factor, factors("short_factor", pairs));
    OLLM_TRY(rotary.long_factor, factors("long_factor", pairs));
    if (!defaults_.mscales) return {};
    OLLM_TRY(rotary.short_mscale, scaling_.required<double>("short_mscale", kFactors));
    OLLM_TRY(rotary.long_mscale, scaling_.required<double>("long_mscale", kFactors));
    return {};
  }

  Result<std::vector<double>> factors(std::string_view key, std::size_t pairs) const {
    OLLM_TRY(auto list, scaling_.list<double>(key, kFactors));
    if (list.size() == pairs) return list;
    return scaling_.error(
        ErrorKind::corrupt, key,
        fmt::format("expected {} factors, one a pair, found {}", pairs, list.size()));
  }

  const ConfigObject& config_;
  const ConfigObject& scaling_;
  const RotaryDefaults& defaults_;
  std::size_t head_dim_;
  std::size_t max_positions_;
};

// An object that says something; {} and null say nothing.
Result<std::optional<ConfigObject>> spoken(const ConfigObject& config, std::string_view key) {
  OLLM_TRY(auto object, config.optional_object(key));
  if (object && object->empty()) object.reset();
  return object;
}

}  // namespace

std::string_view to_string(RotaryType type) {
  for (const NamedRotary& known : kRotaryTypes)
    if (known.type == type) return known.name;
  return "default";
}

std::size_t rotary_size(const RotaryConfig& config, std::size_t head_dim) {
  return static_cast<std::size_t>(static_cast<double>(head_dim) * config.partial_rotary_factor);
}

namespace {

// The two forms, over what `top` has from beside them.
struct Forms {
  std::optional<ConfigObject> scaling, parameters;
};

Result<RotaryConfig> read_forms(const ConfigObject& config, const Forms& forms,
                                const RotaryDefaults& defaults, const RotaryConfig& top,
                                std::size_t head_dim, std::size_t max_position_embeddings) {
  const std::optional<ConfigObject>& scaling = forms.scaling;
  const std::optional<ConfigObject>& parameters = forms.parameters;
  RotaryDefaults of_parameters = defaults;
  of_parameters.older_type = true;
  const auto read = [&](const ConfigObject& form, const RotaryDefaults& with) {
    return Reader(config, form, with, head_dim, max_position_embeddings).read(top);
  };
  RotaryConfig rotary = top;
  if (defaults.partial) {
    OLLM_TRY(rotary.partial_rotary_factor,
             config.value_or<double>("partial_rotary_factor", defaults.partial_rotary_factor,
                                     NumberRange::above(0, 1)));
  }
  if (scaling) {
    OLLM_TRY(rotary, read(*scaling, defaults));
  }
  if (parameters) {
    OLLM_TRY(const RotaryConfig other, read(*parameters, of_parameters));
    if (scaling && other != rotary) {
      return config.error(ErrorKind::unsupported, "rope_scaling",
                          "differs from rope_parameters beside it: which one counts is not known");
    }
    rotary = other;
  }
  const std::size_t turned = rotary_size(rotary, head_dim);
  if (turned != 0 && turned % 2 == 0) return rotary;
  return config.error(ErrorKind::corrupt, "head_dim",
                      fmt::format("rotary turns pairs of elements: expected an even number, found "
                                  "{} ({} of {})",
                                  turned, rotary.partial_rotary_factor, head_dim));
}

}  // namespace

Result<RotaryConfig> read_rotary(const ConfigObject& config, const RotaryDefaults& defaults,
                                 std::size_t head_dim, std::size_t max_position_embeddings) {
  // Of a length that longrope stretches; without it Phi-3 has it all the same.
  if (defaults.longrope_alone) config.ignore("original_max_position_embeddings");
  RotaryConfig top;
  OLLM_TRY(top.theta, config.value_or<double>("rope_theta", defaults.theta, kThetas));
  Forms forms;
  OLLM_TRY(forms.scaling, spoken(config, "rope_scaling"));
  OLLM_TRY(forms.parameters, spoken(config, "rope_parameters"));
  return read_forms(config, forms, defaults, top, head_dim, max_position_embeddings);
}

Result<RotaryConfig> read_rotary_of_type(const ConfigObject& config, const RotaryOfType& of,
                                         std::size_t head_dim,
                                         std::size_t max_position_embeddings) {
  RotaryConfig top;
  top.theta = of.theta;
  if (!of.theta_key.empty()) {
    OLLM_TRY(top.theta, config.value_or<double>(of.theta_key, of.theta, kThetas));
  }
  Forms forms;
  if (of.scaled) {
    OLLM_TRY(forms.scaling, spoken(config, "rope_scaling"));
  }
  OLLM_TRY(const auto of_all, spoken(config, "rope_parameters"));
  if (of_all) {
    OLLM_TRY(forms.parameters, spoken(*of_all, of.type));
  }
  // Transformers puts rope_scaling over a "default" that is there already.
  const RotaryDefaults defaults{.older_type = false};
  return read_forms(config, forms, defaults, top, head_dim, max_position_embeddings);
}

}  // namespace ollm::models
