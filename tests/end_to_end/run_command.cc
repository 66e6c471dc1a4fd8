#include "tests/end_to_end/run_command.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ollm/base/check.h"

namespace ollm::testing {
namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

CommandResult run_ollm(const std::string& arguments, const std::string& input) {
  return run_shell("\"$OLLM\" " + arguments, input);
}

CommandResult run_ollm_at_home(const std::string& folder, const std::string& arguments) {
  return run_shell("cd '" + folder + "' && HOME='" + folder + "' HF_HUB_CACHE='" + folder +
                   "/hub' \"$OLLM\" " + arguments);
}

CommandResult run_shell(const std::string& script, const std::string& input) {
  const char* binary = std::getenv("OLLM_BINARY");
  OLLM_CHECK(binary != nullptr);
  std::string folder = (std::filesystem::temp_directory_path() / "ollm_run_XXXXXX").string();
  OLLM_CHECK(::mkdtemp(folder.data()) != nullptr);
  const std::filesystem::path in(folder);
  std::ofstream(in / "in", std::ios::binary) << input;
  ::setenv("OLLM", binary, 1);
  const std::string command =
      "{ " + script + "\n} < '" + folder + "/in' > '" + folder + "/out' 2> '" + folder + "/err'";
  const int status = std::system(command.c_str());
  CommandResult result{WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(in / "out"),
                       read(in / "err")};
  std::filesystem::remove_all(in);
  return result;
}

}  // namespace ollm::testing
