#include "ollm/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace ollm::cli {
namespace {

using ::testing::HasSubstr;
using Words = std::vector<std::string>;

// A command with an option of each kind, behind a command without any.
class SmallProgram : public ::testing::Test {
 protected:
  SmallProgram() {
    app_.name("program");
    app_.set_version_flag("-V,--version", "1");
    CLI::App* group = app_.add_subcommand("group", "");
    group->require_subcommand(1);
    command_ = group->add_subcommand("run", "");
    command_->set_version_flag("-V,--version", "1");
    command_->add_option("TEXT", text_, "")->type_name("text");
    command_->add_option("--list", list_, "")->type_name("text")->take_all();
    command_->add_option("--names", names_, "")->type_name("names")->delimiter(',');
    command_->add_option("-o,--once", once_, "")->type_name("path");
    command_->add_option("--last", last_, "")->type_name("number")->take_last();
    command_->add_flag("--flag,!--no-flag", flag_, "");
    command_->add_option("--count", count_, "")->check(count_from_to(1, 10));
  }

  // What is wrong with the words, or with their values; empty where nothing is.
  std::string parse(Words words) {
    Words all = {"group", "run"};
    all.insert(all.end(), words.begin(), words.end());
    CommandLine line = read_command_line(app_, all);
    EXPECT_EQ(line.command, command_);
    if (!line.problem.empty()) return line.problem;
    try {
      app_.parse(line.words);
    } catch (const CLI::ParseError& error) {
      return error.what();
    }
    return "";
  }

