#include "ollm/plan/resolved_model.h"

#include <utility>

namespace ollm {

CapabilityProfile CapabilityProfile::of_catalog(const CatalogEntry& entry) {
  CapabilityProfile out;
  out.support_level = SupportLevel::optimized;
  out.modalities.assign(entry.modalities.begin(), entry.modalities.end());
  out.requires_processor = entry.requires_processor;
  out.supports_disk_cache = entry.supports_disk_cache;
  out.supports_local_materialization = true;
  out.supports_specialization = true;
  out.details.set("source", "catalog");
  out.details.set("repo_id", std::string(entry.repo_id));
  return out;
}

CapabilityProfile CapabilityProfile::generic(std::vector<ModelModality> modalities,
                                             bool requires_processor, bool supports_disk_cache,
                                             Details details) {
  CapabilityProfile out;
  out.support_level = SupportLevel::generic;
  out.modalities = std::move(modalities);
  out.requires_processor = requires_processor;
  out.supports_disk_cache = supports_disk_cache;
  out.supports_local_materialization = true;
  out.details = std::move(details);
  return out;
}

CapabilityProfile CapabilityProfile::unsupported(std::string reason, bool materializable) {
  CapabilityProfile out;
  out.support_level = SupportLevel::unsupported;
  out.supports_disk_cache = false;
  out.supports_local_materialization = materializable;
  out.details.set("reason", std::move(reason));
  return out;
}

}  // namespace ollm
