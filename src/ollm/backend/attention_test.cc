// Attention of every table: against the reference, and the same bits however tiles, rows and lines
// come.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "ollm/backend/kernel_fixture.h"

namespace ollm::backend {
namespace {

struct Shape {
  std::size_t heads, kv_heads, key_size, value_size;
  std::size_t tokens;  // in the cache
  std::size_t rows;    // the last ones of them
  std::size_t window = 0;
  float soft_cap = 0;
  bool sinks = false;
  bool slopes = false;
};

// One layer's cache, its queries, and how they are weighed.
struct Layer {
  Shape shape;
  AttentionOptions options;
  std::vector<float> sinks, slopes;
  std::vector<float> q;
  std::vector<std::uint32_t> first_seen, end_seen, positions;
  std::vector<AlignedBytes> tiles;

  std::vector<const std::byte*> pointers() const {
    std::vector<const std::byte*> all;
    for (const AlignedBytes& tile : tiles) all.push_back(tile.get());
    return all;
  }
};

Layer layer_of(Backend& backend, const Shape& s, unsigned seed) {
  Layer layer;
  layer.shape = s;
  layer.options.heads = s.heads;
  layer.options.layout = {s.kv_heads, s.key_size, s.value_size, backend.options().compute};
  layer.options.scale = 1 / std::sqrt(static_cast<float>(s.key_size));
  layer.options.soft_cap = s.soft_cap;
  layer.sinks = random_floats(s.heads, seed + 3);
  for (std::size_t h = 0; h < s.heads; ++h)
    layer.slopes.push_back(1 / static_cast<float>(h * h + 2));
  layer.q = random_floats(s.rows * s.heads * s.key_size, seed, 2);
  for (std::size_t r = 0; r < s.rows; ++r) {
    const std::size_t end = s.tokens - s.rows + r + 1;
    layer.first_seen.push_back(
        static_cast<std::uint32_t>(s.window == 0 ? 0 : end - std::min(end, s.window)));
    layer.end_seen.push_back(static_cast<std::uint32_t>(end));
    layer.positions.push_back(static_cast<std::uint32_t>(end - 1));
  }
  const std::vector<float> k = random_floats(s.tokens * s.kv_heads * s.key_size, seed + 1);
  const std::vector<float> v = random_floats(s.tokens * s.kv_heads * s.value_size, seed + 2);
  std::vector<KvSlot> slots;
  for (std::size_t token = 0; token < s.tokens; ++token) {
    if (token % kTileTokens == 0) layer.tiles.emplace_back(layer.options.layout.tile_bytes());
    slots.push_back({layer.tiles.back().get(), token % kTileTokens});
  }
  backend.store_kv(layer.options.layout, k.data(), v.data(), slots);
  return layer;
}

// Tiles [first, first + count) of all of a line, for these rows.
AttentionLine run_of(std::span<const std::byte* const> all, std::size_t first, std::size_t count,
                     std::size_t first_row, std::size_t rows) {
  const std::size_t end = std::min(all.size(), first + count);
  return {first_row,           rows,       all.subspan(first, end - first),
          first * kTileTokens, first == 0, end == all.size()};
}

// Rows [first, first + rows), with all tiles given `tiles_per_call` at a time.
std::vector<float> attend(Backend& backend, const Layer& layer, std::size_t tiles_per_call,
                          std::size_t first = 0, std::size_t rows = SIZE_MAX) {
  const Shape& s = layer.shape;
  rows = std::min(rows, s.rows - first);
  AttentionOptions options = layer.options;
  if (s.sinks) options.sinks = layer.sinks.data();
  if (s.slopes) options.distance_slopes = layer.slopes.data();
  std::vector<float> out(rows * s.heads * s.value_size, -9);
  AttentionRows r;
  r.q = layer.q.data() + first * s.heads * s.key_size;
  r.out = out.data();
  r.first_seen = layer.first_seen.data() + first;
  r.end_seen = layer.end_seen.data() + first;
  r.positions = layer.positions.data() + first;
  r.rows = rows;
  const std::size_t state_bytes = backend.attention_state_bytes(options, rows);
  const AlignedBytes state(state_bytes);
  std::memset(state.get(), 0xff, state_bytes);
  const std::vector<const std::byte*> all = layer.pointers();
  for (std::size_t t = 0; t < all.size(); t += tiles_per_call) {
    const AttentionLine line = run_of(all, t, tiles_per_call, 0, rows);
    backend.attention(options, r, {&line, 1}, state.get());
  }
  return out;
}

// Lines of one layer in the same calls, with rows between them that are nobody's.
struct ManyLines {
  std::vector<Layer> layers;
  std::vector<float> q;
  std::vector<std::uint32_t> first_seen, end_seen;
  std::size_t gap;

