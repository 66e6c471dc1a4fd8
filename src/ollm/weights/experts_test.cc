#include "ollm/weights/experts.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "ollm/checkpoint/safetensors_writer.h"
#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/weights/tape.h"

namespace ollm::weights {
namespace {

using Call = io::FaultySystemCalls::Call;

constexpr std::size_t kCount = 12;  // experts of a layer
constexpr std::size_t kInner = 20, kHidden = 64;

// A folder of two layers of random experts: of the first each matrix is a tensor of its own, those
// of the second are stacked, in MXFP4, with scales.
class ExpertsTest : public testing::Test {
 protected:
  void SetUp() override {
    layout_.experts = {apart(), stacked()};
    std::vector<checkpoint::NewTensor> tensors;
    for (const auto& [name, tensor] : tensors_) tensors.push_back(tensor);
    file_ = checkpoint::make_safetensors_header(tensors).value();
    for (const checkpoint::NewTensor& tensor : tensors) {
      std::string& bytes = bytes_[tensor.name];
      bytes.resize(tensor.shape.element_count() * size_bytes(tensor.dtype));
      for (char& byte : bytes) byte = static_cast<char>(random_() % 250);
      file_ += bytes;
    }
    folder_.write("model.safetensors", file_);
    folder_.write("config.json", "{}");
  }

  std::string add(std::string name, DType dtype, const Shape& shape) {
    tensors_.insert({name, {name, dtype, shape}});
    return name;
  }

  ExpertsUse apart() {
    ExpertsUse use;
    use.experts = kCount;
    ExpertsForm form;
    for (const char* matrix : {"gate", "up", "down"}) {
      ExpertMatrix of;
      const bool down = matrix == std::string("down");
      of.rows = down ? kHidden : kInner;
      of.cols = down ? kInner : kHidden;
      of.format = {WeightElement::bf16};
      for (std::size_t expert = 0; expert < kCount; ++expert) {
        of.tensors.push_back(add(fmt::format("one.{:02}.{}", expert, matrix), DType::bf16,
                                 Shape({of.rows, of.cols})));
      }
      form.matrices.push_back(std::move(of));
    }
    use.forms.push_back(std::move(form));
    return use;
  }

  ExpertsUse stacked() {
    ExpertsUse use;
    use.experts = kCount;
    ExpertsForm form;
    form.gate_up = GateUp::interleaved;
    for (const char* matrix : {"gate_up", "down"}) {
      ExpertMatrix of;
      of.rows = matrix == std::string("down") ? kHidden : 2 * kInner;
      of.cols = kHidden;
      of.format = kMxfp4;
      of.tensors = {add(fmt::format("two.{}_blocks", matrix), DType::u8,
                        Shape({kCount, of.rows, of.cols / 32, 16}))};
      of.scales = {add(fmt::format("two.{}_scales", matrix), DType::u8,
                       Shape({kCount, of.rows, of.cols / 32}))};
      form.matrices.push_back(std::move(of));
    }
    use.forms.push_back(std::move(form));
    return use;
  }

  Result<std::unique_ptr<Tape>> load(std::size_t slots,
                                     io::ReadMethod method = io::ReadMethod::threads) {
    Options options;
    options.expert_slots = slots;
    options.most_passing_slots = 0;
    options.read_method = method;
    options.read_bytes = 4096;
    OLLM_TRY(const checkpoint::ModelFolder folder,
             checkpoint::ModelFolder::open(folder_.path(), calls_));
    reads_.emplace(method);
    return Tape::load(folder, layout_, options, budget_, pool_, *reads_, nullptr, never_);
  }

  void expect_bytes(const std::string& tensor, std::size_t part, const std::byte* found,
                    std::size_t size) {
    EXPECT_EQ(std::memcmp(found, bytes_[tensor].data() + part * size, size), 0)
        << tensor << " " << part;
  }

  void expect_expert(std::uint32_t layer, std::uint32_t id, const ExpertWeights& weights) {
    const std::vector<ExpertMatrix>& matrices = layout_.experts[layer].form().matrices;
    ASSERT_EQ(weights.matrices.size(), matrices.size());
    for (std::size_t i = 0; i < matrices.size(); ++i) {
      const backend::WeightRows& rows = weights.matrices[i];
      const ExpertMatrix& matrix = matrices[i];
      EXPECT_EQ(rows.format, matrix.format);
      EXPECT_EQ(rows.rows, matrix.rows);
      EXPECT_EQ(rows.cols, matrix.cols);
      const std::size_t bytes = size_bytes(rows.format, rows.rows * rows.cols);
      if (layer == 0) {
        expect_bytes(matrix.tensors[id], 0, rows.data, bytes);
        EXPECT_EQ(rows.scales, nullptr);
      } else {
        expect_bytes(matrix.tensors[0], id, rows.data, bytes);
        expect_bytes(matrix.scales[0], id, rows.scales, rows.rows * rows.cols / 32);
      }
    }
  }

