#include "engine/hf_folder.h"

#include <cstring>
#include <filesystem>

#include "tests/test_util.h"

namespace lastro::engine {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using lastro::testing::TempFolder;
using ::testing::HasSubstr;

class HfFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Write("config.json", R"({"model_type":"bert","hidden_size":8})");
    Write("tokenizer.json", "{}");
    WriteWeights("ab");
  }
  void Write(const std::string& name, const std::string& content) {
    std::filesystem::create_directories(std::filesystem::path(folder_ / name).parent_path());
    ASSERT_THAT(WriteFileAtomically(folder_ / name, content), IsOk());
  }
  void WriteWeights(const std::string& data) {
    const std::string header = R"({"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
    std::string file(8, '\0');
    uint64_t length = header.size();
    std::memcpy(file.data(), &length, 8);
    Write("model.safetensors", file + header + data);
  }
  std::string Fingerprint(absl::Span<const std::pair<std::string, std::string>> extra = {}) {
    auto opened = HfFolder::Open(folder_.path());
    EXPECT_THAT(opened, IsOk());
    return opened.ok() ? (*opened)->Fingerprint(extra) : "";
  }
  TempFolder folder_;
};

TEST_F(HfFolderTest, OpensTheMinimum) {
  ASSERT_OK_AND_ASSIGN(auto opened, HfFolder::Open(folder_.path() + "/"));
  EXPECT_EQ(opened->name(), std::filesystem::path(folder_.path()).filename().string());
  ASSERT_OK_AND_ASSIGN(std::string type, opened->config().GetString("model_type", ""));
  EXPECT_EQ(type, "bert");
  EXPECT_TRUE(opened->weights().Contains("w"));
  EXPECT_FALSE(opened->modules().has_value());
  EXPECT_FALSE(opened->pooling_config().has_value());
  EXPECT_FALSE(opened->generation_config().has_value());
}

TEST_F(HfFolderTest, FindsPoolingThroughModules) {
  Write("modules.json",
        R"([{"path":"","type":"x.Transformer"},{"path":"pool","type":"sentence_transformers.models.Pooling"}])");
  EXPECT_THAT(HfFolder::Open(folder_.path()), StatusIs(absl::StatusCode::kNotFound, HasSubstr("pool/config.json")));
  Write("pool/config.json", R"({"pooling_mode_mean_tokens":true})");
  ASSERT_OK_AND_ASSIGN(auto opened, HfFolder::Open(folder_.path()));
  ASSERT_TRUE(opened->pooling_config().has_value());
  EXPECT_TRUE(opened->pooling_config()->Has("pooling_mode_mean_tokens"));
}

TEST_F(HfFolderTest, RefusesModulesOutsideTheFolder) {
  Write("modules.json", R"([{"path":"../elsewhere","type":"Models.Pooling"}])");
  EXPECT_THAT(HfFolder::Open(folder_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("inside the model folder")));
}

TEST_F(HfFolderTest, MissingFilesAreNamed) {
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    std::filesystem::rename(folder_ / name, folder_ / "hidden");
    EXPECT_THAT(HfFolder::Open(folder_.path()), StatusIs(absl::StatusCode::kNotFound, HasSubstr(name)));
    std::filesystem::rename(folder_ / "hidden", folder_ / name);
  }
}

TEST_F(HfFolderTest, ChatTemplatesComeFromTheirFileOrTheTokenizersConfiguration) {
  auto chat_template = [&]() -> absl::StatusOr<std::optional<std::string>> {
    auto opened = HfFolder::Open(folder_.path());
    if (!opened.ok()) return opened.status();
    return (*opened)->ChatTemplate();
  };
  auto expect = [&](const std::optional<std::string>& expected) {
    auto found = chat_template();
    ASSERT_THAT(found, IsOk());
    EXPECT_EQ(*found, expected);
  };
  expect(std::nullopt);
  Write("tokenizer_config.json", R"({"chat_template": "one"})");
  expect("one");
  Write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "r"},
                                                       {"name": "default", "template": "d"}]})");
  expect("d");
  Write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "r"}]})");
  expect(std::nullopt);
  const std::string before = Fingerprint();
  Write("chat_template.jinja", "file");
  expect("file");
  EXPECT_NE(Fingerprint(), before);  // it changes what the model reads
  std::filesystem::remove(folder_ / "chat_template.jinja");
  Write("tokenizer_config.json", R"({"chat_template": 5})");
  EXPECT_THAT(chat_template(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("chat_template")));
}

TEST_F(HfFolderTest, SpecialTokensByName) {
  auto token = [&](const char* name) {
    auto opened = HfFolder::Open(folder_.path());
    EXPECT_THAT(opened, IsOk());
    return *(*opened)->SpecialToken(name);
  };
  EXPECT_EQ(token("bos_token"), "");
  Write("special_tokens_map.json", R"({"bos_token": {"content": "<map>", "lstrip": false}, "eos_token": "</s>"})");
  EXPECT_EQ(token("bos_token"), "<map>");
  Write("tokenizer_config.json", R"({"bos_token": "<config>", "eos_token": null})");
  EXPECT_EQ(token("bos_token"), "<config>");
  EXPECT_EQ(token("eos_token"), "</s>");
}

TEST_F(HfFolderTest, ConfigMustBeAnObject) {
  Write("config.json", "[1]");
  EXPECT_THAT(HfFolder::Open(folder_.path()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("an object")));
}

TEST_F(HfFolderTest, FingerprintFollowsEveryPart) {
  const std::string first = Fingerprint();
  EXPECT_EQ(first.size(), 64u);
  EXPECT_EQ(Fingerprint(), first);
  EXPECT_NE(Fingerprint({{"prefix", "query: "}}), first);
  EXPECT_NE(Fingerprint({{"a", "bc"}}), Fingerprint({{"ab", "c"}}));
  WriteWeights("ac");
  const std::string weights = Fingerprint();
  EXPECT_NE(weights, first);
  Write("tokenizer.json", "{ }");
  const std::string tokenizer = Fingerprint();
  EXPECT_NE(tokenizer, weights);
  Write("generation_config.json", "{}");
  EXPECT_NE(Fingerprint(), tokenizer);
}

TEST(StaysInFolderTest, JudgesPaths) {
  for (const char* good : {"a", "a/b", "1_Pooling", "a..b/c", "..."}) EXPECT_TRUE(StaysInFolder(good)) << good;
  for (const char* bad : {"", "/a", "..", "../a", "a/..", "a/../b", "a\\b"}) EXPECT_FALSE(StaysInFolder(bad)) << bad;
  EXPECT_FALSE(StaysInFolder(absl::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace lastro::engine
