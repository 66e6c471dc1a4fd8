// GET and DELETE /v1/sessions: conversations of the key that asks. Their prompts: prompt.cc.
#include <nlohmann/json.hpp>

#include "ollm/server/routes.h"
#include "ollm/server/service.h"

namespace ollm::server {
namespace {

using Json = nlohmann::ordered_json;

void refuse_unknown(const Call& call) {
  call.refuse({.status = 404,
               .message = "there is no session of this id",
               .param = "session_id",
               .code = "session_not_found"});
}

}  // namespace

void list_sessions(const Call& call) {
  Json all = Json::array();
  for (const ChatSession& session : call.service->sessions().of(call.owner)) {
    all.push_back({{"session_id", session.id},
                   {"session_name", session.name},
                   {"model_reference", session.model},
                   {"messages", session.messages.size()}});
  }
  call.respond({{"object", "list"}, {"data", std::move(all)}});
}

void get_session(const Call& call) {
  const auto session = call.service->sessions().find(call.argument, call.owner);
  if (!session) return refuse_unknown(call);
  call.respond(session->as_json());
}

void delete_session(const Call& call) {
  if (!call.service->sessions().remove(call.argument, call.owner)) return refuse_unknown(call);
  call.respond({{"session_id", call.argument}, {"deleted", true}});
}

}  // namespace ollm::server