  // A sweep over both layers, each with these experts; the second is guessed to want `guess`.
  Result<void> sweep(Tape& tape, const std::vector<std::uint32_t>& one,
                     const std::vector<std::uint32_t>& two,
                     const std::vector<std::uint32_t>& guess = {}) {
    OLLM_TRY(TapePass pass, TapePass::begin(tape, {Section::layers}));
    Experts& experts = *tape.experts();
    const auto use = [&](std::uint32_t layer, const std::vector<std::uint32_t>& ids) {
      std::size_t at = 0;
      return experts.use({layer}, ids,
                         [&](std::uint32_t id, const ExpertWeights& weights) -> Result<void> {
                           EXPECT_EQ(id, ids[at++]);
                           expect_expert(layer, id, weights);
                           return {};
                         });
    };
    experts.guess({1}, guess);
    OLLM_TRY_VOID(use(0, one));
    OLLM_TRY_VOID(use(1, two));
    return pass.end();
  }

  std::vector<std::uint32_t> some(std::size_t count) {
    std::vector<std::uint32_t> ids(kCount);
    std::iota(ids.begin(), ids.end(), 0u);
    std::shuffle(ids.begin(), ids.end(), random_);
    ids.resize(count);
    std::sort(ids.begin(), ids.end());
    return ids;
  }

