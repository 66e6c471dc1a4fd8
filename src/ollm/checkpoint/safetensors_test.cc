#include "ollm/checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "ollm/base/clock.h"
#include "ollm/checkpoint/safetensors_writer.h"
#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/temporary_folder.h"
#include "tests/test_data.h"

namespace ollm::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string length_bytes(std::uint64_t length) {
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out;
}

Result<SafetensorsFile> read_file(const std::filesystem::path& path) {
  OLLM_TRY(const io::File file, io::File::open(path));
  return read_safetensors_header(file);
}

TEST(Safetensors, ListsTensorsInTheOrderOfTheirData) {
  const std::string json = R"({"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
                           R"("__metadata__":{"format":"pt","made":"here"},)"
                           R"("a":{"data_offsets":[0,4],"shape":[],"dtype":"F32"},)"
                           R"("empty":{"dtype":"U8","shape":[3,0],"data_offsets":[4,4]}}  )";
  const auto header = parse_safetensors_header(json, 16);
  ASSERT_TRUE(header.ok()) << header.error().message;
  ASSERT_EQ(header->tensor_count(), 3u);
  EXPECT_EQ(header->tensor(0).name, "a");
  EXPECT_EQ(header->tensor(0).shape, Shape());
  EXPECT_EQ(header->tensor(1).name, "empty");
  EXPECT_EQ(header->tensor(1).shape, (Shape{3, 0}));
  EXPECT_EQ(header->tensor(2).name, "b");
  EXPECT_EQ(header->tensor(2).dtype, DType::bf16);
  EXPECT_EQ(header->tensor(2).begin_bytes, 4u);
  EXPECT_EQ(header->tensor(2).end_bytes, 16u);
  ASSERT_EQ(header->metadata_count(), 2u);
  EXPECT_EQ(header->metadata(0).first, "format");
  EXPECT_EQ(header->metadata(1).second, "here");
}

TEST(Safetensors, AFileWithoutTensorsIsOne) {
  const auto header = parse_safetensors_header("{}", 0);
  ASSERT_TRUE(header.ok()) << header.error().message;
  EXPECT_EQ(header->tensor_count(), 0u);
}

TEST(Safetensors, EscapesInNamesAreDecoded) {
  const auto header = parse_safetensors_header(
      R"({"\u00e4\n\"\ud83d\ude00/\/":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1);
  ASSERT_TRUE(header.ok()) << header.error().message;
  EXPECT_EQ(header->tensor(0).name, "\u00e4\n\"\U0001f600//");
}

// One case a rule of the format and a limit of ours; every message has words of its own.
struct Hostile {
  const char* rule;
  std::string json;
  std::uint64_t data_bytes;
  ErrorKind kind;
  const char* says;
};

std::string one(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return "{\"x\":{\"dtype\":\"" + std::string(dtype) + "\",\"shape\":" + std::string(shape) +
         ",\"data_offsets\":" + std::string(offsets) + "}}";
}

std::string two(std::string_view first_offsets, std::string_view second_offsets) {
  return R"({"x":{"dtype":"U8","shape":[4],"data_offsets":)" + std::string(first_offsets) +
         R"(},"y":{"dtype":"U8","shape":[4],"data_offsets":)" + std::string(second_offsets) + "}}";
}

