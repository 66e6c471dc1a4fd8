// From an inspected folder to the composition that runs: which family reads its config, whether its
// tensors fit, what was left alone. Leaves to others: backends and providers (select.h), families
// and structure themselves (models/).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ollm/base/result.h"
#include "ollm/models/families.h"
#include "ollm/models/inventory.h"
#include "ollm/models/tensor_names.h"
#include "ollm/plan/inspect.h"
#include "ollm/plan/plans.h"

namespace ollm::plan {

struct Composed {
  models::FamilyModel model;
  std::vector<Decision> decisions;  // what one may not expect, each with its reason
};

/// A folder whose config was read. Borrows the inspection, whose folder has to be there.
class FolderModel {
 public:
  /// Whether the type is built is asked before any of its keys is read.
  /// Errors: unsupported for a type that is not built, quantized weights, keys that nobody knows;
  /// corrupt; each by name.
  static Result<FolderModel> read(const Inspection& inspection, const Allowances& allowances);

  /// The family's composition, where there is a family and the tensors are its.
  /// Errors: not_found, corrupt, unsupported, naming the tensor that does not fit.
  Result<Composed> as_family() const;
  /// The composition that the tensors make. Errors: unsupported, corrupt, not_found.
  Result<Composed> by_tensors() const;
  /// The first of both; where neither is, why it is not the family's.
  Result<Composed> compose() const;

 private:
  explicit FolderModel(const checkpoint::ModelFolder& folder) : folder_(&folder) {}
  Result<void> take_config(const Inspection& inspection);
  Result<void> look_at_quantization();
  Result<Composed> bind(models::FamilyModel model, std::vector<Decision> decisions) const;
  void decide(std::string what, std::string chosen, std::string because);

  const checkpoint::ModelFolder* folder_;
  Allowances allowances_;
  Json config_;  // of the text model, where it stands inside another one's
  models::TensorNames names_;
  const models::Family* family_ = nullptr;
  std::optional<models::FamilyModel> model_;  // the family's
  bool text_part_ = false;
  std::vector<Decision> decisions_;
};

/// Which family reads a config.
struct FoundFamily {
  const models::Family* family = nullptr;  // nullptr where none is built
  const Json* text_config = nullptr;       // what it reads where it is not the whole; borrowed
  /// Whether a type that is built stands there, the whole model's or its text model's: then code
  /// that the folder brings (auto_map) goes unread.
  bool by_type = false;
};

/// The family of the whole config, else that of its text_config's type.
FoundFamily search_family(const Json& config);

}  // namespace ollm::plan
