#include <string>

#include "google/protobuf/text_format.h"
#include "services/cli/filter_parser.h"
#include "tests/test_util.h"

namespace lastro::services {
namespace {

using ::lastro::testing::IsOk;
using ::lastro::testing::StatusIs;
using ::testing::_;
using ::testing::HasSubstr;

std::string Parsed(absl::string_view text) {
  absl::StatusOr<v1::Filter> filter = ParseFilter(text);
  if (!filter.ok()) return filter.status().ToString();
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string shown;
  printer.PrintToString(*filter, &shown);
  while (!shown.empty() && shown.back() == ' ') shown.pop_back();
  return shown;
}

TEST(ParseFilter, EmptyTextMatchesEverything) {
  EXPECT_EQ(Parsed(""), "");
  EXPECT_EQ(Parsed(" \t\n"), "");
}

TEST(ParseFilter, Comparisons) {
  EXPECT_EQ(Parsed("year >= 2020"),
            "comparison { field: \"year\" op: GREATER_OR_EQUAL values { number_value: 2020 } }");
  EXPECT_EQ(Parsed("a.b-c=\"x\""), "comparison { field: \"a.b-c\" op: EQUAL values { string_value: \"x\" } }");
  EXPECT_EQ(Parsed("a != -1.5e2"), "comparison { field: \"a\" op: NOT_EQUAL values { number_value: -150 } }");
  EXPECT_EQ(Parsed("final = TRUE"), "comparison { field: \"final\" op: EQUAL values { bool_value: true } }");
  EXPECT_EQ(Parsed("uri ^= 'rules/'"), "comparison { field: \"uri\" op: PREFIX values { string_value: \"rules/\" } }");
  EXPECT_EQ(Parsed("`a field` < 3"), "comparison { field: \"a field\" op: LESS values { number_value: 3 } }");
}

TEST(ParseFilter, Times) {
  EXPECT_EQ(Parsed("due < 2026-11-28"),
            "comparison { field: \"due\" op: LESS values { time_value { seconds: 1795824000 } } }");
  EXPECT_EQ(
      Parsed("due in (2026-11-28T01:00:00.5+01:00, 5)"),
      "comparison { field: \"due\" op: IN values { time_value { seconds: 1795824000 nanos: 500000000 } } values { "
      "number_value: 5 } }");
  EXPECT_THAT(ParseFilter("due < 2026-13-28"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected a time")));
  EXPECT_THAT(ParseFilter("due < 2026-11-28T10:00"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected a time")));
}

TEST(ParseFilter, ListsAndNegation) {
  EXPECT_EQ(Parsed("lang in (\"en\", \"pt\")"),
            "comparison { field: \"lang\" op: IN values { string_value: \"en\" } values { string_value: \"pt\" } }");
  EXPECT_EQ(Parsed("not a = 1"), "not { comparison { field: \"a\" op: EQUAL values { number_value: 1 } } }");
  EXPECT_EQ(Parsed("a not in (1)"), Parsed("not a in (1)"));
}

TEST(ParseFilter, NotBindsTighterThanAndTighterThanOr) {
  EXPECT_EQ(Parsed("a=1 or b=2 and not c=3"), Parsed("(a=1) or ((b=2) and (not (c=3)))"));
  EXPECT_EQ(Parsed("(a=1 or b=2) and c=3"),
            "all_of { filters { any_of { filters { comparison { field: \"a\" op: EQUAL values { number_value: 1 } } } "
            "filters { comparison { field: \"b\" op: EQUAL values { number_value: 2 } } } } } filters { comparison { "
            "field: \"c\" op: EQUAL values { number_value: 3 } } } }");
}

TEST(ParseFilter, TheExampleOfTheHelp) {
  ASSERT_OK_AND_ASSIGN(v1::Filter filter,
                       ParseFilter("department = \"ops\" and year >= 2020 and not lang in (\"en\",\"pt\")"));
  EXPECT_EQ(filter.all_of().filters_size(), 3);
  EXPECT_TRUE(filter.all_of().filters(2).has_not_());
}

TEST(ParseFilter, EscapesInText) {
  ASSERT_OK_AND_ASSIGN(v1::Filter filter, ParseFilter(R"(a = "\"\\\n\t'é")"));
  EXPECT_EQ(filter.comparison().values(0).string_value(), "\"\\\n\t'é");
}

TEST(ParseFilter, ErrorsGiveTheColumn) {
  auto fails = [](absl::string_view text, const std::string& message) {
    EXPECT_THAT(ParseFilter(text), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message))) << text;
  };
  fails("year >", "column 7: expected text in quotes, a number, a time, true or false, found the end");
  fails("year > ops", "column 8: expected text in quotes, a number, a time, true or false, found 'ops'");
  fails("é = 1 x", "column 7: expected 'and', 'or' or the end, found 'x'");
  fails("= 1", "column 1: expected a field name, found '= 1'");
  fails("a 1", "column 3: expected one of");
  fails("a = \"x", "column 5: expected a closing quote");
  fails("a = '\\q'", "column 6: expected one of the escapes");
  fails("a = 1 and", "column 10: expected a field name, found the end");
  fails("(a = 1", "column 7: expected ')', found the end");
  fails("a in ()", "column 7: expected text in quotes");
  fails("a in (1 2)", "column 9: expected ',' or ')'");
  fails("a in 1", "column 6: expected '('");
  fails("a ^= 1", "expected text in quotes");
  fails("a = 1e999", "expected a number");
  fails("a = nan", "expected text in quotes");
  fails("a = 0x10", "expected a number");
  fails("a = 1 ; b", "column 7");
  fails("``=1", "expected a field name");
  fails("`a = 1", "expected a closing backquote");
  fails("a = \"\xff\"", "not valid UTF-8");
}

TEST(ParseFilter, HostileNestingAndSizeAreRefused) {
  EXPECT_THAT(ParseFilter(std::string(50'000, '(')), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("levels")));
  std::string nots;
  for (int i = 0; i < 10'000; ++i) nots += "not ";
  EXPECT_THAT(ParseFilter(nots + "a=1"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("levels")));
  std::string wide = "a=1";
  for (int i = 0; i < 300; ++i) wide += " or a=1";
  EXPECT_THAT(ParseFilter(wide), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("256")));
  EXPECT_THAT(ParseFilter(std::string(70'000, ' ')), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bytes")));
}

TEST(ParseFilter, RandomTextNeverCrashes) {
  auto random = lastro::testing::SeededRandom(1);
  const std::string pieces[] = {"a", "(", ")", "not ", " and ", " or ", "in",   "=", "<",    "\"", "'",
                                "`", "1", "-", ",",    "\\",    "é",    "\xff", " ", "true", "^=", "."};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (int length = random() % 20; length > 0; --length) text += pieces[random() % std::size(pieces)];
    absl::StatusOr<v1::Filter> filter = ParseFilter(text);
    EXPECT_TRUE(filter.ok() || filter.status().code() == absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ParseMetadataValue, TimesAndLists) {
  EXPECT_EQ(ParseMetadataValue("2026-11-28")->time_value().seconds(), 1795824000);
  EXPECT_EQ(ParseMetadataValue("infinite-future")->string_value(), "infinite-future");
  EXPECT_EQ(ParseMetadataValue("2026-11-28 or so")->string_value(), "2026-11-28 or so");
  EXPECT_EQ(ParseMetadataValue("\"2026-11-28\"")->string_value(), "2026-11-28");
  ASSERT_OK_AND_ASSIGN(v1::MetadataValue list, ParseMetadataValue("[pay, 'sick leave', 3, 2026-11-28, true]"));
  ASSERT_EQ(list.list_value().values_size(), 5);
  EXPECT_EQ(list.list_value().values(1).string_value(), "sick leave");
  EXPECT_EQ(list.list_value().values(2).number_value(), 3);
  EXPECT_TRUE(list.list_value().values(3).has_time_value());
  EXPECT_TRUE(list.list_value().values(4).bool_value());
  EXPECT_TRUE(ParseMetadataValue("[]")->has_list_value());
  EXPECT_THAT(ParseMetadataValue("[pay, ]"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("value, column 7: expected a value")));
  EXPECT_THAT(ParseMetadataValue("'pay' day"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("value, column")));
  for (const char* bad : {"[", "[a", "[a b]", "[a,]", "[a,]b", "[,a]", "[[a]]"}) {
    EXPECT_THAT(ParseMetadataValue(bad), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected"))) << bad;
  }
}

TEST(ParseMetadataValue, TypesAreRead) {
  EXPECT_EQ(ParseMetadataValue("2024")->number_value(), 2024);
  EXPECT_EQ(ParseMetadataValue("\"2024\"")->string_value(), "2024");
  EXPECT_EQ(ParseMetadataValue("2024-05-01")->time_value().seconds(), 1714521600);
  EXPECT_EQ(ParseMetadataValue("ops team")->string_value(), "ops team");
  EXPECT_TRUE(ParseMetadataValue("true")->bool_value());
  EXPECT_EQ(ParseMetadataValue("")->string_value(), "");
  EXPECT_EQ(ParseMetadataValue("nan")->string_value(), "nan");
  EXPECT_THAT(ParseMetadataValue("\"a\" b"), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(ParseMetadataValue("\xff"), StatusIs(absl::StatusCode::kInvalidArgument, _));
}

}  // namespace
}  // namespace lastro::services
