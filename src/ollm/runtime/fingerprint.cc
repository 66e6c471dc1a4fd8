#include "ollm/runtime/fingerprint.h"

#include <string>
#include <string_view>

#include "ollm/backend/numerics.h"
#include "ollm/base/check.h"
#include "ollm/kv/strategies.h"
#include "ollm/models/composition_text.h"

namespace ollm::runtime {

Digest fingerprint(const Digest& content, const models::Composition& composition,
                   const backend::Options& backend, const kv::Options& kv) {
  Sha256 hash;
  // Each with its length, so that no two lists of parts are one list of bytes.
  const auto add = [&](std::string_view text) { hash.add(std::uint64_t{text.size()}).add(text); };
  add("ollm kv fingerprint");
  hash.add(backend::kNumericsVersion).add(content);
  add(models::composition_text(composition));
  add(to_string(backend.compute));
  add(backend::numeric_class_name(backend));
  const kv::Strategy* const strategy = kv::find_strategy(kv.strategy);
  OLLM_CHECK(strategy != nullptr);
  if (!strategy->exact()) {
    add(strategy->id);
    if (kv::quantizes(kv)) hash.add(std::uint64_t{kv.block_tokens});  // what a row sees exactly
    for (const kv::LayerOptions& layer : kv.layers) hash.add(std::uint64_t{layer.window});
  }
  return hash.finish();
}

}  // namespace ollm::runtime
