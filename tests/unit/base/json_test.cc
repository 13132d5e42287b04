#include "base/json.h"

#include "tests/test_util.h"

namespace lastro {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::HasSubstr;

TEST(Json, ReadsTypedMembers) {
  ASSERT_OK_AND_ASSIGN(JsonDocument document,
                       JsonDocument::Parse(R"({"a": 3, "b": "x\u00e9", "c": [1, 2.5], "d": {"e": true}, "n": null})", "t"));
  JsonValue root = document.root();
  EXPECT_EQ(root.GetInt("a", 0).value(), 3);
  EXPECT_EQ(root.GetString("b", "").value(), "xé");
  EXPECT_EQ(root.GetInt("missing", 9).value(), 9);
  EXPECT_EQ(root.GetInt("n", 9).value(), 9);
  EXPECT_FALSE(root.Has("n"));
  ASSERT_OK_AND_ASSIGN(JsonValue list, root.Get("c"));
  EXPECT_EQ(list.AsArray().value()[1].AsDouble().value(), 2.5);
  EXPECT_TRUE(root.Get("d")->GetBool("e", false).value());
}

TEST(Json, ErrorsNameThePath) {
  ASSERT_OK_AND_ASSIGN(JsonDocument document, JsonDocument::Parse(R"({"a": {"b": [1, "x"]}})", "config.json"));
  ASSERT_OK_AND_ASSIGN(JsonValue a, document.root().Get("a"));
  EXPECT_THAT(a.Get("z"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json: a.z is missing")));
  ASSERT_OK_AND_ASSIGN(JsonValue b, a.Get("b"));
  EXPECT_THAT(b.AsArray().value()[1].AsInt(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("config.json: a.b[1] must be an integer")));
  EXPECT_THAT(a.GetInt("b", 1), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("integer")));
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* text : {"", "{", "{a:1}", "[1,]", "nul", "\"\xff\"", "{\"a\":1}x", "01"}) {
    EXPECT_THAT(JsonDocument::Parse(text, "t"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("t: "))) << text;
  }
  EXPECT_THAT(JsonDocument::Parse("[1, 2]", "t", 3), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("limit is 3")));
}

TEST(Json, DepthIsCapped) {
  auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_THAT(JsonDocument::Parse(nested(200), "t"), IsOk());
  EXPECT_THAT(JsonDocument::Parse(nested(1'000'000), "t"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("t: ")));
}

}  // namespace
}  // namespace lastro
