#include "ollm/cli/terminal.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace ollm::cli {
namespace {

double clock_s = 0;

// What a progress line writes while a stage of 100 tokens goes on, one report each half second.
class Written {
 public:
  explicit Written(bool terminal, std::size_t columns = 80, Verbosity verbosity = Verbosity::normal)
      : stream_(::open_memstream(&text_, &size_)),
        line_(verbosity, {stream_, terminal, columns, [] { return clock_s; }}) {
    clock_s = 100;
  }
  ~Written() {
    line_.clear();  // it outlives the stream by a moment, and must have nothing left to wipe
    std::fclose(stream_);
    std::free(text_);
  }
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;

  void go_on(Stage stage, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t done = from; done <= to; ++done) {
      line_({stage, done, 100});
      clock_s += 0.5;
    }
  }
  ProgressLine& line() { return line_; }
  std::string text() {
    std::fflush(stream_);
    return std::string(text_, size_);
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* stream_;
  ProgressLine line_;
};

TEST(ProgressLine, TerminalSeesOneLineThatIsDrawnOver) {
  Written written(true);
  written.go_on(Stage::prefill, 0, 4);
  EXPECT_EQ(written.text(),
            "\rprefill 2 of 100 tokens, 2.0 tok/s, 49.00 s left\033[K"
            "\rprefill 3 of 100 tokens, 2.0 tok/s, 48.50 s left\033[K"
            "\rprefill 4 of 100 tokens, 2.0 tok/s, 48.00 s left\033[K");
  written.line().clear();
  written.line().clear();  // nothing is left to wipe
  EXPECT_TRUE(written.text().ends_with("left\033[K\r\033[K"));
}

TEST(ProgressLine, ElsewhereItIsAPlainLineEveryFewSeconds) {
  Written written(false);
  written.go_on(Stage::prefill, 0, 21);
  written.line().clear();
  EXPECT_EQ(written.text(),
            "prefill 10 of 100 tokens, 2.0 tok/s, 45.00 s left\n"
            "prefill 20 of 100 tokens, 2.0 tok/s, 40.00 s left\n");
}

TEST(ProgressLine, LoadTellsBytesAndTheirRate) {
  Written written(true);
  written.line()({Stage::load, 0, 4'000'000'000});
  clock_s += 2;
  written.line()({Stage::load, 3'000'000'000, 4'000'000'000});
  EXPECT_NE(written.text().find("1.50 GB/s, 0.67 s left"), std::string::npos) << written.text();
}

TEST(ProgressLine, NewStageBeginsAnew) {
  Written written(true);
  written.go_on(Stage::load, 0, 2);
  const std::size_t before = written.text().size();
  written.go_on(Stage::prefill, 0, 1);  // within its first second: the old line goes, no new one
  EXPECT_EQ(written.text().substr(before), "\r\033[K");
}

TEST(ProgressLine, SaysNothingWhenQuietNorForDecodingNorForWhatIsQuick) {
  Written quiet(true, 80, Verbosity::quiet);
  quiet.go_on(Stage::prefill, 0, 20);
  EXPECT_EQ(quiet.text(), "");
  Written decoding(true);
  decoding.go_on(Stage::decode, 0, 20);
  EXPECT_EQ(decoding.text(), "");
  Written quick(true);
  quick.go_on(Stage::prefill, 0, 1);
  EXPECT_EQ(quick.text(), "");
}

TEST(ProgressLine, IsCutWhereTheTerminalEnds) {
  Written written(true, 20);
  written.go_on(Stage::prefill, 0, 2);
  EXPECT_EQ(written.text(), "\rprefill 2 of 100 to\033[K");
}

TEST(FormatSeconds, GrowsIntoMinutesAndHours) {
  EXPECT_EQ(format_seconds(0.854), "0.85 s");
  EXPECT_EQ(format_seconds(200), "3 min 20 s");
  EXPECT_EQ(format_seconds(7500), "2 h 05 min");
}

}  // namespace
}  // namespace ollm::cli
