// Calls of ollm.h in any order, with any values of their types, on objects that are alive: each
// answers, and none ends the process. After failures, a call on a session gives what it gives on a
// fresh one that only had the calls that succeeded.
// links: ollm_runtime ollm_tiny_model nlohmann_json::nlohmann_json fmt::fmt
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/bytes.h"
#include "ollm/base/check.h"
#include "ollm/bench.h"
#include "ollm/doctor.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/load_settings.h"
#include "ollm/ollm.h"
#include "ollm/text/byte_level_sample.h"
#include "tests/tiny_model.h"

namespace {

using ollm::TokenId;
using ollm::fuzz::Bytes;

constexpr std::size_t kVocab = 263;
constexpr std::size_t kContext = 48;
constexpr std::size_t kSequences = 2;

constexpr std::size_t kCounts[] = {3,
                                   0,
                                   1,
                                   2,
                                   kContext - 1,
                                   kContext,
                                   kContext + 1,
                                   1000,
                                   std::size_t{1} << 31,
                                   std::size_t{1} << 32,
                                   std::size_t{1} << 63,
                                   SIZE_MAX - 1,
                                   SIZE_MAX};
constexpr std::int64_t kIntegers[] = {1,  0,       -1,        2,         3,        64,
                                      77, 1 << 20, INT32_MAX, INT64_MAX, INT64_MIN};
constexpr double kNumbers[] = {0,
                               1,
                               0.5,
                               2,
                               -1,
                               -0.0,
                               1e-300,
                               1e300,
                               1e-100,
                               1e100,
                               0.999,
                               1e-45,
                               std::numeric_limits<double>::quiet_NaN(),
                               std::numeric_limits<double>::infinity(),
                               -std::numeric_limits<double>::infinity()};
constexpr TokenId kIds[] = {1,   0,   2,  104,       256,       260,     261, 262,
                            263, 300, -1, INT32_MAX, INT32_MIN, 1 << 20, 259, 97};
constexpr const char* kWords[] = {"",        "hello",         "a",           "scalar",  "avx2",
                                  "f32",     "bf16",          "reference",   "typo",    "\xff\xfe",
                                  "<|end|>", "llama3-1B",     "/dev/null",   ".",       "~",
                                  "cpu",     "cuda:0",        "resident",    "/\xff\n", "e\xcc\x81",
                                  "auto",    "hf://org/name", "org/\xffname"};
constexpr const char* kTemplates[] = {
    "",
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
    "{{ messages",
    "{{ raise_exception('no') }}",
    "{{ x.y.z }}",
    "{% for i in range(100000000) %}{{ i }}{% endfor %}",
    "{{ tools | tojson }}",
    "{{ deep | tojson }}",
    "{{ [1] | first }}{{ bos_token }}"};

const std::filesystem::path& folder() {
  static const ollm::io::TemporaryFolder folder;
  return folder.path();
}

// A model of one layer with a tokenizer and a chat template; made once.
std::string model_folder() {
  static const std::string path = [] {
    const std::filesystem::path model = folder() / "model";
    std::filesystem::create_directories(model);
    ollm::testing::TinySizes sizes;
    sizes.hidden = 16;
    sizes.inner = 24;
    sizes.layers = 1;
    sizes.head_dim = 8;
    sizes.vocab = kVocab;
    const auto& family = ollm::testing::tiny_families()[0];
    ollm::testing::write_tiny_model(model, ollm::testing::tiny_config(family, sizes).dump(),
                                    ollm::testing::tiny_tensors(family, sizes, 1));
    const auto write = [&](const char* name, const nlohmann::json& json) {
      std::ofstream(model / name) << json.dump();
    };
    write("tokenizer.json", ollm::text::byte_level_sample());
    write("tokenizer_config.json",
          {{"bos_token", "<s>"}, {"eos_token", "<|end|>"}, {"chat_template", kTemplates[1]}});
    write("generation_config.json", {{"eos_token_id", 261}, {"do_sample", true}, {"top_k", 5}});
    return model.string();
  }();
  return path;
}

ollm::Settings good_settings() {
  ollm::Settings settings;
  settings.runtime.model_reference = model_folder();
  settings.runtime.models_dir = (folder() / "models").string();
  settings.runtime.cache_dir = (folder() / "cache").string();
  settings.runtime.threads = 1;
  settings.runtime.prefill_chunk = 7;
  return settings;
}

ollm::Result<ollm::Plan> good_plan(bool all_logits) {
  ollm::Workload workload;
  workload.context_tokens = kContext;
  workload.sequences = kSequences;
  workload.all_logits = all_logits;
  return ollm::make_plan(good_settings(), workload);
}

ollm::Runtime load(bool all_logits) {
  const auto plan = good_plan(all_logits);
  OLLM_CHECK(plan.ok());
  auto runtime = ollm::Runtime::load(*plan);
  OLLM_CHECK(runtime.ok());
  return std::move(*runtime);
}

// An error says something, and is never our own mistake.
template <typename T>
bool answered(const ollm::Result<T>& result) {
  if (result.ok()) return true;
  OLLM_CHECK(!result.error().message.empty());
  OLLM_CHECK(result.error().kind != ollm::ErrorKind::internal);
  return false;
}

std::string text_of(Bytes& in) {
  switch (in.pick(4)) {
    case 0:
      return in.one_of(kWords);
    case 1:
      return in.text();
    case 2:
      return std::string(in.byte() * std::size_t{40}, 'a');
    default:
      return std::string(1 + in.pick(20), '\0') + "hello";
  }
}

std::vector<TokenId> ids_of(Bytes& in) {
  std::vector<TokenId> ids;
  for (std::size_t count = in.pick(9); count > 0; --count) ids.push_back(in.one_of(kIds));
  if (in.pick(16) == 15) ids.resize(in.one_of(kCounts) % 5000, 1);
  return ids;
}

// JSON that nests so deep that a parser or a destructor that calls itself has no stack left.
std::string deep_json(std::size_t levels) {
  return "{\"deep\":" + std::string(levels, '[') + std::string(levels, ']') + "}";
}

std::string variables_of(Bytes& in) {
  switch (in.pick(7)) {
    case 0:
      return "";
    case 1:
      return "{";
    case 2:
      return "[1]";
    case 3:
      return deep_json(std::size_t{1} << in.pick(18));
    case 4:
      return R"({"messages":7,"tools":[{"a":null}],"add_generation_prompt":"x"})";
    case 5:
      return R"({"x":1e999,"messages":[{"role":"user","content":[1,{"type":"text"}]}]})";
    default:
      return in.text();
  }
}

ollm::TemplateOptions template_of(Bytes& in) {
  ollm::TemplateOptions options;
  if (in.pick(3) == 2) options.name = text_of(in);
  options.source = in.one_of(kTemplates);
  options.variables = variables_of(in);
  options.parse_special = in.flag();
  return options;
}

ollm::Prompt prompt_of(Bytes& in) {
  ollm::Prompt prompt;
  const std::size_t kinds = in.pick(8);  // none, one or several of them
  if ((kinds & 1) != 0) prompt.text = text_of(in);
  if ((kinds & 2) != 0) {
    constexpr const char* kRoles[] = {"user", "assistant", "system", "", "\xff"};
    for (std::size_t turns = 1 + in.pick(3); turns > 0; --turns) {
      std::string role = in.one_of(kRoles);
      prompt.messages.push_back({std::move(role), text_of(in)});
    }
  }
  if ((kinds & 4) != 0 || kinds == 0) prompt.ids = ids_of(in);
  return prompt;
}

ollm::sampling::Options sampling_of(Bytes& in) {
  ollm::sampling::Options sampling;
  if (in.flag()) return sampling;
  sampling.temperature = in.one_of(kNumbers);
  if (in.flag()) sampling.top_k = in.one_of(kCounts);
  if (in.flag()) sampling.top_p = in.one_of(kNumbers);
  if (in.flag()) sampling.min_p = in.one_of(kNumbers);
  if (in.flag()) sampling.typical_p = in.one_of(kNumbers);
  if (in.flag()) sampling.repetition_penalty = in.one_of(kNumbers);
  if (in.flag()) sampling.presence_penalty = in.one_of(kNumbers);
  if (in.flag()) sampling.frequency_penalty = in.one_of(kNumbers);
  for (std::size_t count = in.pick(4); count > 0; --count) {
    const TokenId id = in.one_of(kIds);
    sampling.logit_bias.emplace_back(id, static_cast<float>(in.one_of(kNumbers)));
  }
  sampling.seed = in.byte();
  return sampling;
}

// One call of generate, with the moment at which it is cancelled.
struct Call {
  ollm::Prompt prompt;
  ollm::GenerateOptions options;
  std::optional<std::size_t> cancel_at;  // on the progress call of this number
  bool calls_back = false;               // its callback calls the session again
};

Call call_of(Bytes& in) {
  Call call;
  call.prompt = prompt_of(in);
  call.options.max_new_tokens = in.one_of(kCounts);
  call.options.sampling = sampling_of(in);
  call.options.model_defaults = in.flag();
  call.options.ignore_eos = in.flag();
  for (std::size_t count = in.pick(4); count > 0; --count) call.options.stop.push_back(text_of(in));
  if (in.pick(16) == 15) call.options.stop.resize(in.byte() * std::size_t{20}, "zz");
  if (in.flag()) call.options.chat_template = template_of(in);
  if (in.pick(4) == 3) call.cancel_at = in.pick(4);
  call.calls_back = in.pick(8) == 7;
  return call;
}

// What came of a call, to be compared.
struct Answer {
  std::string text;
  std::vector<TokenId> ids;
  ollm::FinishReason finish = ollm::FinishReason::stop;
  std::optional<ollm::ErrorKind> error;

