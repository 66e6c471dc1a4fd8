// Promise: an answer that is done is never lost and never computed twice, and the file of answers
// is whole whatever ended the run. ollm batch as real processes: killed, gone on with, on a full
// disk, beside each other, with requests as nobody should write them.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "ollm/io/temporary_folder.h"
#include "tests/end_to_end/run_command.h"

namespace ollm::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;
namespace fs = std::filesystem;

std::string row(std::string_view custom_id, std::string_view body,
                std::string_view url = "/v1/completions") {
  return fmt::format(R"({{"custom_id":"{}","method":"POST","url":"{}","body":{}}})", custom_id, url,
                     body);
}

// Requests of every kind, each with few tokens.
std::vector<std::string> requests(std::size_t count) {
  std::vector<std::string> rows;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = fmt::format("r-{}", i);
    switch (i % 5) {
      case 0:
        rows.push_back(row(name,
                           fmt::format(R"({{"messages":[{{"role":"user","content":"Who is {}?"}}],
"max_tokens":5}})",
                                       i),
                           "/v1/chat/completions"));
        std::erase(rows.back(), '\n');
        break;
      case 1:
        rows.push_back(row(
            name, fmt::format(R"({{"prompt":"The {} order","max_tokens":4,"temperature":1}})", i)));
        break;
      case 2:
        rows.push_back(row(
            name, fmt::format(R"({{"prompt":["a {0}","b"],"n":2,"max_tokens":3,"temperature":0.8,
"seed":{0}}})",
                              i)));
        std::erase(rows.back(), '\n');
        break;
      case 3:
        rows.push_back(row(
            name,
            fmt::format(
                R"({{"prompt":[{},7,9],"max_tokens":3,"logprobs":2,"echo":true,"ignore_eos":true}})",
                i)));
        break;
      default:
        rows.push_back(row(name, R"({"prompt":"x","max_tokens":3,"n":99})"));  // refused
    }
  }
  return rows;
}

std::string lines_of(const std::vector<std::string>& rows) {
  std::string text;
  for (const std::string& one : rows) text += one + "\n";
  return text;
}

class Batch : public ::testing::Test {
 protected:
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  void write(const std::string& name, std::string_view text) const {
    std::ofstream(path(name), std::ios::binary) << text;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string command(const std::string& in, const std::string& out,
                      const std::string& more = "") const {
    return fmt::format(
        "\"$OLLM\" batch --quiet --model {} --cache-dir '{}' --threads 2 -i '{}' -o '{}' {}",
        kShippedModel, path("cache").string(), path(in).string(), path(out).string(), more);
  }
  CommandResult batch(const std::string& in, const std::string& out,
                      const std::string& more = "") const {
    return run_shell(command(in, out, more));
  }
  // {"requests", "kept", "done", "failed"} of a run that ends well.
  Json counts(const std::string& in, const std::string& out, const std::string& more = "") const {
    const CommandResult run = batch(in, out, more + " --json");
    EXPECT_EQ(run.exit_code, 0) << run.err;
    Json all = Json::parse(run.out, nullptr, false);
    EXPECT_TRUE(all.is_object() && all.contains("report"));
    all.erase("report");
    return all;
  }

  // By custom_id, without what may differ between runs. Each line whole, each request once.
  std::map<std::string, Json> answers(const std::string& out) const {
    const std::string text = read(out);
    EXPECT_TRUE(text.empty() || text.ends_with('\n'));
    std::map<std::string, Json> found;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      Json answer = Json::parse(line, nullptr, false);
      EXPECT_TRUE(answer.is_object()) << line;
      if (!answer.is_object()) continue;
      if (answer["response"].is_object()) {
        Json& body = answer["response"]["body"];
        body.erase("created");
        if (body.contains("usage")) body["usage"].erase("prompt_tokens_details");
      }
      const std::string name = answer["custom_id"].is_string()
                                   ? answer["custom_id"].get<std::string>()
                                   : answer["error"]["message"].get<std::string>();
      EXPECT_TRUE(found.emplace(name, std::move(answer)).second) << name << " twice";
    }
    return found;
  }

  const io::TemporaryFolder folder_;
};

