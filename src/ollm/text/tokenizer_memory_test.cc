// That encoding and opening take no more memory than they say (tokenizer.h).
// Leaves 16 MiB of each thing to tokenizer_long_test.cc.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "ollm/text/byte_level_sample.h"
#include "ollm/text/peak_memory_for_test.h"
#include "ollm/text/tokenizer.h"
#include "tests/test_data.h"

namespace ollm::text {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void expect_within_bounds(const std::string& json, const std::string& name) {
  const PeakMemory opening;
  const auto tokenizer = Tokenizer::make({.tokenizer_json = json});
  ASSERT_TRUE(tokenizer.ok()) << name << tokenizer.error().message;
  const TokenizerMemory memory = tokenizer_memory(json.size(), 0);
  EXPECT_LE(opening.grown_bytes() + json.size(), memory.opening_bytes) << name;
  EXPECT_LE(tokenizer->memory_bytes(), memory.held_bytes) << name;
  for (const std::string_view unit : {"The quick brown fox, 12.\n", "a", " ", "\u6F22\u3002"}) {
    std::string text;
    while (text.size() < (std::size_t{1} << 20) + 1) text += unit;
    const PeakMemory peak;
    const auto ids = tokenizer->encode(text, {});
    if (!ids.ok()) continue;  // a vocabulary without an unknown token
    EXPECT_LE(peak.grown_bytes(), 4 * ids->size() + tokenizer->encode_bytes(text.size()))
        << name << " " << unit;
  }
}

TEST(TokenizerMemoryBound, HoldsForASmallTokenizer) {
  if (!PeakMemory::is_available()) GTEST_SKIP() << "skipped: /proc/self/clear_refs is not there";
  expect_within_bounds(byte_level_sample().dump(), "sample");
}

TEST(TokenizerMemoryBound, HoldsForEveryPublishedKind) {
  OLLM_NEED_TEST_DATA(data);
  if (!PeakMemory::is_available()) GTEST_SKIP() << "skipped: /proc/self/clear_refs is not there";
  for (const auto& folder : std::filesystem::directory_iterator(data / "golden" / "tokenizers")) {
    const std::string json = read_file(folder.path() / "tokenizer.json");
    if (!json.empty()) expect_within_bounds(json, folder.path().filename());
  }
}

TEST(TokenizerMemoryBound, CountsATokenizerModelWhereThereIsNoOtherFile) {
  EXPECT_EQ(tokenizer_memory(0, 0).held_bytes, 0u);
  EXPECT_GT(tokenizer_memory(0, 1000).opening_bytes, tokenizer_memory(0, 1000).held_bytes);
  EXPECT_EQ(tokenizer_memory(1000, 1 << 30).opening_bytes, tokenizer_memory(1000, 0).opening_bytes);
}

}  // namespace
}  // namespace ollm::text