  friend bool operator==(const Answer&, const Answer&) = default;
};

Answer run(ollm::Session& session, const Call& call) {
  std::string shown;
  std::size_t steps = 0;
  ollm::CancellationToken cancel;
  const std::size_t before = session.tokens();
  const auto made = session.generate(
      call.prompt, call.options, [&](std::string_view piece) { shown += piece; },
      [&](const ollm::Progress& progress) {
        OLLM_CHECK(progress.done <= progress.total);
        if (steps++ == call.cancel_at) cancel.cancel();
        if (!call.calls_back) return;
        OLLM_CHECK(!answered(session.generate(ollm::Prompt::tokens({1}), {})));
      },
      &cancel);
  if (!answered(made)) {
    OLLM_CHECK(session.tokens() == before);
    return {{}, {}, {}, made.error().kind};
  }
  OLLM_CHECK(shown == made->text);
  OLLM_CHECK(made->ids.size() <= call.options.max_new_tokens);
  OLLM_CHECK(session.tokens() >= made->ids.size());
  for (const TokenId id : made->ids) OLLM_CHECK(id >= 0 && static_cast<std::size_t>(id) < kVocab);
  (void)made->report.as_dict();
  return {made->text, made->ids, made->finish_reason, std::nullopt};
}

// A session and the calls on it that succeeded.
struct Line {
  ollm::Session session;
  std::vector<std::pair<Call, Answer>> calls;
};

class Program {
 public:
  explicit Program(Bytes& in) : in_(in) {
    static const ollm::Runtime shared = load(true);
    static const ollm::Runtime last_only = load(false);
    runtime_ = shared;
    last_only_ = last_only;
    text_ = runtime_->text();
    OLLM_CHECK(text_.has_value());
  }

