// The one list of routes. Requests are sent by it to their functions, and the tests that run for
// every route, /openapi.json and docs/server.md are made from it. Leaves to others: who may ask
// (gate.h).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ollm/openai/error.h"
#include "ollm/server/http_message.h"

namespace ollm::server {

class Service;
struct RouteEntry;

/// One request on its way through its route. A handle: copies are of the same request.
struct Call {
  Service* service = nullptr;
  const RouteEntry* route = nullptr;
  std::shared_ptr<Exchange> exchange;  // shared with the connection, which may end before
  std::string argument;                // what stands in place of {id}
  std::string owner;                   // of the key (ApiKeys::owner_of)

  /// Answers, and counts it. A long answer takes its part of the room of all answers, unless the
  /// exchange holds one already.
  ///@{
  void respond(HttpResponse response) const;
  void respond(const nlohmann::ordered_json& body) const;
  void refuse(const openai::RequestError& error) const;
  ///@}
  /// Counts an answer that is a stream.
  void count(int status) const;
  /// Runs `work` on a thread that may take long; what it throws is answered. `more_bytes`: of text
  /// that it works on, beside the body.
  void later(std::function<void()> work, std::size_t more_bytes = 0) const;
  /// The body as an object, of which only these members may be there. Nothing where it was refused.
  std::optional<nlohmann::ordered_json> object(std::span<const std::string_view> members) const;
};

/// What a route takes and gives, by the names of /openapi.json's schemas.
struct RouteEntry {
  std::string_view method;
  std::string_view path;  // "/v1/sessions/{id}"; "{id...}" at the end may have '/' in it
  void (*handle)(const Call& call) = nullptr;
  std::string_view summary;
  bool open = false;             // without a key, and while the model is loading
  std::string_view body = {};    // "ChatRequest"; empty: none
  std::string_view answer = {};  // "ChatCompletion"; empty: no JSON
  bool streams = false;
};

std::span<const RouteEntry> routes();

/// What a path asks for.
struct FoundRoute {
  const RouteEntry* route = nullptr;  // null: nothing has this path, or not with this method
  std::string argument;
  std::string methods;  // "GET, HEAD": those of the path; empty where there is none
};
FoundRoute find_route(std::string_view method, std::string_view path);

/// The answer of an error in OpenAI's form.
HttpResponse error_response(const openai::RequestError& error);

/// The answer to what is one request too many.
HttpResponse queue_is_full();

/// The answer to a request whose answer does not fit into what is left of the room of all answers,
/// or into all of it: 503, 400 with `param` as what to ask less of.
HttpResponse no_room(const Service& service, std::size_t bytes, std::string_view param = {});

// The functions of the list, by file.
void health(const Call& call);                 // status.cc
void ready(const Call& call);                  //
void metrics(const Call& call);                //
void openapi(const Call& call);                // openapi.cc
void list_served(const Call& call);            // models.cc
void find_served(const Call& call);            //
void list_local_models(const Call& call);      //
void find_local_model(const Call& call);       //
void chat_completion(const Call& call);        // completions.cc
void completion(const Call& call);             //
void plan(const Call& call);                   // plan.cc
void prompt(const Call& call);                 // prompt.cc
void prompt_stream(const Call& call);          //
void create_session(const Call& call);         // session_routes.cc
void list_sessions(const Call& call);          //
void get_session(const Call& call);            //
void delete_session(const Call& call);         //
void session_prompt(const Call& call);         // prompt.cc
void session_prompt_stream(const Call& call);  //
void tokenize(const Call& call);               // text.cc
void detokenize(const Call& call);             //
void render(const Call& call);                 //
void not_built(const Call& call);              // status.cc

}  // namespace ollm::server
