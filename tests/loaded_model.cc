#include "tests/loaded_model.h"

#include <algorithm>
#include <random>

#include "nlohmann/json.hpp"
#include "ollm/base/json_reader.h"
#include "ollm/kv/small_store.h"
#include "ollm/models/config_keys.h"
#include "ollm/models/families.h"
#include "ollm/models/generic.h"
#include "ollm/models/inventory.h"
#include "tests/test_data.h"

namespace ollm::testing {
namespace {

Result<models::FamilyModel> made_of(const Json& document, const checkpoint::ConfigObject& config,
                                    const models::TensorNames& names, bool by_tensors) {
  const models::Family* family = by_tensors ? nullptr : models::find_family_of_config(document);
  if (family == nullptr) return models::compose_generic(config, names);
  return models::compose_family(*family, config);
}

Result<models::Composition> compose_folder(const checkpoint::ModelFolder& folder,
                                           const LoadOptions& options) {
  Json document = folder.config();
  if (!options.config_file.empty()) {
    OLLM_TRY(const std::string text, folder.read_text(options.config_file));
    OLLM_TRY(document, parse_json(text, options.config_file));
  }
  OLLM_TRY(const auto config, checkpoint::ConfigObject::make(document, "config.json"));
  config.ignore("quantization_config");  // the tensors say it
  OLLM_TRY(const auto names, models::TensorNames::make(folder.tensors()));
  OLLM_TRY(models::FamilyModel model, made_of(document, config, names, options.by_tensors));
  const std::vector<std::string>& unknown = model.config.unknown_keys;
  if (!unknown.empty()) return models::not_understood(unknown, false);
  OLLM_TRY_VOID(models::bind_tensors(names, {.guessing_heads = model.config.guessing_heads},
                                     model.composition));
  models::settle_context(model.composition, options.context_tokens);
  return std::move(model.composition);
}

}  // namespace

std::optional<std::filesystem::path> golden_model(const std::string& name) {
  // Tests run in the root of the project.
  std::filesystem::path ours = std::filesystem::path("tests/fixtures/models") / name;
  if (std::filesystem::is_directory(ours)) return ours;
  return test_data("golden/models/" + name);
}

std::int32_t argmax(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

Result<std::unique_ptr<LoadedModel>> LoadedModel::load(const std::filesystem::path& path,
                                                       const LoadOptions& options,
                                                       io::SystemCalls& calls) {
  auto model = std::make_unique<LoadedModel>();
  OLLM_TRY(const checkpoint::ModelFolder folder, checkpoint::ModelFolder::open(path, calls));
  OLLM_TRY(model->composition_, compose_folder(folder, options));
  if (options.layers) model->composition_.layers.resize(*options.layers);
  model->pool_ = std::make_unique<ThreadPool>(options.threads);
  OLLM_TRY(model->backend_, backend::make_backend({options.isa, options.compute}, *model->pool_));
  const CancellationToken never;
  model->reads_ = std::make_unique<io::ReadQueue>(options.weights.read_method);
  OLLM_TRY(model->tape_,
           weights::Tape::load(folder, model->composition_.tape, options.weights, model->budget_,
                               *model->pool_, *model->reads_, nullptr, never));
  OLLM_TRY_VOID(model->make_store(options, calls));
  OLLM_TRY(
      model->engine_,
      engine::Engine::make(model->composition_, *model->tape_, *model->backend_,
                           {options.max_rows, options.max_logit_rows, options.feed_forward_rows},
                           model->budget_));
  return model;
}

Result<void> LoadedModel::make_store(const LoadOptions& options, io::SystemCalls& calls) {
  const kv::Options kv = kv::options_of({.layers = models::kv_layers(composition_, options.compute),
                                         .strategy = options.kv_strategy,
                                         .block_tokens = options.kv_block_tokens,
                                         .tokens = options.kv_tokens,
                                         .lines = options.kv_lines,
                                         .sweep_rows = options.max_rows,
                                         .forgets = options.kv_forgets,
                                         .pool = options.kv_pool,
                                         .frames = options.kv_frames});
  kv::Store::Disk disk;
  if (options.kv_pool) {
    OLLM_TRY(kv_pool_, kv::Pool::open(*options.kv_pool, calls));
    disk = {kv_pool_.get(), reads_.get()};
  }
  OLLM_TRY(store_, kv::Store::make(kv, budget_, disk));
  if (!options.kv_pool) return {};
  return store_->set_fingerprint(sha256("a loaded model"));
}

Result<std::vector<float>> LoadedModel::logits(const std::vector<std::int32_t>& ids,
                                               std::size_t chunk) {
  const CancellationToken never;
  kv::Line line = new_line();
  OLLM_TRY_VOID(line.reserve(ids.size()));
  std::vector<float> all(ids.size() * vocab_size());
  for (std::size_t done = 0; done < ids.size();) {
    const std::size_t count = std::min(chunk, ids.size() - done);
    const engine::Work work{&line, std::span(ids).subspan(done, count), 0};
    OLLM_TRY_VOID(engine::sweep(
        *engine_, {&work, 1},
        [&](std::size_t, std::size_t token, std::span<float> row) {
          std::copy(row.begin(), row.end(),
                    all.begin() + static_cast<std::ptrdiff_t>((done + token) * vocab_size()));
        },
        never));
    done += count;
  }
  return all;
}

Result<std::vector<std::int32_t>> LoadedModel::greedy(const std::vector<std::int32_t>& ids,
                                                      std::size_t count) {
  const CancellationToken never;
  kv::Line line = new_line();
  OLLM_TRY_VOID(line.reserve(ids.size() + count));
  std::vector<std::int32_t> out;
  const auto take = [&](std::span<float> row) { out.push_back(argmax(row)); };
  OLLM_TRY_VOID(engine::extend(*engine_, line, ids, nullptr, take, never));
  while (out.size() < count) {
    const std::int32_t last = out.back();
    OLLM_TRY_VOID(engine::extend(*engine_, line, {&last, 1}, nullptr, take, never));
  }
  return out;
}

std::vector<std::int32_t> random_ids(std::size_t count, std::size_t vocab, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<std::int32_t> any(0, static_cast<std::int32_t>(vocab) - 1);
  std::vector<std::int32_t> ids(count);
  for (std::int32_t& id : ids) id = any(random);
  return ids;
}

}  // namespace ollm::testing