  void run() {
    for (std::size_t calls = 0; calls < 24 && !in_.empty(); ++calls) step();
    hold_lines();
  }

 private:
  void step() {
    switch (in_.pick(16)) {
      case 0:
      case 1:
      case 2:
        return generate();
      case 3:
        return change_lines();
      case 4:
        return score();
      case 5:
        return tokens();
      case 6:
        return stream();
      case 7:
        return render();
      case 8:
        return plan();
      case 9:
        return settings();
      case 10:
        return describe();
      case 11:
        return make_model();
      case 12:
        return measure();
      case 13:
        return drop_runtime();
      case 14:
        return refused_load();
      default:
        return lists();
    }
  }

  std::optional<Line>& slot() { return lines_[in_.pick(lines_.size())]; }

  // An error where all of the planned sequences' blocks are in use.
  void open(std::optional<Line>& line) {
    auto session = runtime_->new_session();
    if (answered(session)) line.emplace(Line{std::move(*session), {}});
  }

  void generate() {
    std::optional<Line>& line = slot();
    if (!line) open(line);
    if (!line) return;
    Call call = call_of(in_);
    if (line->calls.size() > 4) return;
    const Answer answer = ::run(line->session, call);
    if (!answer.error) line->calls.emplace_back(std::move(call), answer);
  }

