// The GGUF parser: what it reads, and every malformed file that is known to have broken a reader.
#include "engine/gguf.h"

#include <cstring>
#include <limits>

#include "base/file.h"
#include "engine/gguf_writer.h"
#include "tests/test_util.h"

namespace lastro::engine {
namespace {

using lastro::testing::IsOk;
using lastro::testing::kInvalid;
using lastro::testing::kUnimplemented;
using lastro::testing::StatusIs;
using lastro::testing::TempFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

auto Parse(const std::string& file) {
  return ParseGguf({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, "m.gguf");
}

// Bytes of a file, written field by field.
class Bytes {
 public:
  template <typename T>
  Bytes& Number(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  Bytes& U32(uint32_t value) { return Number(value); }
  Bytes& U64(uint64_t value) { return Number(value); }
  Bytes& Raw(const std::string& text) {
    text_ += text;
    return *this;
  }
  Bytes& Text(const std::string& text) { return U64(text.size()).Raw(text); }
  Bytes& Zeros(size_t count) { return Raw(std::string(count, '\0')); }
  Bytes& Align(size_t alignment = 32) { return Zeros((alignment - text_.size() % alignment) % alignment); }
  Bytes& Head(uint64_t tensors, uint64_t pairs, uint32_t version = 3) {
    return Raw("GGUF").U32(version).U64(tensors).U64(pairs);
  }
  Bytes& Tensor(const std::string& name, std::vector<uint64_t> dimensions, uint32_t type, uint64_t offset) {
    Text(name).U32(static_cast<uint32_t>(dimensions.size()));
    for (uint64_t dimension : dimensions) U64(dimension);
    return U32(type).U64(offset);
  }
  operator std::string() const { return text_; }

 private:
  std::string text_;
};

constexpr uint32_t kF32 = 0, kQ4_0 = 2, kQ8_0 = 8, kQ4_K = 12;

TEST(GgufTest, ReadsWhatTheWriterWrites) {
  TempFolder folder;
  GgufWriter writer;
  writer.AddUint("u", 7);
  writer.AddInt("i", -7);
  writer.AddFloat("f", 0.5f);
  writer.AddBool("b", true);
  writer.AddString("s", "text");
  writer.AddStrings("names", {"", "one", "two"});
  writer.AddInts("ints", {3, -4});
  writer.AddFloats("floats", {0.25f, -8.0f});
  const std::string values(24, 'v'), block(34, 'q');
  auto give = [](const std::string& bytes) {
    return [bytes](std::string* out) {
      *out = bytes;
      return absl::OkStatus();
    };
  };
  ASSERT_THAT(writer.AddTensor("a.weight", StoredType::kF32, {2, 3}, give(values)), IsOk());
  ASSERT_THAT(writer.AddTensor("b.weight", StoredType::kQ8_0, {1, 32}, give(block)), IsOk());
  ASSERT_THAT(writer.Write(folder / "m.gguf"), IsOk());

  ASSERT_OK_AND_ASSIGN(std::string file, ReadFile(folder / "m.gguf", 1 << 20));
  ASSERT_OK_AND_ASSIGN(GgufContents contents, Parse(file));
  EXPECT_EQ(contents.version, 3u);
  const GgufMetadata& metadata = contents.metadata;
  EXPECT_EQ(*metadata.Int("u"), 7);
  EXPECT_EQ(*metadata.Int("i"), -7);
  EXPECT_EQ(*metadata.Double("i"), -7);
  EXPECT_EQ(*metadata.Double("f"), 0.5);
  EXPECT_TRUE(*metadata.Bool("b"));
  EXPECT_EQ(*metadata.String("s"), "text");
  EXPECT_THAT(*metadata.Strings("names"), ElementsAre("", "one", "two"));
  EXPECT_THAT(*metadata.Ints("ints"), ElementsAre(3, -4));
  EXPECT_THAT(*metadata.Doubles("floats"), ElementsAre(0.25, -8.0));
  ASSERT_EQ(contents.tensors.size(), 2u);
  EXPECT_EQ(contents.tensors[0].first, "a.weight");
  EXPECT_THAT(contents.tensors[0].second.shape, ElementsAre(2, 3));
  EXPECT_EQ(contents.tensors[0].second.data, absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(values.data()), 24));
  EXPECT_EQ(contents.tensors[1].second.type, StoredType::kQ8_0);
  EXPECT_EQ(contents.tensors[1].second.elements(), 32);
}

TEST(GgufTest, AWrongSizeIsNotWritten) {
  TempFolder folder;
  GgufWriter writer;
  ASSERT_THAT(writer.AddTensor("a", StoredType::kF32, {2}, [](std::string*) { return absl::OkStatus(); }), IsOk());
  EXPECT_THAT(writer.Write(folder / "m.gguf"), StatusIs(absl::StatusCode::kInternal, HasSubstr("8 bytes")));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_THAT(writer.AddTensor("b", StoredType::kQ4_K, {2, 128}, nullptr), StatusIs(kInvalid, HasSubstr("blocks")));
  EXPECT_THAT(writer.AddTensor("c", StoredType::kBool, {2}, nullptr), StatusIs(kInvalid, HasSubstr("BOOL")));
}

TEST(GgufTest, ConversionsCheckTheType) {
  const std::string file = Bytes()
                               .Head(0, 3)
                               .Text("tokenizer.ggml.scores")
                               .U32(9)
                               .U32(0)
                               .U64(4)
                               .Raw("abcd")
                               .Text("big")
                               .U32(10)
                               .U64(kMax)
                               .Text("name")
                               .U32(8)
                               .Text("x");
  ASSERT_OK_AND_ASSIGN(GgufContents contents, Parse(file));
  const GgufMetadata& metadata = contents.metadata;
  EXPECT_THAT(metadata.Doubles("tokenizer.ggml.scores"), StatusIs(kInvalid, HasSubstr("found array of u8")));
  EXPECT_THAT(metadata.Strings("tokenizer.ggml.scores"), StatusIs(kInvalid, HasSubstr("array of strings")));
  EXPECT_THAT(metadata.Int("big"), StatusIs(kInvalid, HasSubstr("64 bits")));
  EXPECT_THAT(metadata.Int("name"), StatusIs(kInvalid, HasSubstr("found string")));
  EXPECT_THAT(metadata.Ints("name"), StatusIs(kInvalid, HasSubstr("an array")));
  EXPECT_THAT(metadata.String("none"), StatusIs(kInvalid, HasSubstr("none is missing")));
}

TEST(GgufTest, AlignmentMayBeGiven) {
  const std::string file = Bytes()
                               .Head(2, 1)
                               .Text("general.alignment")
                               .U32(4)
                               .U32(8)
                               .Tensor("a", {1}, kF32, 0)
                               .Tensor("b", {2}, kF32, 8)
                               .Align(8)
                               .Zeros(16);
  ASSERT_OK_AND_ASSIGN(GgufContents contents, Parse(file));
  EXPECT_EQ(contents.tensors[1].second.data.data() - contents.tensors[0].second.data.data(), 8);
}

TEST(GgufTest, TheLastTensorNeedsNoPadding) {
  EXPECT_THAT(Parse(Bytes().Head(1, 0, 2).Tensor("a", {1}, kF32, 0).Align().Zeros(4)), IsOk());
}

struct BadCase {
  const char* name;
  std::string file;
  const char* message;
  absl::StatusCode code = kInvalid;
};

class BadGgufTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadGgufTest, IsRefusedWithAReason) {
  EXPECT_THAT(Parse(GetParam().file), StatusIs(GetParam().code, HasSubstr(GetParam().message)));
}

// A file of one metadata pair "k" whose type and value are `typed`.
std::string Pair(const Bytes& typed) { return Bytes().Head(0, 1).Text("k").Raw(typed); }

// A file of one tensor with `data_bytes` bytes of data.
std::string Tensor(std::vector<uint64_t> dimensions, uint32_t type, uint64_t offset, size_t data_bytes) {
  return Bytes().Head(1, 0).Tensor("t", std::move(dimensions), type, offset).Align().Zeros(data_bytes);
}

std::string Nested(int depth) {
  Bytes bytes;
  bytes.U32(9);
  for (int i = 1; i < depth; ++i) bytes.U32(9).U64(1);
  return Pair(bytes.U32(0).U64(1).Raw("x").Zeros(64));
}

std::string Aligned(uint32_t alignment) { return Bytes().Head(0, 1).Text("general.alignment").U32(4).U32(alignment); }

std::string Two(uint64_t second_offset, const std::string& second_name = "b") {
  return Bytes().Head(2, 0).Tensor("a", {8}, kF32, 0).Tensor(second_name, {8}, kF32, second_offset).Align().Zeros(96);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadGgufTest,
    ::testing::Values(
        BadCase{"Empty", "", "the magic"}, BadCase{"NotGguf", "GGML\x03", "not a GGUF file"},
        BadCase{"NoVersion", "GGUF", "the version"},
        BadCase{"Version1", Bytes().Head(0, 0, 1), "version 1", kUnimplemented},
        BadCase{"Version4", Bytes().Head(0, 0, 4), "version 4", kUnimplemented},
        BadCase{"BigEndian", Bytes().Head(0, 0, 0x03000000), "big-endian", kUnimplemented},
        BadCase{"TensorCountOverflow", Bytes().Head(kMax, 0), "tensors do not fit"},
        BadCase{"TensorCountTimesSizeOverflow", Bytes().Head((kMax / 32) + 2, 0), "tensors do not fit"},
        BadCase{"TensorCountBeyondFile", Bytes().Head(2, 0).Zeros(40), "2 tensors do not fit"},
        BadCase{"PairCountOverflow", Bytes().Head(0, kMax), "metadata pairs do not fit"},
        BadCase{"PairCountBeyondFile", Bytes().Head(0, 3).Zeros(20), "3 metadata pairs do not fit"},
        BadCase{"KeyLengthOverflow", Bytes().Head(0, 1).U64(kMax).Zeros(32), "exceeds the file"},
        BadCase{"KeyLengthBeyondFile", Bytes().Head(0, 1).U64(100).Zeros(32), "exceeds the file"},
        BadCase{"KeyTooLong", Bytes().Head(0, 1).Text(std::string(70000, 'k')).Zeros(32), "70000 bytes"},
        BadCase{"KeyEmpty", Bytes().Head(0, 1).Text("").Zeros(32), "metadata key of 0 bytes"},
        BadCase{"KeyNotUtf8", Bytes().Head(0, 1).Text("\xFF").Zeros(32), "not UTF-8"},
        BadCase{"KeyWithNul", Bytes().Head(0, 1).Text(std::string("a\0b", 3)).Zeros(32), "not UTF-8 text"},
        BadCase{"KeyTwice", Bytes().Head(0, 2).Text("k").U32(4).U32(1).Text("k").U32(4).U32(2), "occurs twice"},
        BadCase{"UnknownType", Pair(Bytes().U32(13).Zeros(8)), "is 13"},
        BadCase{"ValueBeyondFile", Pair(Bytes().U32(10).U32(1)), "exceeds the file"},
        BadCase{"BooleanTwo", Pair(Bytes().U32(7).Raw("\x02")), "neither 0 nor 1"},
        BadCase{"StringLengthOverflow", Pair(Bytes().U32(8).U64(kMax - 7).Zeros(16)), "exceeds the file"},
        BadCase{"StringLengthBeyondFile", Pair(Bytes().U32(8).U64(17).Zeros(16)), "exceeds the file"},
        BadCase{"ArrayCountOverflow", Pair(Bytes().U32(9).U32(4).U64(kMax).Zeros(16)), "exceeds the file"},
        BadCase{"ArrayCountTimesSizeOverflow", Pair(Bytes().U32(9).U32(10).U64(kMax / 8 + 2).Zeros(16)),
                "exceeds the file"},
        BadCase{"ArrayOfStringsCount", Pair(Bytes().U32(9).U32(8).U64(uint64_t{1} << 40).Zeros(64)),
                "exceeds the file"},
        BadCase{"ArrayOfStringsLength", Pair(Bytes().U32(9).U32(8).U64(2).Text("a").U64(kMax).Zeros(16)),
                "exceeds the file"},
        BadCase{"ArrayElementType", Pair(Bytes().U32(9).U32(99).U64(1).Zeros(16)), "is 99"},
        BadCase{"ArrayOfArraysCount", Pair(Bytes().U32(9).U32(9).U64(kMax / 12).Zeros(64)), "exceeds the file"},
        BadCase{"ArraysTooDeep", Nested(5), "nested deeper"}, BadCase{"ArraysMuchTooDeep", Nested(20000), "nested"},
        BadCase{"AlignmentZero", Aligned(0), "general.alignment is 0"},
        BadCase{"AlignmentNotPowerOfTwo", Aligned(24), "power of two"},
        BadCase{"AlignmentHuge", Aligned(0x80000000), "power of two"},
        BadCase{"AlignmentNotAnInteger", Bytes().Head(0, 1).Text("general.alignment").U32(6).Number(32.0f),
                "must be an integer"},
        BadCase{"TensorNameTooLong", Bytes().Head(1, 0).Tensor(std::string(65, 't'), {1}, kF32, 0).Align().Zeros(32),
                "65 bytes"},
        BadCase{"TensorNameEmpty", Bytes().Head(1, 0).Tensor("", {1}, kF32, 0).Align().Zeros(32), "0 bytes"},
        BadCase{"TensorNameTwice", Two(32, "a"), "occurs twice"},
        BadCase{"NoDimensions", Tensor({}, kF32, 0, 32), "0 dimensions"},
        BadCase{"FiveDimensions", Tensor({1, 1, 1, 1, 1}, kF32, 0, 32), "5 dimensions"},
        BadCase{"DimensionsOverflowCount", Bytes().Head(1, 0).Text("t").U32(0xFFFFFFFF).Zeros(64), "dimensions"},
        BadCase{"DimensionZero", Tensor({4, 0}, kF32, 0, 32), "dimension of 0"},
        BadCase{"DimensionNegative", Tensor({kMax}, kF32, 0, 32), "dimension of 18446744073709551615"},
        BadCase{"ElementProductOverflow", Tensor({uint64_t{1} << 32, uint64_t{1} << 32}, kF32, 0, 32),
                "product of its dimensions"},
        BadCase{"ElementProductOverflowToSmall", Tensor({uint64_t{1} << 31, uint64_t{1} << 31, 4, 1}, kF32, 0, 32),
                "product of its dimensions"},
        BadCase{"ByteSizeOverflow", Tensor({uint64_t{1} << 62}, kF32, 0, 32), "product of its dimensions"},
        BadCase{"BlockSizeOverflow", Tensor({uint64_t{1} << 62, 1, 1, 1}, kQ8_0, 0, 64), "product of its dimensions"},
        BadCase{"RowsNotWholeBlocks", Tensor({48, 2}, kQ4_0, 0, 64), "not whole blocks of 32"},
        BadCase{"RowsNotWholeSuperBlocks", Tensor({128, 2}, kQ4_K, 0, 256), "not whole blocks of 256"},
        BadCase{"UnknownTensorType", Tensor({32}, 77, 0, 64), "type number 77", kUnimplemented},
        BadCase{"RemovedTensorType", Tensor({32}, 4, 0, 64), "type number 4", kUnimplemented},
        BadCase{"OffsetNotAligned", Tensor({1}, kF32, 4, 64), "byte 0 was expected"},
        BadCase{"OffsetBeyondFile", Tensor({1}, kF32, uint64_t{1} << 40, 64), "byte 0 was expected"},
        BadCase{"OffsetOverflow", Tensor({1}, kF32, kMax - 31, 64), "byte 0 was expected"},
        BadCase{"TensorBeyondFile", Tensor({16}, kF32, 0, 60), "the file has 60"},
        BadCase{"NoDataSection", Bytes().Head(1, 0).Tensor("t", {1}, kF32, 0), "before its data section"},
        BadCase{"Overlap", Two(0), "hole, overlap"}, BadCase{"Hole", Two(64), "hole, overlap"},
        BadCase{"TensorInfosTruncated", Bytes().Head(1, 0).Text("tensor").U32(4).U64(1).U64(1).U64(1),
                "exceeds the file"}),
    [](const auto& info) { return std::string(info.param.name); });

// Every prefix of a good file is refused and none is read past its end.
TEST(GgufTest, PrefixesAreRefused) {
  const std::string file = Bytes()
                               .Head(1, 2)
                               .Text("s")
                               .U32(9)
                               .U32(8)
                               .U64(2)
                               .Text("a")
                               .Text("bc")
                               .Text("n")
                               .U32(7)
                               .Raw("\x01")
                               .Tensor("t", {8}, kF32, 0)
                               .Align()
                               .Zeros(32);
  ASSERT_THAT(Parse(file), IsOk());
  for (size_t length = 0; length < file.size(); ++length) {
    const std::vector<uint8_t> exact(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_FALSE(ParseGguf(exact, "m.gguf").ok()) << length;
  }
}

}  // namespace
}  // namespace lastro::engine