  ManyLines(Backend& backend, std::size_t gap_rows) : gap(gap_rows) {
    constexpr std::size_t kRows[] = {1, 1, 130, 64, 1, 65, 1, 3, 1};
    constexpr std::size_t kTokens[] = {1, 500, 130, 100, 64, 300, 65, 3, 129};
    for (unsigned i = 0; i < std::size(kRows); ++i) {
      const Shape shape = {.heads = 4,
                           .kv_heads = 2,
                           .key_size = 16,
                           .value_size = 24,
                           .tokens = kTokens[i],
                           .rows = kRows[i],
                           .window = 70};
      layers.push_back(layer_of(backend, shape, 20 + i));
      q.insert(q.end(), layers.back().q.begin(), layers.back().q.end());
      q.resize(q.size() + gap * 4 * 16);
      const Layer& line = layers.back();
      first_seen.insert(first_seen.end(), line.first_seen.begin(), line.first_seen.end());
      end_seen.insert(end_seen.end(), line.end_seen.begin(), line.end_seen.end());
      first_seen.resize(first_seen.size() + gap);
      end_seen.resize(end_seen.size() + gap);
    }
  }

  std::size_t row_size() const { return 4 * 24; }

  // `apart`: each line in calls of its own, in which rows before it are nobody's.
  std::vector<float> attend(Backend& backend, std::size_t tiles_per_call, bool apart) const {
    std::vector<float> out(end_seen.size() * row_size(), -9);
    const AttentionOptions& options = layers.front().options;
    const AttentionRows rows = {.q = q.data(),
                                .out = out.data(),
                                .first_seen = first_seen.data(),
                                .end_seen = end_seen.data(),
                                .rows = end_seen.size()};
    const AlignedBytes state(backend.attention_state_bytes(options, rows.rows));
    std::vector<std::vector<const std::byte*>> tiles;
    for (const Layer& layer : layers) tiles.push_back(layer.pointers());
    std::vector<AttentionLine> lines;
    for (std::size_t t = 0; t == 0 || !lines.empty(); t += tiles_per_call) {
      lines.clear();
      std::size_t row = 0;
      for (std::size_t i = 0; i < layers.size(); ++i) {
        if (t < tiles[i].size())
          lines.push_back(run_of(tiles[i], t, tiles_per_call, row, layers[i].shape.rows));
        row += layers[i].shape.rows + gap;
      }
      if (!apart) backend.attention(options, rows, lines, state.get());
      for (const AttentionLine& line : lines)
        if (apart) backend.attention(options, rows, {&line, 1}, state.get());
    }
    return out;
  }
};

constexpr std::size_t kAll = SIZE_MAX / 2;

const Shape kShapes[] = {
    {.heads = 4, .kv_heads = 2, .key_size = 64, .value_size = 64, .tokens = 200, .rows = 200},
    {.heads = 1, .kv_heads = 1, .key_size = 1, .value_size = 1, .tokens = 1, .rows = 1},
    {.heads = 7, .kv_heads = 1, .key_size = 17, .value_size = 33, .tokens = 131, .rows = 9},
    {.heads = 6, .kv_heads = 2, .key_size = 80, .value_size = 80, .tokens = 65, .rows = 65},
    {.heads = 3, .kv_heads = 3, .key_size = 48, .value_size = 16, .tokens = 64, .rows = 64},
    {.heads = 4,
     .kv_heads = 2,
     .key_size = 32,
     .value_size = 48,
     .tokens = 300,
     .rows = 150,
     .window = 33},
    {.heads = 4,
     .kv_heads = 2,
     .key_size = 16,
     .value_size = 16,
     .tokens = 300,
     .rows = 300,
     .window = 1,
     .sinks = true},
    {.heads = 2,
     .kv_heads = 1,
     .key_size = 20,
     .value_size = 20,
     .tokens = 190,
     .rows = 100,
     .window = 128,
     .soft_cap = 3,
     .sinks = true},
    {.heads = 6,
     .kv_heads = 2,
     .key_size = 16,
     .value_size = 16,
     .tokens = 200,
     .rows = 140,
     .slopes = true},
    {.heads = 3,
     .kv_heads = 1,
     .key_size = 24,
     .value_size = 16,
     .tokens = 130,
     .rows = 70,
     .window = 50,
     .soft_cap = 3,
     .sinks = true,
     .slopes = true},
};

// Values are of size 1. In f32 the sums of some hundred terms; in bf16 a weight p may be rounded
// to the other neighbour, 2^-9 of one term.
double tolerance(ComputeMode mode) { return mode == ComputeMode::f32 ? 2e-5 : 1e-2; }

void expect_close(const std::vector<float>& got, const std::vector<float>& truth, double limit) {
  ASSERT_EQ(got.size(), truth.size());
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], truth[i], limit) << i;
}