std::vector<Hostile> hostile_headers() {
  constexpr auto corrupt = ErrorKind::corrupt;
  constexpr auto unsupported = ErrorKind::unsupported;
  const std::string good = one("U8", "[4]", "[0,4]");
  const std::string long_name(1025, 'n');
  return {
      {"empty header", "", 0, corrupt, "does not begin with '{'"},
      {"a list", "[]", 0, corrupt, "does not begin with '{'"},
      {"leading space", " {}", 0, corrupt, "does not begin with '{'"},
      {"byte order mark", "\xef\xbb\xbf{}", 0, corrupt, "does not begin with '{'"},
      {"not UTF-8", "{\"\xff\":1}", 0, corrupt, "byte 2: is not UTF-8"},
      {"overlong UTF-8", "{\"\xc0\xaf\":1}", 0, corrupt, "byte 2: is not UTF-8"},
      {"surrogate in UTF-8", "{\"\xed\xa0\x80\":1}", 0, corrupt, "byte 2: is not UTF-8"},
      {"ends inside", "{", 0, corrupt, "found the end of the text"},
      {"ends inside a name", "{\"abc", 0, corrupt, "ends inside a string"},
      {"ends behind a name", "{\"abc\"", 0, corrupt, "expected ':'"},
      {"comma at the end", good.substr(0, good.size() - 1) + ",}", 4, corrupt, "expected a key"},
      {"no comma", "{\"x\":{\"dtype\":\"U8\" \"shape\":[]}}", 0, corrupt, "expected ',' or '}'"},
      {"padding of NULs", good + std::string(2, '\0'), 4, corrupt, "only spaces may stand"},
      {"padding of newlines", good + "\n", 4, corrupt, "only spaces may stand"},
      {"a second object", good + "{}", 4, corrupt, "only spaces may stand"},
      {"comment", "{/* */}", 0, corrupt, "expected a key, found '/'"},
      {"single quotes", "{'x':1}", 0, corrupt, "expected a key, found '''"},
      {"control character", "{\"a\nb\":1}", 0, corrupt, "control character 0x0a"},
      {"unknown escape", "{\"\\x\":1}", 0, corrupt, "unknown escape"},
      {"short \\u", "{\"\\u12g4\":1}", 0, corrupt, "four hexadecimal digits"},
      {"lone high surrogate", "{\"\\ud83dx\":1}", 0, corrupt, "lone surrogate"},
      {"lone low surrogate", "{\"\\ude00\":1}", 0, corrupt, "lone surrogate"},
      {"NUL in a name", R"({"a\u0000b":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1,
       corrupt, "has a NUL"},
      {"name of 1025 bytes",
       "{\"" + long_name + "\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1,
       unsupported, "a name of 1025 bytes"},
      {"duplicate tensor",
       R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       2, corrupt, "duplicate key 'x'"},
      {"duplicate tensor, spelt differently",
       R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("\u0078":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       2, corrupt, "duplicate key 'x'"},
      {"duplicate empty tensor",
       R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
       R"("x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
       0, corrupt, "duplicate key 'x'"},
      {"duplicate metadata", R"({"__metadata__":{},"__metadata__":{}})", 0, corrupt,
       "duplicate key '__metadata__'"},
      {"duplicate key in metadata", R"({"__metadata__":{"a":"1","b":"2","a":"3"}})", 0, corrupt,
       "__metadata__: duplicate key 'a'"},
      {"duplicate dtype", R"({"x":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
       4, corrupt, "duplicate key 'dtype'"},
      {"duplicate shape", R"({"x":{"dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4]}})", 4,
       corrupt, "duplicate key 'shape'"},
      {"duplicate offsets",
       R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"data_offsets":[0,4]}})", 4, corrupt,
       "duplicate key 'data_offsets'"},
      {"metadata is text", R"({"__metadata__":"x"})", 0, corrupt,
       "__metadata__: byte 16: expected an object, found '\"'"},
      {"metadata holds a number", R"({"__metadata__":{"a":1}})", 0, corrupt,
       "expected a text under 'a', found '1'"},
      {"metadata holds an object", R"({"__metadata__":{"a":{"b":"c"}}})", 0, corrupt,
       "expected a text under 'a', found '{'"},
      {"metadata holds null", R"({"__metadata__":{"a":null}})", 0, corrupt,
       "expected a text under 'a', found 'n'"},
      {"tensor is a number", R"({"x":1})", 0, corrupt, "tensor 'x': byte 5: expected an object"},
      {"tensor is null", R"({"x":null})", 0, corrupt, "expected an object, found 'n'"},
      {"unknown field", R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"strides":[1]}})", 4,
       corrupt, "unknown field 'strides'"},
      {"no dtype", R"({"x":{"shape":[4],"data_offsets":[0,4]}})", 4, corrupt, "has no 'dtype'"},
      {"no shape", R"({"x":{"dtype":"U8","data_offsets":[0,4]}})", 4, corrupt, "has no 'shape'"},
      {"no offsets", R"({"x":{"dtype":"U8","shape":[4]}})", 4, corrupt, "has no 'data_offsets'"},
      {"dtype is a number", R"({"x":{"dtype":8,"shape":[4],"data_offsets":[0,4]}})", 4, corrupt,
       "expected a text as dtype"},
      {"unknown dtype", one("U9", "[4]", "[0,4]"), 4, corrupt, "unknown dtype 'U9'"},
      {"dtype in lower case", one("u8", "[4]", "[0,4]"), 4, corrupt, "unknown dtype 'u8'"},
      {"dtype below a byte", one("F4", "[8]", "[0,4]"), 4, unsupported, "dtype F4"},
      {"dtype of 6 bits", one("F6_E2M3", "[8]", "[0,6]"), 6, unsupported, "dtype F6_E2M3"},
      {"complex dtype", one("C64", "[1]", "[0,8]"), 8, unsupported, "dtype C64"},
      {"shape is a number", one("U8", "4", "[0,4]"), 4, corrupt, "expected a list as shape"},
      {"negative size", one("U8", "[-4]", "[0,4]"), 4, corrupt,
       "non-negative integer in shape, found a negative number"},
      {"fractional size", one("U8", "[4.0]", "[0,4]"), 4, corrupt, "'4.0', which is no whole"},
      {"size with an exponent", one("U8", "[1e3]", "[0,1000]"), 1000, corrupt,
       "'1e3', which is no"},
      {"size as text", one("U8", "[\"4\"]", "[0,4]"), 4, corrupt, "in shape, found '\"'"},
      {"size null", one("U8", "[null]", "[0,4]"), 4, corrupt, "in shape, found 'n'"},
      {"size true", one("U8", "[true]", "[0,4]"), 4, corrupt, "in shape, found 't'"},
      {"size NaN", one("U8", "[NaN]", "[0,4]"), 4, corrupt, "found NaN, which is Python's"},
      {"size with leading zero", one("U8", "[04]", "[0,4]"), 4, corrupt, "needless 0"},
      {"size in hexadecimal", one("U8", "[0x4]", "[0,4]"), 4, corrupt, "expected ',' or ']'"},
      {"size of 2^64", one("U8", "[18446744073709551616]", "[0,0]"), 0, corrupt, "past 2^64 - 1"},
      {"nested shape", one("U8", "[[4]]", "[0,4]"), 4, corrupt, "in shape, found '['"},
      {"nesting depth 5", R"({"x":{"shape":[[[[1]]]]}})", 0, corrupt, "in shape, found '['"},
      {"elements past 2^63", one("U8", "[4294967296,4294967296]", "[0,0]"), 0, corrupt,
       "more elements than"},
      {"elements wrap to 4", one("U8", "[4294967297,4294967296,4294967296]", "[0,4]"), 4, corrupt,
       "more elements than"},
      {"empty, yet overflowing", one("U8", "[0,4294967296,4294967296]", "[0,0]"), 0, corrupt,
       "more elements than"},
      {"bytes past 2^63", one("F64", "[2305843009213693952]", "[0,0]"), 0, corrupt,
       "more than 2^63 - 1 bytes"},
      {"rank 9", one("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, unsupported, "more than 8 sizes"},
      {"offsets as object", one("U8", "[4]", "{}"), 4, corrupt, "a list of two as data_offsets"},
      {"one offset", one("U8", "[4]", "[4]"), 4, corrupt, "a second number in data_offsets"},
      {"three offsets", one("U8", "[4]", "[0,4,8]"), 4, corrupt, "behind two data_offsets"},
      {"negative offset", one("U8", "[4]", "[-4,0]"), 4, corrupt,
       "in data_offsets, found a negative number"},
      {"fractional offset", one("U8", "[4]", "[0,4.5]"), 4, corrupt, "'4.5', which is no whole"},
      {"offset of 2^64", one("U8", "[4]", "[0,18446744073709551620]"), 4, corrupt, "past 2^64 - 1"},
      {"end before begin", one("U8", "[4]", "[4,0]"), 4, corrupt, "[4, 0] end before they begin"},
      {"too short for its shape", one("F32", "[4]", "[0,4]"), 4, corrupt,
       "F32 [4] takes 16 bytes, but data_offsets [0, 4] hold 4"},
      {"too long for its shape", one("U8", "[4]", "[0,8]"), 8, corrupt, "takes 4 bytes"},
      {"too long for rank 0", one("F32", "[]", "[0,8]"), 8, corrupt, "F32 [] takes 4 bytes"},
      {"bytes for an empty tensor", one("F32", "[0]", "[0,4]"), 4, corrupt, "takes 0 bytes"},
      {"data cut off", one("U8", "[4]", "[0,4]"), 3, corrupt,
       "ends at byte 4, but the file has 3 bytes of data"},
      {"a length far past the file", one("U8", "[1099511627776]", "[0,1099511627776]"), 4, corrupt,
       "ends at byte 1099511627776, but the file has 4"},
      {"hole at the start", one("U8", "[4]", "[1,5]"), 5, corrupt, "bytes 0 to 0 before it belong"},
      {"hole between", two("[0,4]", "[5,9]"), 9, corrupt, "bytes 4 to 4 before it belong"},
      {"bytes behind the last", good, 5, corrupt, "the file has 5 bytes of data: the rest belongs"},
      {"data without tensors", "{}", 1, corrupt, "the rest belongs to no tensor"},
      {"overlap", two("[0,4]", "[3,7]"), 7, corrupt, "overlaps tensor 'x', which ends at byte 4"},
      {"same bytes twice", two("[0,4]", "[0,4]"), 4, corrupt, "tensor 'y' begins at byte 0"},
      {"an empty tensor inside another",
       R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
       R"("z":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
       4, corrupt, "tensor 'z' begins at byte 2"},
  };
}

