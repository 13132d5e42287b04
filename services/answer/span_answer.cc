#include "services/answer/span_answer.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "base/status_macros.h"
#include "services/answer/abstention.h"
#include "services/answer/citation.h"
#include "services/answer/negation.h"
#include "services/answer/question_form.h"
#include "services/answer/quote_answer.h"
#include "services/answer/words.h"

namespace lastro::services::answer {
namespace {

constexpr size_t kMaxWordsOfExplanation = 4;  // that stand alone: the whole explanation, or too little of it
constexpr size_t kMaxConflictWords = 12;      // of an answer that contradicts another
constexpr double kNearlyAsLikely = 0.9;       // of the likeliest answer's rank: two such contradict each other
constexpr double kOutOfScopeCosine = 0.2;     // below: passages are about something else than the question
constexpr double kOutOfScopeEvidence = 0.05;  // probability of an answer

bool StandsAlone(const std::string& question, const SpanAnswer& found) {
  if (AsksForSentence(question)) return false;
  return !AsksToExplain(question) || SplitWords(found.text).size() <= kMaxWordsOfExplanation;
}

// What other answers can contradict one: numbers numbers, names names. Other words may say the same in another way.
enum class AnswerKind { kNumber, kName, kWords };

bool HasWithoutCapital(absl::string_view text, const Word& word) {
  const std::vector<Word> words = SplitWords(text);
  return std::any_of(words.begin(), words.end(), [&](const Word& other) {
    return other.folded == word.folded && !HasCapital(text.substr(other.begin));
  });
}

// A word has its capital for its sentence's sake, not for a name's, where the passages write it without.
AnswerKind KindOf(const std::string& text, absl::Span<const v1::SearchHit> passages) {
  if (HasDigit(text)) return AnswerKind::kNumber;
  const std::vector<Word> words = SplitWords(text);
  const bool has_name = std::any_of(words.begin(), words.end(), [&](const Word& word) {
    return HasCapital(absl::string_view(text).substr(word.begin)) &&
           std::none_of(passages.begin(), passages.end(),
                        [&](const v1::SearchHit& hit) { return HasWithoutCapital(hit.chunk().text(), word); });
  });
  return has_name ? AnswerKind::kName : AnswerKind::kWords;
}

bool ShareAWord(const std::string& a, const std::string& b) {
  absl::flat_hash_set<std::string> words;
  for (Word& word : SplitWords(a)) words.insert(std::move(word.folded));
  const std::vector<Word> others = SplitWords(b);
  return std::any_of(others.begin(), others.end(), [&](const Word& word) { return words.contains(word.folded); });
}

// Whether the answer's words say the contrary of their sentence; a row of a table is none.
bool SaysTheContrary(const std::string& question, const SpanAnswer& found) {
  const Candidate& sentence = found.sentence;
  if (found.begin <= sentence.begin || sentence.text != found.read_as) return false;
  return LosesNegation(question, absl::string_view(sentence.text).substr(0, found.begin - sentence.begin));
}

// The words themselves, or, where they would say the contrary, all of their sentence; cited by it.
absl::Status AppendSpan(const std::string& question, absl::Span<const v1::SearchHit> passages, const SpanAnswer& found,
                        RetrievalApi& retrieval, const CallContext& context, Stages* stages, v1::Answer* answer) {
  const v1::SearchHit& passage = passages[static_cast<size_t>(found.passage)];
  const Candidate& sentence = found.sentence;
  LASTRO_ASSIGN_OR_RETURN(v1::Citation citation, stages->Time("verify", [&] {
    return MakeVerifiedCitation(passage, sentence.begin, sentence.end, retrieval, context);
  }));
  const bool whole = SaysTheContrary(question, found);
  if (!whole) MarkAnswer(passage, found.begin, found.end, &citation);
  AppendQuote(whole ? sentence.text : found.text, std::move(citation), answer);
  return absl::OkStatus();
}

// The items, in all passages that have some; with the sentence that announces them where instructions are asked for, or
// they would say the contrary without it.
absl::Status AppendList(const std::string& question, absl::Span<const v1::SearchHit> passages, const SpanAnswer& found,
                        RetrievalApi& retrieval, const CallContext& context, Stages* stages, v1::Answer* answer) {
  const std::string& first = passages[static_cast<size_t>(found.list[0].passage)].chunk().text();
  const bool announced =
      AsksForSentence(question) || AsksToExplain(question) || DeniesItems(question, first, found.list[0]);
  for (const ListPart& part : found.list) {
    const v1::SearchHit& passage = passages[static_cast<size_t>(part.passage)];
    LASTRO_ASSIGN_OR_RETURN(v1::Citation citation, stages->Time("verify", [&] {
      return MakeVerifiedCitation(passage, part.cited.begin, part.cited.end, retrieval, context);
    }));
    const TextRange shown = announced ? part.cited : part.items;
    if (!announced) MarkAnswer(passage, shown.begin, shown.end, &citation);
    const absl::string_view text = passage.chunk().text();
    AppendQuote(text.substr(shown.begin, shown.end - shown.begin), std::move(citation), answer, "\n");
  }
  return absl::OkStatus();
}

absl::Status AppendSentences(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages,
                             const SpanReadings& readings, RetrievalApi& retrieval, const CallContext& context,
                             Stages* stages, v1::Answer* answer) {
  const std::vector<ScoredCandidate> sentences = SentencesOf(readings);
  for (size_t index : ChooseSentences(sentences, request.max_sentences, answer->evidence_threshold())) {
    const Candidate& sentence = sentences[index].candidate;
    LASTRO_ASSIGN_OR_RETURN(v1::Citation citation, stages->Time("verify", [&] {
      return MakeVerifiedCitation(passages[static_cast<size_t>(sentence.passage)], sentence.begin, sentence.end,
                                  retrieval, context);
    }));
    AppendQuote(sentence.text, std::move(citation), answer);
  }
  return absl::OkStatus();
}

}  // namespace

bool IsOutOfScope(const SpanReadings& readings, absl::Span<const v1::SearchHit> passages) {
  if (readings.answers.empty() || readings.answers[0].probability >= kOutOfScopeEvidence) return false;
  return std::all_of(passages.begin(), passages.end(),
                     [](const v1::SearchHit& hit) { return hit.dense_score() < kOutOfScopeCosine; });
}

std::optional<size_t> FindConflict(const SpanReadings& readings, absl::Span<const v1::SearchHit> passages,
                                   double threshold) {
  const SpanAnswer& best = readings.answers[0];
  if (SplitWords(best.text).size() > kMaxConflictWords) return std::nullopt;
  const auto document = [&](const SpanAnswer& found) {
    return absl::string_view(passages[static_cast<size_t>(found.passage)].document().id());
  };
  for (size_t i = 1; i < readings.answers.size(); ++i) {
    const SpanAnswer& other = readings.answers[i];
    if (other.rank < kNearlyAsLikely * best.rank) return std::nullopt;
    if (other.probability < threshold || document(other) == document(best)) continue;
    if (SplitWords(other.text).size() > kMaxConflictWords || ShareAWord(other.text, best.text)) continue;
    // Passages are looked through for the few that get here.
    const AnswerKind kind = KindOf(best.text, passages);
    if (kind == AnswerKind::kWords) return std::nullopt;
    if (KindOf(other.text, passages) == kind) return i;
  }
  return std::nullopt;
}

absl::Status AnswerBySpans(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages,
                           const SpanReadings& readings, RetrievalApi& retrieval, const CallContext& context,
                           Stages* stages, v1::Answer* answer) {
  const SpanAnswer& best = readings.answers[0];
  answer->set_answerability(v1::ANSWERED);
  if (!best.list.empty()) return AppendList(request.question, passages, best, retrieval, context, stages, answer);
  if (!StandsAlone(request.question, best)) {
    return AppendSentences(request, passages, readings, retrieval, context, stages, answer);
  }
  std::optional<size_t> conflict;
  // Who asks for an answer at any evidence gets the likeliest.
  if (answer->evidence_threshold() > 0) conflict = FindConflict(readings, passages, answer->evidence_threshold());
  if (!conflict.has_value()) return AppendSpan(request.question, passages, best, retrieval, context, stages, answer);
  answer->set_answerability(v1::CONFLICTING);
  answer->set_text(AbstentionText(v1::CONFLICTING, request.question));
  LASTRO_RETURN_IF_ERROR(AppendSpan(request.question, passages, best, retrieval, context, stages, answer));
  answer->mutable_text()->push_back(';');
  return AppendSpan(request.question, passages, readings.answers[*conflict], retrieval, context, stages, answer);
}

}  // namespace lastro::services::answer
