#include "ollm/checkpoint/content_hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/checkpoint/known_hashes.h"
#include "ollm/io/read_probes.h"

namespace ollm::checkpoint {
namespace {

// A change of what goes into the hash, or in which order, is another version.
constexpr std::string_view kVersion = "ollm content 1";

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

ContentHash::ContentHash(ModelFolder folder, std::filesystem::path memory, memory::Buffer piece,
                         io::SystemCalls& calls)
    : folder_(std::move(folder)),
      memory_(std::move(memory)),
      piece_(std::move(piece)),
      calls_(&calls) {}

Result<ContentHash> ContentHash::begin(ModelFolder folder, std::filesystem::path memory,
                                       memory::Budget& budget, io::SystemCalls& calls) {
  // A page more, so that direct reads have their alignment within it.
  OLLM_TRY(memory::Buffer piece,
           memory::Buffer::make(budget, "content hash", kPieceBytes + io::File::kDirectAlignment));
  ContentHash hash(std::move(folder), std::move(memory), std::move(piece), calls);
  const KnownHashes known =
      hash.memory_.empty() ? KnownHashes() : KnownHashes::read(hash.memory_, calls);
  for (const WeightFile& file : hash.folder_.tensors().files()) {
    const Digest* const found = known.find(file.identity);
    hash.files_.push_back(found != nullptr ? std::optional(*found) : std::nullopt);
    if (found == nullptr) hash.total_bytes_ += file.identity.size_bytes;
  }
  return hash;
}

Result<bool> ContentHash::step() {
  if (hash_) return true;
  while (current_ < files_.size() && files_[current_]) ++current_;
  if (current_ == files_.size()) {
    hash_ = combined();
    return true;
  }
  if (!open_) OLLM_TRY_VOID(open_next());
  const std::uint64_t size = folder_.tensors().files()[current_].identity.size_bytes;
  if (offset_ < size) {
    auto* const begin = reinterpret_cast<std::byte*>(
        (reinterpret_cast<std::uintptr_t>(piece_.data()) + io::File::kDirectAlignment - 1) /
        io::File::kDirectAlignment * io::File::kDirectAlignment);
    const std::span<std::byte> piece(begin, kPieceBytes);
    OLLM_TRY(std::size_t read, open_->read_up_to(offset_, piece));
    // What was written behind the end meanwhile is found by the check at the end.
    read = static_cast<std::size_t>(std::min<std::uint64_t>(read, size - offset_));
    if (read == 0) return open_->end_error(offset_, piece.size(), 0);
    of_file_.add(piece.first(read));
    if (open_->access() == io::Access::buffered) open_->drop_cached(offset_, read);
    offset_ += read;
    done_bytes_ += read;
  }
  if (offset_ == size) OLLM_TRY_VOID(end_file());
  return false;
}

Result<void> ContentHash::open_next() {
  const io::File& file = folder_.file(current_);
  const bool direct = io::probe_direct_read(file).ok();
  OLLM_TRY_VOID(check_same(current_));
  opened_ns_ = now_ns();
  OLLM_TRY(open_, file.reopen(direct ? io::Access::direct : io::Access::buffered));
  offset_ = 0;
  of_file_ = Sha256();
  return {};
}

Result<void> ContentHash::end_file() {
  OLLM_TRY_VOID(open_->check_unchanged());
  OLLM_TRY_VOID(check_same(current_));
  files_[current_] = of_file_.finish();
  open_.reset();
  const io::FileIdentity& identity = folder_.tensors().files()[current_].identity;
  // Where it cannot be remembered, it is hashed again by the next run.
  if (!memory_.empty() && is_settled(identity, opened_ns_))
    (void)KnownHashes::remember(memory_, identity, *files_[current_], *calls_);
  return {};
}

// The time of change counts here: a file that was written to and got its date back would be taken
// for what the weights in memory were read from.
Result<void> ContentHash::check_same(std::uint32_t file) const {
  OLLM_TRY(const io::File again, folder_.file(file).reopen(io::Access::buffered));
  if (again.identity() == folder_.tensors().files()[file].identity) return {};
  return fail(ErrorKind::corrupt,
              fmt::format("{}: file changed while in use: its status or its date was changed",
                          again.path().native()));
}

Digest ContentHash::combined() const {
  Sha256 all;
  const auto add_text = [&](std::string_view text) {
    all.add(std::uint64_t{text.size()}).add(text);
  };
  add_text(kVersion);
  add_text(folder_.config_text());
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const WeightFile& file = folder_.tensors().files()[i];
    add_text(file.path.lexically_relative(folder_.path()).generic_string());
    all.add(file.identity.size_bytes).add(*files_[i]);
  }
  return all.finish();
}

Result<Digest> ContentHash::finish(
    FunctionRef<void(std::uint64_t done, std::uint64_t total)> on_progress,
    const CancellationToken& cancel) {
  for (;;) {
    OLLM_TRY_VOID(cancel.check());
    OLLM_TRY(const bool ended, step());
    if (ended) return *hash_;
    if (on_progress) on_progress(done_bytes_, total_bytes_);
  }
}

}  // namespace ollm::checkpoint