// reliability D3.
TEST(Safetensors, EveryBrokenRuleHasItsOwnError) {
  const auto cases = hostile_headers();
  EXPECT_GE(cases.size(), 60u);
  for (const Hostile& hostile : cases) {
    const auto header = parse_safetensors_header(hostile.json, hostile.data_bytes);
    ASSERT_FALSE(header.ok()) << hostile.rule;
    EXPECT_EQ(header.error().kind, hostile.kind) << hostile.rule << ": " << header.error().message;
    EXPECT_THAT(header.error().message, HasSubstr(hostile.says)) << hostile.rule;
  }
}

// The same cases as whole files: the path stands in front.
TEST(Safetensors, ErrorsNameTheFile) {
  const io::TemporaryFolder folder;
  for (const Hostile& hostile : hostile_headers()) {
    if (hostile.data_bytes > 1 << 20) continue;
    const auto path =
        folder.write("model.safetensors", length_bytes(hostile.json.size()) + hostile.json +
                                              std::string(hostile.data_bytes, 'd'));
    const auto file = read_file(path);
    ASSERT_FALSE(file.ok()) << hostile.rule;
    EXPECT_THAT(file.error().message, AllOf(HasSubstr(path.string()), HasSubstr(hostile.says)))
        << hostile.rule;
  }
}

