// The doctor over made-up machines, folders and settings: what is found, and what is to be done.
#include "ollm/plan/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <set>

#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/rooted_system_calls.h"
#include "ollm/plan/plan_world.h"
#include "ollm/settings/fields.h"

namespace ollm::plan {
namespace {

using ::testing::HasSubstr;
using Call = io::FaultySystemCalls::Call;

// A machine whose whole file system is one temporary folder.
class Doctor : public ::testing::Test {
 protected:
  Doctor() : rooted_(std::filesystem::canonical(folder_.path()).string()), calls_(rooted_) {
    write("/proc/self/mountinfo", "22 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n");
    write("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    write("/sys/dev/block/259:2/queue/rotational", "0\n");
    write("/somewhere/readme", "");
    inputs_.environment.working_directory = "/somewhere";
    inputs_.environment.variables = {{"HOME", "/home/me"}};
    inputs_.machine.cpu_model = "A Processor";
    inputs_.machine.cores = inputs_.machine.affinity_cores = 4;
    inputs_.machine.total_bytes = std::uint64_t{16} << 30;
    inputs_.machine.available_bytes = std::uint64_t{8} << 30;
    inputs_.machine.isas = {backend::Isa::scalar, backend::Isa::avx2};
    machine::Profile profile;
    profile.measured = "2026-11-24T10:30:00Z";
    profile.memory_bytes_per_second = 40e9;
    profile.tables = {{backend::Isa::avx2,
                       backend::ComputeMode::f32,
                       250e9,
                       {{1, 18e9}, {512, 200e9}},
                       36e9,
                       100e9}};
    profile.disks = {{11, "a/file", 2e9}, {12, "b/file", 1e9}};
    inputs_.machine.profile = profile;
    inputs_.calls = &calls_;
  }

  void write(const std::string& file, std::string_view content) {
    folder_.write(file.substr(1), content);
  }
  void llama(const std::string& dir) {
    write(dir + "/config.json", tiny_config("llama", "LlamaForCausalLM").dump());
    write(dir + "/model.safetensors", safetensors_bytes(tiny_tensors()));
  }
  void given(const std::string& field) {
    const auto fields = settings::settings_fields();
    inputs_.settings.origins.resize(fields.size());
    for (std::size_t i = 0; i < fields.size(); ++i)
      if (fields[i].qualified_name() == field)
        inputs_.settings.origins[i] = {settings::Origin::env, fields[i].environment_name()};
  }

  DoctorCheck check(const std::string& name) {
    for (const DoctorCheck& one : run_doctor(inputs_))
      if (one.name == name) return one;
    ADD_FAILURE() << "no check " << name;
    return {};
  }
  void expect(const std::string& name, DoctorStatus status, std::string_view words) {
    const DoctorCheck found = check(name);
    EXPECT_EQ(found.status, status) << name << ": " << found.message;
    EXPECT_THAT(found.message, HasSubstr(words)) << name;
    // Whatever is not as it should be says what to do.
    if (status != DoctorStatus::ok) {
      EXPECT_NE(found.advice, "") << name;
    }
  }
  std::string detail(const std::string& name, std::string_view key) {
    const DoctorCheck found = check(name);
    const std::string* value = found.details.find(key);
    return value != nullptr ? *value : "absent";
  }

  io::TemporaryFolder folder_;
  io::RootedSystemCalls rooted_;
  io::FaultySystemCalls calls_;
  DoctorInputs inputs_;
};

TEST_F(Doctor, ASoundMachineHasNothingToDo) {
  llama("/somewhere/models/mine");
  const auto checks = run_doctor(inputs_);
  EXPECT_TRUE(all_ok(checks));
  for (const DoctorCheck& one : checks) {
    // The temporary folder of the test may lie on a file system without direct reads.
    if (one.name.starts_with("storage:")) continue;
    EXPECT_EQ(one.status, DoctorStatus::ok) << one.name << ": " << one.message;
    EXPECT_EQ(one.advice, "") << one.name;
  }
}

TEST_F(Doctor, EveryNameIsThereOnceAndHasItsSection) {
  std::set<std::string> names;
  for (const DoctorCheck& one : run_doctor(inputs_)) {
    EXPECT_TRUE(names.insert(one.name).second) << one.name;
    EXPECT_NE(one.name.find(':'), std::string::npos) << one.name;
  }
}

TEST_F(Doctor, SaysWhatWasMeasuredAndWarnsWhereNothingWas) {
  EXPECT_THAT(check("rates:memory").message, HasSubstr("40.0 GB/s"));
  EXPECT_THAT(check("rates:avx2-f32").message, HasSubstr("18, 200 GFLOP/s with 1, 512 rows"));
  EXPECT_THAT(check("rates:disk-2").message, HasSubstr("1.00 GB/s"));
  inputs_.machine.profile.reset();
  EXPECT_EQ(check("rates:profile").status, DoctorStatus::warn);
  EXPECT_THAT(check("rates:profile").advice, HasSubstr("--measure"));
}

TEST_F(Doctor, WritesNothingThatStays) {
  llama("/somewhere/models/mine");
  run_doctor(inputs_);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path() / "somewhere"))
    names.push_back(entry.path().filename().string());
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("readme", "models"));
  EXPECT_EQ(calls_.count(Call::mkdir), 0u);
  EXPECT_EQ(calls_.open_files(), 0u);
}

