// Any bytes as model.safetensors.index.json: refused, or a map whose paths stay below the folder,
// in one spelling each. links: ollm_checkpoint
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "ollm/base/check.h"
#include "ollm/checkpoint/shard_index.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto index = ollm::checkpoint::parse_shard_index(
      std::string(reinterpret_cast<const char*>(data), size), "model.safetensors.index.json");
  if (!index.ok()) return 0;
  OLLM_CHECK(!index->entries.empty() && !index->shards.empty());
  for (std::size_t i = 0; i < index->shards.size(); ++i) {
    const std::string& shard = index->shards[i];
    OLLM_CHECK(shard.ends_with(".safetensors") && shard.find('\0') == std::string::npos);
    for (const std::filesystem::path& part : std::filesystem::path(shard))
      OLLM_CHECK(!part.empty() && part.native()[0] != '.' && part.native()[0] != '/');
    OLLM_CHECK(std::filesystem::path(shard).lexically_normal() == shard);
    OLLM_CHECK(i == 0 || index->shards[i - 1] < shard);
  }
  for (std::size_t i = 0; i < index->entries.size(); ++i) {
    const auto& entry = index->entries[i];
    OLLM_CHECK(entry.shard < index->shards.size());
    OLLM_CHECK(i == 0 || index->entries[i - 1].tensor < entry.tensor);
    OLLM_CHECK(index->find(entry.tensor) == &entry);
  }
  return 0;
}
