// What the server takes and gives, as OpenAPI 3.0 describes it, made from the list of routes and
// the table of fields. Leaves to others: both of these.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace ollm::server {

nlohmann::ordered_json openapi_document();

}  // namespace ollm::server
