// The gated delta rule and what stands around it: against the recurrence in double, the same bits
// from every table, and whatever the rows of a sweep are and the lines beside them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

#include "ollm/backend/kernel_fixture.h"

namespace ollm::backend {
namespace {

constexpr std::size_t kTokens = 200;

const DeltaLayout kLayouts[] = {
    {2, 4, 16, 16}, {1, 1, 8, 8}, {2, 2, 33, 20}, {1, 3, 64, 130}, {2, 4, 128, 128}};

std::string name_of(const DeltaLayout& layout) {
  return std::to_string(layout.key_heads) + " of " + std::to_string(layout.key_size) + ", " +
         std::to_string(layout.value_heads) + " of " + std::to_string(layout.value_size);
}

// Tokens of one line as they go into the rule: q and k of length 1, decays that forget within a
// few tokens in some heads and hardly in others.
class Tokens {
 public:
  Tokens(const DeltaLayout& layout, unsigned seed, std::size_t tokens = kTokens)
      : layout_(layout), qkv_(random_floats(tokens * stride(), seed)) {
    const std::size_t heads = layout.value_heads;
    decays_ = random_floats(tokens * heads, seed + 1);
    betas_ = random_floats(tokens * heads, seed + 2);
    for (std::size_t i = 0; i < decays_.size(); ++i) {
      decays_[i] = -std::abs(decays_[i]) * (i % heads % 2 == 0 ? 1.0f : 0.01f);
      betas_[i] = 1 / (1 + std::exp(-betas_[i]));
    }
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t h = 0; h < 2 * layout.key_heads; ++h) {
        float* head = qkv_.data() + t * stride() + h * layout.key_size;
        double squares = 0;
        for (std::size_t i = 0; i < layout.key_size; ++i) squares += double{head[i]} * head[i];
        for (std::size_t i = 0; i < layout.key_size; ++i)
          head[i] /= static_cast<float>(std::sqrt(squares));
      }
  }

  std::size_t stride() const {
    return 2 * layout_.key_heads * layout_.key_size + layout_.value_heads * layout_.value_size;
  }
  const float* qkv(std::size_t token) const { return qkv_.data() + token * stride(); }
  const float* decay(std::size_t token) const {
    return decays_.data() + token * layout_.value_heads;
  }
  const float* beta(std::size_t token) const { return betas_.data() + token * layout_.value_heads; }

