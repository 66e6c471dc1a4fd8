// Where keys and values on disk stand. Leaves to others: what stands there (kv/pool.h).
#pragma once

#include <filesystem>

#include "ollm/base/result.h"
#include "ollm/io/environment.h"
#include "ollm/settings/settings.h"

namespace ollm::settings {

/// The setting `cache_dir`, absolute; where it is absent, $XDG_CACHE_HOME/ollm, else ~/.cache/ollm.
/// Nothing has to be there.
/// Errors: invalid_argument where nothing names a folder, with what to set.
Result<std::filesystem::path> cache_folder(const RuntimeConfig& config,
                                           const io::Environment& environment);

}  // namespace ollm::settings