  void change_lines() {
    std::optional<Line>& from = slot();
    std::optional<Line>& to = slot();
    switch (in_.pick(3)) {
      case 0:
        from.reset();
        break;
      case 1:
        if (from && to && &from != &to) std::swap(*from, *to);
        break;
      default:
        if (from && &from != &to) {
          to = std::move(from);
          // Moved from, it holds no line and says so.
          const auto made = from->session.generate(ollm::Prompt::tokens({1}), {});
          OLLM_CHECK(!answered(made) && from->session.tokens() == 0);
          from.reset();
        }
    }
  }

  void score() {
    std::vector<ollm::ScoreRow> rows;
    for (std::size_t count = in_.pick(5); count > 0; --count)
      rows.push_back({text_of(in_), ids_of(in_)});
    ollm::ScoreOptions options;
    options.batch = in_.one_of(kCounts);
    options.last_only = in_.flag();
    constexpr const char* kPaths[] = {"", "logits.safetensors", "no/such/folder", "model"};
    if (const std::string path = in_.one_of(kPaths); !path.empty())
      options.logits_path = (folder() / path).string();
    ollm::CancellationToken cancel;
    if (in_.pick(4) == 3) cancel.cancel();
    const ollm::Runtime& runtime = in_.flag() ? *last_only_ : *runtime_;
    const auto scored = runtime.score(rows, options, nullptr, &cancel);
    if (!answered(scored)) return;
    OLLM_CHECK(scored->rows.size() == rows.size());
    for (const ollm::ScoredRow& row : scored->rows)
      for (const double value : row.log_probs) OLLM_CHECK(std::isfinite(value) && value <= 0);
  }

  void tokens() {
    const std::string text = text_of(in_);
    const ollm::EncodeOptions options{in_.flag(), in_.flag()};
    const auto encoded = text_->encode(text, options);
    if (answered(encoded)) OLLM_CHECK(answered(text_->decode(*encoded, false)));
    const std::vector<TokenId> ids = ids_of(in_);
    answered(text_->decode(ids, in_.flag()));
    answered(text_->decode_marked(ids));
  }

  void stream() {
    ollm::Text::Detokenizer stream(*text_, in_.flag());
    std::string shown;
    std::vector<TokenId> taken;
    const std::vector<TokenId> ids = ids_of(in_);
    for (const TokenId id : ids) {
      const auto piece = stream.push(id);
      if (answered(piece)) shown += *piece;
      if (in_.pick(8) == 7) shown += stream.finish();
    }
    if (in_.flag()) {
      ollm::Text::Detokenizer other(std::move(stream));
      shown += other.finish();
      if (in_.flag()) {  // moved from, it brings out nothing and takes nothing
        OLLM_CHECK(!answered(stream.push(1)));
        OLLM_CHECK(stream.finish().empty());
      }
      stream = std::move(other);
    }
    shown += stream.finish();
    answered(stream.push(1));
  }

  void render() {
    const ollm::TemplateOptions options = template_of(in_);
    std::string out;
    const auto failed = text_->render(variables_of(in_), options, out);
    if (failed) OLLM_CHECK(!failed->error.message.empty() && !failed->kind.empty());
    const auto encoded = text_->encode_prompt(prompt_of(in_), options);
    if (answered(encoded)) answered(text_->decode(encoded->ids, false));
  }

  // What a run would make stays in the folder of this program.
  static std::string cache_below_folder(std::string name) {
    std::replace(name.begin(), name.end(), '/', '_');
    return (folder() / ("cache" + name)).string();
  }

