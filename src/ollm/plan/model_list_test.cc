// Which models are listed, in which order, and what is not.
#include "ollm/plan/model_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "ollm/base/json_cursor.h"
#include "ollm/base/utf8.h"
#include "ollm/io/faulty_system_calls.h"
#include "ollm/plan/payloads.h"
#include "ollm/plan/plan_world.h"

namespace ollm::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";
constexpr const char* kOther = "89abcdef0123456789abcdef0123456789abcdef";

class ModelList : public ::testing::Test {
 protected:
  std::vector<ListedModel> list() {
    auto models = list_models(world_.config(), world_.environment(), world_.machine());
    EXPECT_TRUE(models.ok()) << models.error().message;
    return models.ok() ? *std::move(models) : std::vector<ListedModel>();
  }
  // "reference [source]" of what is on the machine.
  std::vector<std::string> installed() {
    std::vector<std::string> out;
    for (const ListedModel& model : list())
      if (model.planned.resolution.materialized)
        out.push_back(world_.without_root(model.planned.resolution.model.reference.raw) + " [" +
                      model.discovery_source + "]");
    return out;
  }

  World world_;
};

TEST_F(ModelList, HasEveryAliasThoughNoneIsThere) {
  std::vector<std::string> references;
  for (const ListedModel& model : list()) {
    references.push_back(model.planned.resolution.model.reference.raw);
    EXPECT_EQ(model.discovery_source, "built-in");
    EXPECT_FALSE(model.planned.selection.plan.is_executable());
  }
  EXPECT_THAT(references,
              ElementsAre("gemma3-12B", "gpt-oss-20B", "llama3-1B-chat", "llama3-3B-chat",
                          "llama3-8B-chat", "qwen3-next-80B", "voxtral-small-24B"));
}

TEST_F(ModelList, FoldersAndCachedRepositoriesFollowTheAliases) {
  world_.llama("models/mine");
  world_.llama("models/.hidden");
  world_.llama("models/llama3-1B-chat");  // the alias stands for it
  world_.snapshot("models--org--name", "main", kCommit,
                  [&](const auto& dir) { world_.llama(dir); });
  world_.snapshot("models--org--name", "v1", kOther, [&](const auto& dir) { world_.qwen2(dir); });
  world_.snapshot("models--alone", "main", kCommit, [&](const auto& dir) { world_.llama(dir); });
  // By source kind, then by reference.
  EXPECT_THAT(installed(),
              ElementsAre("llama3-1B-chat [built-in]", "hf://alone [discovered-hub-cache]",
                          "org/name [discovered-hub-cache]", "org/name@v1 [discovered-hub-cache]",
                          "$ROOT/models/mine [discovered-local]"));
}

TEST_F(ModelList, AnAliasInTheCacheIsListedOnce) {
  world_.snapshot("models--unsloth--Llama-3.2-1B-Instruct", "main", kCommit,
                  [&](const auto& dir) { world_.llama(dir); });
  EXPECT_THAT(installed(), ElementsAre("llama3-1B-chat [built-in]"));
}

TEST_F(ModelList, TheSameFolderByTwoNamesIsListedOnce) {
  world_.llama("models/mine");
  std::filesystem::create_directory_symlink(world_.root() / "models/mine",
                                            world_.root() / "models/other");
  EXPECT_THAT(installed(), ElementsAre("$ROOT/models/mine [discovered-local]"));
}

TEST_F(ModelList, WhatIsNoRepositoryOfTheCacheIsPassedOver) {
  world_.write("hub/version.txt", "1");
  world_.write("hub/datasets--org--name/refs/main", kCommit);
  world_.write("hub/models--a--b--c/refs/main", kCommit);
  world_.write("hub/models--org--empty/refs/main", kCommit);  // a snapshot that is not there
  EXPECT_THAT(installed(), ElementsAre());
}

TEST_F(ModelList, ABrokenRefIsListedWithItsReason) {
  world_.write("hub/models--org--broken/refs/main", "no commit");
  const auto models = list();
  const auto found = std::find_if(models.begin(), models.end(), [](const ListedModel& model) {
    return model.planned.resolution.model.reference.raw == "org/broken";
  });
  ASSERT_NE(found, models.end());
  EXPECT_THAT(found->planned.selection.plan.reason, HasSubstr("expected a commit"));
}

