#include "ollm/checkpoint/model_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ollm/base/json_cursor.h"
#include "ollm/checkpoint/model_folder_fixture.h"
#include "tests/test_data.h"

namespace ollm::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Call = io::FaultySystemCalls::Call;

TEST_F(ModelFolderTest, OpensASingleFile) {
  write("model.safetensors", weights({"b", "a"}));
  write("generation_config.json", R"({"eos_token_id":[2,3]})");
  write("tokenizer.json", "{}");
  write("chat_template.jinja", "{{ messages }}");
  const auto folder = open();
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(folder->path(), folder_.path());
  EXPECT_EQ(folder->config()["hidden_size"], 4);
  EXPECT_THAT(folder->config_text(), HasSubstr("hidden_size"));
  EXPECT_THAT(folder->generation_config().eos_token_ids, ElementsAre(2, 3));
  EXPECT_TRUE(folder->has_generation_config());
  EXPECT_THAT(folder->tokenizer_files(), ElementsAre("tokenizer.json", "chat_template.jinja"));
  EXPECT_EQ(*folder->read_text("chat_template.jinja"), "{{ messages }}");
  EXPECT_EQ(*folder->read_optional_text("added_tokens.json"), std::nullopt);
  ASSERT_EQ(folder->tensors().tensors().size(), 2u);
  const TensorInfo* a = folder->tensors().find("a");
  ASSERT_NE(a, nullptr);
  std::vector<std::byte> bytes(a->size_bytes);
  ASSERT_TRUE(folder->file(a->file).read_at(a->offset_bytes, bytes).ok());
  EXPECT_EQ(bytes, std::vector<std::byte>(16, std::byte{2}));
  EXPECT_TRUE(folder->check_unchanged().ok());
}

TEST_F(ModelFolderTest, OpensShards) {
  write_shards();
  const auto folder = open();
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  ASSERT_EQ(folder->tensors().files().size(), 2u);
  EXPECT_EQ(folder->tensors().files()[1].path.filename(), "model-2.safetensors");
  EXPECT_EQ(folder->tensors().find("b")->file, 1u);
  EXPECT_EQ(folder->tensors().files()[1].identity, folder->file(1).identity());
  EXPECT_FALSE(folder->has_generation_config());
}

TEST_F(ModelFolderTest, OtherSafetensorsFilesAreLeftAlone) {
  write_shards();
  write("consolidated.safetensors", "not even one");
  write("golden.safetensors", weights({"a", "b"}));
  const auto folder = open();
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(folder->tensors().tensors().size(), 2u);
}

TEST_F(ModelFolderTest, AMissingFolderOrConfigIsNotFound) {
  const auto missing = ModelFolder::open(folder_.path() / "absent");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("there is no such folder"));
  std::filesystem::remove(folder_.path() / "config.json");
  write("model.safetensors", weights({"a"}));
  expect_refused(ErrorKind::not_found, HasSubstr("has no config.json"));
}

TEST_F(ModelFolderTest, ACacheFolderOrAdapterSaysWhatToNameInstead) {
  std::filesystem::remove(folder_.path() / "config.json");
  write("adapter_config.json", "{}");
  expect_refused(ErrorKind::not_found, HasSubstr("name the folder of its base model"));
  write("snapshots/abc/config.json", "{}");
  expect_refused(ErrorKind::not_found, HasSubstr("name a folder in its snapshots"));
}

