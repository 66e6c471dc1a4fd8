// 16 MiB of one thing through published kinds of tokenizer: time and memory. Label `slow`.
// Leaves 1 MiB of each to tokenizer_hostile_test.cc.
#include <gtest/gtest.h>

#include <ctime>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "ollm/base/clock.h"
#include "ollm/text/peak_memory_for_test.h"
#include "ollm/text/tokenizer.h"
#include "tests/test_data.h"

namespace ollm::text {
namespace {

constexpr std::size_t kTextBytes = 16 << 20;

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string long_text(std::string_view unit) {
  std::string text;
  text.reserve(kTextBytes + unit.size());
  if (!unit.empty()) {
    while (text.size() < kTextBytes) text += unit;
    return text;
  }
  std::mt19937 random(1);  // base64 without a space
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.size() < kTextBytes) text += kAlphabet[random() % kAlphabet.size()];
  return text;
}

class SlowLongText : public ::testing::TestWithParam<const char*> {};

TEST_P(SlowLongText, IsEncodedInTwentySecondsAndFortyTimesItsMemory) {
  OLLM_NEED_TEST_DATA(data);
  const auto folder = data / "golden" / "tokenizers" / GetParam();
  const std::string json = read_file(folder / "tokenizer.json");
  const std::string config = read_file(folder / "tokenizer_config.json");
  const auto tokenizer = Tokenizer::make({.tokenizer_json = json, .tokenizer_config_json = config});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  constexpr std::string_view kUnits[] = {"a",
                                         " ",
                                         "\n",
                                         ".",
                                         "\u6F22",
                                         "e\u0301\u0323",
                                         "\U0001F469\u200D\U0001F469",
                                         {"\0", 1},
                                         "\uFFFD",
                                         "a b1.\n",
                                         "\u2581",
                                         ""};
  for (const std::string_view unit : kUnits) {
    const std::string text = long_text(unit);
    const PeakMemory peak;
    const double before = process_cpu_seconds();
    const auto ids = tokenizer->encode(text, {});
    EXPECT_LE(process_cpu_seconds() - before, 20.0) << unit;
    ASSERT_TRUE(ids.ok()) << ids.error().message;
    EXPECT_LE(peak.grown_bytes(), 4 * ids->size() + tokenizer->encode_bytes(text.size())) << unit;
    EXPECT_TRUE(tokenizer->decode(*ids, false).ok());
    EXPECT_LE(peak.grown_bytes(), 40 * kTextBytes) << unit;
  }
}

INSTANTIATE_TEST_SUITE_P(All, SlowLongText,
                         ::testing::Values("llama3", "qwen2", "llama2", "unigram-t5", "bert"),
                         [](const auto& name) {
                           std::string out = name.param;
                           std::erase(out, '-');
                           return out;
                         });

}  // namespace
}  // namespace ollm::text