TEST(Attention, AgreesWithTheReference) {
  ThreadPool pool(2);
  for (const ComputeMode mode : kModes) {
    const auto reference = backend_of(Isa::reference, mode, pool);
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (std::size_t i = 0; i < std::size(kShapes); ++i) {
        SCOPED_TRACE("shape " + std::to_string(i));
        const std::vector<float> truth =
            attend(*reference, layer_of(*reference, kShapes[i], 5), kAll);
        expect_close(attend(*backend, layer_of(*backend, kShapes[i], 5), kAll), truth,
                     tolerance(mode));
      }
    }
  }
}

// The reference itself, without tiles, spans or rescaling: softmax as it is written in papers.
TEST(Attention, ReferenceIsSoftmaxOfScoresTimesValues) {
  ThreadPool pool(1);
  const auto reference = backend_of(Isa::reference, ComputeMode::f32, pool);
  Shape s = {.heads = 2, .kv_heads = 1, .key_size = 8, .value_size = 8, .tokens = 150, .rows = 150};
  for (const bool sinks : {false, true}) {
    s.sinks = sinks;
    const Layer layer = layer_of(*reference, s, 40);
    const std::vector<float> got = attend(*reference, layer, 1);
    const std::vector<float> k = random_floats(s.tokens * 8, 41);
    const std::vector<float> v = random_floats(s.tokens * 8, 42);
    for (std::size_t r = 0; r < s.rows; ++r) {
      for (std::size_t h = 0; h < 2; ++h) {
        double sum = sinks ? std::exp(static_cast<double>(layer.sinks[h])) : 0.0;
        double values[8] = {};
        for (std::size_t t = 0; t <= r; ++t) {
          double score = 0;
          for (std::size_t i = 0; i < 8; ++i)
            score += static_cast<double>(layer.q[(r * 2 + h) * 8 + i]) *
                     static_cast<double>(k[t * 8 + i]);
          const double p = std::exp(score * static_cast<double>(layer.options.scale));
          sum += p;
          for (std::size_t i = 0; i < 8; ++i) values[i] += p * static_cast<double>(v[t * 8 + i]);
        }
        for (std::size_t i = 0; i < 8; ++i)
          ASSERT_NEAR(got[(r * 2 + h) * 8 + i], values[i] / sum, 1e-6);
      }
    }
  }
}