 private:
  const DeltaLayout layout_;
  std::vector<float> qkv_, decays_, betas_;
};

// A line with what it keeps: of the chunk that its next token is in, and the one that a sweep ends
// in; of those between them nothing.
struct TestLine {
  explicit TestLine(const DeltaLayout& layout)
      : state(state_floats(layout)), kept(kDeltaChunkTokens * kept_floats(layout), 77) {}
  std::vector<float> state, kept, out;
  std::size_t tokens = 0;
};

struct Share {
  TestLine* line;
  const Tokens* tokens;
  std::size_t rows;
};

// One sweep over the next rows of some lines.
void sweep(Backend& backend, const DeltaLayout& layout, const std::vector<Share>& shares) {
  std::vector<float> qkv, decays, betas;
  std::vector<DeltaLine> lines;
  std::deque<std::vector<DeltaChunk>> chunks;
  std::deque<TestLine> ends;
  const std::size_t stride = shares[0].tokens->stride();
  std::size_t rows = 0;
  for (const Share& share : shares) {
    const std::size_t first = share.line->tokens;
    const std::size_t slot = first % kDeltaChunkTokens;
    const std::size_t behind = (slot + share.rows) / kDeltaChunkTokens;  // of the chunk it ends in
    chunks.emplace_back(behind + 1);
    chunks.back()[0] = {share.line->state.data(), share.line->kept.data()};
    ends.emplace_back(layout);
    if (behind > 0) chunks.back()[behind] = {ends.back().state.data(), ends.back().kept.data()};
    lines.push_back({rows, share.rows, slot, chunks.back().data(), kept_floats(layout)});
    qkv.insert(qkv.end(), share.tokens->qkv(first), share.tokens->qkv(first + share.rows));
    decays.insert(decays.end(), share.tokens->decay(first),
                  share.tokens->decay(first + share.rows));
    betas.insert(betas.end(), share.tokens->beta(first), share.tokens->beta(first + share.rows));
    rows += share.rows;
  }
  const std::size_t width = layout.value_heads * layout.value_size;
  const std::size_t keys = layout.key_heads * layout.key_size;
  std::vector<float> out(rows * width, -1);
  const DeltaRows all = {qkv.data(), qkv.data() + keys, qkv.data() + 2 * keys,
                         stride,     decays.data(),     betas.data(),
                         out.data()};
  const AlignedBytes scratch(backend.delta_scratch_bytes(layout));
  backend.delta_rule(layout, all, lines, scratch.get());
  for (std::size_t i = 0; i < shares.size(); ++i) {
    TestLine& line = *shares[i].line;
    const auto begin = out.begin() + static_cast<std::ptrdiff_t>(lines[i].first_row * width);
    line.out.insert(line.out.end(), begin,
                    begin + static_cast<std::ptrdiff_t>(shares[i].rows * width));
    line.tokens += shares[i].rows;
    if (chunks[i].size() == 1) continue;
    line.state = std::move(ends[i].state);
    line.kept = std::move(ends[i].kept);
  }
}

// All tokens of a line alone, so many a sweep.
TestLine alone(Backend& backend, const DeltaLayout& layout, const Tokens& tokens,
               std::size_t chunk) {
  TestLine line(layout);
  while (line.tokens < kTokens)
    sweep(backend, layout, {{&line, &tokens, std::min(chunk, kTokens - line.tokens)}});
  return line;
}

TEST(DeltaRule, AgreesWithTheRecurrence) {
  ThreadPool pool(2);
  const auto reference = backend_of(Isa::reference, ComputeMode::f32, pool);
  for (const DeltaLayout& layout : kLayouts) {
    const Tokens tokens(layout, 5);
    const TestLine truth = alone(*reference, layout, tokens, kTokens);
    for (const Isa isa : tables_and_reference()) {
      const auto backend = backend_of(isa, ComputeMode::f32, pool);
      // The reference, too, goes on from what was kept.
      for (const std::size_t chunk : {std::size_t{13}, kTokens}) {
        const TestLine got = alone(*backend, layout, tokens, chunk);
        ASSERT_EQ(got.out.size(), truth.out.size());
        for (std::size_t i = 0; i < got.out.size(); ++i)
          ASSERT_NEAR(got.out[i], truth.out[i], 2e-5)
              << name_of(layout) << ", " << to_string(isa) << ", " << chunk << ", " << i;
        for (std::size_t i = 0; i < got.state.size(); ++i)
          ASSERT_NEAR(got.state[i], truth.state[i], 2e-5) << name_of(layout) << ", " << i;
      }
    }
  }
}

TEST(DeltaRule, AnyRowsOfASweepGiveTheSameBits) {
  ThreadPool one(1);
  ThreadPool three(3);
  const auto scalar = backend_of(Isa::scalar, ComputeMode::f32, one);
  for (const DeltaLayout& layout : kLayouts) {
    const Tokens tokens(layout, 9);
    const TestLine expected = alone(*scalar, layout, tokens, kTokens);
    for (const Isa isa : supported_isas()) {
      const auto backend = backend_of(isa, ComputeMode::bf16, three);
      for (const std::size_t chunk : {1u, 7u, 64u, 100u, 200u}) {
        const TestLine got = alone(*backend, layout, tokens, chunk);
        ASSERT_TRUE(same_bits(got.out, expected.out))
            << name_of(layout) << ", " << to_string(isa) << ", " << chunk;
        ASSERT_TRUE(same_bits(got.state, expected.state)) << name_of(layout) << ", " << chunk;
      }
    }
  }
}

TEST(DeltaRule, LinesBesideOthersGiveTheSameBits) {
  const DeltaLayout layout = kLayouts[0];
  ThreadPool pool(2);
  std::mt19937 random(3);
  const std::vector<Tokens> tokens = {{layout, 11}, {layout, 21}, {layout, 31}};
  for (const Isa isa : supported_isas()) {
    const auto backend = backend_of(isa, ComputeMode::f32, pool);
    std::deque<TestLine> lines;
    for (std::size_t i = 0; i < tokens.size(); ++i) lines.emplace_back(layout);
    for (bool left = true; left;) {
      std::vector<Share> shares;
      for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::size_t rest = kTokens - lines[i].tokens;
        const std::size_t rows = std::min<std::size_t>(rest, random() % 150);
        if (rows > 0) shares.push_back({&lines[i], &tokens[i], rows});
      }
      if (!shares.empty()) sweep(*backend, layout, shares);
      left = std::any_of(lines.begin(), lines.end(),
                         [](const TestLine& line) { return line.tokens < kTokens; });
    }
    for (std::size_t i = 0; i < lines.size(); ++i)
      ASSERT_TRUE(same_bits(lines[i].out, alone(*backend, layout, tokens[i], kTokens).out));
  }
}

