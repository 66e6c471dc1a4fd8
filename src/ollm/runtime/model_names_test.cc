#include "ollm/runtime/model_names.h"

#include <gtest/gtest.h>

#include <string>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/temporary_folder.h"
#include "tests/schema.h"

namespace ollm::runtime {
namespace {

class ModelNamesTest : public ::testing::Test {
 protected:
  void note(std::string_view what, std::string_view name) const {
    EXPECT_TRUE(ModelNames::note(path_, sha256(what), name, io::posix()).ok());
  }
  // "" where nothing is known.
  std::string name_of(std::string_view what) const {
    const ModelNames names = ModelNames::read(path_, io::posix());
    const std::string* const name = names.find(sha256(what).hex());
    return name == nullptr ? "" : *name;
  }

  const io::TemporaryFolder folder_;
  const std::filesystem::path path_ = ModelNames::path_in(folder_.path());
};

TEST_F(ModelNamesTest, FindsWhatWasNotedLast) {
  EXPECT_EQ(name_of("one"), "");
  note("one", "llama");
  note("two", "a \"quoted\"\nname");
  EXPECT_EQ(name_of("one"), "llama");
  EXPECT_EQ(name_of("two"), "a \"quoted\"\nname");
  testing::expect_valid("kv_models", testing::read_json(path_), "models.json");
  note("one", "renamed");
  EXPECT_EQ(name_of("one"), "renamed");
  EXPECT_EQ(name_of("two"), "a \"quoted\"\nname");
}

TEST_F(ModelNamesTest, IsForItsUserAloneAndNotWrittenTwice) {
  note("one", "llama");
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(path_).permissions(), perms::owner_read | perms::owner_write);
  io::FaultySystemCalls calls;
  EXPECT_TRUE(ModelNames::note(path_, sha256("one"), "llama", calls).ok());
  EXPECT_EQ(calls.count(io::FaultySystemCalls::Call::rename), 0u);
  EXPECT_TRUE(ModelNames::note(path_, sha256("one"), "another", calls).ok());
  EXPECT_EQ(calls.count(io::FaultySystemCalls::Call::rename), 1u);
}

TEST_F(ModelNamesTest, WhatIsNoSuchFileKnowsNothingAndIsReplaced) {
  for (const char* text : {"", "{", "[]", "{\"models\": 3}", "{\"models\": {\"a\": 4}}"}) {
    folder_.write("models.json", text);
    EXPECT_EQ(name_of("one"), "") << text;
    note("one", "llama");
    EXPECT_EQ(name_of("one"), "llama") << text;
  }
}

TEST_F(ModelNamesTest, TheFirstAreForgottenAboveTheLimit) {
  std::string text = "{\"models\": {";
  for (std::size_t i = 0; i < ModelNames::kMaxEntries; ++i) {
    if (i != 0) text += ',';
    text += "\"" + sha256(std::to_string(i)).hex() + "\": \"x\"";
  }
  folder_.write("models.json", text + "}}");
  EXPECT_EQ(name_of("0"), "x");
  note("more", "y");
  EXPECT_EQ(name_of("0"), "");
  EXPECT_EQ(name_of("1"), "x");
  EXPECT_EQ(name_of("more"), "y");
}

}  // namespace
}  // namespace ollm::runtime