TEST_F(Batch, AnswersInOpenAIsForm) {
  write("in", lines_of(requests(10)));
  EXPECT_EQ(counts("in", "out"),
            Json({{"requests", 10}, {"kept", 0}, {"done", 10}, {"failed", 0}}));
  const auto all = answers("out");
  ASSERT_EQ(all.size(), 10u);
  const Json& chat = all.at("r-0");
  EXPECT_EQ(chat["response"]["status_code"], 200);
  EXPECT_EQ(chat["error"], nullptr);
  const Json& body = chat["response"]["body"];
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["model"], "clerk");
  EXPECT_TRUE(body["system_fingerprint"].get<std::string>().starts_with("fp_"));
  EXPECT_EQ(body["choices"][0]["message"]["role"], "assistant");
  EXPECT_LE(body["usage"]["completion_tokens"], 5);
  EXPECT_FALSE(body.contains("seed"));
  EXPECT_TRUE(all.at("r-1")["response"]["body"].contains("seed"));  // drawn, and none was given
  EXPECT_EQ(all.at("r-2")["response"]["body"]["choices"].size(), 4u);
  const Json& echoed = all.at("r-3")["response"]["body"]["choices"][0]["logprobs"];
  EXPECT_EQ(echoed["tokens"].size(), 6u);
  EXPECT_EQ(echoed["token_logprobs"][0], nullptr);
  EXPECT_LT(echoed["token_logprobs"][1], 0);
  const Json& refused = all.at("r-4");
  EXPECT_EQ(refused["response"]["status_code"], 400);
  EXPECT_EQ(refused["response"]["body"]["error"]["param"], "n");
  EXPECT_EQ(refused["error"], nullptr);
}

TEST_F(Batch, AnAnswerIsThatOfItsRequestAlone) {
  const std::vector<std::string> rows = requests(15);
  write("in", lines_of(rows));
  ASSERT_EQ(batch("in", "out").exit_code, 0);
  const auto all = answers("out");
  for (const std::size_t i : {0, 1, 2, 3, 11, 12}) {
    write("one", rows[i] + "\n");
    ASSERT_EQ(batch("one", fmt::format("one-{}", i), "--no-cache").exit_code, 0);
    const std::string name = fmt::format("r-{}", i);
    EXPECT_EQ(answers(fmt::format("one-{}", i)).at(name), all.at(name));
  }
}

TEST_F(Batch, RowsThatAreNoRequestsAreAnsweredToo) {
  const std::string long_prompt(10 << 20, 'a');
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  write("in", "\xEF\xBB\xBF" + row("mark", R"({"prompt":"x","max_tokens":1})") + "\r\n" +  // 1
                  "\n  \r\n" +                                                             // 2, 3
                  "{\"custom_id\": \"cut\n" +                                              // 4
                  "{\"custom_id\": \"\xff\"}\n" +                                          // 5
                  "[]\n" +                                                                 // 6
                  row("url", "{}", "/v1/embeddings") + "\n" +
                  row("long", R"({"prompt":")" + long_prompt + "\"}") + "\n" +
                  row("deep", R"({"prompt":"x","user":)" + deep + "}") + "\n" +
                  row("stream", R"({"prompt":"x","stream":true})") + "\n" +
                  row("model", R"({"prompt":"x","model":"gpt-4"})") + "\n" +
                  std::string(34 << 20, 'x') + "\n" +  // 12
                  "same\nsame\n" + row("last", R"({"prompt":"x","max_tokens":1})"));
  EXPECT_EQ(counts("in", "out"),
            Json({{"requests", 13}, {"kept", 0}, {"done", 13}, {"failed", 0}}));
  const auto all = answers("out");
  ASSERT_EQ(all.size(), 13u);
  const auto error = [&](const char* name) {
    const Json& response = all.at(name)["response"];
    EXPECT_EQ(response["status_code"], std::string_view(name) == "model" ? 404 : 400);
    return response["body"]["error"];
  };
  EXPECT_EQ(all.at("mark")["response"]["status_code"], 200);
  EXPECT_EQ(all.at("last")["response"]["status_code"], 200);
  EXPECT_EQ(error("url")["param"], "url");
  EXPECT_EQ(error("long")["code"], "context_length_exceeded");
  EXPECT_EQ(error("deep")["param"], nullptr);
  EXPECT_EQ(error("stream")["param"], "stream");
  EXPECT_EQ(error("model")["code"], "model_not_found");
  std::set<std::string> told;
  for (const auto& [name, answer] : all)
    if (answer["custom_id"].is_null()) told.insert(name.substr(0, name.find(':')));
  EXPECT_EQ(told, (std::set<std::string>{"row 4", "row 5", "row 6", "row 12", "row 13", "row 14"}));
  EXPECT_EQ(counts("in", "out"),
            Json({{"requests", 13}, {"kept", 13}, {"done", 0}, {"failed", 0}}));
}

