// Addresses of the Hugging Face hub, as people copy them from a browser, and what they show.
// Leaves to others: references of any other form (plan/reference.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/result.h"
#include "ollm/io/environment.h"

namespace ollm::hub {

struct Address {
  std::string shown;                    // the address without a name and password in it
  std::string repo_id;                  // "org/name" or "name"
  std::optional<std::string> revision;  // branch, tag or commit; nothing for main
};

/// Takes `https://huggingface.co/org/name` apart: with http, www., hf.co or the host of
/// HF_ENDPOINT, without a scheme, with `.git`, a slash, a query or a fragment behind, and pages
/// below the model's
/// (`/tree/v1`, `/blob/main/config.json`). Nothing for what is no address of the hub.
/// Errors: invalid_argument for one that shows no model (datasets, spaces, the front page).
Result<std::optional<Address>> parse_address(std::string_view text,
                                             const io::Environment& environment);

/// "%20" and the like as the bytes that they stand for; what is no such sequence stays.
std::string percent_decoded(std::string_view text);

}  // namespace ollm::hub