TEST_F(ModelFolderTest, AFileIsNoFolder) {
  struct Case {
    const char* name;
    std::string content;
    ErrorKind kind;
    const char* says;
  };
  const Case cases[] = {
      {"model.gguf", "GGUF\3", ErrorKind::unsupported, "is a GGUF file"},
      {"model.safetensors", weights({"a"}), ErrorKind::invalid_argument, "name its folder"},
      {"x.safetensors", "GGUF\3\0\0\0\1\1", ErrorKind::unsupported, "is a GGUF file"},
      {"config.json", "{}", ErrorKind::invalid_argument, "name its folder"},
      {"tokenizer.model", "\x0a\x01", ErrorKind::invalid_argument, "name its folder"},
      {"pytorch_model.bin", "PK\3\4", ErrorKind::unsupported, "is a zip archive"},
      {"weights.pt", "anything", ErrorKind::unsupported, "pickle checkpoint"},
      {"notes.txt", "anything", ErrorKind::invalid_argument, "a model is a folder"},
      {"empty", "", ErrorKind::corrupt, "is empty"},
  };
  for (const Case& item : cases) {
    const auto folder = ModelFolder::open(write(item.name, item.content));
    ASSERT_FALSE(folder.ok());
    EXPECT_EQ(folder.error().kind, item.kind) << item.name;
    EXPECT_THAT(folder.error().message, AllOf(HasSubstr(item.name), HasSubstr(item.says)));
  }
  const auto device = ModelFolder::open("/dev/null");
  EXPECT_EQ(device.error().kind, ErrorKind::invalid_argument);
  EXPECT_THAT(device.error().message,
              AllOf(HasSubstr("/dev/null: is a device"), HasSubstr("a model is a folder")));
}