  io::TemporaryFolder folder_;
  io::FaultySystemCalls calls_;
  TapeLayout layout_;
  std::map<std::string, checkpoint::NewTensor> tensors_;
  std::map<std::string, std::string> bytes_;
  std::string file_;  // of all tensors
  memory::Budget budget_{std::uint64_t{1} << 30};
  ThreadPool pool_{2};
  std::optional<io::ReadQueue> reads_;
  const CancellationToken never_;
  std::mt19937 random_{5};
};

TEST_F(ExpertsTest, GivesEveryByteWhateverIsKeptAndGuessed) {
  for (const std::size_t slots : {0u, 4u, 9u, 23u, 24u, 1000u}) {
    SCOPED_TRACE(slots);
    const auto tape = load(slots);
    ASSERT_TRUE(tape.ok()) << tape.error().message;
    for (int round = 0; round < 30; ++round) {
      const std::vector<std::uint32_t> two = some(random_() % (kCount + 1));
      const std::vector<std::uint32_t> guess = round % 3 == 0 ? two : some(3);
      ASSERT_TRUE(sweep(**tape, some(1 + random_() % kCount), two, guess).ok());
    }
    const ExpertCounts& counts = (*tape)->experts()->counts();
    if (slots >= 24) {
      EXPECT_EQ(counts.hits, counts.wanted);
      EXPECT_TRUE((*tape)->experts()->holds_all());
      EXPECT_FALSE((*tape)->read_method());
    } else {
      EXPECT_LT(counts.hits, counts.wanted);
      EXPECT_LE(static_cast<double>(counts.wrong_bytes),
                0.15 * static_cast<double>(counts.read_bytes));
    }
  }
}

TEST_F(ExpertsTest, GuessesThatAreRightAreReadAheadAndWrongOnesEnd) {
  const auto tape = load(4);
  ASSERT_TRUE(tape.ok());
  for (int round = 0; round < 40; ++round) ASSERT_TRUE(sweep(**tape, some(3), some(3)).ok());
  const Experts& experts = *(*tape)->experts();
  EXPECT_EQ(experts.counts().guessed, 0u);
  for (int round = 0; round < 40; ++round) {
    const std::vector<std::uint32_t> two = some(2);
    ASSERT_TRUE(sweep(**tape, some(3), two, two).ok());
  }
  EXPECT_GT(experts.counts().guessed, 20u);
  EXPECT_EQ(experts.counts().wrong_bytes, 0u);
  for (int round = 0; round < 150; ++round)
    ASSERT_TRUE(sweep(**tape, some(3), {0, 1}, {2, 3, 4}).ok());
  EXPECT_GT(experts.counts().wrong_bytes, 0u);
  EXPECT_LE(static_cast<double>(experts.counts().wrong_bytes),
            0.15 * static_cast<double>(experts.counts().read_bytes));
}

TEST_F(ExpertsTest, EveryFailingReadFailsItsSweepAloneAndNamesTheExpert) {
  for (const std::size_t slots : {3u, 8u}) {
    const auto tape = load(slots);
    ASSERT_TRUE(tape.ok());
    std::size_t failed = 0;
    for (std::uint64_t k = 0; k < 25; ++k) {
      calls_.fail(Call::pread, k, EIO);
      const std::vector<std::uint32_t> guess = some(3);
      const Result<void> swept = sweep(**tape, some(8), some(8), guess);
      calls_.heal();
      if (!swept.ok()) {
        ++failed;
        EXPECT_EQ(swept.error().kind, ErrorKind::io);
        EXPECT_NE(swept.error().message.find("expert "), std::string::npos)
            << swept.error().message;
      }
      const Result<void> after = sweep(**tape, some(8), some(8));
      ASSERT_TRUE(after.ok()) << after.error().message;
    }
    EXPECT_GT(failed, 12u);
  }
}

TEST_F(ExpertsTest, TornAndInterruptedReadsChangeNothing) {
  for (std::uint32_t seed = 0; seed < 2; ++seed) {
    calls_.tear_transfers(seed);
    calls_.interrupt_transfers(seed, 4);
    const auto tape = load(7);
    ASSERT_TRUE(tape.ok());
    for (int round = 0; round < 5; ++round)
      ASSERT_TRUE(sweep(**tape, some(6), some(6), some(3)).ok());
    calls_.heal();
  }
}

TEST_F(ExpertsTest, AFunctionThatFailsLeavesNothingHeld) {
  const auto tape = load(9);
  ASSERT_TRUE(tape.ok());
  Experts& experts = *(*tape)->experts();
  for (int round = 0; round < 50; ++round) {
    const std::vector<std::uint32_t> ids = some(6);
    const Result<void> used =
        experts.use({0}, ids, [&](std::uint32_t id, const ExpertWeights&) -> Result<void> {
          if (id == ids[static_cast<std::size_t>(round) % 6])
            return fail(ErrorKind::cancelled, "enough");
          return {};
        });
    EXPECT_EQ(used.error().kind, ErrorKind::cancelled);
    ASSERT_TRUE(sweep(**tape, some(6), some(6)).ok());
  }
}

TEST_F(ExpertsTest, ScalesThatAreNoNumbersAreCorrupt) {
  const std::string bad = "two.down_scales";
  const std::size_t at = file_.find(bytes_[bad]);
  ASSERT_NE(at, std::string::npos);
  const std::size_t each = bytes_[bad].size() / kCount;
  file_[at + 5 * each + 3] = static_cast<char>(255);
  folder_.write("model.safetensors", file_);
  bytes_[bad][5 * each + 3] = static_cast<char>(255);
  for (const std::size_t slots : {4u, 9u}) {
    const auto tape = load(slots);
    ASSERT_TRUE(tape.ok());
    for (int round = 0; round < 5; ++round) {
      const Result<void> swept = sweep(**tape, {1}, {4, 5, 6});
      ASSERT_FALSE(swept.ok());
      EXPECT_EQ(swept.error().kind, ErrorKind::corrupt);
      EXPECT_NE(swept.error().message.find("expert 5 with tensor two.down_scales"),
                std::string::npos)
          << swept.error().message;
      ASSERT_TRUE(sweep(**tape, {1}, {4, 6}, {5}).ok());
    }
  }
  EXPECT_EQ(load(1000).error().kind, ErrorKind::corrupt);
}

TEST_F(ExpertsTest, ChargesWhatThePlanCounts) {
  for (const std::size_t slots : {3u, 10u, 24u}) {
    const std::uint64_t before = budget_.used_bytes();
    const auto tape = load(slots);
    ASSERT_TRUE(tape.ok());
    Options options;
    options.expert_slots = slots;
    EXPECT_EQ(budget_.used_bytes() - before,
              memory::charged_bytes(expert_slot_bytes((*tape)->map().experts, options)));
  }
}

TEST_F(ExpertsTest, AFormatThatIsNotBuiltIsRefusedByName) {
  layout_.experts[1].forms[0].matrices[0].format.scale->cols = 16;
  const auto tape = load(4);
  EXPECT_EQ(tape.error().kind, ErrorKind::unsupported);
  EXPECT_NE(tape.error().message.find("two.gate_up_blocks"), std::string::npos);
}

}  // namespace
}  // namespace ollm::weights
