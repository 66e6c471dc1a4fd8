#include "ollm/weights/tape.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "ollm/base/checked_math.h"
#include "ollm/checkpoint/safetensors_writer.h"
#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/temporary_folder.h"
#include "ollm/tensor/float16.h"

namespace ollm::weights {
namespace {

using Call = io::FaultySystemCalls::Call;

constexpr std::size_t kVocab = 300;
constexpr std::size_t kHidden = 40;
constexpr std::size_t kLayers = 5;
constexpr Sections kBody = {Section::layers};
constexpr Sections kWhole = {Section::layers, Section::head};

// A folder of two shards with random bytes: an embedding, per layer a matrix, a fused one of two
// uses and a vector, and a head or none.
class TapeTest : public testing::Test {
 protected:
  void write(bool tied) {
    tied_ = tied;
    std::vector<checkpoint::NewTensor> first = {
        {"embedding", DType::bf16, Shape({kVocab, kHidden})}};
    std::vector<checkpoint::NewTensor> second;
    for (std::size_t i = 0; i < kLayers; ++i) {
      std::vector<checkpoint::NewTensor>& shard = i < 2 ? first : second;
      shard.push_back({fmt::format("layer{}.fused", i), DType::f32, Shape({70 + i, kHidden})});
      shard.push_back({fmt::format("layer{}.norm", i), DType::f32, Shape({kHidden})});
      shard.push_back({fmt::format("layer{}.plain", i), DType::bf16, Shape({33, 64})});
    }
    if (!tied) second.push_back({"head", DType::bf16, Shape({kVocab, kHidden})});
    std::string weight_map;
    write_shard("one.safetensors", first, weight_map);
    write_shard("two.safetensors", second, weight_map);
    folder_.write("model.safetensors.index.json",
                  fmt::format(R"({{"weight_map":{{{}}}}})", weight_map));
    folder_.write("config.json", "{}");

    layout_ = {};
    layout_.matrices.push_back({"embedding", 0, kVocab, kHidden, kVocab, Section::embedding});
    for (std::size_t i = 0; i < kLayers; ++i) {
      const std::string fused = fmt::format("layer{}.fused", i);
      layout_.matrices.push_back({fused, 0, 30, kHidden, 70 + i});
      layout_.matrices.push_back({fused, 30, 40 + i, kHidden, 70 + i});
      layout_.matrices.push_back({fmt::format("layer{}.plain", i), 0, 33, 64, 33});
      layout_.vectors.push_back({fmt::format("layer{}.norm", i), 0, kHidden, kHidden});
    }
    layout_.matrices.push_back(
        {tied ? "embedding" : "head", 0, kVocab, kHidden, kVocab, Section::head});
  }

  Result<std::unique_ptr<Tape>> load(const Options& options) {
    OLLM_TRY(const checkpoint::ModelFolder folder,
             checkpoint::ModelFolder::open(folder_.path(), calls_));
    reads_.emplace(options.read_method);
    return Tape::load(folder, layout_, options, budget_, pool_, *reads_, nullptr, never_);
  }

  static Options small(std::uint64_t pinned, io::ReadMethod method = io::ReadMethod::threads) {
    Options options;
    options.read_method = method;
    options.segment_bytes = 4096;
    options.read_bytes = 4096;
    options.ring_slots = 3;
    options.pinned_limit_bytes = pinned;
    return options;
  }

  static std::vector<io::ReadMethod> ways_to_read() {
    if (!io::io_uring_allowed()) return {io::ReadMethod::threads};
    return {io::ReadMethod::threads, io::ReadMethod::io_uring};
  }

  Result<void> gather_some(TapePass& pass) {
    std::vector<std::uint32_t> rows;
    for (int i = 0; i < 90; ++i) rows.push_back(static_cast<std::uint32_t>(random_() % kVocab));
    std::vector<bool> seen(rows.size());
    OLLM_TRY_VOID(
        pass.gather_rows({0}, rows, [&](const backend::WeightRows& row, std::size_t position) {
          seen[position] = true;
          EXPECT_EQ(std::memcmp(row.data, bytes_["embedding"].data() + rows[position] * kHidden * 2,
                                kHidden * 2),
                    0);
        }));
    EXPECT_EQ(std::count(seen.begin(), seen.end(), true), static_cast<int>(rows.size()));
    return {};
  }