TEST_F(ModelList, ALinkOutOfTheCacheIsNotFollowed) {
  world_.llama("work/secret");
  world_.write("hub/models--org--name/refs/main", kCommit);
  std::filesystem::create_directories(world_.root() / "hub/models--org--name/snapshots");
  std::filesystem::create_directory_symlink(
      world_.root() / "work/secret", world_.root() / "hub/models--org--name/snapshots" / kCommit);
  for (const ListedModel& model : list())
    EXPECT_FALSE(model.planned.resolution.materialized)
        << model.planned.resolution.model.reference.raw;
}

TEST_F(ModelList, AFolderThatCannotBeReadIsAnError) {
  world_.llama("models/mine");
  io::FaultySystemCalls calls;
  calls.restrict_to("/models");
  calls.fail(io::FaultySystemCalls::Call::list, 0, EACCES);
  const auto models = list_models(world_.config(), world_.environment(), world_.machine(), calls);
  ASSERT_FALSE(models.ok());
  EXPECT_EQ(models.error().kind, ErrorKind::io);
}

// One odd name ends no list.
TEST_F(ModelList, WhateverAFolderIsCalledTheListGoesOn) {
  const std::vector<std::string> names = {"line\nbreak", "\x1b[31m", "bad\xff", " space ",
                                          "a@",          "models--", "a://b",   "models--a--b"};
  for (const std::string& name : names)
    if (name.find('/') == std::string::npos) world_.llama(std::filesystem::path("models") / name);
  world_.llama("models/mine");
  world_.write("models/file", "x");
  std::filesystem::create_symlink("nowhere", world_.root() / "models/dangling");
  std::filesystem::create_symlink("loop", world_.root() / "models/loop");
  for (const char* name :
       {"models--", "models--a--", "models--a--\xff", "models----b", "models--a"})
    std::filesystem::create_directories(world_.root() / "hub" / name);
  world_.write("hub/models--org--name/refs/\xff\x1b", kCommit);
  world_.write("hub/models--org--name/refs/a@b", "broken");
  world_.snapshot("models--org--name", "main", kCommit,
                  [&](const auto& dir) { world_.llama(dir); });
  std::size_t runnable = 0;
  for (const ListedModel& model : list()) {
    const PlanDraft& plan = model.planned.selection.plan;
    if (plan.is_executable()) ++runnable;
    const Json payload = merged_payload(RuntimePlan(plan), model.planned.resolution.materialized);
    EXPECT_TRUE(Json::accept(payload.dump())) << "JSON that a parser takes";
    EXPECT_EQ(printable(plan.reason), json_text(plan.reason));
  }
  EXPECT_EQ(runnable, names.size() - 1 + 2);
}

TEST_F(ModelList, AFolderThatOneMayNotReadIsListedWithItsReason) {
  world_.llama("models/closed");
  world_.llama("models/mine");
  world_.write("hub/models--org--closed/refs/main", kCommit);
  for (const char* closed : {"models/closed", "models--org--closed"}) {
    io::FaultySystemCalls calls;
    calls.restrict_to(closed);
    calls.fail(io::FaultySystemCalls::Call::list, 0, EACCES, io::FaultySystemCalls::Repeat::sticky);
    const auto models = list_models(world_.config(), world_.environment(), world_.machine(), calls);
    ASSERT_TRUE(models.ok()) << models.error().message;
    std::size_t runnable = 0;
    for (const ListedModel& model : *models)
      if (model.planned.selection.plan.is_executable()) ++runnable;
    EXPECT_EQ(runnable, std::string_view(closed) == "models/closed" ? 1u : 2u);
  }
}

// A setting that one of the models cannot have.
TEST_F(ModelList, AModelThatTheSettingsDoNotFitIsListedWithItsReason) {
  world_.bare("models/mine", tiny_config("mamba2", "Mamba2ForCausalLM"));
  world_.config().kv_cache_strategy = "paged";
  const auto models = list();
  const auto found = std::find_if(models.begin(), models.end(), [](const ListedModel& model) {
    return model.discovery_source == kDiscoveredLocal;
  });
  ASSERT_NE(found, models.end());
  EXPECT_EQ(found->planned.selection.refusal->kind, ErrorKind::unsupported);
  EXPECT_THAT(found->planned.selection.plan.reason, HasSubstr("needs a disk cache"));
  EXPECT_EQ(found->planned.selection.plan.reason, found->planned.selection.refusal->message);
}

}  // namespace
}  // namespace ollm::plan