// Nothing to go on from is a state of zeros.
TEST(DeltaRule, ALineBeginsWithoutAState) {
  const DeltaLayout layout = kLayouts[0];
  ThreadPool pool(1);
  const Tokens tokens(layout, 5);
  const std::size_t keys = layout.key_heads * layout.key_size;
  for (const Isa isa : tables_and_reference()) {
    const auto backend = backend_of(isa, ComputeMode::f32, pool);
    std::vector<float> out(70 * layout.value_heads * layout.value_size);
    const DeltaRows rows = {tokens.qkv(0),   tokens.qkv(0) + keys, tokens.qkv(0) + 2 * keys,
                            tokens.stride(), tokens.decay(0),      tokens.beta(0),
                            out.data()};
    const DeltaChunk chunks[2] = {};
    const DeltaLine line = {0, 70, 0, chunks, 0};
    const AlignedBytes scratch(backend->delta_scratch_bytes(layout));
    backend->delta_rule(layout, rows, {&line, 1}, scratch.get());
    std::vector<float> expected = alone(*backend, layout, tokens, kTokens).out;
    expected.resize(out.size());
    ASSERT_TRUE(same_bits(out, expected)) << to_string(isa);
  }
}

// Gates -------------------------------------------------------------------------------------------

struct Gates {
  std::vector<float> decay, beta;
};

Gates gates(Backend& backend, std::size_t heads, const std::vector<float>& a,
            const std::vector<float>& b) {
  const std::vector<float> a_log = random_floats(heads, 3);
  const std::vector<float> dt_bias = random_floats(heads, 4);
  Gates out = {std::vector<float>(a.size()), std::vector<float>(b.size())};
  backend.delta_gates(a.data(), b.data(), {a_log.data(), heads}, {dt_bias.data(), heads},
                      a.size() / heads, out.decay.data(), out.beta.data());
  return out;
}

TEST(DeltaGates, AgreeWithTheReferenceInAllTables) {
  ThreadPool pool(2);
  const auto reference = backend_of(Isa::reference, ComputeMode::f32, pool);
  const auto scalar = backend_of(Isa::scalar, ComputeMode::f32, pool);
  for (const std::size_t heads : {1u, 4u, 16u, 33u}) {
    const std::vector<float> a = random_floats(heads * 500, 1, 12);
    const std::vector<float> b = random_floats(heads * 500, 2, 12);
    const Gates truth = gates(*reference, heads, a, b);
    const Gates bits = gates(*scalar, heads, a, b);
    for (const Isa isa : supported_isas()) {
      const Gates got = gates(*backend_of(isa, ComputeMode::f32, pool), heads, a, b);
      for (std::size_t i = 0; i < a.size(); ++i) {
        ASSERT_NEAR(got.decay[i], truth.decay[i], 2e-6 * std::abs(truth.decay[i]) + 1e-37) << a[i];
        ASSERT_NEAR(got.beta[i], truth.beta[i], 1e-6 * truth.beta[i] + 1e-37) << b[i];
      }
      ASSERT_TRUE(same_bits(got.decay, bits.decay) && same_bits(got.beta, bits.beta));
    }
  }
}

