#include "ollm/machine/expert_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "ollm/base/json_reader.h"
#include "ollm/io/atomic_replace.h"
#include "ollm/io/file.h"
#include "ollm/io/private_folder.h"
#include "ollm/machine/profile.h"

namespace ollm::machine {
namespace {

// Far more than any published mixture has, and few enough that nobody waits for the file.
constexpr std::size_t kMostExperts = 200'000;
constexpr std::uint64_t kLargestBytes = 4 << 20;
constexpr std::size_t kMostFiles = 1000;

// Nothing else is a count.
float plain(float value) { return value > 0 && std::isfinite(value) ? value : 0; }

Error corrupt(std::string_view key, std::string_view expected) {
  return {ErrorKind::corrupt, fmt::format("expert history: {}: {} is expected", key, expected)};
}

std::filesystem::path folder_of(const io::Environment& environment) {
  const std::filesystem::path profile = profile_path(environment);
  return profile.empty() ? profile : profile.parent_path() / "experts";
}

}  // namespace

std::string expert_history_json(const ExpertHistory& history) {
  // Numbers are spelt here: a JSON writer would give floats all their digits.
  std::string text =
      fmt::format(R"({{"version":1,"model":{},"wanted":[)",
                  nlohmann::ordered_json(history.model)
                      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  for (std::size_t i = 0; i < history.wanted.size(); ++i)
    text += fmt::format("{}{:.4g}", i == 0 ? "" : ",", plain(history.wanted[i]));
  return text + "]}\n";
}

Result<ExpertHistory> parse_expert_history(std::string_view json) {
  JsonLimits limits;
  limits.size_bytes = kLargestBytes;
  OLLM_TRY(const Json root, parse_json(json, "expert history", limits));
  if (!root.is_object()) return corrupt("the document", "an object");
  const auto member = [&](const char* key) {
    const auto found = root.find(key);
    return found == root.end() ? nullptr : &*found;
  };
  const Json* version = member("version");
  if (version == nullptr || *version != 1) return corrupt("version", "1");
  const Json* model = member("model");
  if (model == nullptr || !model->is_string()) return corrupt("model", "a string");
  const Json* wanted = member("wanted");
  if (wanted == nullptr || !wanted->is_array() || wanted->size() > kMostExperts)
    return corrupt("wanted", fmt::format("a list of at most {} numbers", kMostExperts));
  ExpertHistory out;
  out.model = model->get<std::string>();
  for (const Json& value : *wanted) {
    const double number = value.is_number() ? value.get<double>() : -1;
    if (!(number >= 0 && number <= 1e9)) return corrupt("wanted", "a number from 0 to 1e9");
    out.wanted.push_back(static_cast<float>(number));
  }
  return out;
}

std::filesystem::path expert_history_path(const io::Environment& environment,
                                          std::string_view key) {
  const std::filesystem::path folder = folder_of(environment);
  return folder.empty() ? folder : folder / fmt::format("{}.json", key);
}

std::optional<ExpertHistory> load_expert_history(const io::Environment& environment,
                                                 std::string_view key, std::size_t experts,
                                                 io::SystemCalls& calls) {
  const std::filesystem::path path = expert_history_path(environment, key);
  if (path.empty()) return std::nullopt;
  const Result<std::string> text = io::read_whole_file(path, kLargestBytes, calls);
  if (!text.ok()) return std::nullopt;
  Result<ExpertHistory> history = parse_expert_history(*text);
  if (!history.ok() || history->wanted.size() != experts) return std::nullopt;
  return std::move(history).value();
}

Result<void> save_expert_history(const ExpertHistory& history, std::string_view key,
                                 const io::Environment& environment, io::SystemCalls& calls) {
  const std::filesystem::path path = expert_history_path(environment, key);
  if (path.empty())
    return fail(ErrorKind::not_found, "neither XDG_CACHE_HOME nor HOME names a cache folder");
  OLLM_TRY_VOID(io::open_private_folder(path.parent_path(), calls));
  return io::atomic_replace(path, expert_history_json(history), 0600, calls);
}

std::vector<ExpertHistory> all_expert_histories(const io::Environment& environment,
                                                io::SystemCalls& calls) {
  const std::filesystem::path folder = folder_of(environment);
  std::vector<std::string> names;
  if (folder.empty() || calls.list(folder.c_str(), kMostFiles, &names) != 0) return {};
  std::sort(names.begin(), names.end());
  std::vector<ExpertHistory> out;
  for (const std::string& name : names) {
    if (!name.ends_with(".json")) continue;
    const Result<std::string> text = io::read_whole_file(folder / name, kLargestBytes, calls);
    if (!text.ok()) continue;
    Result<ExpertHistory> history = parse_expert_history(*text);
    if (history.ok()) out.push_back(std::move(history).value());
  }
  return out;
}

}  // namespace ollm::machine
