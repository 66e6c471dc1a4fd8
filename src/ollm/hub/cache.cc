#include "ollm/hub/cache.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ollm/base/json_cursor.h"
#include "ollm/base/text_form.h"
#include "ollm/io/file.h"
#include "ollm/io/system_calls.h"

namespace ollm::hub {
namespace {

constexpr std::size_t kMaxIdBytes = 96;         // of huggingface_hub's validate_repo_id
constexpr std::size_t kMaxRevisionBytes = 255;  // a file name's limit on Linux
constexpr std::size_t kCommitDigits = 40;       // of a SHA-1 in hexadecimal
constexpr std::uint64_t kMaxRefBytes = 4096;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

bool is_name_part(std::string_view part) {
  constexpr std::string_view kNotAtEnds = "-.";
  return !part.empty() && kNotAtEnds.find(part.front()) == std::string_view::npos &&
         kNotAtEnds.find(part.back()) == std::string_view::npos &&
         std::all_of(part.begin(), part.end(), is_name_character);
}

bool is_commit(std::string_view text) {
  return text.size() == kCommitDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_missing(int error) { return error == ENOENT || error == ENOTDIR; }

// A path without links; nothing where it does not exist.
Result<std::optional<std::filesystem::path>> real_path(const std::filesystem::path& path,
                                                       io::SystemCalls& calls) {
  std::string real;
  if (calls.realpath(path.c_str(), &real) == 0)
    return std::optional<std::filesystem::path>(std::move(real));
  const int error = errno;
  if (is_missing(error)) return std::optional<std::filesystem::path>();
  return fail(error == ELOOP ? ErrorKind::corrupt : ErrorKind::io,
              fmt::format("{}: {}", printable(path.native()), io::describe_errno(error)));
}

bool is_below(const std::filesystem::path& path, const std::filesystem::path& folder) {
  const auto [folder_end, rest] =
      std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return folder_end == folder.end() && rest != path.end();
}

Error leads_outside(const std::filesystem::path& path, const std::filesystem::path& real,
                    const std::filesystem::path& folder) {
  return fail(ErrorKind::corrupt, fmt::format("{}: leads to {}, outside of {}; links of a model "
                                              "cache may not leave it",
                                              printable(path.native()), quote_name(real.native()),
                                              printable(folder.native())));
}

// The commit that a file in refs/ holds; nothing where there is no such file.
Result<std::optional<std::string>> read_ref(const std::filesystem::path& repository,
                                            const std::filesystem::path& real_repository,
                                            std::string_view revision, io::SystemCalls& calls) {
  const std::filesystem::path file = repository / "refs" / revision;
  OLLM_TRY(const auto real, real_path(file, calls));
  if (!real) return std::optional<std::string>();
  const std::filesystem::path refs = real_repository / "refs";
  if (!is_below(*real, refs)) return leads_outside(file, *real, refs);
  struct stat status = {};
  if (calls.stat(real->c_str(), &status) != 0 || !S_ISREG(status.st_mode))
    return std::optional<std::string>();  // "refs/pr", a folder
  OLLM_TRY(std::string text, io::read_whole_file(*real, kMaxRefBytes, calls));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.pop_back();
  if (!is_commit(text)) {
    return fail(ErrorKind::corrupt,
                fmt::format("{}: expected a commit of {} hexadecimal digits, found {} bytes that "
                            "are none",
                            printable(file.native()), kCommitDigits, text.size()));
  }
  return std::optional<std::string>(std::move(text));
}

// The names in a folder, sorted; none where it is not there.
Result<std::vector<std::string>> sorted_names(const std::filesystem::path& dir,
                                              io::SystemCalls& calls) {
  std::vector<std::string> names;
  if (calls.list(dir.c_str(), kMaxCachedNames, &names) != 0) {
    const int error = errno;
    if (is_missing(error)) return std::vector<std::string>();
    if (error == EOVERFLOW) {
      return fail(ErrorKind::unsupported, fmt::format("{}: more than {} entries",
                                                      printable(dir.native()), kMaxCachedNames));
    }
    return fail(ErrorKind::io,
                fmt::format("{}: {}", printable(dir.native()), io::describe_errno(error)));
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The snapshot of a revision that is one.
Result<std::optional<Snapshot>> find_in_repository(const std::filesystem::path& repository,
                                                   const std::filesystem::path& real_repository,
                                                   std::string_view revision,
                                                   io::SystemCalls& calls) {
  std::string commit(revision);
  if (!is_commit(commit)) {
    OLLM_TRY(auto found, read_ref(repository, real_repository, revision, calls));
    if (!found) return std::optional<Snapshot>();
    commit = *std::move(found);
  }
  const std::filesystem::path snapshot = repository / "snapshots" / commit;
  OLLM_TRY(const auto real_snapshot, real_path(snapshot, calls));
  if (!real_snapshot || !io::is_directory(*real_snapshot, calls)) return std::optional<Snapshot>();
  const std::filesystem::path snapshots = real_repository / "snapshots";
  if (*real_snapshot != snapshots / commit)
    return leads_outside(snapshot, *real_snapshot, snapshots);
  return std::optional<Snapshot>(Snapshot{snapshot, std::move(commit)});
}

}  // namespace

std::optional<std::filesystem::path> cache_folder(const io::Environment& environment) {
  for (const std::string_view name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const auto value = environment.find_filled(name))
      return io::absolute_path(*value, environment);
  if (const auto home = environment.find_filled("HF_HOME"))
    return io::absolute_path(*home, environment) / "hub";
  if (const auto cache = environment.find_filled("XDG_CACHE_HOME"))
    return io::absolute_path(*cache, environment) / "huggingface" / "hub";
  if (const auto home = environment.find_filled("HOME"))
    return io::absolute_path(*home, environment) / ".cache" / "huggingface" / "hub";
  return std::nullopt;
}

bool is_repository_id(std::string_view text) {
  if (text.size() > kMaxIdBytes || text.find("--") != std::string_view::npos ||
      text.find("..") != std::string_view::npos)
    return false;
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_name_part(text);
  return is_name_part(text.substr(0, slash)) && is_name_part(text.substr(slash + 1));
}

bool is_revision(std::string_view text) {
  if (text.empty() || text.size() > kMaxRevisionBytes) return false;
  std::size_t begin = 0;
  while (true) {
    const std::size_t slash = text.find('/', begin);
    const std::string_view part = text.substr(begin, slash - begin);
    if (part.empty() || part == "." || part == "..") return false;
    if (std::any_of(part.begin(), part.end(), [](char c) {
          return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\';
        }))
      return false;
    if (slash == std::string_view::npos) return true;
    begin = slash + 1;
  }
}

std::string repository_of_folder(std::string_view folder) {
  constexpr std::string_view kPrefix = "models--";
  if (!folder.starts_with(kPrefix)) return {};
  folder.remove_prefix(kPrefix.size());
  const std::size_t dashes = folder.find("--");
  const std::string id =
      dashes == std::string_view::npos
          ? std::string(folder)
          : fmt::format("{}/{}", folder.substr(0, dashes), folder.substr(dashes + 2));
  return is_repository_id(id) ? id : std::string();
}

Result<std::optional<Snapshot>> find_snapshot(const std::filesystem::path& cache,
                                              std::string_view repo_id,
                                              const std::optional<std::string>& revision,
                                              io::SystemCalls& calls) {
  if (!is_repository_id(repo_id)) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} cannot be the id of a repository: expected org/name, of letters, "
                            "digits, '-', '_' and '.'",
                            quote_name(repo_id)));
  }
  const std::string_view wanted = revision ? std::string_view(*revision) : "main";
  if (!is_revision(wanted)) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("{} cannot be a revision: expected a commit, branch or tag",
                            quote_name(wanted)));
  }
  std::string folder = "models--";
  for (const char c : repo_id) folder += c == '/' ? std::string("--") : std::string(1, c);

  const std::filesystem::path repository = cache / folder;
  OLLM_TRY(const auto real_repository, real_path(repository, calls));
  if (!real_repository) return std::optional<Snapshot>();
  return find_in_repository(repository, *real_repository, wanted, calls);
}

