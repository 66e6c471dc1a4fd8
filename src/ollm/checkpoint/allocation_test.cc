// How much memory parsing takes at its peak, counted at operator new of this whole program.
// Leaves to others: what was parsed.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <nlohmann/json.hpp>
#include <string>

#include "ollm/base/json_reader.h"
#include "ollm/checkpoint/safetensors.h"

namespace {

std::atomic<std::size_t> live_bytes{0};
std::atomic<std::size_t> peak_bytes{0};

void* counted(std::size_t size) {
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  const std::size_t now = live_bytes += ::malloc_usable_size(memory);
  std::size_t peak = peak_bytes.load();
  while (now > peak && !peak_bytes.compare_exchange_weak(peak, now)) {
  }
  return memory;
}

void uncounted(void* memory) {
  if (memory == nullptr) return;
  live_bytes -= ::malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { uncounted(memory); }
void operator delete[](void* memory) noexcept { uncounted(memory); }
void operator delete(void* memory, std::size_t) noexcept { uncounted(memory); }
void operator delete[](void* memory, std::size_t) noexcept { uncounted(memory); }

namespace ollm::checkpoint {
namespace {

// Parsing `json` may allocate, with the text itself, three times its size and some 4 KiB.
void expect_bounded(std::string json, bool good) {
  const std::size_t size = json.size();
  const std::size_t before = live_bytes - size;
  peak_bytes = live_bytes.load();
  {
    const auto header = parse_safetensors_header(std::move(json), 0);
    EXPECT_EQ(header.ok(), good) << header.error().message;
  }
  EXPECT_LE(peak_bytes - before, 3 * size + 4096) << "header of " << size << " bytes";
}

std::string exact(const std::string& text) { return std::string(text.c_str(), text.size()); }

TEST(SafetensorsAllocation, TheSmallestTensorsCostThreeTimesTheirText) {
  std::string json = "{";
  for (int i = 0; i < 200'000; ++i) {
    json += i == 0 ? "\"" : ",\"";
    json += std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  json += "}";
  expect_bounded(exact(json), true);
  json.pop_back();  // refused at its end
  expect_bounded(exact(json), false);
}

TEST(SafetensorsAllocation, ShapesOfEightSizesCostThreeTimesTheirText) {
  std::string json = "{";
  for (int i = 0; i < 100'000; ++i) {
    json += i == 0 ? "\"" : ",\"";
    json +=
        std::to_string(i) + R"(":{"dtype":"U8","shape":[0,1,1,1,1,1,1,1],"data_offsets":[0,0]})";
  }
  expect_bounded(exact(json + "}"), true);
}

TEST(SafetensorsAllocation, MetadataCostsThreeTimesItsText) {
  std::string json = R"({"__metadata__":{)";
  for (int i = 0; i < 200'000; ++i) {
    json += i == 0 ? "\"" : ",\"";
    json += std::to_string(i) + R"(":"")";
  }
  expect_bounded(exact(json + "}}"), true);
}

TEST(SafetensorsAllocation, LongNamesCostThreeTimesTheirText) {
  std::string json = "{";
  for (int i = 0; i < 2'000; ++i) {
    json += i == 0 ? "\"" : ",\"";
    json += std::to_string(1000 + i) + std::string(1000, 'n') +
            R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  expect_bounded(exact(json + "}"), true);
}

TEST(SafetensorsAllocation, BrokenTextCostsNoMoreThanItself) {
  expect_bounded("{" + std::string(1'000'000, ' '), false);
  expect_bounded(std::string(1'000'000, '['), false);
  expect_bounded("{\"" + std::string(1'000'000, 'n') + "\":{}}", false);
}

// reliability D6: whatever a config.json of the allowed size holds, reading it stays below 64 MiB.
TEST(JsonAllocation, AFullDocumentOfAnyShapeStaysBelow64MiB) {
  for (const std::string item : {"[]", "{}", "0", "\"\"", "[0]", "{\"\":0}", "[[[[[[[[[[]]]]]]]]]]",
                                 "{\"a\":{\"b\":[{}]}}"}) {
    std::string text = "[" + item;
    while (text.size() + item.size() + 2 <= JsonLimits().size_bytes) text += "," + item;
    text += "]";
    const std::size_t before = live_bytes;
    peak_bytes = live_bytes.load();
    const auto document = parse_json(text, "config.json");
    ASSERT_TRUE(document.ok()) << document.error().message;
    EXPECT_LE(peak_bytes - before, 56u << 20) << item;
  }
}

}  // namespace
}  // namespace ollm::checkpoint
