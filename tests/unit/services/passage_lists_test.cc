// Lists of passages: items, what announces them, and where they go on.
#include "services/answer/passage_lists.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/test_util.h"

namespace lastro::services::answer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::Chunk ChunkOf(const std::string& text) {
  v1::Chunk chunk;
  chunk.set_text(text);
  return chunk;
}

// Each list as "announcement > item / item".
std::vector<std::string> ListsIn(const v1::Chunk& chunk) {
  std::vector<std::string> found;
  const auto text = [&](TextRange range) { return chunk.text().substr(range.begin, range.end - range.begin); };
  for (const PassageList& list : ListsOf(chunk)) {
    std::vector<std::string> items;
    for (const TextRange& item : list.items) items.push_back(text(item));
    found.push_back(absl::StrCat(text(list.announcement), " > ", absl::StrJoin(items, " / ")));
  }
  return found;
}

TEST(PassageListsTest, ASentenceWithAColonAnnouncesAnyLines) {
  EXPECT_THAT(ListsIn(ChunkOf("Tours are free. Visitors must bring:\n\n- an ID\n- shoes\n\nA tour takes an hour.")),
              ElementsAre("Visitors must bring: > - an ID / - shoes"));
  EXPECT_THAT(ListsIn(ChunkOf("Run this:\n\nmake\nmake install")), ElementsAre("Run this: > make / make install"));
  EXPECT_THAT(ListsIn(ChunkOf("It says:\n\nStop.")), ElementsAre("It says: > Stop."));
}

TEST(PassageListsTest, WhatIsAnnouncedMayAnnounceInItsTurn) {
  EXPECT_THAT(
      ListsIn(ChunkOf("Read on. To build it:\n\nIt takes long. Run this:\n\nmake doc\n\nTo see it:\n\nopen it")),
      ElementsAre("To build it:\n\nIt takes long. Run this: > make doc", "To see it: > open it"));
  EXPECT_THAT(ListsIn(ChunkOf("To build it:\n\nRun this:")), IsEmpty());
}

TEST(PassageListsTest, WordsThatPointAnnounceItemsWithMarkersOnly) {
  EXPECT_THAT(ListsIn(ChunkOf("São precisos os documentos a seguir.\n\n1. cartão\n2. foto")),
              ElementsAre("São precisos os documentos a seguir. > 1. cartão / 2. foto"));
  EXPECT_THAT(ListsIn(ChunkOf("These rules are strict.\n\nNobody runs.\nNobody shouts.")), IsEmpty());
}

TEST(PassageListsTest, MarkersMakeAListOfTwoItems) {
  EXPECT_THAT(ListsIn(ChunkOf("Nothing is said of it.\n\n• one\n• two\nstill two")),
              ElementsAre(" > • one / • two\nstill two"));
  EXPECT_THAT(ListsIn(ChunkOf("- one alone\n\nOne line.\nAnother.")), IsEmpty());
  EXPECT_THAT(ListsIn(ChunkOf("- a:\n\n- b\n- c")), ElementsAre(" > - b / - c")) << "an item announces no list";
  EXPECT_THAT(ListsIn(ChunkOf("")), IsEmpty());
}

TEST(PassageListsTest, TablesAreNone) {
  v1::Chunk chunk = ChunkOf("Prices:\n\nNut | 3\nBolt | 4\n\nColours:\n\n- red\n- blue");
  v1::NamedCell* cell = chunk.add_cells();
  cell->set_begin(9);
  cell->set_end(12);
  EXPECT_THAT(ListsIn(chunk), ElementsAre("Colours: > - red / - blue"));
}

TEST(PassageListsTest, SomeWordsPoint) {
  EXPECT_TRUE(Points("the following"));
  EXPECT_TRUE(Points("Estes"));
  EXPECT_FALSE(Points("payment methods"));
  EXPECT_FALSE(Points(""));
}

class ListPartsTest : public ::testing::Test {
 protected:
  void Add(const std::string& document, int ordinal, const std::vector<std::string>& headings,
           const std::string& text) {
    v1::SearchHit& hit = passages_.emplace_back();
    hit.mutable_document()->set_id(document);
    hit.mutable_chunk()->set_ordinal(ordinal);
    hit.mutable_chunk()->set_text(text);
    for (const std::string& heading : headings) hit.mutable_chunk()->add_headings(heading);
  }
  // The parts of the first list of the passage as "passage: cited".
  std::vector<std::string> Parts(int passage) const {
    std::vector<std::string> found;
    const v1::Chunk& chunk = passages_[static_cast<size_t>(passage)].chunk();
    for (const ListPart& part : PartsOf(ListsOf(chunk)[0], passage, passages_)) {
      const std::string& text = passages_[static_cast<size_t>(part.passage)].chunk().text();
      EXPECT_EQ(part.items.end, part.cited.end);
      found.push_back(
          absl::StrCat(part.passage, ": ", text.substr(part.cited.begin, part.cited.end - part.cited.begin)));
    }
    return found;
  }

  std::vector<v1::SearchHit> passages_;
};

TEST_F(ListPartsTest, AListGoesOnInTheNextChunks) {
  Add("a", 2, {"T", "You need:"}, "- e\n- f\n\nThat is all.\n\n- not\n- this");
  Add("a", 0, {"T"}, "Before.\n\nYou need:\n\n- a\n- b");
  Add("b", 1, {"T", "You need:"}, "- x\n- y");
  Add("a", 1, {"T", "You need:"}, "- c\n- d");
  Add("a", 3, {"T", "You need:"}, "- g\n- h");
  const std::vector<std::string> all = {"1: You need:\n\n- a\n- b", "3: - c\n- d", "0: - e\n- f"};
  EXPECT_EQ(Parts(1), all);
  EXPECT_EQ(Parts(3), all);
  EXPECT_EQ(Parts(0), all);
  EXPECT_THAT(Parts(2), ElementsAre("2: - x\n- y"));
}

TEST_F(ListPartsTest, ListsOfOtherSectionsAreOthers) {
  Add("a", 0, {"T", "One"}, "- a\n- b");
  Add("a", 1, {"T", "Two"}, "- c\n- d");
  Add("a", 2, {"T", "Two"}, "- e\n- f");
  EXPECT_THAT(Parts(0), ElementsAre("0: - a\n- b"));
  EXPECT_THAT(Parts(1), ElementsAre("1: - c\n- d", "2: - e\n- f")) << "the same section, and nothing between them";
}

TEST_F(ListPartsTest, ChunksMaySayThatTheyAreTheLastThereCanBe) {
  constexpr int kLast = std::numeric_limits<int32_t>::max();
  Add("a", kLast, {"T"}, "- a\n- b");
  Add("a", -kLast - 1, {"T"}, "- c\n- d");
  Add("a", kLast, {"T"}, "- a\n- b");
  EXPECT_THAT(Parts(0), ElementsAre("0: - a\n- b"));
  EXPECT_THAT(Parts(1), ElementsAre("1: - c\n- d"));
}

TEST_F(ListPartsTest, AChunkThatWasNotFoundEndsTheList) {
  Add("a", 0, {"T"}, "You need:\n\n- a\n- b");
  Add("a", 2, {"T", "You need:"}, "- e\n- f");
  EXPECT_THAT(Parts(0), ElementsAre("0: You need:\n\n- a\n- b"));
  EXPECT_THAT(Parts(1), ElementsAre("1: - e\n- f"));
}

}  // namespace
}  // namespace lastro::services::answer