TEST(DeltaGates, HoldAtTheEndsOfTheRange) {
  ThreadPool pool(1);
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {-kInf, -1e30f, -200, 0, 200, 1e30f, kInf};
  const float zero = 0;
  for (const Isa isa : tables_and_reference()) {
    const auto backend = backend_of(isa, ComputeMode::f32, pool);
    std::vector<float> decay(x.size()), beta(x.size());
    backend->delta_gates(x.data(), x.data(), {&zero, 1}, {&zero, 1}, x.size(), decay.data(),
                         beta.data());
    EXPECT_TRUE(same_bits({std::abs(decay[0]), std::abs(decay[1]), std::abs(decay[2])}, {0, 0, 0}));
    EXPECT_NEAR(decay[3], -std::log(2.0f), 1e-6);
    EXPECT_TRUE(same_bits({decay[4], decay[5], decay[6]}, {-200, -1e30f, -kInf}));
    EXPECT_TRUE(same_bits({beta[0], beta[1], beta[3], beta[5], beta[6]}, {0, 0, 0.5f, 1, 1}))
        << to_string(isa);
  }
}

// Convolution and lengths
// --------------------------------------------------------------------------

// Two lines, of which one goes on from earlier tokens.
std::vector<float> convolved(Backend& backend, std::size_t channels, std::size_t taps) {
  const std::vector<float> x = random_floats(9 * channels, 1);
  const std::vector<float> weight = random_floats(channels * taps, 2);
  const std::vector<float> earlier = random_floats(channels * taps, 3);
  std::vector<const float*> before(taps - 1), none(taps - 1, nullptr);
  for (std::size_t i = 1; i < before.size(); ++i) before[i] = earlier.data() + i * channels;
  const ConvLine lines[] = {{0, 3, before.data()}, {3, 6, none.data()}};
  std::vector<float> out(x.size());
  backend.causal_conv(x.data(), {weight.data(), weight.size()}, taps, lines, out.data());
  return out;
}

TEST(CausalConv, AgreesWithTheReferenceInAllTables) {
  ThreadPool pool(3);
  const auto reference = backend_of(Isa::reference, ComputeMode::f32, pool);
  const auto scalar = backend_of(Isa::scalar, ComputeMode::f32, pool);
  for (const std::size_t channels : {1u, 16u, 63u, 65u, 200u, 4100u}) {
    for (const std::size_t taps : {1u, 2u, 4u, 16u}) {
      const std::vector<float> truth = convolved(*reference, channels, taps);
      const std::vector<float> bits = convolved(*scalar, channels, taps);
      for (const Isa isa : supported_isas()) {
        const std::vector<float> got =
            convolved(*backend_of(isa, ComputeMode::f32, pool), channels, taps);
        for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], truth[i], 1e-5) << taps;
        ASSERT_TRUE(same_bits(got, bits)) << channels << ", " << taps << ", " << to_string(isa);
      }
    }
  }
}

// Rows with something between them that is not touched.
std::vector<float> normed(Backend& backend, std::size_t size) {
  std::vector<float> x = random_floats(5 * (3 * size + 2), 1);
  std::fill_n(x.begin(), size, 0.0f);
  backend.l2_norm(x.data(), 3 * size + 2, 5, 3, size, 1e-6f, 0.25f);
  return x;
}

TEST(L2Norm, AgreesWithTheReferenceInAllTables) {
  ThreadPool pool(2);
  const auto reference = backend_of(Isa::reference, ComputeMode::f32, pool);
  const auto scalar = backend_of(Isa::scalar, ComputeMode::f32, pool);
  for (const std::size_t size : {1u, 16u, 17u, 128u, 513u}) {
    const std::vector<float> truth = normed(*reference, size);
    for (const Isa isa : supported_isas()) {
      const std::vector<float> got = normed(*backend_of(isa, ComputeMode::f32, pool), size);
      for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], truth[i], 1e-6 * std::abs(truth[i]) + 1e-9);
      ASSERT_TRUE(same_bits(got, normed(*scalar, size))) << size << ", " << to_string(isa);
    }
  }
}

}  // namespace
}  // namespace ollm::backend
