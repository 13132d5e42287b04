// What a reader is shown of a passage with tables, and what its bytes stand for.
#include "services/answer/passage_views.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "tests/test_util.h"

namespace lastro::services::answer {
namespace {

using ::testing::ElementsAre;

constexpr size_t kRoom = 65'536;

// A chunk whose cells are marked in `text`: "{City:Faro}", "{:City}" for a name.
v1::Chunk MarkedChunk(absl::string_view text) {
  v1::Chunk chunk;
  while (!text.empty()) {
    const size_t open = std::min(text.find('{'), text.size());
    absl::StrAppend(chunk.mutable_text(), text.substr(0, open));
    text.remove_prefix(open);
    if (text.empty()) break;
    const size_t colon = text.find(':'), close = text.find('}');
    v1::NamedCell* cell = chunk.add_cells();
    cell->set_column(std::string(text.substr(1, colon - 1)));
    cell->set_begin(static_cast<int64_t>(chunk.text().size()));
    absl::StrAppend(chunk.mutable_text(), text.substr(colon + 1, close - colon - 1));
    cell->set_end(static_cast<int64_t>(chunk.text().size()));
    text.remove_prefix(close + 1);
  }
  return chunk;
}

std::vector<std::string> ShownOf(const v1::Chunk& chunk, size_t max_bytes = kRoom, size_t max_views = 100) {
  std::vector<std::string> shown;
  for (const PassageView& view : ViewsOf(chunk, max_bytes, max_views)) shown.push_back(view.text);
  return shown;
}

// What `words`, where they first stand in the view, are in the chunk.
std::string InChunk(const v1::Chunk& chunk, const PassageView& view, const std::string& words) {
  const size_t at = view.text.find(words);
  if (at == std::string::npos) return "not shown";
  const std::optional<TextRange> range = view.InChunk({at, at + words.size()});
  return range.has_value() ? chunk.text().substr(range->begin, range->end - range->begin) : "nothing";
}

const char kOffices[] =
    "Our offices.\n\n{:Office} | {:City} | x\n{Office:South} | {City:Faro} | y\n{Office:East} | {City:Évora}\n\nCall "
    "first.";

TEST(PassageViewsTest, ProseIsShownAsItStands) {
  const v1::Chunk chunk = MarkedChunk("One | two.\nThree.");
  const std::vector<PassageView> views = ViewsOf(chunk, kRoom, 1);
  ASSERT_EQ(views.size(), 1u);
  EXPECT_EQ(views[0].text, chunk.text());
  EXPECT_FALSE(views[0].row.has_value());
  EXPECT_EQ(InChunk(chunk, views[0], "two.\nThree"), "two.\nThree");
}

TEST(PassageViewsTest, EachRowIsShownByItselfItsCellsBehindTheirNames) {
  const v1::Chunk chunk = MarkedChunk(kOffices);
  const std::vector<PassageView> views = ViewsOf(chunk, kRoom, 100);
  EXPECT_THAT(ShownOf(chunk), ElementsAre("Our offices.\n\n\n\n\n\nCall first.", "Office: South | City: Faro | y",
                                          "Office: East | City: Évora"));
  ASSERT_EQ(views.size(), 3u);
  EXPECT_FALSE(views[0].row.has_value());
  ASSERT_TRUE(views[1].row.has_value());
  EXPECT_EQ(chunk.text().substr(views[1].row->begin, views[1].row->end - views[1].row->begin), "South | Faro | y");
  ASSERT_TRUE(views[2].row.has_value());
  EXPECT_EQ(chunk.text().substr(views[2].row->begin, views[2].row->end - views[2].row->begin), "East | Évora");
}

TEST(PassageViewsTest, NamesThatTheViewAddsAreNotOfThePassage) {
  const v1::Chunk chunk = MarkedChunk(kOffices);
  const std::vector<PassageView> views = ViewsOf(chunk, kRoom, 100);
  EXPECT_EQ(InChunk(chunk, views[1], "Faro"), "Faro");
  EXPECT_EQ(InChunk(chunk, views[1], "| y"), "| y");
  EXPECT_EQ(InChunk(chunk, views[1], "City: Faro"), "Faro");
  EXPECT_EQ(InChunk(chunk, views[1], "City"), "nothing");
  EXPECT_EQ(InChunk(chunk, views[1], "South | City: Faro"), "nothing") << "two cells are no words of the passage";
  EXPECT_EQ(InChunk(chunk, views[2], "vora"), "vora");
  EXPECT_EQ(InChunk(chunk, views[0], "offices.\n\n\n\n\n\nCall"), "nothing") << "the table lies between";
  EXPECT_EQ(InChunk(chunk, views[0], "Call first"), "Call first");
}

TEST(PassageViewsTest, RowsBeyondTheRoomShareTheLastView) {
  const v1::Chunk chunk = MarkedChunk("{A:1} | {B:2}\n{A:3} | {B:4}\n{A:5} | {B:6}");
  EXPECT_THAT(ShownOf(chunk, kRoom, 2), ElementsAre("A: 1 | B: 2", "A: 3 | B: 4\nA: 5 | B: 6"));
  const std::vector<PassageView> views = ViewsOf(chunk, kRoom, 2);
  EXPECT_TRUE(views[0].row.has_value());
  EXPECT_FALSE(views[1].row.has_value());
  EXPECT_EQ(InChunk(chunk, views[1], "6"), "6");
  EXPECT_THAT(
      ShownOf(MarkedChunk(kOffices), kRoom, 1),
      ElementsAre("Our offices.\n\n\n\n\n\nCall first.\nOffice: South | City: Faro | y\nOffice: East | City: Évora"));
}

TEST(PassageViewsTest, CellsOfSeveralLinesBelongToOneRow) {
  const v1::Chunk chunk = MarkedChunk("{A:1\none} | {B:2}\n{A:3} | {B:4\nfour}");
  EXPECT_THAT(ShownOf(chunk), ElementsAre("A: 1\none | B: 2", "A: 3 | B: 4\nfour"));
}

TEST(PassageViewsTest, ATableOfNamesAloneIsShownAsItStands) {
  EXPECT_THAT(ShownOf(MarkedChunk("{:A} | {:B}")), ElementsAre("A | B"));
}

TEST(PassageViewsTest, CellsThatAreNotAsTheyShouldBeAreNotShownSo) {
  const v1::Chunk good = MarkedChunk("{A:é1} | {B:2}");
  ASSERT_THAT(ShownOf(good), ElementsAre("A: é1 | B: 2"));
  const auto broken = [&](int64_t begin, int64_t end) {
    v1::Chunk chunk = good;
    chunk.mutable_cells(1)->set_begin(begin);
    chunk.mutable_cells(1)->set_end(end);
    return ShownOf(chunk);
  };
  const auto size = static_cast<int64_t>(good.text().size());
  for (const auto& [begin, end] : std::vector<std::pair<int64_t, int64_t>>{
           {size - 1, size + 1}, {size, size}, {0, 2}, {-1, 2}, {size - 1, std::numeric_limits<int64_t>::max()}}) {
    EXPECT_THAT(broken(begin, end), ElementsAre(good.text())) << begin << " to " << end;
  }
  v1::Chunk cut = good;
  cut.mutable_cells(0)->set_begin(1);
  EXPECT_THAT(ShownOf(cut), ElementsAre(good.text())) << "within a character";
}

TEST(PassageViewsTest, WhatIsTooLongIsItsFirstBytesWholeCharacters) {
  EXPECT_THAT(ShownOf(MarkedChunk("ab\u00e9d"), 3), ElementsAre("ab"));
  EXPECT_THAT(ShownOf(MarkedChunk("{Name:é}{Name:éé}"), 6), ElementsAre("ééé")) << "the names have no room";
}

}  // namespace
}  // namespace lastro::services::answer
