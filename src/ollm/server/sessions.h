// Conversations that the server keeps, in memory, each of the key that made it. Leaves to others:
// answers; keys and values, which are found by the text itself.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ollm/ollm.h"
#include "ollm/openai/error.h"

namespace ollm::server {

/// One conversation.
struct ChatSession {
  std::string id;
  std::string owner;
  std::string name;
  std::string model;
  std::string system_prompt;  // empty: none
  std::vector<Message> messages;
  GenerateOptions options;
  bool busy = false;  // an answer runs

  /// The messages with what is asked now.
  std::vector<Message> conversation(std::string_view prompt) const;
  /// {session_id, session_name, model_reference, system_prompt, messages}.
  nlohmann::ordered_json as_json() const;
};

/// 404: what is not there, or belongs to another.
openai::RequestError no_such_session();

/// Any thread. What belongs to another is not there.
class Sessions {
 public:
  /// Keeps it under a new id. Errors: 503 where there are too many.
  std::optional<openai::RequestError> add(ChatSession session, std::string& id);
  std::optional<ChatSession> find(const std::string& id, const std::string& owner) const;
  std::vector<ChatSession> of(const std::string& owner) const;
  bool remove(const std::string& id, const std::string& owner);
  std::size_t size() const;

  /// Takes it for one answer. Errors: 404, 409 while another one runs.
  std::optional<openai::RequestError> begin(const std::string& id, const std::string& owner,
                                            ChatSession& out);
  /// Gives it back, with the two messages of an answer if there is one.
  void end(const std::string& id, std::vector<Message> more);

 private:
  ChatSession* get(const std::string& id, const std::string& owner);

  mutable std::mutex mutex_;
  std::map<std::string, ChatSession> sessions_;  // guarded by mutex_
  std::size_t bytes_ = 0;                        // guarded by mutex_
};

/// 32 digits that nobody can guess.
std::string random_name();
/// 64 bits of the system's.
std::uint64_t random_number();

}  // namespace ollm::server
