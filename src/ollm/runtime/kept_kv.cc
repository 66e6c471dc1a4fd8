#include "ollm/runtime/kept_kv.h"

#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "ollm/runtime/fingerprint.h"
#include "ollm/runtime/model_names.h"

namespace ollm::runtime {
namespace {

// What hashing reaches at least, on one core of a machine without instructions for it.
constexpr double kHashBytesPerSecond = 0.4e9;

// A name that nothing else has: of blocks that are for this process alone.
Digest random_digest() {
  std::array<char, 32> bytes{};
  (void)::getrandom(bytes.data(), bytes.size(), 0);
  return sha256({bytes.data(), bytes.size()});
}

}  // namespace

KeptKv::KeptKv(const plan::LoadPlan& plan, const models::Composition& composition)
    : plan_(plan), composition_(composition), process_(::getpid()) {}

bool KeptKv::in_child() const { return ::getpid() != process_; }

Result<std::unique_ptr<KeptKv>> KeptKv::open(const plan::LoadPlan& plan,
                                             const models::Composition& composition,
                                             const checkpoint::ModelFolder& folder,
                                             std::string_view model, memory::Budget& budget) {
  std::unique_ptr<KeptKv> made(new KeptKv(plan, composition));
  const kv::PoolOptions& options = *plan.kv.pool;
  OLLM_TRY(made->pool_, kv::Pool::open(options, io::posix()));
  if (!options.kept || !plan.kv.reuses) return made;
  made->model_ = model;
  made->model_bytes_ = plan.weight_bytes;
  OLLM_TRY(made->hash_,
           checkpoint::BackgroundHash::start(
               folder, options.folder.parent_path() / "content_hashes", budget, io::posix()));
  return made;
}

void KeptKv::attach(kv::Store& store) {
  store_ = &store;
  if (!plan_.kv.reuses) return;
  if (!hash_) {
    (void)name_by(fingerprint(random_digest()));
  } else if (const auto content = hash_->poll()) {
    give_names(*content);
  }
}

Digest KeptKv::fingerprint(const Digest& content) const {
  return runtime::fingerprint(content, composition_, plan_.backend, plan_.kv);
}

bool KeptKv::name_by(const Digest& fingerprint) {
  const Result<void> named = store_->set_fingerprint(fingerprint);
  if (!named.ok()) nameless_ = named.error();
  return named.ok();
}

// A model that cannot be hashed runs on, and nothing of it is kept.
void KeptKv::give_names(const Result<Digest>& content) {
  hash_.reset();
  if (!content.ok()) {
    nameless_ = content.error();
    return;
  }
  const Digest fingerprint = this->fingerprint(*content);
  if (!name_by(fingerprint)) return;
  (void)ModelNames::note(ModelNames::path_in(plan_.kv.pool->folder), fingerprint, model_,
                         io::posix());
}

void KeptKv::poll() {
  if (!hash_ || store_ == nullptr) return;
  if (const auto content = hash_->poll()) give_names(*content);
}

void KeptKv::settle(std::size_t tokens, OnProgress on_progress, const CancellationToken& cancel) {
  if (!hash_ || store_ == nullptr) return;
  if (const auto content = hash_->poll()) return give_names(*content);
  const double computing_s = static_cast<double>(tokens) / plan_.estimate.prefill_tokens_per_second;
  const double hashing_s = static_cast<double>(model_bytes_) / kHashBytesPerSecond;
  if (computing_s < hashing_s) return;
  const Result<Digest> content = hash_->wait(
      [&](std::uint64_t done, std::uint64_t total) {
        if (on_progress) on_progress({Stage::hash, done, total});
      },
      cancel);
  if (content.ok() || content.error().kind != ErrorKind::cancelled) give_names(content);
}

Result<void> KeptKv::keep() {
  settle(computed_, nullptr, CancellationToken());
  store_->wait_for_commits();
  if (!plan_.kv.reuses) return {};
  if (nameless_) return *nameless_;
  if (store_->write_error()) return *store_->write_error();
  return {};
}

}  // namespace ollm::runtime
