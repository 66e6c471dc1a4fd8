// Completions and manual pages know every command and every flag that --help shows.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

using Words = std::set<std::string>;

struct HelpPage {
  std::string command;  // "", "config", "config show"
  Words flags;
  Words commands;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Reads --help as a person does: what begins a line with a dash is a flag with its other names,
// what stands below "Subcommands:" is a command. Summaries begin further to the right.
void read_help(const std::string& command, std::vector<HelpPage>& pages) {
  HelpPage page{command, {}, {}};
  const CommandResult help = run_ollm(command + " --help");
  EXPECT_EQ(help.exit_code, 0) << command;
  const std::regex entry("^  ((-[^ {]+)|([a-z][a-z-]*) ).*"), flag("-[-a-z]+[a-z]|-[a-zA-Z]");
  bool commands = false;
  for (const std::string& line : lines_of(help.out)) {
    if (!line.starts_with(" ")) commands = line.starts_with("Subcommands:");
    std::smatch match;
    if (!std::regex_match(line, match, entry)) continue;
    const std::string names = match[2];
    for (std::sregex_iterator at(names.begin(), names.end(), flag), end; at != end; ++at)
      page.flags.insert(at->str());
    if (commands && match[3].matched) page.commands.insert(match[3]);
  }
  pages.push_back(page);
  for (const std::string& below : page.commands)
    read_help(command.empty() ? below : command + " " + below, pages);
}

const std::vector<HelpPage>& help_pages() {
  static const std::vector<HelpPage> pages = [] {
    std::vector<HelpPage> read;
    read_help("", read);
    return read;
  }();
  return pages;
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

bool has_program(const std::string& name) { return run_shell("command -v " + name).exit_code == 0; }

// What bash would offer after `line`, as words.
Words bash_offers(const std::string& line) {
  const CommandResult run = run_shell(
      "bash -c 'source <(\"$OLLM\" completions bash); compopt() { COMPREPLY+=(FILES); }; "
      "read -r -a COMP_WORDS; COMP_WORDS+=(\"$1\"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _ollm; "
      "printf \"%s\\n\" \"${COMPREPLY[@]}\"' bash '" +
          line.substr(line.rfind(' ') + 1) + "'",
      line.substr(0, line.rfind(' ')) + "\n");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err, "");
  Words words;
  for (const std::string& word : lines_of(run.out))
    if (!word.empty()) words.insert(word);
  return words;
}

TEST(Completions, HelpIsReadWhole) {
  ASSERT_GE(help_pages().size(), 9u);
  const HelpPage& root = help_pages().front();
  EXPECT_TRUE(root.commands.contains("prompt"));
  EXPECT_FALSE(root.commands.contains("completions"));  // hidden
  EXPECT_TRUE(root.flags.contains("--version"));
  for (const HelpPage& page : help_pages()) EXPECT_TRUE(page.flags.contains("--help"));
}

TEST(Completions, BashOffersExactlyWhatHelpShows) {
  if (!has_program("bash")) GTEST_SKIP() << "skipped: no bash";
  for (const HelpPage& page : help_pages()) {
    const std::string line = "ollm " + page.command + (page.command.empty() ? "" : " ");
    EXPECT_EQ(bash_offers(line + "-"), page.flags) << line;
    if (!page.commands.empty()) {
      EXPECT_EQ(bash_offers(line), page.commands) << line;
    }
  }
  EXPECT_EQ(bash_offers("ollm prompt --is"), Words{"--isa"});
  EXPECT_EQ(bash_offers("ollm prompt --isa avx512"), (Words{"avx512", "avx512-bf16"}));
  EXPECT_EQ(bash_offers("ollm prompt --file "), Words{"FILES"});
  EXPECT_EQ(bash_offers("ollm plan "), Words{"FILES"});
  EXPECT_EQ(bash_offers("ollm prompt --threads "), Words{});
}

// The same of fish, which prints a word and its summary.
Words fish_offers(const std::string& line) {
  const CommandResult run =
      run_shell("fish --no-config -c 'source (\"$OLLM\" completions fish | psub); complete -C \"" +
                line + "\"'");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err, "");
  Words words;
  for (const std::string& offer : lines_of(run.out))
    words.insert(offer.substr(0, offer.find('\t')));
  return words;
}

TEST(Completions, FishOffersExactlyWhatHelpShows) {
  if (!has_program("fish")) GTEST_SKIP() << "skipped: no fish";
  for (const HelpPage& page : help_pages()) {
    const std::string line = "ollm " + page.command + (page.command.empty() ? "" : " ");
    EXPECT_EQ(fish_offers(line + "-"), page.flags) << line;
    if (!page.commands.empty()) {
      EXPECT_EQ(fish_offers(line), page.commands) << line;
    }
  }
  EXPECT_EQ(fish_offers("ollm prompt --isa avx512"), (Words{"avx512", "avx512-bf16"}));
  EXPECT_EQ(fish_offers("ollm prompt --threads "), Words{});
}

