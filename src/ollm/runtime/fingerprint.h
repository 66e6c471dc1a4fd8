// What stored keys and values are found by beside their tokens: a hash of all that decides their
// numbers. Leaves to others: the names of blocks, of which it is a part (kv/pool.h).
#pragma once

#include "ollm/backend/options.h"
#include "ollm/base/sha256.h"
#include "ollm/kv/options.h"
#include "ollm/models/composition.h"

namespace ollm::runtime {

/// SHA-256 of
///
/// - `content`, of the model's files (checkpoint/content_hash.h);
/// - the composition as text, as it was settled for the planned context: every part and every
///   default that the family chose, so that a family that is mended does not meet its old KV, and
///   of longrope the frequencies that were taken;
/// - the compute mode and the numeric class of the table on this machine;
/// - of a strategy that changes the answer its name, what each layer may see, and of how many
///   tokens a block is that its rows see exactly;
/// - backend::kNumericsVersion.
///
/// Not in it, as no bit depends on them (docs/decisions/same-bits.md): exact strategies, the size
/// of blocks, the budget, the chunk, threads, the context, and the table within a class.
Digest fingerprint(const Digest& content, const models::Composition& composition,
                   const backend::Options& backend, const kv::Options& kv);

}  // namespace ollm::runtime