  CLI::App app_;
  CLI::App* command_ = nullptr;
  std::string text_, once_, last_;
  Words list_, names_;
  bool flag_ = false;
  int count_ = 0;
};

TEST_F(SmallProgram, ALetterTakesAValueAsItsNameDoes) {
  EXPECT_EQ(parse({"-o", "a"}), "");
  EXPECT_EQ(once_, "a");
  EXPECT_EQ(parse({"-o=--list"}), "");
  EXPECT_EQ(once_, "--list");
  EXPECT_EQ(parse({"-o"}), "-o needs a value");
  EXPECT_THAT(parse({"-o", "--list"}), HasSubstr("write -o=--list"));
  EXPECT_THAT(parse({"-oa"}), HasSubstr("unknown option '-oa'"));
}

TEST_F(SmallProgram, AnOptionThatIsRepeatedTakesOneValueEachTime) {
  EXPECT_EQ(parse({"--list", "a", "text", "--list", "b"}), "");
  EXPECT_EQ(list_, (Words{"a", "b"}));
  EXPECT_EQ(text_, "text");
}

TEST_F(SmallProgram, AListWithCommasTakesOneWordToo) {
  EXPECT_EQ(parse({"--names", "a,b", "text", "--names=c"}), "");
  EXPECT_EQ(names_, (Words{"a", "b", "c"}));
  EXPECT_EQ(text_, "text");
}

TEST_F(SmallProgram, AValueIsTakenAsItIs) {
  EXPECT_EQ(parse({"--list", "[a,b]", "--list=--x=y", "--list=", "--list=--", "--list", "-1",
                   "--list", "--other", "--last", "-0.5", "[a]"}),
            "");
  EXPECT_EQ(list_, (Words{"[a,b]", "--x=y", "", "--", "-1", "--other"}));
  EXPECT_EQ(last_, "-0.5");
  EXPECT_EQ(text_, "[a]");
}

TEST_F(SmallProgram, AnEmptyValueIsNotTheNextWord) {
  EXPECT_EQ(parse({"--list=", "text"}), "");
  EXPECT_EQ(list_, (Words{""}));
  EXPECT_EQ(text_, "text");
  EXPECT_EQ(parse({"--once=", "text"}), "--once: expected path, found an empty text");
  EXPECT_EQ(parse({"--once", "", "text"}), "--once: expected path, found an empty text");
}

TEST_F(SmallProgram, AForgottenValueIsNotAnOptionOrTheEndOfOptions) {
  EXPECT_EQ(parse({"--once"}), "--once needs a value");
  EXPECT_EQ(parse({"--once", "--flag", "text"}),
            "--once needs a value, found '--flag'; if that is the value, write --once=--flag");
  EXPECT_EQ(parse({"--once", "--", "text"}),
            "--once needs a value, found '--'; if that is the value, write --once=--");
}

TEST_F(SmallProgram, EverythingBehindTwoDashesIsPositional) {
  for (const std::string text : {"--", "--flag", "-V", "--help", "help", "++", "-x", "", "run"}) {
    EXPECT_EQ(parse({"--flag", "--", text}), "") << text;
    EXPECT_EQ(text_, text);
    EXPECT_TRUE(flag_);
  }
  EXPECT_EQ(parse({"--", "a", "--flag"}), "unknown argument '--flag'");
}

TEST_F(SmallProgram, WhatIsNoOptionIsPositional) {
  for (const std::string text : {"-", "-1", "-.5", "- a list", "---", "--1", "-$", "++"}) {
    EXPECT_EQ(parse({text}), "") << text;
    EXPECT_EQ(text_, text);
  }
}

TEST_F(SmallProgram, AnUnknownOptionIsToldWithTheNearestOrWithTwoDashes) {
  EXPECT_EQ(parse({"--flga", "text"}), "unknown option '--flga' (did you mean --flag?)");
  EXPECT_EQ(parse({"--lis=3"}), "unknown option '--lis=3' (did you mean --list?)");
  EXPECT_EQ(parse({"-x"}),
            "unknown option '-x'; if it is the TEXT, put it behind --: program group run -- '-x'");
  EXPECT_EQ(parse({"-Vx"}).substr(0, 20), "unknown option '-Vx'");
}

TEST_F(SmallProgram, FlagsTakeTrueAndFalseBehindAnEqualsSign) {
  EXPECT_EQ(parse({"--flag"}), "");
  EXPECT_TRUE(flag_);
  EXPECT_EQ(parse({"--flag=no"}), "");
  EXPECT_FALSE(flag_);
  EXPECT_EQ(parse({"--no-flag=false"}), "");
  EXPECT_TRUE(flag_);
  EXPECT_EQ(parse({"--flag", "--no-flag"}), "");
  EXPECT_FALSE(flag_);
  EXPECT_EQ(parse({"--flag=3"}), "--flag: expected true or false, found '3'");
}

TEST_F(SmallProgram, OfASettingTheLastCountsAndOfAllElseTwoAreRefused) {
  EXPECT_EQ(parse({"--last", "1", "--last=2"}), "");
  EXPECT_EQ(last_, "2");
  EXPECT_EQ(parse({"--once", "a", "--once=b"}), "--once takes one value and was given twice");
}

TEST_F(SmallProgram, NumbersAreCheckedWithTheirRange) {
  EXPECT_EQ(parse({"--count", "10"}), "");
  for (const std::string text : {"0", "11", "-1", "x", "1.5", "99999999999999999999", "1x"})
    EXPECT_EQ(parse({"--count", text}),
              "--count: expected an integer from 1 to 10, found '" + text + "'");
}

TEST_F(SmallProgram, HelpAndVersionCountAnywhereBeforeTwoDashes) {
  const auto read = [&](const Words& words) { return read_command_line(app_, words); };
  EXPECT_TRUE(read({"--help", "group", "run"}).help);
  EXPECT_EQ(read({"--help", "group", "run"}).command, command_);
  EXPECT_TRUE(read({"group", "help", "run"}).help);
  EXPECT_EQ(read({"group", "help", "run"}).command, command_);
  EXPECT_TRUE(read({"group", "run", "-hV"}).help);
  EXPECT_TRUE(read({"group", "run", "-hV"}).version);
  EXPECT_TRUE(read({"-V", "group"}).version);
  EXPECT_TRUE(read({"group", "run", "--nonsense", "--once", "--help"}).help);
  EXPECT_FALSE(read({"group", "run", "--", "--help"}).help);
  EXPECT_FALSE(read({"group", "run", "--list=--help"}).help);
}

TEST_F(SmallProgram, AMissingOrMisplacedCommandIsNamed) {
  const auto problem = [&](const Words& words) { return read_command_line(app_, words).problem; };
  EXPECT_EQ(problem({"group"}), "give one of the commands run");
  EXPECT_EQ(problem({"group", "rum"}), "unknown command 'rum' (did you mean run?)");
  EXPECT_EQ(problem({"group", "--", "run"}), "'run' stands behind --, where no command is read");
  EXPECT_EQ(problem({"--flag", "group", "run"}),
            "option '--flag' goes behind its command: program group run --flag");
  EXPECT_EQ(problem({}), "");
}

}  // namespace
}  // namespace ollm::cli
