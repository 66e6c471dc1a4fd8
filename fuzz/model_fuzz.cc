// A tiny model folder made from the input, of any family, sizes, types, values, with what is wrong
// with it, through plan, load, score and generate: refused by the plan, or computed, and then with
// the same bits whatever the chunk, the threads, the rows beside and the types that tensors have.
// links: ollm_runtime ollm_tiny_model nlohmann_json::nlohmann_json fmt::fmt
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/bytes.h"
#include "ollm/base/check.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/ollm.h"
#include "tests/tiny_model.h"

namespace {

using ollm::DType;
using ollm::fuzz::Bytes;
using ollm::testing::TinySizes;
using ollm::testing::TinyTensor;

constexpr DType kWeightTypes[] = {DType::f32, DType::f16, DType::bf16};

bool is_weight_type(DType dtype) { return std::ranges::count(kWeightTypes, dtype) != 0; }

constexpr std::size_t kHidden[] = {20, 1, 2, 15, 16, 17, 31, 32, 33, 64};
constexpr std::size_t kHeads[] = {2, 1, 3, 4};
constexpr std::size_t kHeadDims[] = {6, 2, 1, 7, 8, 16, 34, 64};
constexpr std::size_t kVocab[] = {41, 1, 2, 16, 100, 257};
constexpr std::size_t kPositions[] = {64, 1, 2, 63, 65, 130, 2048};

constexpr float kValues[] = {std::numeric_limits<float>::quiet_NaN(),
                             std::numeric_limits<float>::infinity(),
                             -std::numeric_limits<float>::infinity(),
                             3e38F,
                             -65504.0F,
                             1e-40F,
                             0.0F,
                             -0.0F};

// Keys of config.json that count, and values that no writer of one would mean.
constexpr const char* kKeys[] = {"hidden_size",          "intermediate_size",
                                 "num_hidden_layers",    "num_attention_heads",
                                 "num_key_value_heads",  "head_dim",
                                 "vocab_size",           "max_position_embeddings",
                                 "rms_norm_eps",         "norm_epsilon",
                                 "rope_theta",           "partial_rotary_factor",
                                 "rope_scaling",         "rope_parameters",
                                 "hidden_act",           "tie_word_embeddings",
                                 "attention_bias",       "mlp_bias",
                                 "sliding_window",       "layer_types",
                                 "no_rope_layers",       "embedding_multiplier",
                                 "attention_multiplier", "residual_multiplier",
                                 "logits_scaling",       "eos_token_id",
                                 "bos_token_id",         "architectures",
                                 "model_type",           "unknown_key"};
constexpr const char* kJson[] = {
    "0",
    "1",
    "-1",
    "2",
    "3",
    "64",
    "null",
    "0.0",
    "0.5",
    "1.0",
    "-0.5",
    "1e-300",
    "1e-45",
    "1e308",
    "1e999",
    "NaN",
    "Infinity",
    "-Infinity",
    "9223372036854775807",
    "18446744073709551615",
    "true",
    "false",
    "\"gelu\"",
    "\"relu2\"",
    "\"llama\"",
    "\"\\ud800\"",
    "[]",
    "[0,1]",
    "[\"full_attention\",\"sliding_attention\"]",
    "[-1,7]",
    "{}",
    R"({"rope_type":"linear","factor":8.0})",
    R"({"rope_type":"linear","factor":1e6,"rope_theta":1.0})",
    R"({"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,)"
    R"("original_max_position_embeddings":16})",
    R"({"rope_type":"llama3","factor":1.0,"low_freq_factor":1e-300,"high_freq_factor":1e6,)"
    R"("original_max_position_embeddings":1})",
    R"({"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":16})",
    R"({"rope_type":"yarn","factor":4.0,"rope_theta":1.0})",
    R"({"rope_type":"yarn","factor":1e6,"beta_fast":1e-300,"beta_slow":1e6,"truncate":false,)"
    R"("mscale":1e6,"mscale_all_dim":1e-300})",
    R"({"rope_type":"yarn","factor":4.0,"attention_factor":1e-300})",
    R"({"rope_type":"yarn","factor":4.0,"mscale":0.7,"mscale_all_dim":1.0,"beta_fast":1.0,)"
    R"("beta_slow":1.0})",
    R"({"rope_type":"dynamic","factor":2.0})",
};