// Any span of tokens for any row: seen from both sides, one token, none at all.
Layer with_any_spans(Layer layer, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<std::uint32_t> any(0,
                                                   static_cast<std::uint32_t>(layer.shape.tokens));
  for (std::size_t r = 0; r < layer.shape.rows; ++r) {
    const auto [first, end] = std::minmax({any(random), any(random)});
    layer.first_seen[r] = first;
    layer.end_seen[r] = r % 7 == 0 ? std::min(end, first + 1) : end;
  }
  // Some rows side by side that see the same, as of an image.
  for (std::size_t r = layer.shape.rows / 2; r + 1 < layer.shape.rows; ++r) {
    layer.first_seen[r] = 0;
    layer.end_seen[r] = static_cast<std::uint32_t>(layer.shape.tokens);
  }
  return layer;
}

TEST(Attention, AgreesWithTheReferenceWhateverTokensARowSees) {
  ThreadPool pool(2);
  for (const ComputeMode mode : kModes) {
    const auto reference = backend_of(Isa::reference, mode, pool);
    for (unsigned i = 0; i < std::size(kShapes); ++i) {
      const std::vector<float> truth =
          attend(*reference, with_any_spans(layer_of(*reference, kShapes[i], 5), i), kAll);
      for (const Isa isa : supported_isas()) {
        SCOPED_TRACE(name_of(isa, mode) + ", shape " + std::to_string(i));
        const auto backend = backend_of(isa, mode, pool);
        const Layer layer = with_any_spans(layer_of(*backend, kShapes[i], 5), i);
        const std::vector<float> got = attend(*backend, layer, kAll);
        expect_close(got, truth, tolerance(mode));
        EXPECT_TRUE(same_bits(attend(*backend, layer, 1), got));
      }
    }
  }
}

TEST(Attention, ARowThatSeesNoTokenIsZero) {
  ThreadPool pool(1);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : tables_and_reference()) {
      const auto backend = backend_of(isa, mode, pool);
      Layer layer = layer_of(*backend, kShapes[7], 5);  // with sinks
      layer.first_seen[3] = layer.end_seen[3] = 100;
      const std::vector<float> out = attend(*backend, layer, kAll);
      for (std::size_t i = 3 * 40; i < 4 * 40; ++i) EXPECT_EQ(out[i], 0) << name_of(isa, mode);
    }
  }
}

TEST(Attention, AgreesWithTheReferenceAcrossSpans) {
  ThreadPool pool(2);
  const Shape s = {.heads = 2,
                   .kv_heads = 1,
                   .key_size = 16,
                   .value_size = 16,
                   .tokens = 8300,
                   .rows = 3,
                   .sinks = true};
  for (const ComputeMode mode : kModes) {
    const auto reference = backend_of(Isa::reference, mode, pool);
    const std::vector<float> truth = attend(*reference, layer_of(*reference, s, 6), kAll);
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      expect_close(attend(*backend, layer_of(*backend, s, 6), kAll), truth, tolerance(mode));
    }
  }
}

TEST(Attention, TablesOfOneClassGiveTheSameBits) {
  ThreadPool pool(2);
  for (const ComputeMode mode : kModes) {
    const auto scalar = backend_of(Isa::scalar, mode, pool);
    for (const Isa isa : supported_isas()) {
      if (numeric_class(isa, mode) != scalar->numeric_class()) continue;
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (const Shape& s : kShapes)
        EXPECT_TRUE(same_bits(attend(*backend, layer_of(*backend, s, 8), kAll),
                              attend(*scalar, layer_of(*scalar, s, 8), kAll)));
      const Shape spans = {.heads = 2,
                           .kv_heads = 1,
                           .key_size = 16,
                           .value_size = 16,
                           .tokens = 4200,
                           .rows = 2,
                           .sinks = true};
      EXPECT_TRUE(same_bits(attend(*backend, layer_of(*backend, spans, 8), kAll),
                            attend(*scalar, layer_of(*scalar, spans, 8), kAll)));
    }
  }
}

