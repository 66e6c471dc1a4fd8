#include "ollm/server/sessions.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/check.h"
#include "ollm/server/limits.h"

namespace ollm::server {
namespace {

using Json = nlohmann::ordered_json;
using openai::RequestError;

std::size_t bytes_of(const std::vector<Message>& messages) {
  std::size_t bytes = 0;
  for (const Message& message : messages) bytes += message.role.size() + message.content.size();
  return bytes;
}

std::size_t bytes_of(const ChatSession& session) {
  return session.name.size() + session.system_prompt.size() + bytes_of(session.messages);
}

}  // namespace

RequestError no_such_session() {
  return {.status = 404,
          .message = "there is no session of this id",
          .param = "session_id",
          .code = "session_not_found"};
}

std::uint64_t random_number() {
  std::uint64_t number = 0;
  // Never short for so few bytes; fails on no system that we run on.
  OLLM_CHECK(::getrandom(&number, sizeof number, 0) == static_cast<ssize_t>(sizeof number));
  return number;
}

std::string random_name() {
  return fmt::format("{:016x}{:016x}", random_number(), random_number());
}

std::vector<Message> ChatSession::conversation(std::string_view prompt) const {
  std::vector<Message> all;
  if (!system_prompt.empty()) all.push_back({"system", system_prompt});
  all.insert(all.end(), messages.begin(), messages.end());
  all.push_back({"user", std::string(prompt)});
  return all;
}

Json ChatSession::as_json() const {
  Json said = Json::array();
  for (const Message& message : messages)
    said.push_back({{"role", message.role},
                    {"content", Json::array({{{"type", "text"}, {"value", message.content}}})}});
  return {{"session_id", id},
          {"session_name", name},
          {"model_reference", model},
          {"system_prompt", system_prompt},
          {"messages", std::move(said)}};
}

std::optional<RequestError> Sessions::add(ChatSession session, std::string& id) {
  const std::string name = random_name();
  // As UUIDs are written, version 4.
  id = fmt::format("{}-{}-4{}-8{}-{}", name.substr(0, 8), name.substr(8, 4), name.substr(13, 3),
                   name.substr(17, 3), name.substr(20, 12));
  session.id = id;
  const std::lock_guard lock(mutex_);
  const std::size_t bytes = bytes_of(session);
  if (sessions_.size() >= ServerLimits::kSessions || bytes_ + bytes > ServerLimits::kSessionBytes) {
    return RequestError{.status = 503,
                        .message = "the server keeps no more sessions: delete some",
                        .param = std::nullopt,
                        .code = "too_many_sessions"};
  }
  bytes_ += bytes;
  sessions_.emplace(id, std::move(session));
  return std::nullopt;
}

ChatSession* Sessions::get(const std::string& id, const std::string& owner) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() || found->second.owner != owner ? nullptr : &found->second;
}

std::optional<ChatSession> Sessions::find(const std::string& id, const std::string& owner) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end() || found->second.owner != owner) return std::nullopt;
  return found->second;
}

std::vector<ChatSession> Sessions::of(const std::string& owner) const {
  const std::lock_guard lock(mutex_);
  std::vector<ChatSession> all;
  for (const auto& [id, session] : sessions_)
    if (session.owner == owner) all.push_back(session);
  return all;
}

bool Sessions::remove(const std::string& id, const std::string& owner) {
  const std::lock_guard lock(mutex_);
  const ChatSession* session = get(id, owner);
  if (session == nullptr) return false;
  bytes_ -= bytes_of(*session);
  sessions_.erase(id);
  return true;
}

std::size_t Sessions::size() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

std::optional<RequestError> Sessions::begin(const std::string& id, const std::string& owner,
                                            ChatSession& out) {
  const std::lock_guard lock(mutex_);
  ChatSession* session = get(id, owner);
  if (session == nullptr) return no_such_session();
  if (session->busy) {
    return RequestError{.status = 409,
                        .message = "an answer of this session runs: its prompts take turns",
                        .param = std::nullopt,
                        .code = "session_busy"};
  }
  out = *session;
  session->busy = true;
  return std::nullopt;
}

void Sessions::end(const std::string& id, std::vector<Message> more) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;  // deleted meanwhile
  found->second.busy = false;
  const std::size_t bytes = bytes_of(more);
  if (bytes_ + bytes > ServerLimits::kSessionBytes) return;
  bytes_ += bytes;
  for (Message& message : more) found->second.messages.push_back(std::move(message));
}

}  // namespace ollm::server
