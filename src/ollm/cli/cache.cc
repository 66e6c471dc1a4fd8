// ollm cache list | verify | prune | clear: the keys and values that runs left on disk.
#include "ollm/cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ollm/base/text_size.h"
#include "ollm/cli/command.h"
#include "ollm/cli/exit_code.h"
#include "ollm/cli/interrupt.h"
#include "ollm/cli/printed.h"
#include "ollm/cli/settings_flags.h"
#include "ollm/cli/terminal.h"

namespace ollm::cli {
namespace {

constexpr std::string_view kModelSetting = "runtime.model_reference";
constexpr std::size_t kShortFingerprint = 12;

class CacheCommand {
 public:
  explicit CacheCommand(CLI::App& app) {
    list_ = add(app, "list", "List what is stored, by model");
    verify_ = add(app, "verify", "Read all that is stored and set aside what is corrupt");
    prune_ = add(app, "prune", "Remove what was used longest ago, is old, or is of one model");
    prune_->add_option("--max-size", max_size_, "Keep no more than this: 20GiB")
        ->type_name("bytes");
    prune_->add_option("--older-than", older_than_, "Remove what was not used for this: 7d")
        ->type_name("age");
    clear_ = add(app, "clear", "Remove all that is stored");
    clear_->add_flag("--yes", yes_, "Do not ask");
    for (std::size_t i = 0; i < kCommands; ++i) {
      CLI::App& command = *std::array{list_, verify_, prune_, clear_}[i];
      flags_[i] = std::make_unique<SettingsFlags>(
          command, std::initializer_list<std::string_view>{"runtime"}, false);
      command.add_flag("--json", json_, "Print one JSON object");
    }
    app.require_subcommand(1);
  }

  Outcome run() {
    if (list_->parsed()) return list(*flags_[0]);
    if (verify_->parsed()) return verify(*flags_[1]);
    if (prune_->parsed()) return prune(*flags_[2]);
    return clear(*flags_[3]);
  }

 private:
  static constexpr std::size_t kCommands = 4;

  static CLI::App* add(CLI::App& app, const char* name, const char* summary) {
    return app.add_subcommand(name, summary);
  }

  Outcome list(const SettingsFlags& flags) {
    OLLM_TRY(const Settings settings, flags.load());
    OLLM_TRY(const CacheList cache, list_cache(settings));
    if (json_) {
      print_json(cache.json());
      return 0;
    }
    for (const CacheEntry& entry : cache.entries) {
      const std::string name =
          entry.fingerprint ? entry.model.value_or("a model of no known name") : "other versions";
      std::string line = fmt::format("{} - {}", name, format_bytes(entry.bytes));
      if (entry.fingerprint)
        line += fmt::format(" - {} tokens in {} blocks", entry.tokens, entry.blocks);
      if (entry.last_used) line += " - " + *entry.last_used;
      if (entry.fingerprint)
        line += fmt::format(" [{}]", entry.fingerprint->substr(0, kShortFingerprint));
      print_words(stdout, line + "\n");
    }
    print_words(stdout, fmt::format("{} of at most {} in {}, {} free on its disk\n",
                                    format_bytes(cache.bytes), format_bytes(cache.cap_bytes),
                                    cache.folder.string(), format_bytes(cache.disk_free_bytes)));
    return 0;
  }

  Outcome verify(const SettingsFlags& flags) {
    OLLM_TRY(const Settings settings, flags.load());
    ProgressLine progress(verbosity(settings));
    OLLM_TRY(const CacheVerification found,
             verify_cache(settings, progress, &cancel_on_interrupt()));
    progress.clear();
    if (json_) {
      print_json(found.json());
    } else if (found.corrupt == 0) {
      print_words(stdout, fmt::format("{} blocks, all as they were stored\n", found.blocks));
    } else {
      print_words(stdout,
                  fmt::format("{} blocks, {} of them corrupt: they are set aside, and runs compute "
                              "them again\n",
                              found.blocks, found.corrupt));
    }
    return found.corrupt == 0 ? 0 : exit_code(ErrorKind::corrupt);
  }

  Outcome prune(const SettingsFlags& flags) {
    OLLM_TRY(const Settings settings, flags.load());
    CachePruning pruning;
    if (!max_size_.empty()) {
      Result<std::uint64_t> bytes = parse_bytes(max_size_);
      if (!bytes.ok()) return std::move(bytes).error().within("--max-size");
      pruning.max_bytes = *bytes;
    }
    if (!older_than_.empty()) {
      Result<std::uint64_t> age = parse_age(older_than_);
      if (!age.ok()) return std::move(age).error().within("--older-than");
      pruning.older_than_s = *age;
    }
    // The model that runs use by themselves is not meant: what goes is said on the command line.
    if (settings.origin(kModelSetting).origin == settings::Origin::cli)
      pruning.model = settings.runtime.model_reference;
    if (!pruning.max_bytes && !pruning.older_than_s && !pruning.model) {
      return fail(ErrorKind::invalid_argument,
                  "what is to go? --max-size 20GiB, --older-than 7d or --model MODEL");
    }
    OLLM_TRY(const CacheFreed freed, prune_cache(settings, pruning));
    print(freed);
    return 0;
  }

  Outcome clear(const SettingsFlags& flags) {
    OLLM_TRY(const Settings settings, flags.load());
    if (!yes_) {
      OLLM_TRY(const CacheList cache, list_cache(settings));
      if (cache.bytes != 0) {
        OLLM_TRY(const bool agreed, ask(cache));
        if (!agreed) {
          print(CacheFreed());
          return 0;
        }
      }
    }
    OLLM_TRY(const CacheFreed freed, clear_cache(settings));
    print(freed);
    return 0;
  }

  // Errors: invalid_argument where nobody can be asked.
  static Result<bool> ask(const CacheList& cache) {
    if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDERR_FILENO) == 0) {
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{} in {} would be removed, and nobody can be asked here: --yes says "
                              "that they are to go",
                              format_bytes(cache.bytes), cache.folder.string()));
    }
    print_words(stderr, fmt::format("Remove {} of keys and values in {}? [y/N] ",
                                    format_bytes(cache.bytes), cache.folder.string()));
    std::fflush(stderr);
    const int answer = std::getchar();
    return answer == 'y' || answer == 'Y';
  }

  void print(const CacheFreed& freed) const {
    if (json_) {
      print_json(freed.json());
    } else {
      print_words(stdout, fmt::format("{} removed\n", format_bytes(freed.freed_bytes)));
    }
    if (freed.in_use_bytes != 0) {
      print_warning(
          fmt::format("{} stay, as running processes use them", format_bytes(freed.in_use_bytes)));
    }
  }

  CLI::App *list_ = nullptr, *verify_ = nullptr, *prune_ = nullptr, *clear_ = nullptr;
  std::array<std::unique_ptr<SettingsFlags>, kCommands> flags_;
  std::string max_size_, older_than_;
  bool json_ = false, yes_ = false;
};

std::function<Outcome()> set_up(CLI::App& app) {
  auto command = std::make_shared<CacheCommand>(app);  // shared: std::function is copied
  return [command] { return command->run(); };
}

}  // namespace

const Command kCache{
    .name = "cache", .summary = "List, verify and remove stored keys and values", .set_up = set_up};

}  // namespace ollm::cli