// What names and texts of files say reaches no terminal as it is.
TEST_F(ModelFolderTest, MessagesArePrintable) {
  const std::string evil =
      "\x1b]0;x\a\xc2\x9b"
      "31m\xff";
  write("x.safetensors", "x");
  std::filesystem::rename(folder_.path() / "x.safetensors",
                          folder_.path() / ("model-" + evil + ".safetensors"));
  write("generation_config.json", R"({"temperature":"\u001b[31m"})");
  write("model.safetensors", weights({"a"}));
  const auto folder = open();
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  ASSERT_EQ(folder->notes().size(), 2u);
  for (const FolderNote& note : folder->notes()) EXPECT_EQ(printable(note.because), note.because);
  EXPECT_THAT(folder->notes()[0].because, HasSubstr("?[31m"));
  std::filesystem::remove(folder_.path() / "model.safetensors");
  const auto none = open();
  EXPECT_EQ(printable(none.error().message), none.error().message);
}

TEST_F(ModelFolderTest, AFolderWithoutWeightsIsNotFound) {
  expect_refused(ErrorKind::not_found, HasSubstr("neither model.safetensors nor"));
  write("consolidated.safetensors", weights({"a"}));
  expect_refused(ErrorKind::not_found, HasSubstr("consolidated.safetensors is in another naming"));
  write("model.safetensors.incomplete", "x");
  expect_refused(ErrorKind::not_found, HasSubstr("the download is not whole"));
  write("model-00001-of-00002.safetensors", weights({"a"}));
  expect_refused(ErrorKind::not_found, HasSubstr("but no model.safetensors.index.json"));
}

// reliability D9: foreign weights by their names ...
TEST_F(ModelFolderTest, PicklesAndOtherWeightsAreUnsupported) {
  for (const char* name : {"pytorch_model.bin", "model.pt", "model.pth", "model.ckpt",
                           "pytorch_model-00001-of-00002.bin"}) {
    const auto path = write(name, "anything");
    expect_refused(ErrorKind::unsupported,
                   AllOf(HasSubstr(name), HasSubstr("a pickle is a program"),
                         HasSubstr("safe_serialization=True")));
    std::filesystem::remove(path);
  }
  for (const char* name :
       {"model-Q4_K_M.gguf", "tf_model.h5", "flax_model.msgpack", "model.onnx"}) {
    const auto path = write(name, "anything");
    expect_refused(ErrorKind::unsupported, HasSubstr(name));
    std::filesystem::remove(path);
  }
}

// ... and under the name of a safetensors file.
TEST_F(ModelFolderTest, WhatIsNoSafetensorsFileIsNamed) {
  struct Case {
    std::string content;
    ErrorKind kind;
    const char* says;
  };
  const Case cases[] = {
      {"", ErrorKind::corrupt, "is empty"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 16060522904\n",
       ErrorKind::corrupt, "run `git lfs pull`"},
      {"<!DOCTYPE html><html><head><title>Log in</title>", ErrorKind::corrupt, "is a web page"},
      {"\n  <html lang=\"en\"><body>404</body>", ErrorKind::corrupt, "is a web page"},
      {std::string("GGUF\x03\0\0\0\x23\x01\0\0\0\0\0\0", 16), ErrorKind::unsupported, "GGUF"},
      {std::string("PK\x03\x04\0\0\x08\x08\0\0\0\0archive/data.pkl", 28), ErrorKind::unsupported,
       "is a zip archive"},
      {"\x80\x02}q\x01(X\x05weightq\x02", ErrorKind::unsupported, "is a Python pickle"},
      {std::string("\x1f\x8b\x08\x08\x12\x34\x56\x67\0\x03model", 15), ErrorKind::corrupt,
       "packed with gzip"},
      {R"({"error":"Access to model meta-llama is restricted"})", ErrorKind::corrupt,
       "is a JSON text"},
      {"abcdefghijkl", ErrorKind::corrupt, "says its header has"},
  };
  for (const Case& foreign : cases) {
    write("model.safetensors", foreign.content);
    expect_refused(foreign.kind, AllOf(HasSubstr("model.safetensors: "), HasSubstr(foreign.says)));
  }
}

TEST_F(ModelFolderTest, ACutFileWhoseLengthLooksLikeAPickleIsCalledCut) {
  std::string length("\x80\x02\0\0\0\0\0\0", 8);  // a header of 640 bytes
  write("model.safetensors", length + "{\"a\":");
  expect_refused(ErrorKind::corrupt, HasSubstr("it is cut off"));
}

TEST_F(ModelFolderTest, PointersAndPagesInThePlaceOfTextsAreNamed) {
  write("model.safetensors", weights({"a"}));
  write("tokenizer.json", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n");
  {
    const auto folder = open();
    ASSERT_TRUE(folder.ok()) << folder.error().message;
    EXPECT_THAT(folder->read_text("tokenizer.json").error().message,
                AllOf(HasSubstr("tokenizer.json: "), HasSubstr("git lfs pull")));
  }
  write("config.json", "<html>");
  expect_refused(ErrorKind::corrupt, AllOf(HasSubstr("config.json"), HasSubstr("is a web page")));
}

TEST_F(ModelFolderTest, AFileWithoutTensorsIsCorrupt) {
  write("model.safetensors", weights({}));
  expect_refused(ErrorKind::corrupt, HasSubstr("holds no tensor"));
}

// reliability D5.
TEST_F(ModelFolderTest, AMissingShardIsNotFoundByName) {
  write_shards();
  std::filesystem::remove(folder_.path() / "model-2.safetensors");
  expect_refused(ErrorKind::not_found,
                 AllOf(HasSubstr("model-2.safetensors is missing"), HasSubstr("tensor 'b'")));
}

TEST_F(ModelFolderTest, ATensorStoredTwiceIsCorruptByName) {
  write_shards();
  write("model-2.safetensors", weights({"a", "b"}));
  expect_refused(ErrorKind::corrupt,
                 AllOf(HasSubstr("tensor 'a' stands twice"), HasSubstr("model-1.safetensors"),
                       HasSubstr("model-2.safetensors")));
}

// The decision on the index, and what the headers say: tensors by name, and where they lie.
struct Disagreeing {
  const char* index;
  std::vector<std::string> first, second;  // tensors of the two shards
  std::vector<const char*> says;           // all in one decision
};

TEST_F(ModelFolderTest, WhereTheIndexDisagreesTheHeadersDecide) {
  const std::string one = "model-1.safetensors", two = "model-2.safetensors";
  const Disagreeing cases[] = {
      {R"({"weight_map":{"a":"model-1.safetensors","c":"model-2.safetensors"}})",
       {"a", "b"},
       {"c"},
       {"it lacks tensor 'b' of 'model-1.safetensors'"}},
      {R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors",
          "gone":"model-1.safetensors","too":"model-1.safetensors"}})",
       {"a"},
       {"b"},
       {"it names tensor 'gone', which no shard has (and 1 more)"}},
      {R"({"weight_map":{"a":"model-2.safetensors","b":"model-1.safetensors"}})",
       {"a"},
       {"b"},
       {"it says 'model-2.safetensors' for tensor 'a', which is in 'model-1.safetensors'"}},
      {R"({"weight_map":{"a":"./model-1.safetensors","b":"./x/../model-2.safetensors"}})",
       {"a"},
       {"b"},
       {"it names a shard as './model-1.safetensors'"}},
      {R"({"weight_map":{"b":"model-1.safetensors","a":"model-1.safetensors","b":"model-2.safetensors"},
          "metadata":{"total_size":1}})",
       {"a"},
       {"b"},
       {"key 'b' stands twice"}},
      {R"({"weight_map":{"x":"model-1.safetensors","y":"model-2.safetensors"}})",
       {"a"},
       {"b"},
       {"lacks tensor 'a'", "(and 1 more)", "names tensor 'x'"}},
  };
  for (const Disagreeing& item : cases) {
    write("model.safetensors.index.json", item.index);
    write(one.c_str(), weights(item.first));
    write(two.c_str(), weights(item.second));
    const auto folder = open();
    ASSERT_TRUE(folder.ok()) << folder.error().message;
    EXPECT_EQ(folder->tensors().tensors().size(), item.first.size() + item.second.size());
    for (const std::string& name : item.second) {
      ASSERT_NE(folder->tensors().find(name), nullptr) << name;
      EXPECT_EQ(folder->tensors().find(name)->file, 1u);
    }
    ASSERT_EQ(folder->notes().size(), 1u) << item.index;
    EXPECT_EQ(folder->notes()[0].what, "weights.index");
    EXPECT_EQ(folder->notes()[0].chosen, "headers");
    for (const char* says : item.says) EXPECT_THAT(folder->notes()[0].because, HasSubstr(says));
  }
}