TEST(Safetensors, ControlCharactersOfNamesStayOutOfMessages) {
  const auto header = parse_safetensors_header(R"({"\u001b[31m":1})", 0);
  ASSERT_FALSE(header.ok());
  EXPECT_THAT(header.error().message, HasSubstr("'?[31m'"));
}

TEST(SlowSafetensors, MoreThanAMillionTensorsAreUnsupported) {
  std::string json = "{";
  for (int i = 0; i <= 1'000'000; ++i) {
    if (i != 0) json += ',';
    json += "\"" + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  const std::string last = ",\"1000000\":";
  const auto whole = parse_safetensors_header(json.substr(0, json.rfind(last)) + "}", 0);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  EXPECT_EQ(whole->tensor_count(), 1'000'000u);
  const auto refused = parse_safetensors_header(json + "}", 0);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("more than 1000000 tensors"));
}

// Rules of the file around the JSON.
TEST(SafetensorsFile, LengthsThatCannotBeAreCorrupt) {
  const io::TemporaryFolder folder;
  struct Case {
    std::string bytes;
    const char* says;
  };
  const Case cases[] = {
      {"1234567", "has 7 bytes, too few"},
      {length_bytes(100'000'001), "says its header has 100000001 bytes; the format ends at"},
      {length_bytes(~0ull) + "{}", "says its header has 18446744073709551615 bytes"},
      {length_bytes(3) + "{}", "but only 2 follow"},
      {length_bytes(0), "does not begin with '{'"},
      {length_bytes(1) + "{", "found the end of the text"},
  };
  for (const Case& broken : cases) {
    const auto file = read_file(folder.write("model.safetensors", broken.bytes));
    ASSERT_FALSE(file.ok()) << broken.says;
    EXPECT_EQ(file.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(file.error().message, HasSubstr(broken.says));
  }
}

TEST(SafetensorsFile, AHugeLengthIsRefusedBeforeItIsRead) {
  const io::TemporaryFolder folder;
  const auto path = folder.write("model.safetensors", length_bytes(99'000'000) + "{}");
  io::FaultySystemCalls calls;
  const auto file = io::File::open(path, io::Access::buffered, calls);
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(read_safetensors_header(*file).ok());
  EXPECT_LE(calls.bytes_read(), 1024u);
}

TEST(SafetensorsFile, OnlyTheHeaderIsRead) {
  const io::TemporaryFolder folder;
  const auto header =
      make_safetensors_header(std::vector<NewTensor>{{"a", DType::f32, Shape{1000, 1000}}});
  ASSERT_TRUE(header.ok());
  const auto path = folder.write("model.safetensors", *header);
  std::filesystem::resize_file(path, header->size() + 4'000'000);
  io::FaultySystemCalls calls;
  const auto file = io::File::open(path, io::Access::buffered, calls);
  ASSERT_TRUE(file.ok());
  const auto read = read_safetensors_header(*file);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->data_offset_bytes, header->size());
  EXPECT_EQ(calls.bytes_read(), header->size());
}

TEST(SafetensorsFile, AFailingReadIsIo) {
  const io::TemporaryFolder folder;
  const auto path = folder.write("model.safetensors", length_bytes(2) + "{}");
  for (std::uint64_t k = 0; k < 2; ++k) {
    io::FaultySystemCalls calls;
    const auto file = io::File::open(path, io::Access::buffered, calls);
    ASSERT_TRUE(file.ok());
    calls.fail(io::FaultySystemCalls::Call::pread, k, EIO);
    const auto read = read_safetensors_header(*file);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().kind, ErrorKind::io);
  }
}

