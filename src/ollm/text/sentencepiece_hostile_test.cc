// Broken and hostile SentencePiece models: refused by name, in bounded time and memory, or read.
// Leaves good ones to sentencepiece_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <string_view>

#include "ollm/base/clock.h"
#include "ollm/text/sentencepiece.pb.h"
#include "ollm/text/tokenizer.h"

namespace ollm::text {
namespace {

using sentencepiece::ModelProto;
using sentencepiece::TrainerSpec;
using ::testing::HasSubstr;
using Piece = ModelProto::SentencePiece;

void add(ModelProto& model, std::string_view text, Piece::Type type = Piece::NORMAL,
         float score = -1) {
  Piece& piece = *model.add_pieces();
  piece.set_piece(std::string(text));
  piece.set_type(type);
  piece.set_score(score);
}

ModelProto sample(TrainerSpec::ModelType type = TrainerSpec::UNIGRAM) {
  ModelProto model;
  model.mutable_trainer_spec()->set_model_type(type);
  add(model, "<unk>", Piece::UNKNOWN);
  add(model, "<s>", Piece::CONTROL);
  add(model, "</s>", Piece::CONTROL);
  for (const char* text : {"\u2581", "a", "b", "ab"}) add(model, text);
  return model;
}

std::string changed(const std::function<void(ModelProto&)>& change,
                    TrainerSpec::ModelType type = TrainerSpec::UNIGRAM) {
  ModelProto model = sample(type);
  change(model);
  return model.SerializeAsString();
}

Result<Tokenizer> make(std::string_view bytes, std::string_view config = "") {
  return Tokenizer::make({.tokenizer_config_json = config, .sentencepiece_model = bytes});
}

struct BadModel {
  const char* name;
  std::function<std::string()> bytes;
  ErrorKind kind;
  const char* message;
};

std::string charsmap(const std::string& map) {
  return changed(
      [&](ModelProto& m) { m.mutable_normalizer_spec()->set_precompiled_charsmap(map); });
}

const BadModel kBadModels[] = {
    {"NoPieces", [] { return ModelProto().SerializeAsString() + "\x12"; }, ErrorKind::corrupt,
     "cut or broken"},
    {"AnotherMessage", [] { return std::string("\x08\x01\x10\x02"); }, ErrorKind::corrupt,
     "no pieces"},
    {"PiecesOfAnotherWireType",
     [] {
       return std::string(
           "\x09"
           "12345678");
     },
     ErrorKind::corrupt, "no pieces"},
    {"APieceLongerThanTheFile",
     [] {
       return std::string(
           "\x0a\xff\xff\xff\xff\x07"
           "abc");
     },
     ErrorKind::corrupt, "cut or broken"},
    {"ALengthOfTwoToThe63", [] { return std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"); },
     ErrorKind::corrupt, "cut or broken"},
    {"ANumberWithoutEnd", [] { return "\x08" + std::string(64, '\xff'); }, ErrorKind::corrupt,
     "cut or broken"},
    {"GroupsThatNest", [] { return std::string(100'000, '\x7b'); }, ErrorKind::corrupt,
     "cut or broken"},
    {"TooLarge", [] { return std::string((16 << 20) + 1, '\x0a'); }, ErrorKind::unsupported,
     "the limit is"},
    {"TwoPiecesAlike", [] { return changed([](ModelProto& m) { add(m, "ab"); }); },
     ErrorKind::corrupt, "'ab' stands twice"},
    {"AnEmptyPiece", [] { return changed([](ModelProto& m) { add(m, ""); }); }, ErrorKind::corrupt,
     "piece 7 is empty"},
    {"APieceThatIsNotUtf8", [] { return changed([](ModelProto& m) { add(m, "\xe6\xbc"); }); },
     ErrorKind::corrupt, "piece 7 is not UTF-8"},
    {"APieceThatIsTooLong",
     [] { return changed([](ModelProto& m) { add(m, std::string(257, 'a')); }); },
     ErrorKind::unsupported, "piece 7 has 257 bytes"},
    {"AScoreThatIsNoNumber",
     [] {
       return changed([](ModelProto& m) {
         add(m, "c", Piece::NORMAL, std::numeric_limits<float>::quiet_NaN());
       });
     },
     ErrorKind::corrupt, "piece 7 has the score nan"},
    {"AnInfiniteScore",
     [] {
       return changed([](ModelProto& m) {
         add(m, "c", Piece::NORMAL, std::numeric_limits<float>::infinity());
       });
     },
     ErrorKind::corrupt, "piece 7 has the score inf"},
    {"NoUnknownPiece",
     [] { return changed([](ModelProto& m) { m.mutable_pieces(0)->set_type(Piece::NORMAL); }); },
     ErrorKind::corrupt, "no piece is the unknown one"},
    {"TwoUnknownPieces", [] { return changed([](ModelProto& m) { add(m, "?", Piece::UNKNOWN); }); },
     ErrorKind::corrupt, "pieces 0 and 7 are both the unknown one"},
    {"ByteFallbackWithoutBytes",
     [] {
       return changed([](ModelProto& m) { m.mutable_trainer_spec()->set_byte_fallback(true); });
     },
     ErrorKind::corrupt, "<0x00>"},
    {"AWordModel", [] { return changed([](ModelProto&) {}, TrainerSpec::WORD); },
     ErrorKind::unsupported, "a word model"},
    {"ACharacterModel", [] { return changed([](ModelProto&) {}, TrainerSpec::CHAR); },
     ErrorKind::unsupported, "a character model"},
    {"SpacesAsSuffixes",
     [] {
       return changed(
           [](ModelProto& m) { m.mutable_trainer_spec()->set_treat_whitespace_as_suffix(true); });
     },
     ErrorKind::unsupported, "treat_whitespace_as_suffix"},
    {"SpacesKept",
     [] {
       return changed(
           [](ModelProto& m) { m.mutable_normalizer_spec()->set_escape_whitespaces(false); });
     },
     ErrorKind::unsupported, "escape_whitespaces"},
    {"Denormalization",
     [] {
       return changed(
           [](ModelProto& m) { m.mutable_denormalizer_spec()->set_precompiled_charsmap("rules"); });
     },
     ErrorKind::unsupported, "denormalizer_spec"},
    {"UnusedPiecesInBpe",
     [] { return changed([](ModelProto& m) { add(m, "c", Piece::UNUSED); }, TrainerSpec::BPE); },
     ErrorKind::unsupported, "piece 7 is unused"},
    {"ACharsmapShorterThanItsSize", [] { return charsmap("abc"); }, ErrorKind::corrupt,
     "precompiled_charsmap: shorter"},
    {"ACharsmapLongerThanItIs", [] { return charsmap(std::string("\xf0\xff\xff\xff", 4)); },
     ErrorKind::corrupt, "precompiled_charsmap: a trie of"},
    {"ATiktokenFile", [] { return std::string("IQ== 0\nIg== 1\n"); }, ErrorKind::unsupported,
     "a tiktoken file"},
    {"MergesWithoutEnd",
     [] {  // all substrings of a random string: each cut of each is a pair
       std::mt19937 random(1);
       std::string text;
       while (text.size() < 330) text += static_cast<char>('a' + random() % 26);
       return changed(
           [&](ModelProto& m) {
             m.clear_pieces();
             add(m, "<unk>", Piece::UNKNOWN);
             for (std::size_t i = 0; i < 26; ++i)
               add(m, std::string(1, static_cast<char>('a' + i)));
             for (std::size_t begin = 0; begin < text.size(); ++begin) {
               for (std::size_t size = 5; size <= 256 && begin + size <= text.size(); ++size) {
                 add(m, text.substr(begin, size));
               }
             }
           },
           TrainerSpec::BPE);
     },
     ErrorKind::unsupported, "pairs of pieces"},
};

class HostileModel : public ::testing::TestWithParam<BadModel> {};

TEST_P(HostileModel, IsRefusedNamingWhatIsWrong) {
  const std::string bytes = GetParam().bytes();
  const double before = process_cpu_seconds();
  const auto made = make(bytes);
  EXPECT_LE(process_cpu_seconds() - before, 2.0);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(to_string(made.error().kind), to_string(GetParam().kind)) << made.error().message;
  EXPECT_THAT(made.error().message,
              AllOf(HasSubstr("tokenizer.model"), HasSubstr(GetParam().message)));
  if (made.error().kind == ErrorKind::unsupported) {
    EXPECT_THAT(made.error().message, HasSubstr("save_pretrained"));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, HostileModel, ::testing::ValuesIn(kBadModels),
                         [](const auto& model) { return std::string(model.param.name); });

TEST(HostileModel, CutAnywhereItIsRefusedOrShorterByWholePieces) {
  const std::string bytes = sample().SerializeAsString();
  std::size_t whole = 0;
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    const auto made = make(bytes.substr(0, size));
    if (made.ok()) {
      ++whole;
      EXPECT_LE(made->vocabulary_size(), 7u);
    } else {
      EXPECT_EQ(made.error().kind, ErrorKind::corrupt) << size;
    }
  }
  EXPECT_LE(whole, 7u);
}

TEST(HostileModel, EveryFlippedBitIsRefusedOrRead) {
  const std::string bytes = sample(TrainerSpec::BPE).SerializeAsString();
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    const auto made = make(flipped);
    if (made.ok()) {
      EXPECT_TRUE(made->encode("ab a<s>b", {}).ok() || made->id_of("<unk>") == std::nullopt);
    } else {
      EXPECT_TRUE(made.error().kind == ErrorKind::corrupt ||
                  made.error().kind == ErrorKind::unsupported);
    }
  }
}

TEST(HostileModel, APieceWithNulIsAPiece) {
  const std::string nul("a\0b", 3);
  const auto made = make(changed([&](ModelProto& m) { add(m, nul, Piece::NORMAL, -0.5); }));
  ASSERT_TRUE(made.ok()) << made.error().message;
  const auto ids = made->encode(nul, {});
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(ids->back(), 7);
  EXPECT_EQ(*made->decode(*ids, false), nul);
}

TEST(HostileModel, ACharsmapThatLeadsNowhereChangesNothing) {
  // Units whose offsets lead back to the root, out of the trie, and to targets that are not there.
  for (const std::uint32_t unit : {0x00000161u, 0xFFFFFF61u, 0x7FFFFD61u, 0x00000000u}) {
    std::string map("\x00\x04\x00\x00", 4);
    for (int i = 0; i < 256; ++i) map.append(reinterpret_cast<const char*>(&unit), sizeof(unit));
    const auto made = make(charsmap(map + "x"));
    ASSERT_TRUE(made.ok()) << made.error().message;
    EXPECT_TRUE(made->encode("aaa ab", {}).ok());
  }
}

TEST(HostileModel, RunsOfSpacesTakeLinearTime) {
  const auto made = make(sample().SerializeAsString());
  ASSERT_TRUE(made.ok());
  for (const char* unit : {" ", "\u2581", "a ", " \u2581"}) {
    std::string text;
    while (text.size() < (1 << 20)) text += unit;
    const double before = process_cpu_seconds();
    EXPECT_TRUE(made->encode(text + "b", {}).ok());
    EXPECT_LE(process_cpu_seconds() - before, 2.0) << unit;
  }
}

TEST(HostileModel, WhatTheConfigAsksForMustBeThere) {
  const std::string bytes = sample().SerializeAsString();
  const auto t5 = make(bytes, R"({"tokenizer_class": "T5Tokenizer", "extra_ids": 1000000000})");
  ASSERT_FALSE(t5.ok());
  EXPECT_EQ(t5.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(t5.error().message, HasSubstr("extra_ids"));
  const auto bos = make(bytes, R"({"add_bos_token": true, "bos_token": "<bos>x"})");
  ASSERT_TRUE(bos.ok()) << "an added token like any other";
}

}  // namespace
}  // namespace ollm::text
