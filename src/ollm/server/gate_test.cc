#include "ollm/server/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace ollm::server {
namespace {

class KeyFile {
 public:
  explicit KeyFile(const std::string& text, mode_t mode = 0600) {
    const int descriptor = ::mkstemp(path_.data());
    EXPECT_GE(descriptor, 0);
    ::fchmod(descriptor, mode);
    ::close(descriptor);
    std::ofstream(path_) << text;
  }
  ~KeyFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/ollm-keys-XXXXXX";
};

HttpRequest with_key(const std::string& authorization) {
  HttpRequest request;
  request.fields.emplace_back("authorization", authorization);
  return request;
}

TEST(ApiKeys, WithoutAnyEverybodyMayAsk) {
  ApiKeys keys;
  ASSERT_TRUE(keys.load("", "").ok());
  EXPECT_TRUE(keys.empty());
  EXPECT_EQ(keys.owner_of(HttpRequest()), "");
}

TEST(ApiKeys, TakeTheirOwnAndNoOther) {
  const KeyFile file("# ours\n\nfirst-key\r\n  second-key\n");
  ApiKeys keys;
  ASSERT_TRUE(keys.load("from-env", file.path()).ok());
  EXPECT_EQ(keys.size(), 3U);
  for (const char* key : {"from-env", "first-key", "second-key"})
    EXPECT_TRUE(keys.owner_of(with_key(std::string("Bearer ") + key))) << key;
  EXPECT_TRUE(keys.owner_of(with_key("bearer first-key")));
  EXPECT_NE(keys.owner_of(with_key("Bearer first-key")),
            keys.owner_of(with_key("Bearer second-key")));
  EXPECT_FALSE(keys.owner_of(HttpRequest()));
  for (const std::string& wrong :
       {std::string("Bearer "), std::string("Bearer first-ke"), std::string("Bearer first-keyy"),
        std::string("Bearer # ours"), std::string("Basic first-key"), std::string("first-key"),
        "Bearer " + std::string(1 << 20, 'a'), std::string("Bearer \xf0\x9f\x94\x91")})
    EXPECT_FALSE(keys.owner_of(with_key(wrong))) << wrong.substr(0, 30);
}

TEST(ApiKeys, FilesThatOthersReadOrThatHoldNoneAreRefused) {
  ApiKeys keys;
  EXPECT_EQ(keys.load("", KeyFile("key\n", 0644).path()).error().kind, ErrorKind::invalid_argument);
  EXPECT_EQ(keys.load("", KeyFile("# none\n").path()).error().kind, ErrorKind::invalid_argument);
  EXPECT_EQ(keys.load("", "/nowhere/keys").error().kind, ErrorKind::not_found);
  const auto odd = keys.load("", KeyFile("good\nse cret\n").path());
  ASSERT_FALSE(odd.ok());
  EXPECT_THAT(odd.error().message, ::testing::HasSubstr("line 2"));
  EXPECT_THAT(odd.error().message, ::testing::Not(::testing::HasSubstr("cret")));
}

TEST(ApiKeys, AFileThatCannotBeReadLeavesTheKeysAsTheyWere) {
  ApiKeys keys;
  ASSERT_TRUE(keys.load("key", "").ok());
  EXPECT_FALSE(keys.load("key", "/nowhere/keys").ok());
  EXPECT_TRUE(keys.owner_of(with_key("Bearer key")));
}

TEST(AllowedHosts, AreLoopbackAndWhatWasGiven) {
  const AllowedHosts hosts("127.0.0.1", {"models.example"}, false);
  for (const char* good : {"localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]:1", "[::1]",
                           "models.example", "Models.Example:443", "localhost:"})
    EXPECT_TRUE(hosts.has(good)) << good;
  for (const char* bad :
       {"", "evil.com", "127.0.0.1.nip.io", "localhost.evil.com", "localhost:80:80", "localhost:x",
        "10.0.0.1", "evil.com:8000", "models.example.", "127.0.0.1@evil.com", "::1"})
    EXPECT_FALSE(hosts.has(bad)) << bad;
  EXPECT_TRUE(hosts.has_origin("http://localhost:3000"));
  EXPECT_TRUE(hosts.has_origin("https://models.example"));
  for (const char* bad : {"null", "", "http://evil.com", "file://", "http://localhost.evil.com"})
    EXPECT_FALSE(hosts.has_origin(bad)) << bad;
}

TEST(AllowedHosts, OfOtherAddressesEveryNumberIsOurs) {
  const AllowedHosts hosts("0.0.0.0", {}, true);
  EXPECT_TRUE(hosts.has("10.0.0.1:8000"));
  EXPECT_TRUE(hosts.has("[fe80::1]:8000"));
  EXPECT_FALSE(hosts.has("10.0.0.1.nip.io"));
}

}  // namespace
}  // namespace ollm::server
