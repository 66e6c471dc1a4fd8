// int8 codes of keys and values: every table against the rule, written down a second time in plain
// loops, with `==`; and what was decoded has the codes that it came from.
#include "ollm/backend/kv_codes.h"

#include <cmath>
#include <limits>

#include "ollm/backend/kernel_fixture.h"
#include "ollm/backend/reference/kv_codes.h"

namespace ollm::backend {
namespace {

const KvLayout kLayouts[] = {
    {1, 16, 16, ComputeMode::f32},  {3, 8, 24, ComputeMode::f32},   {2, 64, 64, ComputeMode::f32},
    {1, 16, 16, ComputeMode::bf16}, {3, 100, 8, ComputeMode::bf16}, {2, 128, 80, ComputeMode::bf16},
};

DType element_of(const KvLayout& layout) { return reference::element_of(layout); }

std::vector<std::byte> tile_of(const KvLayout& layout, const std::vector<float>& values) {
  return weight_bytes(values, element_of(layout));
}

std::vector<std::byte> random_tile(const KvLayout& layout, unsigned seed, float size = 1) {
  return tile_of(layout, random_floats(layout.tile_bytes() / layout.element_bytes(), seed, size));
}

std::vector<std::byte> encoded(const KvCodes& codec, const KvLayout& layout,
                               const std::vector<std::byte>& tile) {
  std::vector<std::byte> codes(code_bytes(layout));
  codec.encode(layout, tile.data(), codes.data());
  return codes;
}

// Every table; guarded, so that no byte past the last is read.
void expect_as_the_rule(const KvLayout& layout, const std::vector<std::byte>& tile) {
  const std::vector<std::byte> codes = reference::encode(layout, tile.data());
  const std::vector<std::byte> back = reference::decode(layout, codes.data());
  const GuardedBytes guarded_tile(tile);
  const GuardedBytes guarded_codes(codes);
  for (const Isa isa : supported_isas()) {
    SCOPED_TRACE(name_of(isa, layout.mode));
    const KvCodes codec(isa);
    std::vector<std::byte> made(codes.size());
    codec.encode(layout, guarded_tile.data(), made.data());
    EXPECT_EQ(made, codes);
    std::vector<std::byte> decoded(tile.size());
    codec.decode(layout, guarded_codes.data(), decoded.data());
    EXPECT_EQ(decoded, back);
    std::vector<std::byte> in_place = tile;
    codec.quantize(layout, in_place.data(), in_place.data());
    EXPECT_EQ(in_place, back);
    EXPECT_EQ(encoded(codec, layout, back), codes) << "decoded, and encoded again";
  }
}

TEST(KvCodes, AreThoseOfTheRuleInEveryTable) {
  unsigned seed = 1;
  for (const KvLayout& layout : kLayouts) {
    EXPECT_EQ(code_bytes(layout),
              layout.tile_bytes() / layout.element_bytes() + layout.kv_heads * 2 * sizeof(float));
    for (const float size : {1.0f, 1e-30f, 3e-36f, 1e-38f, 1e30f})
      expect_as_the_rule(layout, random_tile(layout, ++seed, size));
  }
}

// Encoding what was decoded must give the same codes for every peak, or what a block on disk gives
// would not be what stood in memory.
TEST(KvCodes, OfWhatWasDecodedAreTheSameForManyPeaks) {
  const KvLayout f32{1, 16, 16, ComputeMode::f32};
  const KvLayout bf16{1, 16, 16, ComputeMode::bf16};
  std::mt19937 random(5);
  for (int i = 0; i < 3000; ++i) {
    for (const KvLayout& layout : {f32, bf16}) {
      std::vector<float> values(layout.tile_bytes() / layout.element_bytes());
      const auto exponent = static_cast<std::uint32_t>(9 + random() % 245);
      const auto bits = exponent << 23 | static_cast<std::uint32_t>(random() & 0x7fffff);
      float peak;
      std::memcpy(&peak, &bits, sizeof peak);
      for (std::size_t at = 0; at < values.size(); ++at)
        values[at] = peak * (static_cast<float>(at % 255) / 127.0f - 1.0f);
      const std::vector<std::byte> tile = tile_of(layout, values);
      const KvCodes codec;
      const std::vector<std::byte> codes = encoded(codec, layout, tile);
      std::vector<std::byte> back(tile.size());
      codec.decode(layout, codes.data(), back.data());
      ASSERT_EQ(encoded(codec, layout, back), codes) << peak;
    }
  }
}

TEST(KvCodes, OfZerosTiesAndTheLargestNumbers) {
  for (const KvLayout& layout : kLayouts) {
    const std::size_t n = layout.tile_bytes() / layout.element_bytes();
    std::vector<float> values(n, 0.0f);
    expect_as_the_rule(layout, tile_of(layout, values));
    for (std::size_t i = 0; i < n; ++i)
      values[i] = (static_cast<float>(i % 508) - 253.5f) / 2;  // halves of codes
    expect_as_the_rule(layout, tile_of(layout, values));
    values.assign(n, std::numeric_limits<float>::denorm_min());
    expect_as_the_rule(layout, tile_of(layout, values));
    values.assign(n, 3e38f);
    expect_as_the_rule(layout, tile_of(layout, values));
  }
}

// What is no number must not become one.
TEST(KvCodes, ANaNOrAnInfinityMakesAllOfItsHeadNaN) {
  for (const KvLayout& layout : kLayouts) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
          -std::numeric_limits<float>::infinity()}) {
      std::vector<float> values = random_floats(layout.tile_bytes() / layout.element_bytes(), 3);
      values[values.size() - 5] = bad;
      const std::vector<std::byte> tile = tile_of(layout, values);
      expect_as_the_rule(layout, tile);
      const KvCodes codec;
      std::vector<std::byte> out(tile.size());
      codec.quantize(layout, tile.data(), out.data());
      EXPECT_TRUE(std::isnan(weight_at(out.data(), element_of(layout), values.size() - 1)));
    }
  }
}

TEST(KvCodes, AreWithinHalfACodeOfTheTruth) {
  for (const KvLayout& layout : kLayouts) {
    const std::vector<std::byte> tile = random_tile(layout, 7);
    std::vector<std::byte> out(tile.size());
    KvCodes().quantize(layout, tile.data(), out.data());
    const std::size_t keys = kTileTokens * layout.padded_key_size();
    float peak = 0;
    for (std::size_t i = 0; i < keys; ++i)
      peak = std::max(peak, std::fabs(weight_at(tile.data(), element_of(layout), i)));
    for (std::size_t i = 0; i < keys; ++i) {
      const float was = weight_at(tile.data(), element_of(layout), i);
      const float is = weight_at(out.data(), element_of(layout), i);
      // Half a code, and in bf16 mode half of a last bit.
      EXPECT_LE(std::fabs(was - is), peak * (0.5f / 127 + 1.0f / 512) * 1.0001f);
    }
  }
}

}  // namespace
}  // namespace ollm::backend
