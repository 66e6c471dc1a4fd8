// Answers as they travel. Leaves to others: when (http_server.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ollm/server/http_message.h"

namespace ollm::server {

/// A whole answer to a request, in pieces; to HEAD, without its body. `close`: that the connection
/// ends here.
std::vector<std::string> http_text(HttpResponse response, const HttpRequest& request, bool close);

/// What stands in front of a stream of events.
std::string http_events_head(const HttpRequest& request);

/// One piece of a body of which nobody knows the length before its end; not empty.
std::string http_chunk(std::string_view text);

}  // namespace ollm::server
