// GET and DELETE /v1/sessions: conversations of the key that asks. Their prompts: prompt.cc.
#include <nlohmann/json.hpp>

#include "ollm/server/routes.h"
#include "ollm/server/service.h"

namespace ollm::server {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

void list_sessions(const Call& call) {
  Json all = Json::array();
  for (const SessionLine& session : call.service->sessions().of(call.owner)) {
    all.push_back({{"session_id", session.id},
                   {"session_name", session.name},
                   {"model_reference", session.model},
                   {"messages", session.messages}});
  }
  call.respond({{"object", "list"}, {"data", std::move(all)}});
}

void get_session(const Call& call) {
  Sessions& sessions = call.service->sessions();
  call.later(
      [call, &sessions] {
        const auto session = sessions.find(call.argument, call.owner);
        if (!session) return call.refuse(no_such_session());
        call.respond(session->as_json());
      },
      sessions.text_bytes(call.argument, call.owner));
}

void delete_session(const Call& call) {
  if (!call.service->sessions().remove(call.argument, call.owner))
    return call.refuse(no_such_session());
  call.respond({{"session_id", call.argument}, {"deleted", true}});
}

}  // namespace ollm::server