TEST_F(ModelFolderTest, AnIndexThatAgreesIsNothingToTell) {
  write_shards();
  EXPECT_TRUE(open()->notes().empty());
}

TEST_F(ModelFolderTest, ShardsMayLieInAFolderOfTheirOwn) {
  write("model.safetensors.index.json",
        R"({"weight_map":{"a":"w/model-1.safetensors","b":"w//v/other.safetensors"}})");
  write("w/model-1.safetensors", weights({"a"}));
  expect_refused(ErrorKind::not_found, HasSubstr("the shard w/v/other.safetensors is missing"));
  write("w/v/other.safetensors", weights({"b"}));
  const auto folder = open();
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(folder->tensors().files()[1].path, folder_.path() / "w/v/other.safetensors");
  EXPECT_THAT(folder->notes()[0].because, HasSubstr("'w/model-1.safetensors'"));
}

// Two names, one file: nothing is stored twice.
TEST_F(ModelFolderTest, AShardThatIsALinkToAnotherIsReadOnce) {
  write_shards();
  write("model-1.safetensors", weights({"a", "b"}));
  std::filesystem::remove(folder_.path() / "model-2.safetensors");
  std::filesystem::create_symlink("model-1.safetensors", folder_.path() / "model-2.safetensors");
  const auto folder = open();
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(folder->tensors().files().size(), 1u);
}

TEST_F(ModelFolderTest, WeightsThatLieBesideAreToldAndNotRead) {
  write_shards();
  write("model-3.safetensors", "broken, and not looked at");
  write("consolidated.safetensors", "the same");
  const auto sharded = open();
  ASSERT_TRUE(sharded.ok()) << sharded.error().message;
  ASSERT_EQ(sharded->notes().size(), 1u);
  EXPECT_EQ(sharded->notes()[0].what, "weights.beside");
  EXPECT_THAT(sharded->notes()[0].because,
              HasSubstr("'consolidated.safetensors', 'model-3.safetensors'"));
  write("model.safetensors", weights({"x"}));
  const auto single = open();
  ASSERT_TRUE(single.ok()) << single.error().message;
  EXPECT_NE(single->tensors().find("x"), nullptr);
  EXPECT_EQ(single->tensors().tensors().size(), 1u);
  ASSERT_EQ(single->notes().size(), 2u);
  EXPECT_EQ(single->notes()[0].what, "weights.files");
}

TEST_F(ModelFolderTest, AVariantIsNamed) {
  write("model.fp16.safetensors", weights({"a"}));
  expect_refused(ErrorKind::not_found, HasSubstr("model.fp16.safetensors is a variant"));
  write("model.safetensors.index.fp32.json", kIndex);
  expect_refused(ErrorKind::not_found, HasSubstr("is a variant"));
}

// Transformers puts the adapter on top of the weights: the base alone would be a wrong answer.
TEST_F(ModelFolderTest, AnAdapterBesideTheWeightsIsUnsupported) {
  write("adapter_config.json", R"({"base_model_name_or_path":"x/y","peft_type":"LORA"})");
  write("adapter_model.safetensors", weights({"l"}));
  expect_refused(ErrorKind::unsupported,
                 AllOf(HasSubstr("is an adapter of 'x/y'"), HasSubstr("no weights of a model")));
  write("model.safetensors", weights({"a"}));
  expect_refused(ErrorKind::unsupported,
                 AllOf(HasSubstr("adapter_config.json"), HasSubstr("of 'x/y' lies beside"),
                       HasSubstr("move adapter_config.json"), HasSubstr("merge_and_unload")));
  write("adapter_config.json", "no json");
  expect_refused(ErrorKind::unsupported, HasSubstr("an adapter lies beside"));
  std::filesystem::remove(folder_.path() / "adapter_config.json");
  const auto folder = open();  // without its config it is weights of any other name
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(folder->notes()[0].what, "weights.beside");
}

TEST_F(ModelFolderTest, SettingsOfOtherProgramsAreTold) {
  write("model.safetensors", weights({"a"}));
  for (const char* name :
       {"modules.json", "quantize_config.json", "quant_config.json", "hf_quant_config.json"}) {
    const auto path = write(name, "anything");
    const auto folder = open();
    ASSERT_TRUE(folder.ok()) << folder.error().message;
    ASSERT_EQ(folder->notes().size(), 1u);
    EXPECT_THAT(folder->notes()[0].because, HasSubstr(name));
    std::filesystem::remove(path);
  }
}

TEST_F(ModelFolderTest, NamesOfTheIndexMayNotLeaveTheFolder) {
  for (const char* name : {"../x.safetensors", "/etc/x.safetensors", "sub/../../x.safetensors"}) {
    write("model.safetensors.index.json", std::string(R"({"weight_map":{"a":")") + name + "\"}}");
    expect_refused(ErrorKind::corrupt, AllOf(HasSubstr(name), HasSubstr("tensor 'a'")));
  }
}

TEST_F(ModelFolderTest, AFifoIsRefusedWithoutWaiting) {
  ASSERT_EQ(::mkfifo((folder_.path() / "model.safetensors").c_str(), 0600), 0);
  expect_refused(ErrorKind::invalid_argument, HasSubstr("is a FIFO"));
}

TEST_F(ModelFolderTest, BrokenConfigsAreNamed) {
  write("model.safetensors", weights({"a"}));
  const std::pair<std::string, const char*> cases[] = {
      {"[]", "config.json: expected an object, found a list of 0"},
      {"{\"a\":1,\"a\":2}", "config.json: byte 7: duplicate key 'a'"},
      {"", "config.json: byte 0: expected a value"},
  };
  for (const auto& [text, says] : cases) {
    write("config.json", text);
    expect_refused(ErrorKind::corrupt, HasSubstr(says));
  }
}

// It matters to --model-defaults alone.
TEST_F(ModelFolderTest, AGenerationConfigThatCannotBeReadIsTold) {
  write("model.safetensors", weights({"a"}));
  const std::pair<std::string, const char*> cases[] = {
      {R"({"eos_token_id":"2"})", "generation_config.json: eos_token_id: expected"},
      {R"({"top_k":-1,"eos_token_id":2})",
       "top_k: expected an integer from 0 to 2147483647, found -1"},
      {"{", "generation_config.json: byte 1"},
      {"<html>", "is a web page"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"},
      {"[" + std::string(2 << 20, ' ') + "]", "the limit is 1.0 MiB"},
  };
  for (const auto& [text, says] : cases) {
    write("generation_config.json", text);
    const auto folder = open();
    ASSERT_TRUE(folder.ok()) << folder.error().message;
    ASSERT_EQ(folder->notes().size(), 1u);
    EXPECT_EQ(folder->notes()[0].what, "generation_config");
    EXPECT_THAT(folder->notes()[0].because, HasSubstr(says));
    EXPECT_EQ(folder->generation_config().check_sampling().ok(), text.find("\"2\"") != text.npos);
  }
  const auto path = folder_.path() / "generation_config.json";
  std::filesystem::remove(path);
  std::filesystem::create_symlink("nowhere", path);
  expect_refused(ErrorKind::not_found, HasSubstr("generation_config.json: is a link to a file"));
}

// reliability D6, the part of the file alone.
TEST_F(ModelFolderTest, AConfigOf100MegabytesIsRefusedUnread) {
  write("model.safetensors", weights({"a"}));
  std::filesystem::resize_file(folder_.path() / "config.json", 100'000'000);
  expect_refused(ErrorKind::unsupported,
                 AllOf(HasSubstr("95.4 MiB"), HasSubstr("limit is 1.0 MiB")));
  EXPECT_EQ(calls_.bytes_read(), 0u);
}

TEST_F(ModelFolderTest, OpeningReadsNothingButTextsAndHeaders) {
  write("model.safetensors", weights({"a"}));
  const std::uint64_t small = std::filesystem::file_size(folder_.path() / "config.json") +
                              std::filesystem::file_size(folder_.path() / "model.safetensors");
  auto header = make_safetensors_header(std::vector<NewTensor>{{"a", DType::f32, Shape{1 << 20}}});
  const auto path = write("model.safetensors", *header);
  std::filesystem::resize_file(path, header->size() + (4 << 20));
  ASSERT_TRUE(open().ok());
  EXPECT_LE(calls_.bytes_read(), small + 64);
}

TEST_F(ModelFolderTest, EveryFailedCallIsAnErrorThatNamesAFile) {
  write_shards();
  for (const Call call :
       {Call::stat, Call::realpath, Call::list, Call::open, Call::fstat, Call::pread}) {
    for (std::uint64_t k = 0;; ++k) {
      ASSERT_LT(k, 100u);
      io::FaultySystemCalls calls;
      calls.fail(call, k, EIO);
      const auto folder = ModelFolder::open(folder_.path(), calls);
      if (folder.ok()) {
        EXPECT_LE(calls.count(call), k) << "a failed call went unnoticed";
        break;
      }
      EXPECT_EQ(folder.error().kind, ErrorKind::io) << folder.error().message;
      EXPECT_THAT(folder.error().message, HasSubstr(folder_.path().string()));
      EXPECT_EQ(calls.open_files(), 0u);
    }
  }
}

TEST_F(ModelFolderTest, TornReadsGiveTheSameFolder) {
  write_shards();
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    io::FaultySystemCalls calls;
    calls.tear_transfers(seed);
    calls.interrupt_transfers(seed, 3);
    const auto folder = ModelFolder::open(folder_.path(), calls);
    ASSERT_TRUE(folder.ok()) << folder.error().message;
    ASSERT_EQ(folder->tensors().total_bytes(), 32u);
  }
}

// reliability B4 and B8, as the streaming of weights meets them.
TEST_F(ModelFolderTest, AFailedReadOfAWeightNamesFileAndByte) {
  write_shards();
  const auto folder = open();
  ASSERT_TRUE(folder.ok());
  const TensorInfo* b = folder->tensors().find("b");
  std::vector<std::byte> bytes(b->size_bytes);
  calls_.fail(Call::pread, 0, EIO);
  const auto read = folder->file(b->file).read_at(b->offset_bytes, bytes);
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message, AllOf(HasSubstr("model-2.safetensors"),
                                          HasSubstr("at byte " + std::to_string(b->offset_bytes))));
  EXPECT_TRUE(folder->file(b->file).read_at(b->offset_bytes, bytes).ok());
}