TEST(Attention, BitsDoNotDependOnHowTilesComeOrWhichRowsStandTogether) {
  ThreadPool pool(2);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : tables_and_reference()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (const Shape& s : kShapes) {
        const Layer layer = layer_of(*backend, s, 9);
        const std::vector<float> expected = attend(*backend, layer, kAll);
        for (const std::size_t tiles : {std::size_t{1}, std::size_t{2}, std::size_t{3}})
          EXPECT_TRUE(same_bits(attend(*backend, layer, tiles), expected));
        for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}, std::size_t{64}}) {
          std::vector<float> apart;
          for (std::size_t row = 0; row < s.rows; row += chunk) {
            const std::vector<float> part = attend(*backend, layer, kAll, row, chunk);
            apart.insert(apart.end(), part.begin(), part.end());
          }
          EXPECT_TRUE(same_bits(apart, expected)) << "by " << chunk;
        }
      }
    }
  }
}

TEST(Attention, BitsDoNotDependOnChunksAcrossASpanBorder) {
  ThreadPool pool(2);
  const Shape s = {.heads = 2,
                   .kv_heads = 1,
                   .key_size = 16,
                   .value_size = 32,
                   .tokens = kSpanTokens + 70,
                   .rows = 140};
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : supported_isas()) {
      if (isa == Isa::scalar) continue;  // slow; held to the others' bits above
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      const Layer layer = layer_of(*backend, s, 10);
      const std::vector<float> expected = attend(*backend, layer, kAll);
      EXPECT_TRUE(same_bits(attend(*backend, layer, 1), expected));
      EXPECT_TRUE(same_bits(attend(*backend, layer, 5), expected));
      std::vector<float> apart;
      for (std::size_t row = 0; row < s.rows; row += 33) {
        const std::vector<float> part = attend(*backend, layer, 7, row, 33);
        apart.insert(apart.end(), part.begin(), part.end());
      }
      EXPECT_TRUE(same_bits(apart, expected));
    }
  }
}

TEST(Attention, BitsDoNotDependOnThreads) {
  ThreadPool one(1);
  ThreadPool two(2);
  ThreadPool three(3);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto alone = backend_of(isa, mode, one);
      const Layer layer = layer_of(*alone, kShapes[0], 12);
      const std::vector<float> expected = attend(*alone, layer, kAll);
      for (ThreadPool* pool : {&two, &three})
        EXPECT_TRUE(same_bits(attend(*backend_of(isa, mode, *pool), layer, kAll), expected));
    }
  }
}

// Lines of any length and any number of rows in the same calls, their tiles in runs that begin and
// end in different ones; a gap of rows that no line names.
TEST(Attention, BitsOfALineDoNotDependOnTheLinesBeside) {
  constexpr std::size_t kGap = 5;
  for (const std::size_t threads : {std::size_t{1}, std::size_t{3}}) {
    ThreadPool pool(threads);
    for (const ComputeMode mode : kModes) {
      for (const Isa isa : tables_and_reference()) {
        SCOPED_TRACE(name_of(isa, mode));
        const auto backend = backend_of(isa, mode, pool);
        for (const std::size_t tiles_per_call : {kAll, std::size_t{2}}) {
          ManyLines many(*backend, kGap);
          const std::vector<float> together = many.attend(*backend, tiles_per_call, false);
          EXPECT_TRUE(same_bits(many.attend(*backend, tiles_per_call, true), together));
          std::size_t first_row = 0;
          for (const Layer& layer : many.layers) {
            const std::vector<float> alone = attend(*backend, layer, kAll);
            const auto begin =
                together.begin() + static_cast<std::ptrdiff_t>(first_row * many.row_size());
            EXPECT_TRUE(same_bits(
                std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(alone.size())),
                alone));
            first_row += layer.shape.rows + kGap;
          }
        }
      }
    }
  }
}

