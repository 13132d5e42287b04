// List answers: where a question asks for what a list has ("What must visitors bring?"), the answer is the list. A
// reader points at one of the items then, or at the sentence that announces them ("the following documents"). Not
// thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/sentence.h"
#include "lastro/v1/retrieval.pb.h"
#include "services/answer/passage_lists.h"
#include "services/answer/passage_views.h"
#include "services/answer/question_words.h"

namespace lastro::services::answer {

class ListAnswers {
 public:
  // `question` must outlive this. `few_words`: whether these answer it, not a description or instructions.
  ListAnswers(const std::string& question, bool few_words);

  // Hits are told apart by their addresses.

  // What the reader is shown of a passage without tables: all of it but, where few words are wanted, the items of each
  // list that say less of the question than another item of it. What is said around the list, by what announces it,
  // headings and title, does not count.
  PassageView ViewOf(const v1::SearchHit& hit);

  // Whether the line around `span` of the chunk's text says less of the question than an item of a list that ViewOf
  // left others out of: the span is doubtful as an answer. False where ViewOf was not called with this very `hit`.
  bool IsOutdone(const v1::SearchHit& hit, TextRange span);

  // The list that answers where the reader pointed at `span` of the chunk's text; nullopt where the span answers
  // itself. Of few words the list is the answer where
  //   - the span is in the sentence that announces the list, and only points at it ("the following");
  //   - it is there or in an item that the question does not tell apart (by words that neither what announces the list
  //     nor, where nothing does, the heading above it says), and all that the question says is said around the list; or
  //   - it is in an item of a list that says what is not ("Visitors must not bring:");
  // of more it is where the list is announced, and has numbers or the question tells no items apart.
  std::optional<PassageList> AnswerAt(const v1::SearchHit& hit, TextRange span);

 private:
  using Said = std::vector<bool>;  // of each word of the question

  const std::vector<PassageList>& ListsIn(const v1::SearchHit& hit);
  Said SaidRightAbove(const v1::SearchHit& hit, const PassageList& list);
  Said SaidAround(const v1::SearchHit& hit, const PassageList& list);
  Said SaidBy(const v1::SearchHit& hit, TextRange range);
  bool SaysAll(const Said& said) const;
  bool TellsApart(const v1::SearchHit& hit, const PassageList& list, TextRange span);
  bool AnswersFewWords(const v1::SearchHit& hit, const PassageList& list, TextRange span);
  bool AnswersMore(const v1::SearchHit& hit, const PassageList& list, TextRange span);

  // What an item says of the question, and what is said around its list.
  struct ToldItem {
    Said said, around;
  };

  const std::string& question_;
  const bool few_words_, counts_;
  QuestionWords words_;
  std::map<const v1::SearchHit*, std::vector<PassageList>> lists_;
  std::map<const v1::SearchHit*, std::vector<ToldItem>> told_;
};

}  // namespace lastro::services::answer
