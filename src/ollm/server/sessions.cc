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

// What stands in memory beside texts: of a message twice itself, as lists grow by doubling; of a
// session its place in the map, its id and its owner.
constexpr std::size_t kMessageBytes = 2 * sizeof(Message) + 32;
constexpr std::size_t kSessionBytes = sizeof(ChatSession) + 512;

// Of the text of a token; that of whole answers is shorter, but for runs of spaces and the like.
constexpr std::size_t kTokenBytes = 16;

std::size_t bytes_of(const Message& message) {
  return kMessageBytes + message.role.size() + message.content.size();
}

std::size_t bytes_of(const ChatSession& session) {
  std::size_t bytes = kSessionBytes + session.reserved_bytes + session.name.size() +
                      session.model.size() + session.system_prompt.size();
  for (const std::string& stop : session.options.stop) bytes += sizeof stop + stop.size();
  for (const Message& message : session.messages) bytes += bytes_of(message);
  return bytes;
}

RequestError too_many_sessions(std::string message) {
  return {.status = 503,
          .message = std::move(message),
          .param = std::nullopt,
          .code = "too_many_sessions"};
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

std::size_t ChatSession::text_bytes() const {
  std::size_t bytes = system_prompt.size();
  for (const Message& message : messages) bytes += message.content.size();
  return bytes;
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
  if (sessions_.size() >= ServerLimits::kSessions)
    return too_many_sessions(
        fmt::format("the server keeps {} sessions, and no more: delete some", sessions_.size()));
  if (auto full = reserve(bytes_of(session))) return full;
  sessions_.emplace(id, std::move(session));
  return std::nullopt;
}

// With the mutex.
std::optional<RequestError> Sessions::reserve(std::size_t bytes) {
  if (bytes_ <= capacity_ && bytes <= capacity_ - bytes_) {
    bytes_ += bytes;
    return std::nullopt;
  }
  return too_many_sessions(
      fmt::format("the server's sessions hold {} of at most {} bytes, and {} more are asked for: "
                  "delete some",
                  bytes_, capacity_, bytes));
}

const ChatSession* Sessions::get(const std::string& id, const std::string& owner) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() || found->second.owner != owner ? nullptr : &found->second;
}

std::optional<ChatSession> Sessions::find(const std::string& id, const std::string& owner) const {
  const std::lock_guard lock(mutex_);
  const ChatSession* session = get(id, owner);
  return session == nullptr ? std::nullopt : std::optional(*session);
}

std::size_t Sessions::text_bytes(const std::string& id, const std::string& owner) const {
  const std::lock_guard lock(mutex_);
  const ChatSession* session = get(id, owner);
  return session == nullptr ? 0 : session->text_bytes();
}

std::vector<SessionLine> Sessions::of(const std::string& owner) const {
  const std::lock_guard lock(mutex_);
  std::vector<SessionLine> all;
  for (const auto& [id, session] : sessions_)
    if (session.owner == owner)
      all.push_back({id, session.name, session.model, session.messages.size()});
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
                                            const TurnSize& turn, ChatSession& out) {
  const std::lock_guard lock(mutex_);
  const ChatSession* found = get(id, owner);
  if (found == nullptr) return no_such_session();
  if (found->busy) {
    return RequestError{.status = 409,
                        .message = "an answer of this session runs: its prompts take turns",
                        .param = std::nullopt,
                        .code = "session_busy"};
  }
  const std::size_t text = found->text_bytes() + turn.prompt_bytes;
  if (text > text_limit_) {
    return openai::refuse("prompt", fmt::format("{} bytes with what was said before in this "
                                                "session, which may have {}: begin another one",
                                                text, text_limit_));
  }
  const std::size_t tokens = std::min(turn.most_tokens, found->options.max_new_tokens);
  const std::size_t bytes = 2 * kMessageBytes + turn.prompt_bytes + tokens * kTokenBytes;
  if (auto full = reserve(bytes)) return full;
  out = *found;
  ChatSession& session = sessions_.find(id)->second;
  session.busy = true;
  session.reserved_bytes = bytes;
  return std::nullopt;
}

void Sessions::end(const std::string& id, std::vector<Message> more) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;  // deleted meanwhile
  found->second.busy = false;
  bytes_ -= std::exchange(found->second.reserved_bytes, 0);
  for (Message& message : more) {
    bytes_ += bytes_of(message);
    found->second.messages.push_back(std::move(message));
  }
}

}  // namespace ollm::server