  ollm::Settings any_settings() {
    ollm::Settings settings = good_settings();
    ollm::settings::RuntimeConfig& runtime = settings.runtime;
    for (std::size_t edits = in_.pick(4); edits > 0; --edits) {
      switch (in_.pick(14)) {
        case 0:
          runtime.model_reference = text_of(in_);
          break;
        case 1:
          runtime.models_dir = text_of(in_);
          break;
        case 2:
          runtime.device = in_.one_of(kWords);
          break;
        case 3:
          runtime.backend = text_of(in_);
          break;
        case 4:
          runtime.memory = in_.one_of(kIntegers);
          break;
        case 5:
          runtime.threads = in_.one_of(kIntegers);
          break;
        case 6:
          runtime.prefill_chunk = in_.one_of(kIntegers);
          break;
        case 7:
          runtime.context = in_.one_of(kIntegers);
          break;
        case 8:
          runtime.compute = in_.one_of(kWords);
          break;
        case 9:
          runtime.isa = in_.one_of(kWords);
          break;
        case 10:
          runtime.dense_projection_chunk_rows = in_.one_of(kIntegers);
          break;
        case 11:
          runtime.kv_cache_strategy = text_of(in_);
          break;
        case 12:
          runtime.cache_dir = cache_below_folder(text_of(in_));
          break;
        default:
          settings.generation.temperature = in_.one_of(kNumbers);
          settings.generation.top_p = in_.one_of(kNumbers);
          settings.generation.stop.assign(in_.pick(20), "stop");
      }
    }
    return settings;
  }

  ollm::Workload any_workload() {
    ollm::Workload workload;
    workload.prompt_tokens = in_.one_of(kCounts);
    workload.max_new_tokens = in_.one_of(kCounts);
    workload.sequences = in_.one_of(kCounts);
    workload.all_logits = in_.flag();
    workload.context_tokens = in_.one_of(kCounts);
    // Takes no choice of its own, so that recorded inputs stay what they were.
    workload.requests = workload.context_tokens % 1000;
    return workload;
  }

  // Every way to read a value, by names and places that are there and such that are not. Takes no
  // choices, so that what is read after it stays what it was.
  static void read_value(const ollm::Value& value) {
    for (const int indent : {-1, 0, 2, 1 << 30}) OLLM_CHECK(!value.json(indent).empty());
    for (std::size_t i = 0; i <= value.size(); ++i) {
      const ollm::Value part = value.at(i);
      OLLM_CHECK(i < value.size() || part.kind() == ollm::Value::Kind::null);
      if (value.kind() == ollm::Value::Kind::dict && i < value.size())
        OLLM_CHECK(value.has(value.key(i)) && value.find(value.key(i)) == part);
    }
    for (const ollm::Value& part : {value, value.at(SIZE_MAX), value.find(value.key(0)),
                                    value.find("details").at(0), value.at(1).find("").at(2)}) {
      (void)part.boolean();
      (void)part.integer();
      (void)part.number();
      (void)part.text();
    }
  }

  // Structs that anybody may fill, with anything.
  void read_made_up() {
    ollm::ExecutionPlan execution;
    execution.isa = text_of(in_);
    execution.estimate.total_s = in_.one_of(kNumbers);
    execution.memory.ledger.push_back({text_of(in_), text_of(in_), in_.byte()});
    execution.decisions.push_back({text_of(in_), text_of(in_), text_of(in_)});
    read_value(execution.as_dict());
    ollm::SpecializationFailure failure;
    failure.type = static_cast<ollm::SpecializationErrorType>(in_.byte());
    failure.failed_pass_id = static_cast<ollm::SpecializationPassId>(in_.byte());
    failure.planned_pass_ids = {*failure.failed_pass_id};
    failure.reason = text_of(in_);
    read_value(failure.as_dict());
    ollm::SpecializationPass pass;
    pass.pass_id = *failure.failed_pass_id;
    pass.details.set(text_of(in_), text_of(in_));
    ollm::PlannedSpecialization planned;
    planned.passes.push_back(pass);
    read_value(planned.as_dict());
    ollm::AppliedSpecialization applied;
    applied.applied_pass_ids = failure.planned_pass_ids;
    read_value(applied.as_dict());
    ollm::ModelInfo info;
    info.discovery_source = text_of(in_);
    read_value(info.as_dict());
    read_value(ollm::Report().as_dict());
    read_plan({});
  }

