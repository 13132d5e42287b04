#include "engine/safetensors.h"

#include <cstring>

#include "tests/test_util.h"

namespace lastro::engine {
namespace {

using lastro::testing::IsOk;
using lastro::testing::kInvalid;
using lastro::testing::StatusIs;
using lastro::testing::TempFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string WithHeader(const std::string& header, size_t data_bytes) {
  std::string file(8, '\0');
  uint64_t length = header.size();
  std::memcpy(file.data(), &length, 8);
  file += header;
  for (size_t i = 0; i < data_bytes; ++i) file.push_back(static_cast<char>(i));
  return file;
}

auto Parse(const std::string& file) {
  return ParseSafetensors({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, "m.safetensors");
}

TEST(SafetensorsTest, ReadsTensorsInAnyHeaderOrder) {
  std::string file = WithHeader(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]},)"
      R"("a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"s":{"dtype":"U8","shape":[],"data_offsets":[12,13]}})",
      13);
  TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(folder / "m.safetensors", file), IsOk());
  ASSERT_OK_AND_ASSIGN(SafetensorsFile opened, SafetensorsFile::Open(folder / "m.safetensors"));
  EXPECT_THAT(opened.names(), ElementsAre("a", "b", "s"));
  ASSERT_OK_AND_ASSIGN(const StoredTensor* b, opened.Find("b"));
  EXPECT_EQ(b->type, StoredType::kF32);
  EXPECT_THAT(b->shape, ElementsAre(2, 1));
  EXPECT_THAT(b->data, ElementsAre(4, 5, 6, 7, 8, 9, 10, 11));
  ASSERT_OK_AND_ASSIGN(const StoredTensor* s, opened.Find("s"));
  EXPECT_EQ(s->elements(), 1);
  EXPECT_THAT(opened.Find("c"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("no tensor c")));
}

TEST(SafetensorsTest, AcceptsEmptyTensorsAndEmptyFiles) {
  EXPECT_THAT(Parse(WithHeader("{}", 0)), IsOk());
  EXPECT_THAT(Parse(WithHeader(R"({"e":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]},)"
                               R"("f":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}})",
                               2)),
              IsOk());
}

struct BadCase {
  const char* name;
  std::string file;
  const char* message;
};

class BadSafetensorsTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadSafetensorsTest, IsRefusedWithAReason) {
  EXPECT_THAT(Parse(GetParam().file), StatusIs(kInvalid, HasSubstr(GetParam().message)));
}

std::string One(const std::string& fields, size_t data_bytes) {
  return WithHeader("{\"a\":{" + fields + "}}", data_bytes);
}

std::string HugeLength() {
  std::string file = WithHeader("{}", 0);
  std::memset(file.data(), 0xFF, 8);
  return file;
}

