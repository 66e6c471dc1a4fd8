// For tests: a model's folder that is written file by file and opened through calls that may fail.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ollm/checkpoint/model_folder.h"
#include "ollm/checkpoint/safetensors_writer.h"
#include "ollm/io/faulty_system_calls.h"
#include "ollm/io/temporary_folder.h"

namespace ollm::checkpoint {

// A safetensors file of F32 [4] tensors of these names.
inline std::string weights(const std::vector<std::string>& names) {
  std::vector<NewTensor> tensors;
  for (const std::string& name : names) tensors.push_back({name, DType::f32, Shape{4}});
  auto header = make_safetensors_header(tensors);
  EXPECT_TRUE(header.ok());
  std::string bytes = *header;
  for (std::size_t i = 0; i < names.size(); ++i) bytes += std::string(16, static_cast<char>(i + 1));
  return bytes;
}

inline constexpr const char* kIndex =
    R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})";

class ModelFolderTest : public ::testing::Test {
 protected:
  ModelFolderTest() { write("config.json", R"({"model_type":"llama","hidden_size":4})"); }

  std::filesystem::path write(const char* name, std::string_view content) const {
    return folder_.write(name, content);
  }
  void write_shards() const {
    write("model.safetensors.index.json", kIndex);
    write("model-1.safetensors", weights({"a"}));
    write("model-2.safetensors", weights({"b"}));
  }
  Result<ModelFolder> open() const { return ModelFolder::open(folder_.path(), calls_); }
  void expect_refused(ErrorKind kind, const ::testing::Matcher<std::string>& message) const {
    const auto folder = open();
    ASSERT_FALSE(folder.ok());
    EXPECT_EQ(folder.error().kind, kind) << folder.error().message;
    EXPECT_THAT(folder.error().message, message);
    EXPECT_EQ(calls_.open_files(), 0u) << "no descriptor may leak";
  }

  const io::TemporaryFolder folder_;
  mutable io::FaultySystemCalls calls_;
};

}  // namespace ollm::checkpoint
