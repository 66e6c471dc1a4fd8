#include "ollm/runtime/model_names.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ollm/base/json_reader.h"
#include "ollm/base/value_document.h"
#include "ollm/io/atomic_replace.h"
#include "ollm/io/file.h"

namespace ollm::runtime {
namespace {

constexpr std::uint64_t kMaxFileBytes = 1u << 20;
constexpr const char* kModels = "models";

}  // namespace

ModelNames ModelNames::read(const std::filesystem::path& path, io::SystemCalls& calls) {
  ModelNames out;
  const Result<std::string> text = io::read_whole_file(path, kMaxFileBytes, calls);
  if (!text.ok()) return out;
  const Result<Json> json = parse_json(*text, path.native());
  if (!json.ok() || !json->is_object()) return out;
  const auto models = json->find(kModels);
  if (models == json->end() || !models->is_object()) return out;
  for (const auto& [fingerprint, name] : models->items())
    if (name.is_string()) out.names_.emplace_back(fingerprint, name.get<std::string>());
  return out;
}

const std::string* ModelNames::find(std::string_view fingerprint) const {
  for (const auto& [key, name] : names_)
    if (key == fingerprint) return &name;
  return nullptr;
}

Result<void> ModelNames::note(const std::filesystem::path& path, const Digest& fingerprint,
                              std::string_view name, io::SystemCalls& calls) {
  ModelNames all = read(path, calls);
  const std::string key = fingerprint.hex();
  const std::string* const noted = all.find(key);
  if (noted != nullptr && *noted == name) return {};
  std::erase_if(all.names_, [&](const auto& entry) { return entry.first == key; });
  if (all.names_.size() >= kMaxEntries) all.names_.erase(all.names_.begin());
  all.names_.emplace_back(key, name);
  return io::atomic_replace(path, all.text(), 0600, calls);
}

std::string ModelNames::text() const {
  Json models = Json::object();
  for (const auto& [fingerprint, name] : names_) models[fingerprint] = name;
  return json_dump(Json{{kModels, std::move(models)}}, kJsonIndent) + "\n";
}

}  // namespace ollm::runtime
