#include "retrieval/filter.h"

#include <limits>

#include "tests/test_util.h"

namespace lastro::retrieval {
namespace {

using lastro::testing::IsOk;
using lastro::testing::StatusIs;
using ::testing::HasSubstr;
using Op = Filter::Op;

Filter Compare(Op op, const std::string& field, std::vector<MetadataScalar> values) {
  Filter filter;
  filter.op = op;
  filter.field = field;
  filter.values = std::move(values);
  return filter;
}

Filter Combine(Op op, std::vector<Filter> children) {
  Filter filter;
  filter.op = op;
  filter.children = std::move(children);
  return filter;
}

Document Sample() {
  Document document;
  document.uri = "hr/holidays.md";
  document.title = "Holidays";
  document.language = Language::kPortuguese;
  document.origin = "upload";
  document.metadata = {{"year", 2024.0}, {"draft", false}, {"team", std::string("people")}, {"uri", 7.0}};
  return document;
}

void ExpectMatch(const Filter& filter, bool expected) {
  EXPECT_THAT(filter.Validate(), IsOk());
  EXPECT_EQ(filter.Matches(Sample()), expected);
}

TEST(FilterTest, ComparesByType) {
  ExpectMatch(Compare(Op::kEqual, "year", {2024.0}), true);
  ExpectMatch(Compare(Op::kEqual, "year", {std::string("2024")}), false);
  ExpectMatch(Compare(Op::kNotEqual, "year", {std::string("2024")}), true);
  ExpectMatch(Compare(Op::kLess, "year", {2025.0}), true);
  ExpectMatch(Compare(Op::kLess, "year", {std::string("z")}), false);
  ExpectMatch(Compare(Op::kGreaterOrEqual, "team", {std::string("people")}), true);
  ExpectMatch(Compare(Op::kLessOrEqual, "draft", {true}), true);
  ExpectMatch(Compare(Op::kGreater, "draft", {false}), false);
}

TEST(FilterTest, ADocumentWithoutTheFieldMatchesOnlyNot) {
  ExpectMatch(Compare(Op::kNotEqual, "missing", {1.0}), false);
  ExpectMatch(Compare(Op::kPrefix, "missing", {std::string()}), false);
  ExpectMatch(Combine(Op::kNot, {Compare(Op::kEqual, "missing", {1.0})}), true);
}

TEST(FilterTest, KnowsBuiltInFieldsBeforeMetadata) {
  ExpectMatch(Compare(Op::kPrefix, "uri", {std::string("hr/")}), true);
  ExpectMatch(Compare(Op::kEqual, "uri", {7.0}), false);
  ExpectMatch(Compare(Op::kEqual, "language", {std::string("pt")}), true);
  ExpectMatch(Compare(Op::kIn, "origin", {1.0, std::string("upload")}), true);
  ExpectMatch(Compare(Op::kIn, "origin", {}), false);
}

TEST(FilterTest, AListMatchesByItsValues) {
  Document document = Sample();
  document.metadata["tags"] = MetadataList{std::string("pay"), std::string("leave"), 3.0};
  document.metadata["none"] = MetadataList{};
  document.labels = {"hr", "board"};
  auto matches = [&](const Filter& filter) { return filter.Matches(document); };
  EXPECT_TRUE(matches(Compare(Op::kEqual, "tags", {std::string("leave")})));
  EXPECT_TRUE(matches(Compare(Op::kPrefix, "tags", {std::string("le")})));
  EXPECT_TRUE(matches(Compare(Op::kGreater, "tags", {2.0})));
  EXPECT_FALSE(matches(Compare(Op::kEqual, "tags", {std::string("3")})));
  EXPECT_FALSE(matches(Compare(Op::kNotEqual, "tags", {std::string("pay")})));
  EXPECT_TRUE(matches(Compare(Op::kNotEqual, "tags", {std::string("tax")})));
  EXPECT_FALSE(matches(Compare(Op::kNotEqual, "none", {std::string("pay")})));
  EXPECT_TRUE(matches(Compare(Op::kIn, "label", {std::string("ops"), std::string("hr")})));
  document.labels.clear();
  EXPECT_TRUE(matches(Compare(Op::kEqual, "label", {std::string()})));
}

TEST(FilterTest, TimesAreOrdered) {
  Document document = Sample();
  const absl::Time due = absl::FromCivil(absl::CivilDay(2026, 11, 28), absl::UTCTimeZone());
  document.metadata["due"] = due;
  document.modified_at = due;
  for (const char* field : {"due", "modified_at"}) {
    EXPECT_TRUE(Compare(Op::kLess, field, {due + absl::Nanoseconds(1)}).Matches(document)) << field;
    EXPECT_FALSE(Compare(Op::kLess, field, {due}).Matches(document)) << field;
    EXPECT_FALSE(Compare(Op::kEqual, field, {std::string("2026-11-28")}).Matches(document)) << field;
  }
  document.modified_at = absl::Time();  // not known
  EXPECT_FALSE(Compare(Op::kLess, "modified_at", {due}).Matches(document));
}

TEST(FilterTest, Combines) {
  Filter yes = Compare(Op::kEqual, "draft", {false});
  Filter no = Compare(Op::kEqual, "draft", {true});
  ExpectMatch(Combine(Op::kAnd, {yes, no}), false);
  ExpectMatch(Combine(Op::kOr, {no, yes}), true);
  ExpectMatch(Filter(), true);
}

TEST(FilterTest, RefusesMalformedTrees) {
  auto invalid = [](const Filter& filter, const char* message) {
    EXPECT_THAT(filter.Validate(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
  };
  invalid(Combine(Op::kAnd, {}), "at least one child");
  invalid(Combine(Op::kNot, {Filter(), Filter()}), "exactly one");
  invalid(Compare(Op::kEqual, "", {1.0}), "name of a field");
  invalid(Compare(Op::kEqual, "x", {}), "expected one value");
  invalid(Compare(Op::kEqual, "x", {1.0, 2.0}), "expected one value");
  invalid(Compare(Op::kPrefix, "x", {1.0}), "must be a string");
  invalid(Compare(Op::kEqual, "x", {std::numeric_limits<double>::quiet_NaN()}), "not finite");
  invalid(Compare(static_cast<Op>(99), "x", {1.0}), "unknown operation");
}

TEST(FilterTest, CapsDepthAndSize) {
  Filter deep;
  for (int i = 0; i < 15; ++i) deep = Combine(Op::kNot, {deep});
  EXPECT_THAT(deep.Validate(), IsOk());
  EXPECT_THAT(Combine(Op::kNot, {deep}).Validate(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("deeper")));
  EXPECT_THAT(Combine(Op::kOr, std::vector<Filter>(255)).Validate(), IsOk());
  EXPECT_THAT(Combine(Op::kOr, std::vector<Filter>(256)).Validate(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nodes")));
}

}  // namespace
}  // namespace lastro::retrieval
