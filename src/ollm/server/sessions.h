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
  bool busy = false;               // an answer runs
  std::size_t reserved_bytes = 0;  // of the messages that it brings

  /// The messages with what is asked now.
  std::vector<Message> conversation(std::string_view prompt) const;
  /// {session_id, session_name, model_reference, system_prompt, messages}.
  nlohmann::ordered_json as_json() const;
  /// Bytes of what was said.
  std::size_t text_bytes() const;
};

/// What a list tells of one.
struct SessionLine {
  std::string id;
  std::string name;
  std::string model;
  std::size_t messages = 0;
};

/// How long the two messages of a turn are: the prompt, and the answer, which has no more tokens
/// than the options of its session say.
struct TurnSize {
  std::size_t prompt_bytes = 0;
  std::size_t most_tokens = 0;
};

/// 404: what is not there, or belongs to another.
openai::RequestError no_such_session();

/// Any thread. What belongs to another is not there.
class Sessions {
 public:
  /// `capacity_bytes`: of all of them; `text_limit`: bytes of the text of one, as it is read anew
  /// with each prompt.
  Sessions(std::size_t capacity_bytes, std::size_t text_limit)
      : capacity_(capacity_bytes), text_limit_(text_limit) {}

  /// Keeps it under a new id. Errors: 503 where there are too many, or they hold too much.
  std::optional<openai::RequestError> add(ChatSession session, std::string& id);
  std::optional<ChatSession> find(const std::string& id, const std::string& owner) const;
  std::vector<SessionLine> of(const std::string& owner) const;
  /// ChatSession::text_bytes of one; 0 where there is none.
  std::size_t text_bytes(const std::string& id, const std::string& owner) const;
  bool remove(const std::string& id, const std::string& owner);
  std::size_t size() const;

  /// Takes it for one answer, with room for what that brings. Errors: 404, 409 while another one
  /// runs, 400 where its text is too long, 503 where all of them hold too much.
  std::optional<openai::RequestError> begin(const std::string& id, const std::string& owner,
                                            const TurnSize& turn, ChatSession& out);
  /// Gives it back, with the two messages of an answer if there is one. They are kept also where
  /// they are longer than was said: the next turn is refused then.
  void end(const std::string& id, std::vector<Message> more);

 private:
  const ChatSession* get(const std::string& id, const std::string& owner) const;
  std::optional<openai::RequestError> reserve(std::size_t bytes);

  const std::size_t capacity_;
  const std::size_t text_limit_;
  mutable std::mutex mutex_;
  std::map<std::string, ChatSession> sessions_;  // guarded by mutex_
  std::size_t bytes_ = 0;                        // with what is reserved; guarded by mutex_
};

/// 32 digits that nobody can guess.
std::string random_name();
/// 64 bits of the system's.
std::uint64_t random_number();

}  // namespace ollm::server