  // A plan keeps what it says, whatever becomes of the handle.
  static void read_plan(ollm::RuntimePlan plan) {
    const ollm::RuntimePlan taken = std::move(plan);
    OLLM_CHECK(plan == taken && taken.as_dict().size() == 16);
    OLLM_CHECK(taken.is_executable() == taken.backend_id().has_value());
    OLLM_CHECK(taken.as_dict().key(0) == "backend_id" && taken.as_dict().key(15) == "details");
    read_value(taken.resolved_model().as_dict());
    read_value(taken.resolved_model().capabilities.as_dict());
    if (const auto planned = taken.planned_specialization()) read_value(planned->as_dict());
    if (const auto applied = taken.applied_specialization()) read_value(applied->as_dict());
    if (taken.failure()) read_value(taken.failure()->as_dict());
  }

  void plan() {
    const ollm::Settings settings = any_settings();
    const ollm::Workload workload = any_workload();
    const auto plan = ollm::make_plan(settings, workload, {{text_of(in_)}, {text_of(in_)}});
    if (!answered(plan)) return;
    if (answered(plan->check())) {  // no sum of its sizes wrapped around
      const std::size_t lines = plan->workload().sequences;
      OLLM_CHECK(lines >= 1 && workload.sequences < std::size_t{1} << 31);
      OLLM_CHECK(workload.sequences != 0 || workload.requests != 0);
      OLLM_CHECK(workload.sequences == 0 || lines <= workload.sequences);
      OLLM_CHECK(workload.requests != 0 ? lines <= workload.requests : lines == workload.sequences);
      OLLM_CHECK(plan->workload().prompt_tokens == workload.prompt_tokens);
      OLLM_CHECK(plan->workload().max_new_tokens <= workload.max_new_tokens);
    }
    for (const std::string& text : {plan->json(), plan->explain()}) OLLM_CHECK(!text.empty());
    read_plan(plan->runtime_plan());
    if (plan->execution_plan()) read_value(plan->execution_plan()->as_dict());
    read_value(plan->as_dict());
    (void)plan->summary();
    (void)plan->workload();
  }

  // Only what is refused or tiny is loaded: not gigabytes of KV that a plan may well allow.
  void refused_load() {
    const auto plan = ollm::make_plan(any_settings(), {.context_tokens = kContext});
    if (!answered(plan)) return;
    // What fits depends on the machine: nothing of the input may.
    const bool loads = in_.pick(4) == 3;
    ollm::CancellationToken cancel;
    if (in_.flag()) cancel.cancel();
    if (plan->check().ok() && !loads) return;
    ollm::SpecializationFailure failure;
    const auto runtime = ollm::Runtime::load(*plan, std::nullopt, nullptr, &cancel, &failure);
    read_value(failure.as_dict());
    if (!answered(runtime)) return;
    read_plan(runtime->runtime_plan());
    read_value(runtime->execution_plan().as_dict());
    auto session = runtime->new_session();
    if (answered(session)) (void)::run(*session, call_of(in_));
  }

  void settings() {
    const ollm::Settings settings = any_settings();
    answered(ollm::check_settings(settings));
    const std::string field = in_.flag() ? "runtime.memory" : text_of(in_);
    (void)settings.given(field);
    (void)settings.origin(field).place;
    read_value(ollm::settings_as_dict(settings));
    ollm::SettingsSources sources;
    ollm::SettingsOverride one;
    one.field = field;
    switch (in_.pick(6)) {
      case 0:
        break;
      case 1:
        one.value = in_.flag();
        break;
      case 2:
        one.value = in_.one_of(kIntegers);
        break;
      case 3:
        one.value = in_.one_of(kNumbers);
        break;
      case 4:
        one.value = text_of(in_);
        break;
      default: {
        const std::string text = text_of(in_);
        one.value = std::vector<std::string>(in_.pick(30), text);
      }
    }
    sources.overrides.push_back(std::move(one));
    sources.environment.variables["OLLM_RUNTIME__THREADS"] = text_of(in_);
    sources.environment.working_directory = folder();
    answered(ollm::load_settings(sources));
  }