// A model of 25 tensors with a header of a good 2 KiB, as D1 and D2 ask for.
std::string small_model() {
  std::vector<NewTensor> tensors;
  for (int layer = 0; layer < 8; ++layer)
    for (const char* name : {"self_attn.q_proj.weight", "mlp.up_proj.weight", "norm.weight"})
      tensors.push_back(
          {"model.layers." + std::to_string(layer) + "." + name, DType::bf16, Shape{8, 4}});
  tensors.push_back({"lm_head.weight", DType::f32, Shape{16, 4}});
  auto header = make_safetensors_header(tensors);
  return *header + std::string(24 * 64 + 256, 'w');
}

// reliability D1: cut at every byte of the header and at 1,000 points of the data.
TEST(SafetensorsFile, CutAnywhereItIsRefused) {
  const io::TemporaryFolder folder;
  std::string bytes = small_model();
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), 8);
  header_bytes += 8;
  const auto path = folder.write("model.safetensors", bytes);
  ASSERT_TRUE(read_file(path).ok());
  std::set<std::size_t> lengths;
  for (std::size_t length = 0; length < header_bytes; ++length) lengths.insert(length);
  const std::size_t data = bytes.size() - header_bytes;
  for (std::size_t i = 0; i < 1000; ++i) lengths.insert(header_bytes + i * data / 1000);
  for (auto length = lengths.rbegin(); length != lengths.rend(); ++length) {
    std::filesystem::resize_file(path, *length);
    const double start = process_cpu_seconds();
    const auto file = read_file(path);
    const double took = process_cpu_seconds() - start;
    ASSERT_FALSE(file.ok()) << *length;
    ASSERT_EQ(file.error().kind, ErrorKind::corrupt) << file.error().message;
    ASSERT_LE(took, 0.05) << *length;
  }
}

