#include "ollm/server/http_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ollm/server/limits.h"

namespace ollm::server {
namespace {

using Phase = HttpReader::Phase;

constexpr std::size_t kBodyLimit = 1000;

// Everything at once, as far as one request goes.
HttpReader read(std::string bytes) {
  HttpReader reader(kBodyLimit);
  for (;;) {
    const Phase before = reader.phase();
    const std::size_t taken = reader.put(bytes);
    bytes.erase(0, taken);
    if (reader.phase() == Phase::whole || reader.phase() == Phase::refused) return reader;
    if (taken == 0 && reader.phase() == before) return reader;
  }
}

std::string get(const std::string& target, const std::string& fields = "Host: a\r\n") {
  return "GET " + target + " HTTP/1.1\r\n" + fields + "\r\n";
}

int status_of(const std::string& bytes) {
  const HttpReader reader = read(bytes);
  return reader.phase() == Phase::refused ? reader.status() : 200;
}

TEST(HttpReader, ReadsARequestByteByByte) {
  const std::string bytes =
      "POST /v1/x?a=b HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nX-Y:  z \r\n\r\nhello";
  HttpReader reader(kBodyLimit);
  std::string buffer;
  std::size_t heads = 0;
  for (const char byte : bytes) {
    buffer.push_back(byte);
    const Phase before = reader.phase();
    buffer.erase(0, reader.put(buffer));
    if (before == Phase::head && reader.phase() == Phase::body) ++heads;
  }
  EXPECT_EQ(heads, 1U);
  ASSERT_EQ(reader.phase(), Phase::whole);
  EXPECT_EQ(reader.request().method, "POST");
  EXPECT_EQ(reader.request().path, "/v1/x");
  EXPECT_EQ(reader.request().query, "a=b");
  EXPECT_EQ(*reader.request().field("x-y"), "z");
  EXPECT_TRUE(reader.request().keep_alive);
  EXPECT_EQ(reader.take_body(), "hello");
}

TEST(HttpReader, ReadsChunksAndWhatFollows) {
  std::string bytes =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: z\r\n\r\n" +
      get("/next");
  HttpReader reader(kBodyLimit);
  while (reader.phase() != Phase::whole) {
    ASSERT_NE(reader.phase(), Phase::refused);
    bytes.erase(0, reader.put(bytes));
  }
  EXPECT_EQ(reader.take_body(), "abcde");
  EXPECT_EQ(reader.request().field("trailer"), nullptr);
  reader.next();
  bytes.erase(0, reader.put(bytes));
  EXPECT_EQ(reader.request().path, "/next");
}

TEST(HttpReader, PathsAreDecodedOnce) {
  EXPECT_EQ(read(get("/v1/models/a%2Fb")).request().path, "/v1/models/a/b");
  EXPECT_EQ(read(get("/a%252e")).request().path, "/a%2e");
  EXPECT_EQ(read(get("/a%00b")).request().path, "/a%00b");  // no text: as it came
  EXPECT_EQ(read(get("/a%ffb")).request().path, "/a%ffb");  // no UTF-8
  EXPECT_EQ(read(get("/a%4")).request().path, "/a%4");
  EXPECT_EQ(read(get("http://proxy:1/x?y")).request().path, "/x");
  EXPECT_EQ(read(get("http://proxy")).request().path, "/");
  EXPECT_EQ(read(get("http://proxy?y")).request().query, "y");
}

TEST(HttpReader, AHostInTheTargetCountsInPlaceOfTheField) {
  for (const char* target : {"http://evil:1", "http://evil:1/", "http://evil:1?y"})
    EXPECT_EQ(*read(get(target)).request().field("host"), "evil:1") << target;
  EXPECT_EQ(*read(get("/http://evil")).request().field("host"), "a");
}

TEST(HttpReader, RefusesWhatTwoReadersWouldReadInTwoWays) {
  for (const char* name : {"Origin", "Authorization", "content-TYPE"}) {
    const std::string field = std::string(name) + ": x\r\n";
    EXPECT_EQ(status_of(get("/", "Host: a\r\n" + field)), 200) << name;
    EXPECT_EQ(status_of(get("/", "Host: a\r\n" + field + "X: y\r\n" + field)), 400) << name;
  }
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  for (const char* fields :
       {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "Content-Length: -1\r\n",
        "Content-Length: +5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: 0x5\r\n",
        "Content-Length: 99999999999999999999999\r\n", "Content-Length : 5\r\n"}) {
    EXPECT_GE(status_of(post + fields + "\r\nhello"), 400) << fields;
  }
  for (const char* encoding : {"gzip", "chunked, gzip", "gzip, chunked", "xchunked", "identity"})
    EXPECT_GE(status_of(post + "Transfer-Encoding: " + encoding + "\r\n\r\n0\r\n\r\n"), 400)
        << encoding;
  EXPECT_GE(status_of("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400);
  for (const char* chunk :
       {"-1\r\n", "g\r\n", "ffffffffffffffffff\r\n", "\r\n", "3\r\nabcd\r\n0\r\n\r\n"})
    EXPECT_GE(status_of(post + "Transfer-Encoding: chunked\r\n\r\n" + chunk), 400) << chunk;
}

TEST(HttpReader, RefusesWhatIsNoRequest) {
  for (const char* bytes :
       {"\x16\x03\x01\x02", "GET\r\n\r\n", "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\nA\x01: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"}) {
    EXPECT_GE(status_of(bytes), 400) << bytes;
  }
}

TEST(HttpReader, HoldsTheLimits) {
  EXPECT_EQ(status_of(get("/" + std::string(ServerLimits::kTargetBytes, 'a'))), 414);
  EXPECT_EQ(status_of(get("/", "Host: a\r\nX: " + std::string(20'000, 'a') + "\r\n")), 431);
  std::string many = "Host: a\r\n";
  for (std::size_t i = 0; i < ServerLimits::kFields; ++i) many += "A: b\r\n";
  EXPECT_EQ(status_of(get("/", many)), 431);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"), 413);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" +
                      std::string(1001, 'a') + "\r\n0\r\n\r\n"),
            413);
  EXPECT_EQ(status_of(get("/", "Host: a\r\nExpect: 200-ok\r\n")), 417);
}

TEST(HttpReader, AnEndlessHeaderIsRefusedBeforeItsEnd) {
  HttpReader reader(kBodyLimit);
  std::string buffer = "GET / HTTP/1.1\r\n";
  while (reader.phase() == Phase::head && buffer.size() < (std::size_t{1} << 20)) {
    buffer += "A: b\r\n";
    buffer.erase(0, reader.put(buffer));
  }
  EXPECT_EQ(reader.phase(), Phase::refused);
  EXPECT_LE(buffer.size(), ServerLimits::kHeadBytes + 16);
}

}  // namespace
}  // namespace ollm::server