Result<Snapshot> snapshot_of_folder(const std::filesystem::path& repository,
                                    io::SystemCalls& calls) {
  const std::string shown = printable(repository.native());
  OLLM_TRY(const auto real, real_path(repository, calls));
  if (!real) return fail(ErrorKind::not_found, fmt::format("{}: there is no such folder", shown));
  OLLM_TRY(auto main, find_in_repository(repository, *real, "main", calls));
  if (main) return *std::move(main);
  OLLM_TRY(std::vector<std::string> names, sorted_names(*real / "snapshots", calls));
  std::erase_if(names, [](const std::string& name) { return !is_commit(name); });
  if (names.size() == 1) {
    OLLM_TRY(auto only, find_in_repository(repository, *real, names[0], calls));
    if (only) return *std::move(only);
  }
  if (names.size() <= 1)
    return fail(ErrorKind::not_found,
                fmt::format("{}: is a model of the Hugging Face cache of which nothing was "
                            "downloaded: it has no snapshot",
                            shown));
  return fail(
      ErrorKind::invalid_argument,
      fmt::format("{}: is a model of the Hugging Face cache with {} snapshots, and refs/main "
                  "says of none that it is the one: name one of them, e.g. {}/snapshots/{}",
                  shown, names.size(), shown, names[0]));
}

std::optional<std::string> cached_in_other_case(const std::filesystem::path& cache,
                                                std::string_view repo_id, io::SystemCalls& calls) {
  const auto folders = sorted_names(cache, calls);
  if (!folders.ok()) return std::nullopt;
  const std::string wanted = lower(repo_id);
  for (const std::string& folder : *folders)
    if (std::string id = repository_of_folder(folder); id != repo_id && lower(id) == wanted)
      return id;
  return std::nullopt;
}

Result<std::vector<CachedRevision>> list_cached(const std::filesystem::path& cache,
                                                io::SystemCalls& calls) {
  std::vector<CachedRevision> out;
  OLLM_TRY(const auto folders, sorted_names(cache, calls));
  for (const std::string& folder : folders) {
    const std::string id = repository_of_folder(folder);
    if (id.empty()) continue;
    const auto refs = sorted_names(cache / folder / "refs", calls);
    if (!refs.ok()) {
      out.push_back({id, std::nullopt});
      continue;
    }
    for (const std::string& ref : *refs) {
      if (!is_revision(ref)) continue;
      const auto snapshot = find_snapshot(cache, id, ref, calls);
      if (snapshot.ok() && !*snapshot) continue;
      out.push_back({id, ref == "main" ? std::nullopt : std::optional(ref)});
    }
  }
  return out;
}

}  // namespace ollm::hub
