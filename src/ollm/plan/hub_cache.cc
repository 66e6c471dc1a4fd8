#include "ollm/plan/hub_cache.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ollm/io/file.h"
#include "ollm/io/system_calls.h"

namespace ollm::plan {
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

// Whether a revision is a relative path whose parts are plain names.
bool is_revision(std::string_view text) {
  if (text.empty() || text.size() > kMaxRevisionBytes) return false;
  std::size_t begin = 0;
  while (true) {
    const std::size_t slash = text.find('/', begin);
    const std::string_view part = text.substr(begin, slash - begin);
    if (part.empty() || part == "." || part == "..") return false;
    if (std::any_of(part.begin(), part.end(),
                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\\'; }))
      return false;
    if (slash == std::string_view::npos) return true;
    begin = slash + 1;
  }
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
              fmt::format("{}: {}", path.string(), io::describe_errno(error)));
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
                                              path.string(), real.string(), folder.string()));
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
                            file.string(), kCommitDigits, text.size()));
  }
  return std::optional<std::string>(std::move(text));
}

// The id of a repository from the name of its folder, "models--org--name"; empty where it is none.
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

// The names in a folder, sorted; none where it is not there.
Result<std::vector<std::string>> sorted_names(const std::filesystem::path& dir,
                                              io::SystemCalls& calls) {
  std::vector<std::string> names;
  if (calls.list(dir.c_str(), kMaxCachedNames, &names) != 0) {
    const int error = errno;
    if (is_missing(error)) return std::vector<std::string>();
    if (error == EOVERFLOW) {
      return fail(ErrorKind::unsupported,
                  fmt::format("{}: more than {} entries", dir.string(), kMaxCachedNames));
    }
    return fail(ErrorKind::io, fmt::format("{}: {}", dir.string(), io::describe_errno(error)));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::optional<std::filesystem::path> hub_cache_folder(const Environment& environment) {
  for (const std::string_view name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const auto value = environment.find_filled(name)) return absolute_path(*value, environment);
  if (const auto home = environment.find_filled("HF_HOME"))
    return absolute_path(*home, environment) / "hub";
  if (const auto cache = environment.find_filled("XDG_CACHE_HOME"))
    return absolute_path(*cache, environment) / "huggingface" / "hub";
  if (const auto home = environment.find_filled("HOME"))
    return absolute_path(*home, environment) / ".cache" / "huggingface" / "hub";
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

Result<std::optional<HubSnapshot>> find_snapshot(const std::filesystem::path& cache,
                                                 std::string_view repo_id,
                                                 const std::optional<std::string>& revision,
                                                 io::SystemCalls& calls) {
  if (!is_repository_id(repo_id)) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("'{}' cannot be the id of a repository: expected org/name, of letters, "
                            "digits, '-', '_' and '.'",
                            repo_id));
  }
  const std::string_view wanted = revision ? std::string_view(*revision) : "main";
  if (!is_revision(wanted)) {
    return fail(ErrorKind::invalid_argument,
                fmt::format("'{}' cannot be a revision: expected a commit, branch or tag", wanted));
  }
  std::string folder = "models--";
  for (const char c : repo_id) folder += c == '/' ? std::string("--") : std::string(1, c);

  const std::filesystem::path repository = cache / folder;
  OLLM_TRY(const auto real_cache, real_path(cache, calls));
  OLLM_TRY(const auto real_repository, real_path(repository, calls));
  if (!real_cache || !real_repository) return std::optional<HubSnapshot>();
  if (*real_repository != *real_cache / folder)
    return leads_outside(repository, *real_repository, *real_cache);

  std::string commit(wanted);
  if (!is_commit(commit)) {
    OLLM_TRY(auto found, read_ref(repository, *real_repository, wanted, calls));
    if (!found) return std::optional<HubSnapshot>();
    commit = *std::move(found);
  }
  const std::filesystem::path snapshot = repository / "snapshots" / commit;
  OLLM_TRY(const auto real_snapshot, real_path(snapshot, calls));
  if (!real_snapshot || !is_directory(*real_snapshot, calls)) return std::optional<HubSnapshot>();
  const std::filesystem::path snapshots = *real_repository / "snapshots";
  if (*real_snapshot != snapshots / commit)
    return leads_outside(snapshot, *real_snapshot, snapshots);
  return std::optional<HubSnapshot>(HubSnapshot{snapshot, std::move(commit)});
}

Result<std::vector<std::string>> list_cached(const std::filesystem::path& cache,
                                             io::SystemCalls& calls) {
  std::vector<std::string> out;
  OLLM_TRY(const auto folders, sorted_names(cache, calls));
  for (const std::string& folder : folders) {
    const std::string id = repository_of_folder(folder);
    if (id.empty()) continue;
    const std::string reference =
        id.find('/') == std::string::npos ? fmt::format("hf://{}", id) : id;
    OLLM_TRY(const auto refs, sorted_names(cache / folder / "refs", calls));
    for (const std::string& ref : refs) {
      const auto snapshot = find_snapshot(cache, id, ref, calls);
      if (snapshot.ok() && !*snapshot) continue;
      out.push_back(ref == "main" ? reference : fmt::format("{}@{}", reference, ref));
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace ollm::plan
