// Requests beside each other: what each gives is what it gives alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ollm/ollm.h"
#include "ollm/runtime/shipped_model.h"

namespace ollm::runtime {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kContext = 200;

Request request(std::vector<TokenId> ids, std::size_t new_tokens = 12, double temperature = 0) {
  Request out;
  out.prompt = Prompt::tokens(std::move(ids));
  out.options.max_new_tokens = new_tokens;
  out.options.ignore_eos = true;
  out.options.sampling.temperature = temperature;
  return out;
}

class Tickets : public ::testing::Test {
 protected:
  Ticket submit(const Request& what) {
    auto ticket = runtime_.submit(what);
    EXPECT_TRUE(ticket.ok()) << ticket.error().message;
    return std::move(ticket).value();
  }
  Generation alone(const Request& what, std::size_t answer = 0) {
    Session session = std::move(runtime_.new_session()).value();
    GenerateOptions options = what.options;
    options.sampling.seed += answer;
    auto made = session.generate(what.prompt, options);
    EXPECT_TRUE(made.ok());
    return std::move(made).value();
  }
  static ErrorKind kind_of(const Result<Ticket>& ticket) {
    EXPECT_FALSE(ticket.ok());
    return ticket.ok() ? ErrorKind::internal : ticket.error().kind;
  }

  Runtime runtime_ = load(settings_of(kShippedModel), {.sequences = 3, .context_tokens = kContext});
};

TEST_F(Tickets, GiveWhatASessionGives) {
  std::vector<Request> requests;
  for (TokenId i = 0; i < 8; ++i)
    requests.push_back(
        request({1, 4, 51, static_cast<TokenId>(20 + i)}, 5 + i, i % 2 == 0 ? 0 : 1));
  std::vector<Ticket> tickets;
  for (const Request& what : requests) tickets.push_back(submit(what));
  for (std::size_t i = requests.size(); i-- > 0;) {
    const auto answers = tickets[i].wait();
    ASSERT_TRUE(answers.ok()) << answers.error().message;
    const Generation expected = alone(requests[i]);
    EXPECT_EQ(answers->answers.at(0).ids, expected.ids);
    EXPECT_EQ(answers->answers.at(0).text, expected.text);
    EXPECT_EQ(answers->report.prompt_tokens, 4U);
    EXPECT_EQ(answers->report.new_tokens, expected.ids.size());
  }
}

TEST_F(Tickets, WaitingForThemCanBeStopped) {
  Ticket ticket = submit(request({1, 4, 51}));
  Ticket* const tickets[] = {&ticket};
  CancellationToken stop;
  stop.cancel();
  EXPECT_EQ(Ticket::wait_any(tickets, &stop).error().kind, ErrorKind::cancelled);
  stop.reset();
  EXPECT_EQ(*Ticket::wait_any(tickets, &stop), 0U);
  EXPECT_TRUE(ticket.wait().ok());  // what runs went on
}

TEST_F(Tickets, TellPieceByPiece) {
  const Request what = request({1, 4, 51, 36, 99, 7}, 20);
  Ticket ticket = submit(what);
  std::string text;
  std::vector<TokenId> ids;
  std::optional<FinishReason> reason;
  for (;;) {
    const auto piece = ticket.next();
    ASSERT_TRUE(piece.ok());
    if (!*piece) break;
    EXPECT_FALSE(reason);
    text += (*piece)->text;
    ids.insert(ids.end(), (*piece)->ids.begin(), (*piece)->ids.end());
    reason = (*piece)->finish_reason;
  }
  const Generation expected = alone(what);
  EXPECT_EQ(text, expected.text);
  EXPECT_EQ(ids, expected.ids);
  EXPECT_EQ(reason, FinishReason::length);
  EXPECT_TRUE(ticket.ready());
}

TEST_F(Tickets, SampleEachAnswerWithASeedOfItsOwn) {
  Request what = request({1, 4, 51, 36, 99, 7}, 10, 1.5);
  what.answers = 7;
  what.options.sampling.seed = 40;
  const auto answers = submit(what).wait();
  ASSERT_TRUE(answers.ok());
  ASSERT_EQ(answers->answers.size(), 7U);
  for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(answers->answers[i].ids, alone(what, i).ids);
  EXPECT_NE(answers->answers[0].ids, answers->answers[1].ids);
}

TEST_F(Tickets, AreCancelledAndOthersGoOn) {
  Ticket gone = submit(request({1, 2, 3}, 150));
  Ticket dropped = submit(request({3, 2, 1}, 150));
  const Request what = request({7, 8, 9});
  Ticket stays = submit(what);
  ASSERT_TRUE(gone.next().ok());
  gone.cancel();
  {
    const Ticket end = std::move(dropped);
  }
  const auto answers = gone.wait();
  ASSERT_TRUE(answers.ok());
  EXPECT_EQ(answers->answers.at(0).finish_reason, FinishReason::cancelled);
  EXPECT_LT(answers->answers[0].ids.size(), 150U);
  EXPECT_EQ(stays.wait()->answers.at(0).ids, alone(what).ids);
}

TEST_F(Tickets, WaitForAnyOfThem) {
  std::vector<Ticket> tickets;
  for (TokenId i = 0; i < 5; ++i) tickets.push_back(submit(request({i, 8, 9}, 3 + i)));
  std::vector<Ticket*> waiting;
  for (Ticket& ticket : tickets) waiting.push_back(&ticket);
  std::size_t pieces = 0;
  while (!waiting.empty()) {
    const auto which = Ticket::wait_any(waiting);
    ASSERT_TRUE(which.ok());
    const auto piece = waiting[*which]->next();
    ASSERT_TRUE(piece.ok());
    if (*piece)
      ++pieces;
    else
      waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(*which));
  }
  EXPECT_GE(pieces, 5U);
}