TEST_F(ModelFolderTest, AChangedShardIsNoticed) {
  write_shards();
  const auto path = folder_.path() / "model-2.safetensors";
  const auto folder = open();
  ASSERT_TRUE(folder.ok());
  EXPECT_TRUE(folder->check_unchanged().ok());
  std::filesystem::last_write_time(
      path, std::filesystem::last_write_time(path) + std::chrono::seconds(5));
  const auto changed = folder->check_unchanged();
  ASSERT_FALSE(changed.ok());
  EXPECT_EQ(changed.error().kind, ErrorKind::corrupt);
  EXPECT_THAT(changed.error().message,
              AllOf(HasSubstr("model-2.safetensors"), HasSubstr("changed while in use")));
}

TEST_F(ModelFolderTest, OnlyPlainNamesAreRead) {
  write("model.safetensors", weights({"a"}));
  write("sub/file.txt", "x");
  const auto folder = open();
  ASSERT_TRUE(folder.ok());
  for (const char* name : {"../x", "/etc/passwd", "sub/file.txt", "", ".."}) {
    EXPECT_EQ(folder->read_text(name).error().kind, ErrorKind::corrupt) << name;
    EXPECT_EQ(folder->read_optional_text(name).error().kind, ErrorKind::corrupt) << name;
  }
  EXPECT_EQ(folder->read_text("absent.json").error().kind, ErrorKind::not_found);
}