// Tensors that some models have and this one may not.
constexpr const char* kFurther[] = {"model.layers.0.self_attn.q_proj.bias",
                                    "model.layers.0.self_attn.k_norm.weight",
                                    "model.layers.0.self_attn.rotary_emb.inv_freq",
                                    "model.layers.0.input_layernorm.bias",
                                    "model.layers.0.post_feedforward_layernorm.weight",
                                    "model.layers.0.mlp.gate_up_proj.weight",
                                    "model.layers.9.self_attn.q_proj.weight",
                                    "lm_head.weight",
                                    "lm_head.bias",
                                    "model.norm.bias",
                                    "visual.patch_embed.weight"};

// What the input makes, and what is known of it.
struct Made {
  std::string config;
  std::vector<TinyTensor> tensors;
  std::size_t vocab = 0;
  bool odd_values = false;  // not held by every type, or no number
  bool odd_config = false;  // more than sizes
};

class Maker {
 public:
  explicit Maker(Bytes& in) : in_(in) {}

  Made make() {
    const ollm::testing::TinyFamily& family = in_.one_of(ollm::testing::tiny_families());
    TinySizes sizes;
    sizes.hidden = in_.one_of(kHidden);
    sizes.inner = 37 + in_.pick(40);
    sizes.layers = 1 + in_.pick(3);
    sizes.heads = in_.one_of(kHeads);
    sizes.kv_heads = in_.flag() ? sizes.heads : 1 + in_.pick(5);
    sizes.head_dim = in_.one_of(kHeadDims);
    sizes.vocab = out_.vocab = in_.one_of(kVocab);
    sizes.positions = in_.one_of(kPositions);
    sizes.tied = in_.flag();
    sizes.stored_head = in_.flag();
    out_.tensors = ollm::testing::tiny_tensors(family, sizes, in_.byte());
    give_types();
    nlohmann::ordered_json config = ollm::testing::tiny_config(family, sizes);
    for (std::size_t edits = in_.pick(5); edits > 0; --edits) edit(config);
    out_.config = config.dump();
    for (const auto& [placeholder, text] : raw_) {
      const std::size_t at = out_.config.find(placeholder);
      if (at != std::string::npos) out_.config.replace(at, placeholder.size(), text);
    }
    return std::move(out_);
  }

 private:
  void give_types() {
    const std::size_t kind = in_.pick(4);  // one type for all, or any for each
    std::uint32_t random = in_.byte() * 2 + 1;
    for (TinyTensor& tensor : out_.tensors) {
      random = random * 1664525 + 1013904223;
      tensor.dtype = kWeightTypes[kind < 3 ? kind : (random >> 16) % 3];
    }
  }

  TinyTensor& any_tensor() { return out_.tensors[in_.pick(out_.tensors.size())]; }

  void edit(nlohmann::ordered_json& config) {
    switch (in_.pick(7)) {
      case 0: {  // numbers that JSON has no form for come as text
        const std::string placeholder = "\"@" + std::to_string(raw_.size()) + "@\"";
        config[in_.one_of(kKeys)] = placeholder.substr(1, placeholder.size() - 2);
        raw_.emplace_back(placeholder, in_.one_of(kJson));
        out_.odd_config = true;
        break;
      }
      case 1: {
        TinyTensor& tensor = any_tensor();
        if (tensor.values.empty()) break;
        tensor.values[in_.byte() % tensor.values.size()] = in_.one_of(kValues);
        out_.odd_values = true;
        break;
      }
      case 2: {
        TinyTensor& tensor = any_tensor();
        tensor.dtype = in_.one_of(ollm::kDTypes);
        break;
      }
      case 3:
        reshape(any_tensor());
        break;
      case 4:
        if (out_.tensors.size() > 1)
          out_.tensors.erase(out_.tensors.begin() +
                             static_cast<std::ptrdiff_t>(in_.pick(out_.tensors.size())));
        break;
      case 5: {
        TinyTensor further = any_tensor();
        further.name = in_.one_of(kFurther);
        for (const TinyTensor& tensor : out_.tensors)
          if (tensor.name == further.name) return;
        out_.tensors.push_back(std::move(further));
        break;
      }
      case 6: {
        TinyTensor& first = any_tensor();
        TinyTensor& second = any_tensor();
        std::swap(first.shape, second.shape);
        fill(first);
        fill(second);
        break;
      }
    }
  }