  // Walks one pass as a sweep does and compares every byte with what was written.
  Result<void> walk(Tape& tape, Sections sections, bool gather = true) {
    OLLM_TRY(TapePass pass, TapePass::begin(tape, sections));
    if (gather) {
      OLLM_TRY_VOID(gather_some(pass));
    }
    for (std::uint32_t i = 0; i < layout_.matrices.size(); ++i) {
      const MatrixUse& shape = layout_.matrices[i];
      if (kind_of(shape.section) == SectionKind::gathered || !sections.contains(shape.section))
        continue;
      std::size_t next_row = 0;
      OLLM_TRY_VOID(pass.for_each_segment(
          {i}, [&](const backend::WeightRows& segment, std::size_t first_row) {
            const std::size_t row_bytes = size_bytes(segment.format, shape.cols);
            EXPECT_EQ(first_row, next_row);
            next_row += segment.rows;
            const char* expected =
                bytes_[shape.tensor].data() + (shape.first_row + first_row) * row_bytes;
            EXPECT_EQ(std::memcmp(segment.data, expected, segment.rows * row_bytes), 0)
                << shape.tensor << " row " << first_row;
          }));
      EXPECT_EQ(next_row, shape.rows);
    }
    for (std::uint32_t i = 0; i < layout_.vectors.size(); ++i) {
      const backend::WeightVector vector = tape.vector({i});
      EXPECT_EQ(std::memcmp(vector.data, bytes_[layout_.vectors[i].tensor].data(), kHidden * 4), 0);
    }
    return pass.end();
  }

  io::TemporaryFolder folder_;
  io::FaultySystemCalls calls_;
  TapeLayout layout_;
  std::map<std::string, std::string> bytes_;
  bool tied_ = false;
  memory::Budget budget_{std::uint64_t{1} << 30};
  ThreadPool pool_{2};
  std::optional<io::ReadQueue> reads_;  // of the tape that `load` gave last
  const CancellationToken never_;
  std::mt19937 random_{11};