TEST_F(Doctor, TellsOfAProcessorWithoutVectors) {
  inputs_.machine.isas = {backend::Isa::scalar};
  expect("cpu:instruction-sets", DoctorStatus::warn, "neither AVX2");
}

TEST_F(Doctor, TellsCoresAffinityAndQuota) {
  expect("cpu:cores", DoctorStatus::ok, "4 to compute on");
  EXPECT_EQ(detail("cpu:cores", "quota_cores"), "none");
  inputs_.machine.cores = inputs_.machine.cgroup.quota_cores = 2;
  expect("cpu:cores", DoctorStatus::ok, "2 to compute on of 4: a control group's quota");
  EXPECT_EQ(detail("cpu:cores", "quota_cores"), "2");
}

TEST_F(Doctor, TellsMemoryAndItsLimits) {
  expect("memory:total", DoctorStatus::ok, "16.0 GiB, of which 8.0 GiB are left");
  expect("memory:limit", DoctorStatus::ok, "no control group");
  inputs_.machine.cgroup = {.v2 = true, .memory_bytes = 1u << 30, .used_bytes = 1u << 20};
  expect("memory:limit", DoctorStatus::ok, "allows 1.0 GiB, of which 1.0 MiB");
  EXPECT_EQ(detail("memory:limit", "cgroup_version"), "2");
  inputs_.machine.cgroup.v1 = true;
  EXPECT_EQ(detail("memory:limit", "cgroup_version"), "1 and 2");
  inputs_.machine.available_bytes = 1u << 20;
  expect("memory:total", DoctorStatus::warn, "1.0 MiB are left");
  inputs_.machine.total_bytes = 0;
  expect("memory:total", DoctorStatus::fail, "/proc/meminfo");
}