// Slots that a row does not see: later tokens of its own chunk, or what an earlier use left there.
TEST(Attention, BitsDoNotDependOnWhatUnseenSlotsHold) {
  ThreadPool pool(1);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : supported_isas()) {
      SCOPED_TRACE(name_of(isa, mode));
      const auto backend = backend_of(isa, mode, pool);
      for (const std::size_t tokens : {std::size_t{65}, std::size_t{66}, std::size_t{100}}) {
        for (const std::size_t window : {std::size_t{0}, std::size_t{20}, std::size_t{21}}) {
          const Shape s = {.heads = 6,
                           .kv_heads = 2,
                           .key_size = 16,
                           .value_size = 32,
                           .tokens = tokens,
                           .rows = 3,
                           .window = window};
          const Layer layer = layer_of(*backend, s, 14);
          const std::vector<float> expected = attend(*backend, layer, kAll);
          const std::vector<float> garbage(2 * 32, std::numeric_limits<float>::infinity());
          const std::vector<float> large = random_floats(2 * 32, 15, 1e30f);
          for (std::size_t token = 0; token < layer.tiles.size() * kTileTokens; ++token) {
            if (token >= layer.first_seen.front() && token < layer.end_seen.back()) continue;
            const std::vector<float>& put = token % 3 == 0 ? garbage : large;
            const KvSlot slot = {layer.tiles[token / kTileTokens].get(), token % kTileTokens};
            backend->store_kv(layer.options.layout, put.data(), put.data(), {&slot, 1});
          }
          EXPECT_TRUE(same_bits(attend(*backend, layer, kAll), expected))
              << tokens << " tokens, window " << window;
        }
      }
    }
  }
}

// An earlier row of a chunk next to a later one whose token overflowed.
TEST(Attention, AnEarlierRowDoesNotSeeALaterTokensInfinity) {
  ThreadPool pool(1);
  for (const ComputeMode mode : kModes) {
    for (const Isa isa : supported_isas()) {
      const auto backend = backend_of(isa, mode, pool);
      const Shape s = {
          .heads = 2, .kv_heads = 1, .key_size = 16, .value_size = 16, .tokens = 10, .rows = 10};
      const Layer layer = layer_of(*backend, s, 16);
      const std::vector<float> before = attend(*backend, layer, kAll, 0, 9);
      const std::vector<float> infinite(16, std::numeric_limits<float>::infinity());
      const KvSlot slot = {layer.tiles[0].get(), 9};
      backend->store_kv(layer.options.layout, infinite.data(), infinite.data(), {&slot, 1});
      std::vector<float> after = attend(*backend, layer, kAll);
      after.resize(before.size());
      EXPECT_TRUE(same_bits(before, after)) << name_of(isa, mode);
    }
  }
}

TEST(Attention, StoredTilesAreTheDocumentedLayoutInEveryTable) {
  ThreadPool pool(1);
  for (const ComputeMode mode : kModes) {
    const auto reference = backend_of(Isa::reference, mode, pool);
    const Layer truth = layer_of(*reference, kShapes[2], 18);
    for (const Isa isa : supported_isas()) {
      const Layer layer = layer_of(*backend_of(isa, mode, pool), kShapes[2], 18);
      for (std::size_t t = 0; t < truth.tiles.size(); ++t)
        EXPECT_EQ(std::memcmp(truth.tiles[t].get(), layer.tiles[t].get(),
                              truth.options.layout.tile_bytes()),
                  0)
            << name_of(isa, mode);
    }
  }
}

}  // namespace
}  // namespace ollm::backend