TEST_F(ModelFolderTest, TextsHaveALimit) {
  write("model.safetensors", weights({"a"}));
  std::filesystem::resize_file(write("tokenizer.json", ""), (256 << 20) + 1);
  std::filesystem::resize_file(write("merges.txt", ""), (64 << 20) + 1);
  const auto folder = open();
  ASSERT_TRUE(folder.ok());
  EXPECT_THAT(folder->read_text("tokenizer.json").error().message, HasSubstr("limit is 256.0 MiB"));
  EXPECT_THAT(folder->read_text("merges.txt").error().message, HasSubstr("limit is 64.0 MiB"));
}

TEST(ModelFolderWithoutWeights, ATokenizerIsEnough) {
  const io::TemporaryFolder folder;
  folder.write("tokenizer.json", "{}");
  folder.write("model.safetensors", "broken, and not looked at");
  const auto opened = ModelFolder::open_without_weights(folder.path());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_FALSE(opened->has_config());
  EXPECT_FALSE(opened->has_weights());
  EXPECT_TRUE(opened->config().is_null());
  EXPECT_EQ(*opened->read_text("tokenizer.json"), "{}");
  EXPECT_EQ(ModelFolder::open_without_weights(folder.path() / "absent").error().kind,
            ErrorKind::not_found);
}

