// Citations of sources whose bytes are not those of the text: UTF-16, and character references.
#include "services/answer/candidates.h"
#include "services/answer/citation.h"
#include "tests/test_util.h"
#include "tests/unit/services/answer_fakes.h"

namespace lastro::services::answer {
namespace {

using lastro::testing::StatusIs;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kText[] = "The key is kept by the purser.";

std::string Utf16(const std::string& ascii) {
  std::string encoded;
  for (char c : ascii) encoded += {c, '\0'};
  return encoded;
}

// A document whose chunk is kText, its source `source` in `encoding`, none of it verbatim.
v1::SearchHit Hit(const std::string& source, const std::string& encoding, testing::FakeRetrieval* retrieval) {
  retrieval->Add("a", kText, source);
  v1::SearchHit& hit = retrieval->hits["a"];
  hit.mutable_document()->set_encoding(encoding);
  hit.mutable_chunk()->mutable_segments(0)->set_source_length(static_cast<int64_t>(source.size()));
  hit.mutable_chunk()->mutable_segments(0)->set_verbatim(false);
  return hit;
}

TEST(CitationEncodings, Utf16IsComparedByWhatItSays) {
  testing::FakeRetrieval retrieval;
  const v1::SearchHit hit = Hit(Utf16(kText), "UTF-16LE", &retrieval);
  EXPECT_THAT(FindCandidates({hit}), SizeIs(1));
  ASSERT_OK_AND_ASSIGN(v1::Citation citation,
                       MakeVerifiedCitation(hit, 0, sizeof(kText) - 1, retrieval, CallContext()));
  EXPECT_EQ(citation.quote(), kText);
  EXPECT_EQ(citation.shown_text(), "");
  const v1::SearchHit other = Hit(Utf16("The key is kept by the butler."), "UTF-16LE", &retrieval);
  EXPECT_THAT(MakeVerifiedCitation(other, 0, sizeof(kText) - 1, retrieval, CallContext()),
              StatusIs(absl::StatusCode::kDataLoss, ::testing::_));
}

TEST(CitationEncodings, AnAnswerIsPointedAtWhereTheQuoteIsTheSourcesBytes) {
  for (const auto& [encoding, pointed_at] : {std::pair("UTF-8", true), {"", true}, {"windows-1252", false}}) {
    testing::FakeRetrieval retrieval;
    retrieval.Add("a", kText, kText);
    v1::SearchHit& hit = retrieval.hits["a"];
    hit.mutable_document()->set_encoding(encoding);
    ASSERT_OK_AND_ASSIGN(v1::Citation citation, MakeVerifiedCitation(hit, 0, sizeof(kText) - 1, retrieval, {}));
    MarkAnswer(hit, 19, 29, &citation);
    ASSERT_EQ(citation.has_answer_in_quote(), pointed_at) << encoding;
    if (!pointed_at) continue;
    EXPECT_EQ(citation.answer_in_quote().begin(), 19);
    EXPECT_EQ(citation.answer_in_quote().end(), 29);
  }
}

TEST(CitationEncodings, CharacterReferencesAloneAreNoCandidate) {
  testing::FakeRetrieval retrieval;
  EXPECT_THAT(FindCandidates({Hit("&#84;...", "UTF-8", &retrieval)}), IsEmpty());
}

TEST(CitationEncodings, AQuoteOfMoreThanIsShownSaysWhatIs) {
  testing::FakeRetrieval retrieval;
  const std::string source = "The key <!-- of all --> is kept";
  retrieval.Add("a", "The key is kept", source);
  v1::Chunk& chunk = *retrieval.hits["a"].mutable_chunk();
  chunk.mutable_segments(0)->set_text_length(8);
  chunk.mutable_segments(0)->set_source_length(8);
  v1::SourceSegment& rest = *chunk.add_segments();
  rest.set_text_begin(8);
  rest.set_text_length(7);
  rest.set_source_begin(24);
  rest.set_source_length(7);
  rest.set_verbatim(true);
  ASSERT_OK_AND_ASSIGN(v1::Citation citation,
                       MakeVerifiedCitation(retrieval.hits["a"], 0, 15, retrieval, CallContext()));
  EXPECT_EQ(citation.quote(), source);
  EXPECT_EQ(citation.shown_text(), "The key is kept");
}

}  // namespace
}  // namespace lastro::services::answer
