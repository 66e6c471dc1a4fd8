#include "ollm/plan/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ollm/plan/plan_world.h"

namespace ollm::plan {
namespace {

using ::testing::HasSubstr;

class Reference : public ::testing::Test {
 protected:
  Result<ModelReference> parse(std::string_view text) {
    return parse_reference(text, world_.environment(), io::posix());
  }
  ModelReference parsed(std::string_view text) {
    auto reference = parse(text);
    EXPECT_TRUE(reference.ok()) << text << ": " << reference.error().message;
    return reference.ok() ? *reference : ModelReference{};
  }
  std::string refused(std::string_view text) {
    const auto reference = parse(text);
    EXPECT_FALSE(reference.ok()) << text;
    if (reference.ok()) return "";
    EXPECT_EQ(reference.error().kind, ErrorKind::invalid_argument);
    return reference.error().message;
  }
  std::string work(const std::string& name) { return (world_.root() / "work" / name).string(); }

  World world_;
};

TEST_F(Reference, ANameIsItsIdentifier) {
  const ModelReference reference = parsed("  llama3-1B-chat\n");
  EXPECT_EQ(reference.raw, "llama3-1B-chat");
  EXPECT_EQ(reference.identifier, "llama3-1B-chat");
  EXPECT_EQ(reference.scheme, std::nullopt);
  EXPECT_EQ(reference.revision, std::nullopt);
  EXPECT_EQ(reference.local_path, std::nullopt);
  EXPECT_FALSE(reference.is_huggingface_reference());
}

TEST_F(Reference, ARevisionStandsBehindTheFirstAt) {
  EXPECT_EQ(parsed("org/name@v1@2").identifier, "org/name");
  EXPECT_EQ(parsed("org/name@v1@2").revision, "v1@2");
}

TEST_F(Reference, AnAtNeedsBothSides) {
  EXPECT_THAT(refused("name@"), HasSubstr("<reference>@<revision>"));
  EXPECT_THAT(refused("@v1"), HasSubstr("<reference>@<revision>"));
  EXPECT_THAT(refused("hf://@v1"), HasSubstr("<reference>@<revision>"));
}

TEST_F(Reference, SchemesAreTakenInAnyCase) {
  EXPECT_EQ(parsed("HF://org/name").scheme, "hf");
  EXPECT_EQ(parsed("Hf:org/name").scheme, "hf");
  EXPECT_EQ(parsed("Hf:org/name").identifier, "org/name");
  EXPECT_EQ(parsed("S3://bucket/x").scheme, "s3");
}

TEST_F(Reference, OtherSchemesNeedTheirSlashes) {
  EXPECT_EQ(parsed("s3:bucket").scheme, std::nullopt);
  EXPECT_EQ(parsed("s3:bucket").identifier, "s3:bucket");
}

TEST_F(Reference, WhatIsBlankOrWithoutANameIsRefused) {
  EXPECT_THAT(refused(" \t"), HasSubstr("blank"));
  EXPECT_THAT(refused("://x"), HasSubstr("no scheme"));
  EXPECT_THAT(refused("hf:"), HasSubstr("no name"));
  EXPECT_THAT(refused("path:"), HasSubstr("path is empty"));
}

TEST_F(Reference, ControlCharactersAndEndlessTextsAreRefused) {
  EXPECT_THAT(refused("a\nb"), HasSubstr("control"));
  EXPECT_THAT(refused(std::string_view("a\0b", 3)), HasSubstr("control"));
  EXPECT_THAT(refused(std::string(4097, 'a')), HasSubstr("4097 bytes"));
}

TEST_F(Reference, APathIsAbsoluteAndNeedNotExist) {
  for (const char* text : {"./none/x", "path:none/x", "path://none/x", "../work/none/./x"}) {
    const ModelReference reference = parsed(text);
    EXPECT_EQ(reference.local_path, work("none/x")) << text;
    EXPECT_EQ(reference.identifier, work("none/x"));
  }
  EXPECT_EQ(parsed("path:none").scheme, "path");
  EXPECT_EQ(parsed("./none").scheme, std::nullopt);
  EXPECT_EQ(parsed("/a/b/").local_path, "/a/b");
  EXPECT_EQ(parsed("~/x").local_path, world_.root() / "home/x");
  EXPECT_EQ(parsed("~").local_path, world_.root() / "home");
}

TEST_F(Reference, AnAtOfAPathIsAPartOfIt) {
  EXPECT_EQ(parsed("./a@b").local_path, work("a@b"));
  EXPECT_EQ(parsed("./a@b").revision, std::nullopt);
}

TEST_F(Reference, ADriveIsNoScheme) {
  EXPECT_EQ(parsed("C:\\models").scheme, std::nullopt);
  EXPECT_TRUE(parsed("C:\\models").local_path.has_value());
}

TEST_F(Reference, AFolderOfTheWorkingDirectoryIsAPath) {
  std::filesystem::create_directories(work("llama3-1B-chat"));
  std::filesystem::create_directories(work("org/name"));
  EXPECT_EQ(parsed("llama3-1B-chat").local_path, work("llama3-1B-chat"));
  EXPECT_EQ(parsed("org/name").local_path, work("org/name"));
  EXPECT_EQ(parsed("hf://org/name").local_path, std::nullopt);
}

TEST_F(Reference, LinksOfAPathAreResolved) {
  std::filesystem::create_directories(work("real"));
  std::filesystem::create_directory_symlink(work("real"), work("link"));
  EXPECT_EQ(parsed("./link/x").local_path, work("real/x"));
}

TEST_F(Reference, HuggingFaceIsWhatHasASlashAndNoSpace) {
  EXPECT_TRUE(parsed("org/name").is_huggingface_reference());
  EXPECT_TRUE(parsed("hf:name").is_huggingface_reference());
  EXPECT_FALSE(parsed("org/my name").is_huggingface_reference());
  EXPECT_FALSE(parsed("s3://org/name").is_huggingface_reference());
}

TEST_F(Reference, MaterializesUnderANameWithoutSlashes) {
  EXPECT_EQ(parsed("org/name").materialization_name(), "org--name");
  EXPECT_EQ(parsed("org/name@refs/pr/1").materialization_name(), "org--name--refs--pr--1");
  EXPECT_EQ(parsed("a:b").materialization_name(), "a--b");
}

TEST_F(Reference, AnAddressOfTheHubIsTheRepositoryThatItShows) {
  struct Case {
    const char* text;
    const char* identifier;
    std::optional<std::string> revision;
  };
  const Case cases[] = {
      {"https://huggingface.co/org/name", "org/name", {}},
      {"http://huggingface.co/org/name/", "org/name", {}},
      {"HTTPS://www.HuggingFace.co//org//name", "org/name", {}},
      {"https://hf.co/org/name.git", "org/name", {}},
      {"huggingface.co/org/name", "org/name", {}},
      {"hf.co/org/name?x=1#files", "org/name", {}},
      {"https://huggingface.co/org/name/tree/main", "org/name", {}},
      {"https://huggingface.co/org/name/tree/v1.0", "org/name", "v1.0"},
      {"https://huggingface.co/org/name/tree/refs%2Fpr%2F1", "org/name", "refs/pr/1"},
      {"https://huggingface.co/org/name/tree/refs/pr/1", "org/name", "refs/pr/1"},
      {"https://huggingface.co/org/name/blob/main/config.json", "org/name", {}},
      {"https://huggingface.co/org/name/resolve/v2/model.safetensors?download=true", "org/name",
       "v2"},
      {"https://huggingface.co/org/name/discussions/3", "org/name", {}},
      {"https://huggingface.co/org/name@v1", "org/name", "v1"},
      {"https://huggingface.co/gpt2", "gpt2", {}},
      {"https://huggingface.co/gpt2/tree/v1", "gpt2", "v1"},
      {"https://huggingface.co/api/models/org/name", "org/name", {}},
      {"https://huggingface.co:443/org/name", "org/name", {}},
  };
  for (const Case& item : cases) {
    const ModelReference reference = parsed(item.text);
    EXPECT_EQ(reference.identifier, item.identifier) << item.text;
    EXPECT_EQ(reference.revision, item.revision) << item.text;
    EXPECT_EQ(reference.scheme, "hf") << item.text;
    EXPECT_TRUE(reference.is_huggingface_reference());
    EXPECT_EQ(reference.local_path, std::nullopt);
  }
}

TEST_F(Reference, ATokenInAnAddressIsNotRepeated) {
  const ModelReference reference = parsed("https://me:hf_secret@huggingface.co/org/name");
  EXPECT_EQ(reference.identifier, "org/name");
  EXPECT_EQ(reference.raw, "https://huggingface.co/org/name");
}

TEST_F(Reference, AnAddressThatShowsNoModelIsRefused) {
  for (const char* text :
       {"https://huggingface.co", "https://huggingface.co/", "https://huggingface.co/datasets/a/b",
        "hf.co/spaces/a/b", "https://huggingface.co/a b/c", "https://huggingface.co/../..",
        "https://huggingface.co/org/name/tree/..%2F..", "https://huggingface.co/org/na%00me"})
    EXPECT_THAT(refused(text), HasSubstr("https://huggingface.co/ORG/NAME")) << text;
}

TEST_F(Reference, OtherAddressesAreNames) {
  EXPECT_EQ(parsed("https://example.com/org/name").scheme, "https");
  EXPECT_EQ(parsed("huggingface.co").scheme, std::nullopt);
  EXPECT_EQ(parsed("huggingface.community/name").identifier, "huggingface.community/name");
  io::Environment mirror = world_.environment();
  mirror.variables["HF_ENDPOINT"] = "https://hub.example.com";
  const auto reference = parse_reference("https://hub.example.com/org/name", mirror, io::posix());
  ASSERT_TRUE(reference.ok()) << reference.error().message;
  EXPECT_EQ(reference->identifier, "org/name");
}

TEST_F(Reference, AFileAddressIsAPath) {
  EXPECT_EQ(parsed("file:///a/b").local_path, "/a/b");
  EXPECT_EQ(parsed("file://localhost/a/b%20c/").local_path, "/a/b c");
  EXPECT_EQ(parsed("FILE:///a").local_path, "/a");
  EXPECT_THAT(refused("file://"), HasSubstr("path is empty"));
}

// Bytes that are not UTF-8 are a name like any other, and messages stay printable.
TEST_F(Reference, ANameNeedNotBeUtf8) {
  EXPECT_EQ(parsed("./a\xff").local_path, work("a\xff"));
  EXPECT_EQ(parsed("a\xff").identifier, "a\xff");
  EXPECT_THAT(refused("\xff@"), HasSubstr("'?@'"));
}

}  // namespace
}  // namespace ollm::plan
