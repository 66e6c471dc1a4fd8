// A conversation in a file, in the form (version 2) of the system that we replace. Leaves to
// others: the conversation itself (chat.cc).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ollm/ollm.h"

namespace ollm::cli {

struct Transcript {
  std::string session_name = "default";
  std::string model_reference;
  std::string system_prompt;  // empty: none
  std::vector<Message> messages;
};

/// Reads one. Errors: not_found, io; corrupt for what is none; unsupported for another version, and
/// for images and sound.
Result<Transcript> read_transcript(const std::filesystem::path& path);

/// Writes it, for its owner alone, so that the path holds the old one or the new one, whole; makes
/// the folder where it is not there. Errors: io.
Result<void> write_transcript(const std::filesystem::path& path, const Transcript& transcript);

}  // namespace ollm::cli