TEST_F(Tickets, ComeFromManyThreads) {
  std::vector<Request> requests;
  std::vector<Generation> expected;
  for (TokenId i = 0; i < 6; ++i) {
    requests.push_back(request({1, 4, static_cast<TokenId>(60 + i)}, 10, i % 3));
    expected.push_back(alone(requests.back()));
  }
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 6; ++i) {
        const std::size_t which = (i + t) % 6;
        if (t % 2 == 0) {
          EXPECT_EQ(submit(requests[which]).wait()->answers.at(0).ids, expected[which].ids);
        } else {
          EXPECT_EQ(alone(requests[which]).ids, expected[which].ids);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(Tickets, RefuseWhatMakesNoSense) {
  Request none = request({1, 2});
  none.answers = 0;
  EXPECT_EQ(kind_of(runtime_.submit(none)), ErrorKind::invalid_argument);
  none.answers = kMostAnswers + 1;
  EXPECT_EQ(kind_of(runtime_.submit(none)), ErrorKind::invalid_argument);
  EXPECT_EQ(kind_of(runtime_.submit(request({}))), ErrorKind::invalid_argument);
  EXPECT_EQ(kind_of(runtime_.submit(request({-1}))), ErrorKind::invalid_argument);
  EXPECT_EQ(kind_of(runtime_.submit(request(std::vector<TokenId>(kContext + 1, 5)))),
            ErrorKind::invalid_argument);
  EXPECT_FALSE(Ticket::wait_any({}).ok());
  Ticket* const null = nullptr;
  EXPECT_FALSE(Ticket::wait_any({&null, 1}).ok());

  Ticket ticket = submit(request({1, 2}));
  ASSERT_TRUE(ticket.wait().ok());
  const auto again = ticket.wait();
  ASSERT_FALSE(again.ok());
  EXPECT_THAT(again.error().message, HasSubstr("taken before"));
  const auto over = ticket.next();
  ASSERT_TRUE(over.ok());
  EXPECT_FALSE(*over);
  const Ticket moved = std::move(ticket);
  EXPECT_FALSE(ticket.next().ok());  // NOLINT(bugprone-use-after-move)
  EXPECT_FALSE(ticket.wait().ok());
  EXPECT_TRUE(ticket.ready());
  ticket.cancel();
}

}  // namespace
}  // namespace ollm::runtime