INSTANTIATE_TEST_SUITE_P(
    All, BadSafetensorsTest,
    ::testing::Values(
        BadCase{"Empty", "", "not a safetensors file"}, BadCase{"Short", "\x01\x02\x03", "not a safetensors file"},
        BadCase{"HeaderBeyondFile", WithHeader("{}", 0).substr(0, 9), "header length 2 exceeds"},
        BadCase{"HeaderLengthOverflow", HugeLength(), "exceeds the file"},
        BadCase{"NotAnObject", WithHeader("[]", 0), "must start with '{'"},
        BadCase{"LeadingSpace", WithHeader(" {}", 0), "must start with '{'"},
        BadCase{"NotJson", WithHeader("{\"a\":}", 0), "not valid JSON"},
        BadCase{"OffsetsBeyondData", One(R"("dtype":"U8","shape":[4],"data_offsets":[0,4])", 3), "data_offsets"},
        BadCase{"OffsetsReversed", One(R"("dtype":"U8","shape":[2],"data_offsets":[2,0])", 2), "data_offsets"},
        BadCase{"OffsetsNegative", One(R"("dtype":"U8","shape":[2],"data_offsets":[-2,0])", 2), "negative"},
        BadCase{"OffsetsNotTwo", One(R"("dtype":"U8","shape":[2],"data_offsets":[0,1,2])", 2), "data_offsets"},
        BadCase{"LengthMismatch", One(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 4), "need 8"},
        BadCase{"ShapeOverflow", One(R"("dtype":"F32","shape":[4611686018427387904,2],"data_offsets":[0,0])", 0),
                "64 bits"},
        BadCase{"ShapeOverflowToZero", One(R"("dtype":"F64","shape":[2305843009213693952,8],"data_offsets":[0,0])", 0),
                "64 bits"},
        BadCase{"ShapeNegative", One(R"("dtype":"U8","shape":[-1,-2],"data_offsets":[0,2])", 2), "negative"},
        BadCase{"ShapeFloat", One(R"("dtype":"U8","shape":[1.5],"data_offsets":[0,1])", 1), "integer"},
        BadCase{"Hole",
                WithHeader(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                           R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                           3),
                "hole or overlap"},
        BadCase{"Overlap",
                WithHeader(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                           R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                           3),
                "hole or overlap"},
        BadCase{"TrailingBytes", One(R"("dtype":"U8","shape":[1],"data_offsets":[0,1])", 2), "trailing bytes"},
        BadCase{"DuplicateName",
                WithHeader(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                           R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                           2),
                "occurs twice"},
        BadCase{"DuplicateField", One(R"("dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1])", 1),
                "occurs twice"},
        BadCase{"MetadataNotStrings", WithHeader(R"({"__metadata__":{"a":1}})", 0), "strings only"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(SafetensorsTest, UnknownTypeIsUnimplemented) {
  EXPECT_THAT(Parse(One(R"("dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1])", 1)),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("F8_E4M3")));
}

TEST(SafetensorsTest, MissingFieldIsNamed) {
  EXPECT_THAT(Parse(One(R"("shape":[1],"data_offsets":[0,1])", 1)),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("a.dtype is missing")));
}

class ShardedTest : public ::testing::Test {
 protected:
  void Shard(const std::string& name, const std::string& tensor) {
    std::string header = "{\"" + tensor + R"(":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
    ASSERT_THAT(WriteFileAtomically(folder_ / name, WithHeader(header, 2)), IsOk());
  }
  absl::StatusOr<SafetensorsFile> OpenIndex(const std::string& weight_map) {
    const std::string path = folder_ / "model.safetensors.index.json";
    absl::Status written = WriteFileAtomically(path, "{\"metadata\":{},\"weight_map\":" + weight_map + "}");
    if (!written.ok()) return written;
    return SafetensorsFile::Open(path);
  }
  TempFolder folder_;
};

TEST_F(ShardedTest, ReadsAllShards) {
  Shard("1.safetensors", "a");
  Shard("2.safetensors", "b");
  ASSERT_OK_AND_ASSIGN(SafetensorsFile file, OpenIndex(R"({"b":"2.safetensors","a":"1.safetensors"})"));
  EXPECT_THAT(file.names(), ElementsAre("a", "b"));
  EXPECT_EQ(file.files().size(), 2u);
}

TEST_F(ShardedTest, RefusesPathsThatLeaveTheFolder) {
  for (const char* path : {"../x.safetensors", "/etc/x.safetensors", "a/../../x.safetensors", "..\\\\x.safetensors"}) {
    EXPECT_THAT(OpenIndex("{\"a\":\"" + std::string(path) + "\"}"), StatusIs(kInvalid, HasSubstr("relative path")))
        << path;
  }
}

TEST_F(ShardedTest, RefusesShardsThatDoNotFitTheIndex) {
  Shard("1.safetensors", "a");
  Shard("2.safetensors", "a");
  EXPECT_THAT(OpenIndex(R"({"a":"1.safetensors","b":"2.safetensors"})"),
              StatusIs(kInvalid, HasSubstr("another shard")));
  EXPECT_THAT(OpenIndex(R"({"c":"1.safetensors"})"), StatusIs(kInvalid, HasSubstr("is not in 1.safetensors")));
  EXPECT_THAT(OpenIndex(R"({"c":"3.safetensors"})"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("3.safetensors")));
}

}  // namespace
}  // namespace lastro::engine
