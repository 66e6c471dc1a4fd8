// What will answer, as one name: the numbers of a model, its texts, and its end tokens.
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "ollm/checkpoint/content_hash.h"
#include "ollm/runtime/fingerprint.h"
#include "ollm/runtime/state.h"

namespace ollm {
namespace {

// Where hashes of earlier runs stand; empty where nothing is to be kept.
std::filesystem::path known_hashes(const plan::LoadPlan& plan) {
  if (!plan.kv.pool || !plan.kv.pool->kept) return {};
  return plan.kv.pool->folder.parent_path() / "content_hashes";
}

Result<Digest> content_of(const plan::PlannedRun& run, OnProgress on_progress,
                          const CancellationToken& cancel) {
  // Nothing is loaded yet, so that what reading takes is no part of the peak.
  memory::Budget budget(checkpoint::ContentHash::kPieceBytes + io::File::kDirectAlignment);
  OLLM_TRY(checkpoint::ContentHash hash,
           checkpoint::ContentHash::begin(*run.folder(), known_hashes(*run.execution), budget,
                                          io::posix()));
  return hash.finish(
      [&](std::uint64_t done, std::uint64_t total) {
        if (on_progress) on_progress({Stage::hash, done, total});
      },
      cancel);
}

// Ids of texts, texts of ids and where answers end: no part of keys and values, and of every
// answer.
Result<void> add_texts(const checkpoint::ModelFolder& folder, Sha256& hash) {
  const auto add = [&](std::string_view name, std::string_view text) {
    hash.add(std::uint64_t{name.size()}).add(name).add(std::uint64_t{text.size()}).add(text);
  };
  add("generation_config.json", folder.generation_config_text());
  for (const std::string& name : folder.tokenizer_files()) {
    OLLM_TRY(const std::string text, folder.read_text(name));
    add(name, text);
  }
  OLLM_TRY(const auto templates, folder.read_additional_chat_templates());
  for (const auto& [name, text] : templates) add(name, text);
  return {};
}

}  // namespace

Result<std::string> Plan::fingerprint(OnProgress on_progress,
                                      const CancellationToken* cancel) const {
  static const CancellationToken kNever;
  OLLM_TRY_VOID(check());
  const plan::PlannedRun& run = state_->run;
  OLLM_TRY(const Digest content, content_of(run, on_progress, cancel ? *cancel : kNever));
  Sha256 hash;
  hash.add(std::string_view("ollm answers"));
  hash.add(
      runtime::fingerprint(content, *run.composition(), run.execution->backend, run.execution->kv));
  OLLM_TRY_VOID(add_texts(*run.folder(), hash));
  return hash.finish().hex();
}

}  // namespace ollm