TEST(Completions, EveryFlagStandsAtItsCommandForZshAndFish) {
  const std::string zsh = run_ollm("completions zsh").out, fish = run_ollm("completions fish").out;
  for (const HelpPage& page : help_pages()) {
    std::string function = "_ollm" + std::string(page.command.empty() ? "" : "_") + page.command;
    for (char& c : function) c = c == ' ' ? '_' : c;
    const std::size_t begin = zsh.find("\n" + function + "() {");
    ASSERT_NE(begin, std::string::npos) << function;
    const std::string body = zsh.substr(begin, zsh.find("\n}\n", begin) - begin);
    std::string seen = page.command.empty() ? "not __fish_seen_subcommand_from " : "";
    std::istringstream words(page.command);
    for (std::string word; words >> word;)
      seen += (seen.empty() ? "" : "; and ") + std::string("__fish_seen_subcommand_from ") + word;
    for (const std::string& flag : page.flags) {
      EXPECT_TRUE(std::regex_search(body, std::regex("'[^']*[)*]" + flag + "[=\\[]")))
          << function << " " << flag;
      const std::string option =
          flag.starts_with("--") ? " -l " + flag.substr(2) : " -s " + flag.substr(1);
      bool found = false;
      for (const std::string& line : lines_of(fish))
        found = found || (line.starts_with("complete -c ollm -n '" + seen) &&
                          (line + " ").find(option + " ") != std::string::npos);
      EXPECT_TRUE(found) << page.command << " " << flag;
    }
    for (const std::string& command : page.commands) {
      EXPECT_NE(body.find("'" + command + ":"), std::string::npos) << command;
      EXPECT_NE(fish.find(" -a '" + command + "' "), std::string::npos) << command;
    }
  }
}

TEST(Completions, ShellsReadThem) {
  std::string skipped;
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    if (!has_program(shell)) {
      skipped += " " + shell;
      continue;
    }
    const CommandResult run = run_shell("\"$OLLM\" completions " + shell + " | " + shell + " -n");
    EXPECT_EQ(run.exit_code, 0) << shell << run.err;
    EXPECT_EQ(run.err, "") << shell;
  }
  const CommandResult other = run_ollm("completions csh");
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_NE(other.err.find("csh"), std::string::npos);
  if (!skipped.empty()) GTEST_SKIP() << "skipped: no" << skipped;
}

TEST(ManPages, KnowEveryCommandAndFlag) {
  const io::TemporaryFolder folder;
  ASSERT_EQ(run_ollm("man '" + folder.path().string() + "'").exit_code, 0);
  for (const HelpPage& page : help_pages()) {
    std::string file = "ollm", rest;
    std::istringstream words(page.command);
    std::string command;
    if (words >> command) file += "-" + command;
    words >> rest;
    std::string text = contents(folder.path() / (file + ".1"));
    ASSERT_FALSE(text.empty()) << file;
    EXPECT_NE(text.find(".TH "), std::string::npos);
    if (!rest.empty()) {  // of a command below: its own section
      for (char& c : rest) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      ASSERT_NE(text.find(".SH \"" + rest + "\""), std::string::npos) << page.command;
      text = text.substr(text.find(".SH \"" + rest + "\""));
    }
    for (const std::string& flag : page.flags) {
      const std::string written = std::regex_replace(flag, std::regex("-"), "\\-");
      EXPECT_NE(text.find("\\fB" + written + "\\fR"), std::string::npos)
          << page.command << " " << flag;
    }
    if (page.command.empty()) {
      for (const std::string& below : page.commands)
        EXPECT_NE(text.find(".BR ollm\\-" + below + " (1)"), std::string::npos) << below;
      EXPECT_NE(text.find("OLLM_RUNTIME__MODELS_DIR"), std::string::npos);
    }
  }
  EXPECT_EQ(run_ollm("man /no/such/folder").exit_code, 5);
}

TEST(ManPages, FormatWithoutAWarning) {
  if (!has_program("groff")) GTEST_SKIP() << "skipped: no groff";
  const io::TemporaryFolder folder;
  ASSERT_EQ(run_ollm("man '" + folder.path().string() + "'").exit_code, 0);
  std::size_t pages = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    const CommandResult run = run_shell("groff -man -Tutf8 -ww -z '" + entry.path().string() + "'");
    EXPECT_EQ(run.exit_code, 0) << entry.path();
    EXPECT_EQ(run.err, "") << entry.path();
    ++pages;
  }
  EXPECT_GE(pages, 8u);
}

}  // namespace
}  // namespace ollm::testing