 private:
  void write_shard(const std::string& name, const std::vector<checkpoint::NewTensor>& tensors,
                   std::string& weight_map) {
    std::string file = checkpoint::make_safetensors_header(tensors).value();
    for (const checkpoint::NewTensor& tensor : tensors) {
      std::string& bytes = bytes_[tensor.name];
      bytes.resize(tensor.shape.element_count() * size_bytes(tensor.dtype));
      for (char& byte : bytes) byte = static_cast<char>(random_());
      file += bytes;
      if (!weight_map.empty()) weight_map += ',';
      weight_map += fmt::format(R"("{}":"{}")", tensor.name, name);
    }
    folder_.write(name, file);
  }
};

TEST_F(TapeTest, GivesEveryByteWhateverIsPinned) {
  for (const bool tied : {false, true}) {
    write(tied);
    for (const std::uint64_t pinned : {0, 5'000, 20'000, 60'000, 90'000, 1'000'000}) {
      for (const io::ReadMethod method : ways_to_read()) {
        for (const io::Access access : {io::Access::buffered, io::Access::direct}) {
          SCOPED_TRACE(fmt::format("tied {}, pinned {}, {}, {}", tied, pinned, to_string(method),
                                   access == io::Access::direct ? "direct" : "buffered"));
          Options options = small(pinned, method);
          options.access = access;
          const auto tape = load(options);
          if (!tape.ok() && tape.error().kind == ErrorKind::unsupported) continue;
          ASSERT_TRUE(tape.ok()) << tape.error().message;
          EXPECT_EQ((*tape)->map().all_pinned(), pinned == 1'000'000);
          EXPECT_LE((*tape)->map().pinned_bytes, std::max<std::uint64_t>(pinned, 1));
          for (const Sections sections : {kBody, kBody, kWhole, kWhole, kBody, kWhole}) {
            const Result<void> walked = walk(**tape, sections);
            ASSERT_TRUE(walked.ok()) << walked.error().message;
          }
        }
      }
    }
  }
}

// An encoder before the layers and a further head behind them, which passes run or leave out.
TEST_F(TapeTest, APassRunsTheSectionsThatItNames) {
  write(false);
  for (MatrixUse& use : layout_.matrices) {
    if (use.tensor.starts_with("layer0.")) use.section = Section::encoder;
    if (use.tensor.starts_with("layer4.")) use.section = Section::mtp_head;
  }
  const Sections passes[] = {
      kBody,
      kWhole,
      {Section::encoder},
      {Section::encoder, Section::layers},
      {Section::layers, Section::mtp_head, Section::head},
      {Section::head},
      {Section::encoder, Section::layers, Section::mtp_head, Section::head},
      {},
  };
  for (const io::ReadMethod method : ways_to_read()) {
    for (const std::uint64_t pinned : {0, 20'000, 60'000}) {
      SCOPED_TRACE(fmt::format("{}, pinned {}", to_string(method), pinned));
      const auto tape = load(small(pinned, method));
      ASSERT_TRUE(tape.ok()) << tape.error().message;
      for (int step = 0; step < 100; ++step) {
        const Sections sections = passes[random_() % std::size(passes)];
        if (step % 5 == 4) {  // a pass that is given up at once, with its reads under way
          ASSERT_TRUE(TapePass::begin(**tape, sections).ok());
          continue;
        }
        const Result<void> walked = walk(**tape, sections);
        ASSERT_TRUE(walked.ok()) << walked.error().message;
      }
    }
  }
}

// What is read ahead serves the next pass where that one begins with the layers, as most do.
TEST_F(TapeTest, NothingIsReadTwiceForPassesThatBeginWithTheLayers) {
  write(false);
  for (MatrixUse& use : layout_.matrices)
    if (use.tensor.starts_with("layer0.")) use.section = Section::encoder;
  const Options options = small(10'000);
  const auto tape = load(options);
  ASSERT_TRUE(tape.ok());
  const TapeMap& map = (*tape)->map();
  std::uint64_t expected = 0;  // in whole pages, of which a file's last may hold less
  const auto count = [&](const SectionPart& part) {
    for (std::uint32_t load = part.first_load; load < part.first_load + part.loads; ++load)
      for (const FileExtent& extent : map.stream.extents_of(load))
        expected += io::SlotRing::space_bytes(extent.offset_bytes, extent.size_bytes);
  };
  for (int step = 0; step < 40; ++step) {
    const bool head = step % 3 == 0;
    count(map.part(Section::layers));
    if (head) count(map.part(Section::head));
    ASSERT_TRUE(walk(**tape, head ? kWhole : kBody, /*gather=*/false).ok());
  }
  const std::uint64_t read = (*tape)->stream_cost().bytes_read;
  EXPECT_LE(read, expected + ring_bytes(ring_options(map, options)));  // ahead of the next pass
}

TEST_F(TapeTest, PinsAsMuchAsItMayAndEvenly) {
  write(false);
  const checkpoint::ModelFolder folder = *checkpoint::ModelFolder::open(folder_.path());
  for (const std::uint64_t limit : {10'000, 30'000, 50'000}) {
    const TapeMap map = *map_tape(folder.tensors(), layout_, small(limit));
    EXPECT_LE(map.pinned_bytes, limit);
    EXPECT_GE(map.pinned_bytes + 4096, limit);  // one segment more would not fit
    EXPECT_EQ(map.pinned_bytes + map.stream_bytes(), map.sweep_bytes());
    std::uint64_t first_half = 0;
    std::uint64_t passed = 0;
    for (const Segment& segment : map.segments) {
      if (segment.matrix == 0) continue;
      passed += segment.size_bytes;
      if (passed <= map.sweep_bytes() / 2 && segment.pinned) first_half += segment.size_bytes;
    }
    EXPECT_NEAR(static_cast<double>(first_half), static_cast<double>(limit) / 2, 4096 * 2);
  }
}

TEST_F(TapeTest, NeighboursComeInOneReadAlsoAcrossShards) {
  write(false);
  Options options = small(0);
  options.segment_bytes = 1 << 20;
  options.read_bytes = 1 << 20;
  const checkpoint::ModelFolder folder = *checkpoint::ModelFolder::open(folder_.path());
  const TapeMap map = *map_tape(folder.tensors(), layout_, options);
  // All layers fit into one load: one extent of each shard. The head has a load of its own.
  ASSERT_EQ(map.stream.loads.size(), 2U);
  EXPECT_EQ(map.part(Section::layers).loads, 1U);
  EXPECT_EQ(map.part(Section::head).loads, 1U);
  EXPECT_EQ(map.part(Section::head).first_load, 1U);
  EXPECT_EQ(map.stream.extents_of(0).size(), 2U);
  EXPECT_EQ(map.stream.extents_of(1).size(), 1U);
}

TEST_F(TapeTest, EveryFailingReadFailsItsPassAloneAndNamesFileAndByte) {
  write(false);
  for (const io::ReadMethod method : ways_to_read()) {
    SCOPED_TRACE(to_string(method));
    const auto tape = load(small(20'000, method));
    ASSERT_TRUE(tape.ok()) << tape.error().message;
    ASSERT_TRUE(walk(**tape, kWhole).ok());
    const std::uint64_t before = calls_.count(Call::pread);
    ASSERT_TRUE(walk(**tape, kWhole).ok());
    const std::uint64_t reads = calls_.count(Call::pread) - before;
    ASSERT_GT(reads, 10U);
    std::uint64_t failed = 0;
    for (std::uint64_t k = 0; k < reads + 3; ++k) {
      calls_.fail(Call::pread, k, EIO);
      const Result<void> walked = walk(**tape, kWhole);
      calls_.heal();
      if (!walked.ok()) {
        ++failed;
        EXPECT_EQ(walked.error().kind, ErrorKind::io);
        EXPECT_NE(walked.error().message.find(".safetensors: read of"), std::string::npos)
            << walked.error().message;
        EXPECT_NE(walked.error().message.find("at byte"), std::string::npos);
      }
      const Result<void> next = walk(**tape, kWhole);
      // What was read ahead while the fault stood belongs to the next pass.
      const Result<void> after = next.ok() ? Result<void>() : walk(**tape, kWhole);
      ASSERT_TRUE(after.ok()) << after.error().message;
    }
    EXPECT_GT(failed, reads / 2);
  }
}

TEST_F(TapeTest, TornAndInterruptedReadsChangeNothing) {
  write(true);
  for (const io::ReadMethod method : ways_to_read()) {
    for (std::uint32_t seed = 0; seed < 10; ++seed) {
      SCOPED_TRACE(testing::Message() << to_string(method) << ", seed " << seed);
      calls_.tear_transfers(seed);
      calls_.interrupt_transfers(seed, 4);
      const auto tape = load(small(10'000, method));
      ASSERT_TRUE(tape.ok()) << tape.error().message;
      for (int pass = 0; pass < 3; ++pass)
        ASSERT_TRUE(walk(**tape, pass != 1 ? kWhole : kBody).ok());
      calls_.heal();
    }
  }
}

TEST_F(TapeTest, AChangedFileIsRefusedBeforeTheNextPass) {
  write(false);
  for (const io::ReadMethod method : ways_to_read()) {
    for (int how = 0; how < 3; ++how) {
      SCOPED_TRACE(testing::Message() << to_string(method) << ", change " << how);
      const auto tape = load(small(10'000, method));
      ASSERT_TRUE(tape.ok());
      ASSERT_TRUE(walk(**tape, kWhole).ok());
      calls_.restrict_to("two.safetensors");
      if (how == 0) calls_.replace();
      if (how == 1) calls_.touch();
      if (how == 2) calls_.shrink(1000);
      const Result<void> walked = walk(**tape, kWhole);
      ASSERT_FALSE(walked.ok());
      EXPECT_EQ(walked.error().kind, ErrorKind::corrupt);
      EXPECT_NE(walked.error().message.find("two.safetensors: file changed while in use"),
                std::string::npos)
          << walked.error().message;
      calls_.heal();
      calls_.restrict_to("");
    }
  }
}

// Its reads are under way then: they end where the file now does, or are whole and not used.
TEST_F(TapeTest, AFileThatIsCutDuringAPassFailsThePass) {
  write(false);
  for (const io::ReadMethod method : ways_to_read()) {
    const auto tape = load(small(10'000, method));
    ASSERT_TRUE(tape.ok());
    std::uint64_t reads = calls_.count(Call::pread);
    ASSERT_TRUE(walk(**tape, kWhole).ok());
    reads = calls_.count(Call::pread) - reads;
    // Those that are surely made before the pass ends: the last ones are ahead of the next.
    for (std::uint64_t k = 0; k < reads * 3 / 4; ++k) {
      SCOPED_TRACE(testing::Message() << to_string(method) << ", read " << k);
      calls_.shrink(20'000, k);
      const Result<void> walked = walk(**tape, kWhole);
      calls_.heal();
      ASSERT_FALSE(walked.ok());
      EXPECT_EQ(walked.error().kind, ErrorKind::corrupt) << walked.error().message;
      // What was read ahead of the next pass may have met the cut too.
      const bool whole = walk(**tape, kWhole).ok();
      ASSERT_TRUE(whole || walk(**tape, kWhole).ok());
    }
  }
}

TEST_F(TapeTest, ChargesWhatThePlanCounts) {
  write(false);
  for (const std::uint64_t pinned : {0, 20'000, 1'000'000}) {
    memory::Budget budget(std::uint64_t{1} << 30);
    const checkpoint::ModelFolder folder = *checkpoint::ModelFolder::open(folder_.path());
    const Options options = small(pinned);
    io::ReadQueue reads(options.read_method);
    const auto tape = Tape::load(folder, layout_, options, budget, pool_, reads, nullptr, never_);
    ASSERT_TRUE(tape.ok());
    const TapeMap& map = (*tape)->map();
    std::uint64_t planned = map.storage_bytes;
    if (!map.all_pinned())
      planned += ring_bytes(ring_options(map, options)) + io::File::kDirectAlignment;
    EXPECT_EQ(budget.used_bytes(), round_up(planned, std::uint64_t{64}));
  }
}

TEST_F(TapeTest, VectorsAreWidenedExactlyAndNormsAddTheirOne) {
  constexpr std::size_t kSize = 50, kFirst = 7, kUsed = 33;
  std::vector<checkpoint::NewTensor> tensors;
  std::map<std::string, std::vector<float>> values;
  layout_ = {};
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const std::string name(to_string(dtype));
    tensors.push_back({name, dtype, Shape({kSize})});
    for (const std::optional<float> add :
         {std::optional<float>(), std::optional(0.0F), std::optional(1.0F)})
      layout_.vectors.push_back({name, kFirst, kUsed, kSize, add});
  }
  std::string file = checkpoint::make_safetensors_header(tensors).value();
  for (const checkpoint::NewTensor& tensor : tensors) {
    for (std::size_t i = 0; i < kSize; ++i) {
      // Held by all types but for the last few: -0, and a denormal of f32 or bf16.
      float value = static_cast<float>(i) / 8 - 3;
      if (i == kFirst) value = -0.0F;
      if (i == kFirst + 1 && tensor.dtype != DType::f16) value = -0x1p-130F;
      values[tensor.name].push_back(value);
      const std::uint16_t half =
          tensor.dtype == DType::bf16 ? f32_to_bf16(value) : f32_to_f16(value);
      if (tensor.dtype == DType::f32)
        file.append(reinterpret_cast<const char*>(&value), sizeof value);
      else
        file.append(reinterpret_cast<const char*>(&half), sizeof half);
    }
  }
  folder_.write("model.safetensors", file);
  folder_.write("config.json", "{}");
  const auto tape = load(small(0));
  ASSERT_TRUE(tape.ok()) << tape.error().message;
  for (std::uint32_t v = 0; v < layout_.vectors.size(); ++v) {
    const VectorUse& use = layout_.vectors[v];
    const backend::WeightVector vector = (*tape)->vector({v});
    ASSERT_EQ(vector.size, kUsed);
    for (std::size_t i = 0; i < kUsed; ++i) {
      const float stored = values[use.tensor][kFirst + i];
      // Sums are those of kernels: denormals are zero there.
      float expected = stored;
      if (use.add) expected = std::abs(stored) < 0x1p-126F ? *use.add : stored + *use.add;
      EXPECT_EQ(std::bit_cast<std::uint32_t>(vector.data[i]),
                std::bit_cast<std::uint32_t>(expected))
          << use.tensor << ", element " << i;
    }
  }
}

// Two uses of one tensor of MXFP4, as compressed-tensors fuses and names it, with scales beside it.
class ScaledTapeTest : public TapeTest {
 protected:
  static constexpr std::size_t kRows = 90, kCols = 256, kFirst = 37;

  void SetUp() override {
    const std::vector<checkpoint::NewTensor> tensors = {
        {"codes", DType::u8, Shape({kRows, kCols / 2})},
        {"other", DType::bf16, Shape({300, 64})},
        {"scales", DType::u8, Shape({kRows, kCols / 32})}};
    file_ = checkpoint::make_safetensors_header(tensors).value();
    for (const checkpoint::NewTensor& tensor : tensors) {
      std::string& bytes = content_[tensor.name];
      bytes.resize(tensor.shape.element_count() * size_bytes(tensor.dtype));
      for (char& byte : bytes) byte = static_cast<char>(random_() % 250);
      file_ += bytes;
    }
    folder_.write("model.safetensors", file_);
    folder_.write("config.json", "{}");
    MatrixUse use{"codes", 0, kFirst, kCols, kRows};
    use.scales = "scales";
    use.format = kMxfp4;
    layout_ = {};
    layout_.matrices.push_back(use);
    use.first_row = kFirst;
    use.rows = kRows - kFirst;
    layout_.matrices.push_back(use);
  }

  Result<void> walk_scaled(Tape& tape) {
    OLLM_TRY(TapePass pass, TapePass::begin(tape, kBody));
    for (std::uint32_t i = 0; i < layout_.matrices.size(); ++i) {
      const MatrixUse& use = layout_.matrices[i];
      std::size_t next = 0;
      OLLM_TRY_VOID(pass.for_each_segment(
          {i}, [&](const backend::WeightRows& segment, std::size_t first_row) {
            EXPECT_EQ(first_row, next);
            next += segment.rows;
            const std::size_t row = use.first_row + first_row;
            EXPECT_EQ(std::memcmp(segment.data, content_["codes"].data() + row * kCols / 2,
                                  segment.rows * kCols / 2),
                      0);
            EXPECT_EQ(std::memcmp(segment.scales, content_["scales"].data() + row * kCols / 32,
                                  segment.rows * kCols / 32),
                      0);
          }));
      EXPECT_EQ(next, use.rows);
    }
    return pass.end();
  }

  std::string file_;
  std::map<std::string, std::string> content_;
};

TEST_F(ScaledTapeTest, ScalesComeWithTheirRowsWhateverIsPinned) {
  for (const std::uint64_t pinned : {0, 5'000, 1'000'000}) {
    const auto tape = load(small(pinned));
    ASSERT_TRUE(tape.ok()) << tape.error().message;
    for (int pass = 0; pass < 3; ++pass) ASSERT_TRUE(walk_scaled(**tape).ok());
  }
}

TEST_F(ScaledTapeTest, AScaleThatIsNoNumberIsCorruptByItsTensor) {
  const std::size_t at = file_.size() - content_["scales"].size() + 70 * kCols / 32;
  file_[at] = static_cast<char>(255);
  content_["scales"][70 * kCols / 32] = static_cast<char>(255);
  folder_.write("model.safetensors", file_);
  for (const std::uint64_t pinned : {0, 1'000'000}) {
    const auto tape = load(small(pinned));
    ASSERT_TRUE(tape.ok()) << tape.error().message;
    const Result<void> walked = walk_scaled(**tape);
    ASSERT_FALSE(walked.ok());
    EXPECT_EQ(walked.error().kind, ErrorKind::corrupt);
    EXPECT_NE(walked.error().message.find("tensor scales"), std::string::npos);
  }
}

TEST_F(TapeTest, AMissingTensorIsNotFound) {
  write(false);
  layout_.matrices[2].tensor = "layer0.gone";
  const auto tape = load(small(0));
  ASSERT_FALSE(tape.ok());
  EXPECT_EQ(tape.error().kind, ErrorKind::not_found);
}

TEST_F(TapeTest, AMatrixOfAFormatThatIsNotBuiltIsRefusedByName) {
  for (const auto& [dtype, said] : {std::pair(DType::f8_e4m3, "weights of F8_E4M3 are not built"),
                                    std::pair(DType::i32, "I32 is no type of weights")}) {
    const Shape shape({4, 8});
    const checkpoint::NewTensor tensor = {"plain", dtype, shape};
    std::string file = checkpoint::make_safetensors_header({&tensor, 1}).value();
    file.resize(file.size() + 32 * size_bytes(dtype));
    folder_.write("model.safetensors", file);
    folder_.write("config.json", "{}");
    layout_ = {};
    layout_.matrices.push_back({"plain", 0, 4, 8, 4});
    const auto refused = load(small(0));
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, ErrorKind::unsupported);
    EXPECT_NE(refused.error().message.find(fmt::format("tensor plain: {}", said)),
              std::string::npos)
        << refused.error().message;
  }
}

TEST_F(TapeTest, LoadingCanBeCancelledAndRefusesToExceedTheBudget) {
  write(false);
  const checkpoint::ModelFolder folder = *checkpoint::ModelFolder::open(folder_.path());
  io::ReadQueue reads(io::ReadMethod::threads);
  CancellationToken cancelled;
  cancelled.cancel();
  const auto stopped =
      Tape::load(folder, layout_, small(50'000), budget_, pool_, reads, nullptr, cancelled);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::cancelled);
  memory::Budget tight(30'000);
  const auto refused =
      Tape::load(folder, layout_, small(50'000), tight, pool_, reads, nullptr, never_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::out_of_budget);
}

}  // namespace
}  // namespace ollm::weights
