// That a commit which moves a bit raises backend::kNumericsVersion: hashes of what models compute
// stand in numerics.txt, beside the version that they belong to. Stored keys and values are found
// by that number, so that a run never goes on from those of other arithmetic.
#include "ollm/backend/numerics.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/base/sha256.h"
#include "ollm/io/file.h"
#include "ollm/kv/strategies.h"
#include "tests/loaded_model.h"

namespace ollm::testing {
namespace {

constexpr const char* kFile = "tests/laws/numerics.txt";

// The shipped model, and of our own those that have between them every kind of block, each family
// with a windowed layer, a rotary or a type of weights of its own. And two of them as they compute
// over int8 keys and values.
constexpr const char* kModels[] = {"clerk",
                                   "grouped-tied",
                                   "llama3-rope-bias-bf16",
                                   "yarn-f16",
                                   "mistral-window",
                                   "qwen2-window",
                                   "qwen3-yarn-bf16",
                                   "phi3-window",
                                   "phi3-longrope",
                                   "smollm3-no-rope-layer",
                                   "olmo2-norms-behind",
                                   "granite-bf16",
                                   "starcoder2-window-bf16",
                                   "qwen3-next-dense-layer",
                                   "qwen35-moe-bf16",
                                   "gemma2-caps",
                                   "gemma3-two-bases-bf16",
                                   "cohere2-side-by-side",
                                   "ministral3-queries-grow",
                                   "clerk/int8",
                                   "mistral-window/int8"};
constexpr std::string_view kInt8 = "/int8";

std::filesystem::path folder_of(std::string_view model) {
  if (model.ends_with(kInt8)) model.remove_suffix(kInt8.size());
  if (model == "clerk") return "examples/models/clerk";
  return std::filesystem::path("tests/fixtures/models") / model;
}

// What a line of the file is about.
struct Entry {
  std::string numeric_class;
  std::string compute;
  std::string model;
  friend auto operator<=>(const Entry&, const Entry&) = default;
};

using Hashes = std::map<Entry, std::string>;

// "fma16 f32 clerk HASH"; the blank of a class is written as a dash.
struct Committed {
  std::uint64_t version = 0;
  Hashes hashes;
};

std::string line_of(const Entry& entry, const std::string& hash) {
  std::string numeric_class = entry.numeric_class;
  std::replace(numeric_class.begin(), numeric_class.end(), ' ', '-');
  return fmt::format("{} {} {} {}\n", numeric_class, entry.compute, entry.model, hash);
}

Committed committed() {
  Committed out;
  std::istringstream lines(io::read_whole_file(kFile, 1 << 20).value());
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    std::istringstream words(line);
    if (line.starts_with("version ")) {
      std::string word;
      words >> word >> out.version;
      continue;
    }
    Entry entry;
    std::string hash;
    words >> entry.numeric_class >> entry.compute >> entry.model >> hash;
    std::replace(entry.numeric_class.begin(), entry.numeric_class.end(), '-', ' ');
    EXPECT_TRUE(out.hashes.emplace(entry, hash).second) << line;
  }
  return out;
}

// Ids that every compiler draws alike.
std::vector<std::int32_t> ids_below(std::size_t vocab, std::size_t count) {
  std::uint64_t state = 7;
  std::vector<std::int32_t> ids(count);
  for (std::int32_t& id : ids) {
    state = state * 6364136223846793005U + 1442695040888963407U;  // Knuth's MMIX
    id = static_cast<std::int32_t>((state >> 33) % vocab);
  }
  return ids;
}

// Of the logits of a prompt that fills more than one tile of keys and values, of int8 ones a block,
// prefilled at once, and of tokens that are decoded behind it, which see what was stored.
std::string hash_of(const std::string& model, const backend::Options& table) {
  const bool int8 = model.ends_with(kInt8);
  const std::size_t prompt = int8 ? 150 : 83;
  constexpr std::size_t kDecoded = 6;
  LoadOptions options;
  options.isa = table.isa;
  options.compute = table.compute;
  options.kv_tokens = options.context_tokens = int8 ? 256 : 128;
  if (int8) {
    options.kv_strategy = kv::kQuantizedColdTier;
    options.kv_block_tokens = kv::find_strategy(kv::kQuantizedColdTier)->block_tokens;
  }
  auto loaded = LoadedModel::load(folder_of(model), options);
  EXPECT_TRUE(loaded.ok()) << model << ": " << loaded.error().message;
  if (!loaded.ok()) return {};
  const std::vector<std::int32_t> ids =
      ids_below((*loaded)->composition().vocab_size, prompt + kDecoded);

  Sha256 hash;
  const CancellationToken never;
  kv::Line line = (*loaded)->new_line();
  EXPECT_TRUE(line.reserve(ids.size()).ok());
  for (std::size_t done = 0; done < ids.size();) {
    const std::size_t count = done == 0 ? prompt : 1;
    const engine::Work work{&line, std::span(ids).subspan(done, count), 0};
    const auto take = [&](std::size_t, std::size_t, std::span<float> logits) {
      hash.add(std::as_bytes(logits));
    };
    const Result<void> swept = engine::sweep((*loaded)->engine(), {&work, 1}, take, never);
    EXPECT_TRUE(swept.ok());
    done += count;
  }
  return hash.finish().hex();
}

// On every table of this machine.
Hashes computed() {
  Hashes out;
  for (const backend::Isa isa : backend::supported_isas()) {
    for (const auto compute : {backend::ComputeMode::f32, backend::ComputeMode::bf16}) {
      for (const char* model : kModels) {
        const backend::Options table{isa, compute};
        const Entry entry{backend::numeric_class_name(table), std::string(to_string(compute)),
                          model};
        const auto [at, first] = out.emplace(entry, hash_of(model, table));
        if (first) continue;
        EXPECT_EQ(at->second, hash_of(model, table))
            << model << ": " << to_string(isa) << " is not of class " << entry.numeric_class;
      }
    }
  }
  return out;
}

bool has_class(const Hashes& hashes, const Entry& of) {
  return std::ranges::any_of(hashes, [&](const auto& one) {
    return one.first.numeric_class == of.numeric_class && one.first.compute == of.compute;
  });
}

// The file as it should be. What this machine cannot compute stays, unless the version is another.
std::string lines_to_put(const Committed& before, const Hashes& now) {
  Hashes all = now;
  if (before.version == backend::kNumericsVersion)
    for (const auto& [entry, hash] : before.hashes)
      if (!has_class(now, entry)) all.emplace(entry, hash);
  std::string lines = fmt::format("version {}\n", backend::kNumericsVersion);
  for (const auto& [entry, hash] : all) lines += line_of(entry, hash);
  return lines;
}

TEST(Numerics, OtherBitsAreAnotherVersion) {
  const Committed before = committed();
  const Hashes now = computed();
  EXPECT_EQ(before.version, backend::kNumericsVersion) << kFile << " is of another version";
  for (const auto& [entry, hash] : now) {
    const std::string line = line_of(entry, hash);
    const auto found = before.hashes.find(entry);
    if (found != before.hashes.end()) {
      EXPECT_EQ(found->second, hash) << "other bits than in " << kFile << ": " << line;
    } else if (has_class(before.hashes, entry) || entry.numeric_class == "fma16") {
      ADD_FAILURE() << "not in " << kFile << ": " << line;
    } else {
      std::printf("skipped: %s has no line of this machine's class: %s", kFile, line.c_str());
    }
  }
  for (const auto& [entry, hash] : before.hashes) {
    if (now.contains(entry)) continue;
    const std::string line = line_of(entry, hash);
    EXPECT_FALSE(has_class(now, entry)) << "no such model any more: " << line;
    std::printf("skipped: no table of this machine computes %s", line.c_str());
  }
  if (!HasFailure()) return;
  std::printf(
      "Bump numerics_version: where bits moved, raise kNumericsVersion in "
      "src/ollm/backend/numerics.h. Then let %s hold:\n%s",
      kFile, lines_to_put(before, now).c_str());
}

}  // namespace
}  // namespace ollm::testing