// reliability D2: every bit of a 2 KiB header flipped. What still parses has to mean the same but
// for a name, or for a dtype of the same width, since both are free text and say so themselves.
TEST(SafetensorsFile, AFlippedBitIsRefusedOrHarmless) {
  const std::string bytes = small_model();
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), 8);
  const std::string json = bytes.substr(8, header_bytes);
  const std::uint64_t data_bytes = bytes.size() - 8 - header_bytes;
  const auto before = parse_safetensors_header(json, data_bytes);
  ASSERT_TRUE(before.ok());
  std::size_t refused = 0;
  std::size_t renamed = 0;
  std::size_t retyped = 0;
  for (std::size_t bit = 0; bit < json.size() * 8; ++bit) {
    std::string flipped = json;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    const auto after = parse_safetensors_header(flipped, data_bytes);
    if (!after.ok()) {
      ++refused;
      continue;
    }
    ASSERT_EQ(after->tensor_count(), before->tensor_count()) << bit;
    std::size_t differences = 0;
    for (std::size_t i = 0; i < before->tensor_count(); ++i) {
      const auto a = before->tensor(i);
      const auto b = after->tensor(i);
      ASSERT_EQ(a.begin_bytes, b.begin_bytes) << bit;
      ASSERT_EQ(a.end_bytes, b.end_bytes) << bit;
      ASSERT_EQ(a.shape, b.shape) << bit;
      ASSERT_EQ(size_bytes(a.dtype), size_bytes(b.dtype)) << bit;
      differences += (a.name != b.name) + (a.dtype != b.dtype);
      renamed += a.name != b.name;
      retyped += a.dtype != b.dtype;
    }
    ASSERT_LE(differences, 1u) << bit;
  }
  EXPECT_EQ(refused + renamed + retyped, json.size() * 8) << "each flip has to show";
  EXPECT_GE(json.size() * 8, 16384u);
  RecordProperty("refused", static_cast<int>(refused));
  RecordProperty("renamed", static_cast<int>(renamed));
  RecordProperty("retyped", static_cast<int>(retyped));
}

TEST(SafetensorsWriter, WhatItWritesIsRead) {
  const std::vector<NewTensor> tensors{{"0.logits", DType::f32, Shape{3, 5}},
                                       {"quote\"\n\u00e4", DType::bf16, Shape{}},
                                       {"none", DType::i64, Shape{0, 7}}};
  const auto bytes = make_safetensors_header(tensors);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(bytes->size() % 8, 0u);
  const auto header = parse_safetensors_header(bytes->substr(8), 62);
  ASSERT_TRUE(header.ok()) << header.error().message;
  ASSERT_EQ(header->tensor_count(), 3u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(header->tensor(i).name, tensors[i].name);
    EXPECT_EQ(header->tensor(i).dtype, tensors[i].dtype);
    EXPECT_EQ(header->tensor(i).shape, tensors[i].shape);
  }
}

TEST(SafetensorsWriter, RefusesWhatItsReaderWould) {
  const Shape half{1ull << 62};
  const std::vector<NewTensor> cases[] = {
      {{"a", DType::u8, Shape{1}}, {"a", DType::u8, Shape{1}}},
      {{"__metadata__", DType::u8, Shape{1}}},
      {{std::string(1025, 'n'), DType::u8, Shape{1}}},
      {{std::string("a\0b", 3), DType::u8, Shape{1}}},
      {{"\xff", DType::u8, Shape{1}}},
      {{"a", DType::f64, half}},
  };
  for (const auto& tensors : cases) {
    const auto header = make_safetensors_header(tensors);
    ASSERT_FALSE(header.ok());
    EXPECT_EQ(header.error().kind, ErrorKind::invalid_argument);
  }
}

TEST(SafetensorsData, EveryModelOfOthersIsRead) {
  OLLM_NEED_TEST_DATA(data);
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data)) {
    if (entry.path().extension() != ".safetensors") continue;
    if (entry.path().native().find("/field/") != std::string::npos) continue;  // some are broken
    const auto file = read_file(entry.path());
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_GT(file->header.tensor_count(), 0u) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 60u);
}

}  // namespace
}  // namespace ollm::checkpoint