  void describe() {
    const auto info = ollm::model_info(any_settings());
    if (answered(info)) OLLM_CHECK(!info->json().empty());
    OLLM_CHECK(!ollm::version().empty() && !ollm::limits().empty());
    (void)ollm::to_string(static_cast<ollm::FinishReason>(in_.byte()));
  }

  void lists() {
    if (in_.pick(8) != 7) return read_made_up();  // lists look at the whole machine
    const auto models = ollm::list_models(any_settings());
    if (answered(models)) OLLM_CHECK(!ollm::models_json(*models).empty());
    const ollm::DoctorReport report = ollm::run_doctor(any_settings());
    OLLM_CHECK(!report.checks.empty() && !report.json().empty());
  }

  void make_model() {
    ollm::RandomModelOptions options;
    options.shape = in_.flag() ? model_folder() + "/config.json" : text_of(in_);
    if (options.shape.starts_with("llama3")) return;  // gigabytes
    options.seed = in_.byte();
    options.sparse = in_.flag();
    options.out = in_.flag() ? folder() / "made" : folder() / "model" / "config.json" / "made";
    ollm::CancellationToken cancel;
    if (in_.pick(4) == 3) cancel.cancel();
    answered(ollm::make_random_model(options, nullptr, &cancel));
  }

  // Only what is refused: measuring takes seconds.
  void measure() {
    constexpr const char* kNone[] = {"typo", "", "\xff", "avx", "scalar ", "F32"};
    const std::string isa = in_.one_of(kNone);
    const std::string compute = in_.one_of(kNone);
    OLLM_CHECK(!answered(ollm::measure_limits(isa, "f32", in_.one_of(kCounts))));
    OLLM_CHECK(!answered(ollm::measure_limits("scalar", compute, 1)));
    std::vector<std::filesystem::path> files(in_.pick(3), folder() / "model" / "config.json");
    if (!files.empty() && in_.flag()) files.back() = text_of(in_);
    OLLM_CHECK(!answered(ollm::measure_disk(files, in_.one_of(kCounts))));
  }

  // A session keeps what it needs.
  void drop_runtime() {
    if (in_.pick(4) != 3) return;
    std::optional<ollm::Runtime> runtime = load(in_.flag());
    auto session = runtime->new_session();
    OLLM_CHECK(session.ok());
    runtime.reset();
    (void)::run(*session, call_of(in_));
  }

  void hold_lines() {
    std::optional<Line> line;
    for (std::optional<Line>& other : lines_) {
      if (!line && other && !other->calls.empty()) line = std::move(other);
      other.reset();  // their KV is free again
    }
    if (!line) return;
    Call last;
    last.prompt = ollm::Prompt::tokens({104, 105});
    last.options.max_new_tokens = 3;
    const Answer expected = ::run(line->session, last);
    const std::vector<std::pair<Call, Answer>> calls = std::move(line->calls);
    line.reset();
    auto fresh = runtime_->new_session();
    OLLM_CHECK(fresh.ok());
    for (const auto& [call, answer] : calls) OLLM_CHECK(::run(*fresh, call) == answer);
    OLLM_CHECK(::run(*fresh, last) == expected);
  }

  Bytes& in_;
  std::optional<ollm::Runtime> runtime_, last_only_;
  std::optional<ollm::Text> text_;
  std::array<std::optional<Line>, 3> lines_;
};

// Nothing outside of the target's own folder is read or written.
void leave_the_users_files_alone() {
  static const bool once = [] {
    for (const char* name : {"HOME", "XDG_CACHE_HOME", "HF_HOME"})
      ::setenv(name, folder().c_str(), 1);
    ::setenv("OLLM_NOW", "2026-01-02T03:04:05Z", 1);
    return true;
  }();
  (void)once;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leave_the_users_files_alone();
  Bytes in(data, size);
  Program(in).run();
  return 0;
}