  void reshape(TinyTensor& tensor) {
    std::vector<std::uint64_t> sizes(tensor.shape.sizes().begin(), tensor.shape.sizes().end());
    switch (in_.pick(6)) {
      case 0:
        sizes.push_back(1);
        break;
      case 1:
        sizes.clear();
        break;
      case 2:
        if (!sizes.empty()) sizes.front() = 0;
        break;
      case 3:
        if (!sizes.empty()) ++sizes.front();
        break;
      case 4:
        if (!sizes.empty()) --sizes.back();
        break;
      case 5:
        sizes.insert(sizes.begin(), 1);
        break;
    }
    const auto shape = ollm::Shape::make(sizes);
    if (!shape.ok()) return;
    tensor.shape = *shape;
    fill(tensor);
  }

  static void fill(TinyTensor& tensor) {
    tensor.values.resize(tensor.shape.element_count(), 0.25F);
  }

  Bytes& in_;
  Made out_;
  std::vector<std::pair<std::string, std::string>> raw_;
};

const std::filesystem::path& folder() {
  static const ollm::io::TemporaryFolder folder;
  return folder.path();
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write(const Made& made) {
  const std::filesystem::path model = folder() / "model";
  std::filesystem::create_directories(model);
  ollm::testing::write_tiny_model(model, made.config, made.tensors);
}

// One way to run: what may not change a bit.
struct Way {
  std::optional<std::int64_t> chunk;
  std::int64_t threads = 1;
  std::size_t sequences = 1;
};

struct Wanted {
  std::optional<std::string> isa, compute;
  std::vector<ollm::ScoreRow> rows;
  std::size_t longest = 0;
};

constexpr std::size_t kNewTokens = 3;

ollm::Result<ollm::Plan> plan_of(const Wanted& wanted, const Way& way) {
  ollm::Settings settings;
  settings.runtime.model_reference = (folder() / "model").string();
  settings.runtime.cache_dir = (folder() / "cache").string();
  settings.runtime.threads = way.threads;
  settings.runtime.prefill_chunk = way.chunk;
  settings.runtime.isa = wanted.isa;
  settings.runtime.compute = wanted.compute;
  ollm::Workload workload;
  workload.prompt_tokens = wanted.longest;
  workload.max_new_tokens = kNewTokens;
  workload.sequences = way.sequences;
  workload.all_logits = true;
  return ollm::make_plan(settings, workload);
}

// What a model says: the logits of the rows as a file, their probabilities, and greedy tokens.
struct Said {
  std::string logits;
  std::vector<std::vector<double>> log_probs;
  std::vector<ollm::TokenId> tokens;

  friend bool operator==(const Said&, const Said&) = default;
};

// Numbers are finite, or there is an error that says they are not.
std::optional<Said> run(const ollm::Runtime& runtime, const Wanted& wanted, const Way& way,
                        bool may_fail) {
  ollm::ScoreOptions options;
  options.batch = way.sequences;
  options.logits_path = (folder() / "logits.safetensors").string();
  const auto scored = runtime.score(wanted.rows, options);
  if (!scored.ok()) {
    OLLM_CHECK(may_fail && !scored.error().message.empty());
    return std::nullopt;
  }
  Said said;
  said.logits = content_of(options.logits_path);
  for (const ollm::ScoredRow& row : scored->rows) {
    for (const double log_prob : row.log_probs) OLLM_CHECK(std::isfinite(log_prob));
    said.log_probs.push_back(row.log_probs);
  }
  auto session = runtime.new_session();
  OLLM_CHECK(session.ok());
  const auto made = session->generate(ollm::Prompt::tokens(wanted.rows.front().ids),
                                      {.max_new_tokens = kNewTokens, .ignore_eos = true});
  if (!made.ok()) {
    OLLM_CHECK(may_fail && !made.error().message.empty());
    return std::nullopt;
  }
  said.tokens = made->ids;
  return said;
}

// A refusal names something and is none of our own failures.
void hold_refusal(const ollm::Error& error) {
  OLLM_CHECK(!error.message.empty());
  OLLM_CHECK(error.kind != ollm::ErrorKind::internal && error.kind != ollm::ErrorKind::io);
}

Wanted wanted_of(Bytes& in, std::size_t vocab) {
  constexpr const char* kIsas[] = {"", "scalar", "avx2", "avx512", "avx512-bf16", "reference"};
  Wanted wanted;
  // A table that this machine lacks is left to the plan, so that inputs mean the same everywhere.
  if (const std::string isa = in.one_of(kIsas); !isa.empty()) wanted.isa = isa;
  if (in.flag()) wanted.compute = in.flag() ? "bf16" : "f32";
  for (std::size_t rows = 1 + in.pick(3); rows > 0; --rows) {
    ollm::ScoreRow row;
    row.id = "row" + std::to_string(rows);
    for (std::size_t tokens = 1 + in.pick(24); tokens > 0; --tokens)
      row.ids.push_back(static_cast<ollm::TokenId>(in.byte() % vocab));
    wanted.longest = std::max(wanted.longest, row.ids.size());
    wanted.rows.push_back(std::move(row));
  }
  return wanted;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes in(data, size);
  Made made = Maker(in).make();
  const Wanted wanted = wanted_of(in, made.vocab);
  const Way one = {.chunk = std::nullopt, .threads = 1, .sequences = wanted.rows.size()};
  const Way other = {.chunk = std::int64_t{1} + static_cast<std::int64_t>(in.pick(7)),
                     .threads = 1 + static_cast<std::int64_t>(in.pick(3)),
                     .sequences = 1};
  const bool may_fail = made.odd_values || made.odd_config;

  write(made);
  const auto plan = plan_of(wanted, one);
  if (!plan.ok()) {
    hold_refusal(plan.error());
    return 0;
  }
  if (const auto checked = plan->check(); !checked.ok()) {
    hold_refusal(checked.error());
    return 0;
  }
  for (const TinyTensor& tensor : made.tensors)
    OLLM_CHECK(is_weight_type(tensor.dtype) || tensor.name.ends_with(".inv_freq"));
  std::optional<Said> said;
  {
    const auto runtime = ollm::Runtime::load(*plan);
    if (!runtime.ok()) {  // no plan reads the values of a head that is stored beside its embedding
      OLLM_CHECK(runtime.error().kind == ollm::ErrorKind::corrupt);
      OLLM_CHECK(runtime.error().message.find("lm_head.weight") != std::string::npos);
      return 0;
    }
    said = run(*runtime, wanted, one, may_fail);
    OLLM_CHECK(run(*runtime, wanted, one, may_fail) == said);
  }
  const bool in_f32 = plan->execution_plan() && plan->execution_plan()->compute == "f32";
  if (in_f32 && !made.odd_values) {
    for (TinyTensor& tensor : made.tensors) tensor.dtype = DType::f32;
    write(made);
  }
  const auto again = plan_of(wanted, other);
  OLLM_CHECK(again.ok() && again->check().ok());
  const auto runtime = ollm::Runtime::load(*again);
  OLLM_CHECK(runtime.ok());
  OLLM_CHECK(run(*runtime, wanted, other, may_fail) == said);
  return 0;
}