TEST_F(Batch, GoesOnBehindATornEnd) {
  write("in", lines_of(requests(10)));
  ASSERT_EQ(batch("in", "whole").exit_code, 0);
  const std::string whole = read("whole");
  std::size_t begin_of_last = whole.rfind('\n', whole.size() - 2) + 1;
  for (const std::size_t size :
       {std::size_t{1}, begin_of_last, begin_of_last + 20, whole.size() - 1}) {
    write("out", whole.substr(0, size));
    const Json told = counts("in", "out");
    EXPECT_EQ(told["done"].get<std::size_t>() + told["kept"].get<std::size_t>(), 10u);
    EXPECT_EQ(answers("out"), answers("whole")) << "cut at " << size;
  }
  // As a power cut may leave it.
  write("out",
        whole.substr(0, begin_of_last) + std::string(5000, '\0') + "\n" + std::string(7, '\0'));
  EXPECT_EQ(counts("in", "out")["done"], 1);
  EXPECT_EQ(answers("out"), answers("whole"));
  write("out", "no answer\n" + whole);
  const CommandResult refused = batch("in", "out");
  EXPECT_EQ(refused.exit_code, 5);
  EXPECT_THAT(refused.err, HasSubstr("line 1 is no answer"));
}

TEST_F(Batch, WhatFailedIsRunAgain) {
  write("in", lines_of(requests(6)));
  ASSERT_EQ(batch("in", "whole").exit_code, 0);
  std::string text;
  std::istringstream lines(read("whole"));
  for (std::string line; std::getline(lines, line);) {
    Json answer = Json::parse(line);
    if (answer["custom_id"] == "r-1" || answer["custom_id"] == "r-3")
      answer["response"] = {{"status_code", 500}, {"request_id", "x"}, {"body", {{"error", {}}}}};
    text += answer.dump() + "\n";
  }
  write("out", text);
  fs::create_symlink("out", path("link"));
  EXPECT_EQ(counts("in", "link"), Json({{"requests", 6}, {"kept", 4}, {"done", 2}, {"failed", 0}}));
  EXPECT_EQ(answers("out"), answers("whole"));
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_FALSE(fs::exists(path("out.new")));
}

TEST_F(Batch, AnswersToOtherRequestsAreNotGoneOnWith) {
  const std::vector<std::string> rows = requests(4);
  write("in", lines_of(rows));
  ASSERT_EQ(batch("in", "out").exit_code, 0);
  const std::string answered = read("out");
  const auto refused = [&](const std::string& more, const std::string& says) {
    const CommandResult run = batch("in", "out", more);
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_THAT(run.err, AllOf(HasSubstr(says), HasSubstr("--overwrite")));
    EXPECT_EQ(read("out"), answered);
  };
  refused("--temperature 0.5", "another model, mode or settings");
  refused("--compute f32", "another model, mode or settings");
  std::vector<std::string> edited = rows;
  edited[1] = row("r-1", R"({"prompt":"other","max_tokens":2})");
  write("in", lines_of(edited));
  refused("", "'r-1'");
  EXPECT_EQ(counts("in", "out", "--overwrite")["done"], 4);
  write("in", lines_of({rows[0], rows[2]}));
  write("out", answered);
  refused("", "does not have");
  write("in", lines_of(requests(6)));  // more of them is no matter
  EXPECT_EQ(counts("in", "out"), Json({{"requests", 6}, {"kept", 4}, {"done", 2}, {"failed", 0}}));
}

TEST_F(Batch, RefusesWhatCannotBeMeant) {
  write("in", lines_of({row("a", "{}"), "", row("b", "{}"), row("a", "{}")}));
  const CommandResult twice = batch("in", "out");
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_THAT(twice.err, HasSubstr("rows 1 and 4 have one custom_id, 'a'"));
  write("in", lines_of({row("a", "{}")}));
  for (const char* shard : {"0/3", "4/3", "1", "1/0", "a/b", "1/3x", "-1/3"})
    EXPECT_EQ(batch("in", "out", fmt::format("--shard={}", shard)).exit_code, 2) << shard;
  EXPECT_EQ(batch("in", "in").exit_code, 2);
  EXPECT_EQ(batch("nowhere", "out").exit_code, 3);
  EXPECT_EQ(run_shell(command("in", "out") + " --model ./nowhere").exit_code, 3);
  fs::create_directory(path("folder"));
  EXPECT_EQ(batch("folder", "out").exit_code, 2);
  EXPECT_EQ(batch("in", "../../../dev/null").exit_code, 2);
  write("in", "\xFF\xFE{");
  EXPECT_EQ(batch("in", "out").exit_code, 2);
}