TEST(ModelFolderData, EveryModelOfOthersOpens) {
  OLLM_NEED_TEST_DATA(data);
  std::size_t models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data / "golden" / "models")) {
    const auto folder = ModelFolder::open(entry.path());
    ASSERT_TRUE(folder.ok()) << folder.error().message;
    EXPECT_EQ(folder->generation_config().eos_token_ids.size(), 1u) << entry.path();
    EXPECT_TRUE(folder->generation_config().unreadable.empty()) << entry.path();
    EXPECT_FALSE(folder->tensors().tensors().empty());
    ++models;
  }
  EXPECT_GE(models, 32u);
  EXPECT_EQ(
      ModelFolder::open(data / "golden" / "models" / "llama-shards")->tensors().files().size(), 5u);
  const auto stories = ModelFolder::open(data / "models" / "stories260k");
  ASSERT_TRUE(stories.ok()) << stories.error().message;
  EXPECT_EQ(stories->config()["hidden_size"], 64);
}

TEST(ModelFolderData, FoldersWithATokenizerOnlyOpen) {
  OLLM_NEED_TEST_DATA(data);
  const auto folder = ModelFolder::open_without_weights(data / "golden" / "tokenizers" / "llama3");
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_GT(folder->read_text("tokenizer.json")->size(), 1u << 20);
}