TEST_F(Doctor, TellsOfHugePages) {
  expect("memory:huge-pages", DoctorStatus::ok, "madvise");
  write("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
  expect("memory:huge-pages", DoctorStatus::warn, "never");
  std::filesystem::remove_all(folder_.path() / "sys/kernel");
  expect("memory:huge-pages", DoctorStatus::warn, "does not tell");
}

TEST_F(Doctor, AFolderThatWasNamedHasToBeThere) {
  expect("path:models-dir", DoctorStatus::ok, "/somewhere/models is not there");
  given("runtime.models_dir");
  expect("path:models-dir", DoctorStatus::fail, "/somewhere/models is not there");
  EXPECT_FALSE(all_ok(run_doctor(inputs_)));
  write("/somewhere/models/readme", "");
  expect("path:models-dir", DoctorStatus::ok, "/somewhere/models");
}

TEST_F(Doctor, AFileIsNoFolder) {
  write("/somewhere/models", "");
  expect("path:models-dir", DoctorStatus::fail, "no folder");
}

TEST_F(Doctor, TheCacheIsMadeLaterAndIsOnesOwn) {
  expect("path:cache-dir", DoctorStatus::ok, "/home/me/.cache/ollm");
  inputs_.settings.runtime.cache_dir = "kv_cache";
  expect("path:cache-dir", DoctorStatus::ok, "made when it is needed");
  given("runtime.cache_dir");
  expect("path:cache-dir", DoctorStatus::ok, "made when it is needed");
  std::filesystem::create_directory(folder_.path() / "somewhere/kv_cache");
  std::filesystem::permissions(folder_.path() / "somewhere/kv_cache", std::filesystem::perms(0770));
  expect("path:cache-dir", DoctorStatus::warn, "written by others");
  std::filesystem::permissions(folder_.path() / "somewhere/kv_cache", std::filesystem::perms(0700));
  expect("path:cache-dir", DoctorStatus::ok, "/somewhere/kv_cache");
}

TEST_F(Doctor, NoCacheIsNotLookedAt) {
  inputs_.settings.runtime.use_cache = false;
  for (const DoctorCheck& one : run_doctor(inputs_)) {
    EXPECT_EQ(one.name.find("cache-dir"), std::string::npos);
    EXPECT_NE(one.name, "cache:kv");
  }
}

TEST_F(Doctor, TellsWhatMayBeStored) {
  inputs_.settings.runtime.cache_dir = "cache";
  expect("cache:kv", DoctorStatus::ok, "/somewhere/cache/kv is not there yet");
  EXPECT_EQ(detail("cache:kv", "exists"), "false");
  inputs_.settings.runtime.kv_cache_max_bytes = std::int64_t{3} << 20;
  expect("cache:kv", DoctorStatus::ok, "0 B of at most 3.0 MiB stored");
  EXPECT_EQ(detail("cache:kv", "cap_bytes"), "3145728");

  const auto folder = folder_.path() / "somewhere/cache/kv";
  std::filesystem::create_directories(folder);
  std::filesystem::permissions(folder, std::filesystem::perms(0700));
  expect("cache:kv", DoctorStatus::ok, "/somewhere/cache/kv, 0 B of");
  EXPECT_EQ(detail("cache:kv", "mode"), "0700");
  std::filesystem::permissions(folder, std::filesystem::perms(0770));
  expect("cache:kv", DoctorStatus::fail, "runs store nothing: /somewhere/cache/kv: others may");
  std::filesystem::remove(folder);
  write("/somewhere/cache/kv", "");
  expect("cache:kv", DoctorStatus::fail, "is no folder");

  inputs_.settings.runtime.cache_dir.reset();
  inputs_.environment.variables.clear();
  expect("cache:kv", DoctorStatus::fail, "neither XDG_CACHE_HOME nor HOME");
}

TEST_F(Doctor, TellsWhatTheFileSystemOfTheStoreCannotDo) {
  calls_.fail(Call::fallocate, 0, EOPNOTSUPP, io::FaultySystemCalls::Repeat::sticky);
  expect("cache:kv", DoctorStatus::warn, "gives back whole files only");
  EXPECT_EQ(detail("cache:kv", "gives_back_parts"), "false");
  calls_.heal();
  calls_.restrict_to("/");
  calls_.fail(Call::open, 0, EROFS, io::FaultySystemCalls::Repeat::sticky);
  expect("cache:kv", DoctorStatus::warn, "nothing can be stored (/: Read-only file system)");
}

TEST_F(Doctor, TellsTheFileSystemUnderAFolder) {
  expect("storage:models-dir", check("storage:models-dir").status, "ext4 on /dev/nvme0n1p2");
  EXPECT_EQ(detail("storage:models-dir", "rotational"), "false");
  write("/sys/dev/block/259:2/queue/rotational", "1\n");
  expect("storage:models-dir", DoctorStatus::warn, "a disk that turns");
  write("/proc/self/mountinfo", "22 1 259:2 / / rw - ext4 /dev/vda rw\n");
  EXPECT_EQ(detail("storage:models-dir", "rotational"), "absent");  // virtual: nobody knows
  write("/proc/self/mountinfo",
        "22 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n30 22 0:40 / /somewhere rw - nfs4 server:/e "
        "rw\n");
  expect("storage:models-dir", DoctorStatus::warn, "over a network");
  write("/proc/self/mountinfo", "30 22 0:40 / / rw - fuse.sshfs me@server: rw\n");
  expect("storage:models-dir", DoctorStatus::warn, "over a network");
  write("/proc/self/mountinfo", "30 22 0:40 / / rw - tmpfs tmpfs rw\n");
  expect("storage:models-dir", DoctorStatus::warn, "in memory");
  std::filesystem::remove_all(folder_.path() / "proc");
  EXPECT_THAT(check("storage:models-dir").message, HasSubstr("not known"));
}

TEST_F(Doctor, TriesDirectReadsOnAFileThatIsThere) {
  write("/somewhere/models/mine/config.json", "{}");
  calls_.restrict_to("/somewhere/models/mine/config.json");
  calls_.fail(Call::open, 0, EINVAL, io::FaultySystemCalls::Repeat::sticky);
  EXPECT_EQ(detail("storage:models-dir", "direct_reads"), "false");
  expect("storage:models-dir", DoctorStatus::warn, "no direct reads");
}

TEST_F(Doctor, TellsWhenDirectReadsCouldNotBeTried) {
  calls_.restrict_to("/somewhere");
  calls_.fail(Call::open, 0, EROFS, io::FaultySystemCalls::Repeat::sticky);
  EXPECT_EQ(detail("storage:models-dir", "direct_reads"), "unknown");
  EXPECT_THAT(check("storage:models-dir").message, HasSubstr("not tried"));
}

TEST_F(Doctor, TellsWhetherIoUringIsAllowed) {
  expect("storage:io-uring", DoctorStatus::ok, "allowed");
  inputs_.io_uring = fail(ErrorKind::unsupported, "kernel.io_uring_disabled is 2");
  expect("storage:io-uring", DoctorStatus::warn, "kernel.io_uring_disabled is 2");
  EXPECT_TRUE(all_ok(run_doctor(inputs_)));
}

TEST_F(Doctor, TellsOfGpus) {
  expect("gpu:nvidia", DoctorStatus::ok, "none");
  write("/dev/nvidia0", "");
  expect("gpu:nvidia", DoctorStatus::warn, "no driver");
  write("/proc/driver/nvidia/gpus/0000:01:00.0/information",
        "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 121\n");
  expect("gpu:nvidia", DoctorStatus::ok, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(detail("gpu:nvidia", "count"), "1");
  std::filesystem::remove(folder_.path() / "dev/nvidia0");
  expect("gpu:nvidia", DoctorStatus::warn, "/dev/nvidia0 is not there");
}

TEST_F(Doctor, SettingsThatMakeNoSenseAreAFailure) {
  expect("settings:values", DoctorStatus::ok, "defaults");
  given("runtime.models_dir");
  expect("settings:values", DoctorStatus::ok, "1 are set");
  EXPECT_EQ(detail("settings:values", "runtime.models_dir"), "env (OLLM_RUNTIME__MODELS_DIR)");
  inputs_.settings_error = fail(ErrorKind::invalid_argument, "ollm.toml:3: runtime.threads: no");
  expect("settings:values", DoctorStatus::fail, "ollm.toml:3");
  EXPECT_FALSE(all_ok(run_doctor(inputs_)));
}

TEST_F(Doctor, CountsModelsAndNamesBrokenOnes) {
  expect("models:installed", DoctorStatus::warn, "0 on this machine");
  llama("/somewhere/models/mine");
  write("/somewhere/models/other/config.json", R"({"architectures": ["T5"], "model_type": "t5"})");
  write("/somewhere/models/other/model.safetensors", safetensors_bytes(tiny_tensors()));
  expect("models:installed", DoctorStatus::ok, "2 on this machine, 1 of them can run");
  write("/somewhere/models/broken/config.json", "{");
  expect("models:installed", DoctorStatus::warn, "broken");
  calls_.restrict_to("/somewhere/models");
  calls_.fail(Call::list, 0, EACCES, io::FaultySystemCalls::Repeat::sticky);
  expect("models:installed", DoctorStatus::fail, "/somewhere/models");
}

TEST_F(Doctor, AModelThatWasNamedHasToRun) {
  llama("/somewhere/models/mine");
  for (const DoctorCheck& one : run_doctor(inputs_)) EXPECT_NE(one.name, "models:named");
  given("runtime.model_reference");
  inputs_.settings.runtime.model_reference = "mine";
  expect("models:named", DoctorStatus::ok, "llama-native runs 'mine'");
  EXPECT_EQ(detail("models:named", "planned_specialization_pass_ids"),
            "disk-cache,weight-pinning,prefix-reuse");
  inputs_.settings.runtime.model_reference = "lama3-1B-chat";
  expect("models:named", DoctorStatus::fail, "llama3-1B-chat");
}

TEST_F(Doctor, ADiskThatFailsAtAnyCallIsToldAndNothingElse) {
  llama("/somewhere/models/mine");
  for (const Call call : {Call::open, Call::pread, Call::stat, Call::list, Call::statvfs}) {
    for (std::uint64_t k = 0;; ++k) {
      io::FaultySystemCalls calls(rooted_);
      calls.fail(call, k, EIO, io::FaultySystemCalls::Repeat::sticky);
      inputs_.calls = &calls;
      EXPECT_FALSE(run_doctor(inputs_).empty());
      EXPECT_EQ(calls.open_files(), 0u);
      if (calls.count(call) <= k) break;
      ASSERT_LT(k, 2000u);
    }
  }
}

}  // namespace
}  // namespace ollm::plan
