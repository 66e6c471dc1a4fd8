// ollm man: all manual pages, written into a folder. Not shown in --help: packages install them.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "ollm/cli/command.h"
#include "ollm/cli/man_page.h"

namespace ollm::cli {
namespace {

Result<void> write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (file != nullptr && std::fclose(file) != 0) written = false;
  if (written) return {};
  return fail(ErrorKind::io, path + ": " + std::strerror(errno));
}

std::function<Outcome()> set_up(CLI::App& app) {
  app.group("");
  auto folder = std::make_shared<std::string>();  // shared: std::function is copied
  app.add_option("FOLDER", *folder, "Where the pages go: ollm.1 and one for each command")
      ->required();
  return [folder, &app]() -> Outcome {
    const CommandEntry root = command_tree(*app.get_parent());
    OLLM_TRY_VOID(write_file(*folder + "/ollm.1", man_page(root)));
    for (const CommandEntry& command : root.commands) {
      OLLM_TRY_VOID(write_file(*folder + "/ollm-" + command.name + ".1", man_page(root, command)));
    }
    return 0;
  };
}

}  // namespace

const Command kMan{.name = "man", .summary = "Write the manual pages", .set_up = set_up};

}  // namespace ollm::cli