TEST_F(ModelFolderTest, AdditionalChatTemplatesAreReadByTheirNames) {
  write("model.safetensors", weights({"a"}));
  EXPECT_TRUE(open()->read_additional_chat_templates()->empty());
  write("additional_chat_templates/tool_use.jinja", "T");
  write("additional_chat_templates/a b.c.jinja", "X");
  write("additional_chat_templates/.hidden.jinja", "H");
  write("additional_chat_templates/notes.txt", "N");
  write("additional_chat_templates/folder.jinja/rag.jinja", "F");
  using Templates = std::map<std::string, std::string>;
  EXPECT_EQ(*open()->read_additional_chat_templates(),
            (Templates{{"a b.c", "X"}, {"tool_use", "T"}}));
  write("additional_chat_templates/back\\slash.jinja", "B");
  const auto hostile = open()->read_additional_chat_templates();
  ASSERT_FALSE(hostile.ok());
  EXPECT_THAT(hostile.error().message, HasSubstr("backslash"));
}

TEST_F(ModelFolderTest, AdditionalChatTemplatesAreBounded) {
  write("model.safetensors", weights({"a"}));
  write("additional_chat_templates", "a file");
  EXPECT_TRUE(open()->read_additional_chat_templates()->empty());
  std::filesystem::remove(folder_.path() / "additional_chat_templates");
  write("additional_chat_templates/0.jinja",
        std::string(ModelFolderLimits::kTemplateBytes + 1, 'x'));
  EXPECT_EQ(open()->read_additional_chat_templates().error().kind, ErrorKind::unsupported);
  for (std::size_t i = 0; i <= ModelFolderLimits::kTemplates; ++i)
    write(("additional_chat_templates/" + std::to_string(i) + ".jinja").c_str(), "");
  const auto many = open()->read_additional_chat_templates();
  ASSERT_FALSE(many.ok());
  EXPECT_EQ(many.error().kind, ErrorKind::unsupported);
  EXPECT_THAT(many.error().message, AllOf(HasSubstr("additional_chat_templates"), HasSubstr("64")));
}

TEST_F(ModelFolderTest, AdditionalChatTemplatesOfASnapshotAreLinksToItsBlobs) {
  const std::filesystem::path snapshot = folder_.path() / "models--o--n" / "snapshots" / "rev";
  write("models--o--n/blobs/1", "T");
  write("models--o--n/snapshots/rev/config.json", R"({"model_type":"llama"})");
  std::filesystem::create_directories(snapshot / "additional_chat_templates");
  std::filesystem::create_symlink("../../../blobs/1",
                                  snapshot / "additional_chat_templates" / "rag.jinja");
  const auto folder = ModelFolder::open_without_weights(snapshot, calls_);
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  const auto templates = folder->read_additional_chat_templates();
  ASSERT_TRUE(templates.ok()) << templates.error().message;
  EXPECT_EQ(templates->at("rag"), "T");
}

}  // namespace
}  // namespace ollm::checkpoint