TEST_F(Batch, OneProcessAtATime) {
  write("in", lines_of(requests(2)));
  const int held = ::open(path("out").c_str(), O_RDWR | O_CREAT, 0644);
  ASSERT_GE(held, 0);
  ASSERT_EQ(::flock(held, LOCK_EX), 0);
  const CommandResult refused = batch("in", "out");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("another process writes to it"));
  ::close(held);
  // Both at once: the one that comes first ends its work, whichever it is.
  const CommandResult both =
      run_shell(command("in", "out") + " & first=$!\n" + command("in", "out") +
                "; second=$?\nwait $first; first=$?\n[ $first = 0 ] || [ $second = 0 ]");
  EXPECT_EQ(both.exit_code, 0) << both.err;
  EXPECT_EQ(answers("out").size(), 2u);
}

TEST_F(Batch, ShardsTogetherAreTheWhole) {
  write("in", lines_of(requests(12)) + "no request\n");
  ASSERT_EQ(batch("in", "whole").exit_code, 0);
  std::string merged;
  std::size_t requests_in_all = 0;
  for (int i = 1; i <= 3; ++i) {
    const std::string out = fmt::format("out-{}", i);
    requests_in_all +=
        counts("in", out, fmt::format("--shard {}/3", i))["requests"].get<std::size_t>();
    merged += read(out);
  }
  EXPECT_EQ(requests_in_all, 13u);
  write("merged", merged);
  EXPECT_EQ(answers("merged"), answers("whole"));
  EXPECT_EQ(counts("in", "merged")["kept"], 13);
}

TEST_F(Batch, AFullDiskLeavesWholeAnswers) {
  write("in", lines_of(requests(30)));
  ASSERT_EQ(batch("in", "whole").exit_code, 0);
  const CommandResult full = run_shell("ulimit -f 8\nexec " + command("in", "out", "--no-cache"));
  EXPECT_EQ(full.exit_code, 5);
  EXPECT_THAT(full.err, HasSubstr("out: write: "));
  EXPECT_FALSE(answers("out").empty());  // each line whole
  EXPECT_LT(answers("out").size(), 30u);
  EXPECT_EQ(counts("in", "out")["failed"], 0);
  EXPECT_EQ(answers("out"), answers("whole"));
}

TEST_F(Batch, AnInterruptLosesNothing) {
  write("in", lines_of(requests(400)));
  const CommandResult stopped = run_shell("timeout -s INT 0.4 " + command("in", "out"));
  EXPECT_TRUE(stopped.exit_code == 130 || stopped.exit_code == 124) << stopped.exit_code;
  EXPECT_LT(answers("out").size(), 400u);
}

// OLLM_KILLS: as many at most (scripts/test-long).
TEST_F(Batch, KilledAndGoneOnWithItIsAsIfNothingHappened) {
  const char* asked = std::getenv("OLLM_KILLS");
  const int most = asked != nullptr ? std::atoi(asked) : 20;
  const std::uint32_t seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  write("in", lines_of(requests(40)));
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(batch("in", "whole").exit_code, 0);
  const std::chrono::duration<double> takes = std::chrono::steady_clock::now() - begin;
  const auto whole = answers("whole");
  std::size_t ended = 0;
  for (int kills = 0; kills < most; ++kills) {
    const double seconds = takes.count() * static_cast<double>(random() % 1200) / 1000;
    const std::string limit = fmt::format("timeout -s KILL {:.3f} ", 0.001 + seconds);
    if (run_shell(limit + command("in", "out")).exit_code != 0) continue;
    ASSERT_EQ(answers("out"), whole);
    ++ended;
    fs::remove(path("out"));
  }
  ASSERT_EQ(batch("in", "out").exit_code, 0);
  EXPECT_EQ(answers("out"), whole);
  fmt::print("{} kills, {} runs came to their end between them\n", most, ended);
}

}  // namespace
}  // namespace ollm::testing
