#include "ollm/cli/transcript.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/base/json_reader.h"
#include "ollm/base/value_document.h"
#include "ollm/cli/input.h"

namespace ollm::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;
constexpr std::string_view kVersion = "2";

Error corrupt(const fs::path& path, std::string_view what) {
  return fail(ErrorKind::corrupt, fmt::format("{}: {}", path.string(), what));
}

Error io_error(const fs::path& path) {
  return fail(ErrorKind::io, fmt::format("{}: {}", path.string(), std::strerror(errno)));
}

// A member that is a text, or `otherwise` where it is not there.
Result<std::string> text_of(const fs::path& path, const Json& object, const char* name,
                            std::string otherwise) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return otherwise;
  if (!found->is_string()) return corrupt(path, fmt::format("{}: expected a text", name));
  return found->get<std::string>();
}

Result<Message> message_of(const fs::path& path, const Json& entry) {
  if (!entry.is_object()) return corrupt(path, "messages: expected objects");
  Message message;
  OLLM_TRY(message.role, text_of(path, entry, "role", ""));
  if (message.role != "user" && message.role != "assistant" && message.role != "system")
    return corrupt(path, "messages: expected the roles user, assistant and system, found " +
                             quote_name(message.role));
  const auto content = entry.find("content");
  if (content == entry.end() || !content->is_array())
    return corrupt(path, "messages: expected a list of parts as content");
  for (const Json& part : *content) {
    if (!part.is_object()) return corrupt(path, "messages: expected parts that are objects");
    OLLM_TRY(const std::string type, text_of(path, part, "type", ""));
    if (type != "text")
      return fail(ErrorKind::unsupported,
                  fmt::format("{}: a message has a part of type {}: this build reads texts alone",
                              path.string(), quote_name(type)));
    OLLM_TRY(const std::string value, text_of(path, part, "value", ""));
    if (!message.content.empty()) message.content += '\n';
    message.content += value;
  }
  return message;
}

}  // namespace

Result<Transcript> read_transcript(const fs::path& path) {
  OLLM_TRY(const std::string text, read_text_file(path, kMostBytes));
  constexpr JsonLimits kLimits{.size_bytes = kMostBytes};
  OLLM_TRY(const Json whole, parse_json(text, path.string(), kLimits));
  if (!whole.is_object()) return corrupt(path, "expected an object");
  const auto version = whole.find("version");
  const bool known = version != whole.end() && (*version == 2 || *version == kVersion);
  if (!known)
    return fail(ErrorKind::unsupported,
                fmt::format("{}: expected a transcript of version 2", path.string()));
  Transcript out;
  OLLM_TRY(out.session_name, text_of(path, whole, "session_name", "default"));
  OLLM_TRY(out.model_reference, text_of(path, whole, "model_reference", ""));
  OLLM_TRY(out.system_prompt, text_of(path, whole, "system_prompt", ""));
  const auto messages = whole.find("messages");
  if (messages == whole.end() || messages->is_null()) return out;
  if (!messages->is_array()) return corrupt(path, "messages: expected a list");
  for (const Json& entry : *messages) {
    OLLM_TRY(Message message, message_of(path, entry));
    out.messages.push_back(std::move(message));
  }
  return out;
}

Result<void> write_transcript(const fs::path& path, const Transcript& transcript) {
  Json messages = Json::array();
  for (const Message& message : transcript.messages)
    messages.push_back(
        {{"role", message.role},
         {"content", Json::array({{{"type", "text"}, {"value", message.content}}})}});
  const Json whole = {{"version", 2},
                      {"session_name", transcript.session_name},
                      {"model_reference", transcript.model_reference},
                      {"system_prompt", transcript.system_prompt},
                      {"messages", std::move(messages)}};
  const std::string text = json_dump(whole, kJsonIndent) + "\n";
  std::error_code ignored;
  fs::path target = fs::weakly_canonical(path, ignored);  // what a link leads to
  if (ignored || target.empty()) target = path;
  if (target.has_parent_path()) fs::create_directories(target.parent_path(), ignored);
  const fs::path beside = target.parent_path() / fmt::format(".{}.tmp", target.filename().string());
  constexpr mode_t kOwner = 0600;
  const int descriptor =
      ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, kOwner);
  if (descriptor < 0) return io_error(beside);
  std::size_t written = 0;
  bool good = ::fchmod(descriptor, kOwner) == 0;
  while (good && written < text.size()) {
    const ssize_t now = ::write(descriptor, text.data() + written, text.size() - written);
    if (now < 0 && errno == EINTR) continue;
    good = now > 0;
    if (good) written += static_cast<std::size_t>(now);
  }
  good = good && ::fsync(descriptor) == 0;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  if (good && ::rename(beside.c_str(), target.c_str()) == 0) return {};
  const Error problem = io_error(target);
  ::unlink(beside.c_str());
  return problem;
}

}  // namespace ollm::cli
