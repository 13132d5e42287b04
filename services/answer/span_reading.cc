#include "services/answer/span_reading.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "retrieval/source_map.h"
#include "services/answer/candidates.h"
#include "services/answer/citation.h"
#include "services/answer/definition.h"
#include "services/answer/list_answers.h"
#include "services/answer/passage_views.h"
#include "services/answer/question_form.h"
#include "services/answer/reader_call.h"
#include "services/answer/span_evidence.h"
#include "services/answer/view_answers.h"
#include "services/answer/whole_span.h"
#include "services/proto_convert.h"

namespace lastro::services::answer {
namespace {

constexpr int kSpansOfPassage = 3;
constexpr int kSpansOfRow = 16;              // apart, so that most cells of a row have one
constexpr size_t kReadFirst = 3;             // passages, where a few words are wanted
constexpr double kSettled = 0.4;             // probability of an answer that needs no other passages
constexpr double kClearlyLess = 0.2;         // share by which the other passages' scores are below the best one
constexpr size_t kMaxPassageBytes = 65'536;  // of GenerationService.Read
constexpr size_t kMaxRead = 256;             // passages, of GenerationService.Read
constexpr size_t kMaxViews = 25;             // of a passage
constexpr size_t kMaxContextBytes = 1'024;   // more than a reader looks at

// Text without a letter or digit, such as one of invisible characters alone, may have no tokens.
bool HasWords(absl::string_view text) {
  while (!text.empty()) {
    const DecodedRune decoded = DecodeRune(text);
    if (decoded.valid && u_isalnum(static_cast<UChar32>(decoded.rune))) return true;
    text.remove_prefix(decoded.length);
  }
  return false;
}

// An answer of words, not of sentences, of which more is better.
bool WantsFewWords(const std::string& question) { return !AsksForSentence(question) && !AsksToExplain(question); }

// The row of a table that the view is, where it can be cited and is no giant; else the sentence around the bytes.
Candidate SentenceOf(const PassageView& view, int passage, const v1::SearchHit& hit, TextRange span) {
  if (view.row.has_value() && CanBeVerified(hit, view.row->begin, view.row->end)) {
    const auto [begin, end] = *view.row;
    if (end - begin <= CandidateLimits().max_bytes)
      return {passage, begin, end, hit.chunk().text().substr(begin, end - begin)};
  }
  return SentenceAround(passage, hit.chunk(), span.begin, span.end);
}

// With what the reader thinks of the span that it was found by.
SpanAnswer ReadSo(SpanAnswer answer, const ReadView& read, const FoundSpan& span) {
  answer.relevance = read.relevance;
  answer.score = span.score;
  answer.doubts = read.doubts;
  answer.rank = answer.probability = span.probability;
  return answer;
}

// The best view speaks for the passage.
void AddPassage(const v1::ReadResponse::Reading& reading, SpanReadings::Passage* passage) {
  const double score = reading.spans(0).score();
  passage->relevance = passage->read ? std::max(passage->relevance, reading.relevance()) : reading.relevance();
  passage->answer_score = passage->read ? std::max(passage->answer_score, score) : score;
  passage->read = true;
}

// The list that answers where the span points, once, by its likeliest span; false where none does, or it cannot be
// cited.
bool AddList(const ReadView& read, const FoundSpan& span, absl::Span<const v1::SearchHit> passages, ListAnswers* lists,
             std::vector<SpanAnswer>* answers) {
  if (read.view.row.has_value()) return false;
  const v1::SearchHit& hit = passages[static_cast<size_t>(read.passage)];
  const std::optional<PassageList> list = lists->AnswerAt(hit, span.range);
  if (!list.has_value()) return false;
  std::vector<ListPart> parts = PartsOf(*list, read.passage, passages);
  for (const ListPart& part : parts) {
    if (!CanBeVerified(passages[static_cast<size_t>(part.passage)], part.cited.begin, part.cited.end)) return false;
  }
  const ListPart here =
      *std::find_if(parts.begin(), parts.end(), [&](const ListPart& part) { return part.passage == read.passage; });
  if (!retrieval::MapToSource(SegmentsFromProto(hit.chunk()), here.items.begin, here.items.end)) return false;
  const auto known = std::find_if(answers->begin(), answers->end(), [&](const SpanAnswer& other) {
    return !other.list.empty() && other.list[0].passage == parts[0].passage &&
           other.list[0].items.begin == parts[0].items.begin;
  });
  if (known != answers->end() && known->probability >= span.probability) return true;
  if (known != answers->end()) answers->erase(known);
  const auto text = [&](TextRange range) { return hit.chunk().text().substr(range.begin, range.end - range.begin); };
  SpanAnswer answer{read.passage, here.items.begin, here.items.end, text(here.items)};
  answer.sentence = {read.passage, here.cited.begin, here.cited.end, text(here.cited)};
  answer.read_as = answer.sentence.text;
  answer.list = std::move(parts);
  answers->push_back(ReadSo(std::move(answer), read, span));
  return true;
}

// Of spans that say something and whose sentences can be cited.
void AddSpans(const std::string& question, const ReadView& read, absl::Span<const v1::SearchHit> passages,
              ListAnswers* lists, std::vector<SpanAnswer>* answers) {
  const PassageView& view = read.view;
  const v1::SearchHit& hit = passages[static_cast<size_t>(read.passage)];
  const v1::Chunk& chunk = hit.chunk();
  const std::vector<retrieval::SourceSegment> segments = SegmentsFromProto(chunk);
  for (const FoundSpan& span : read.found) {
    if (AddList(read, span, passages, lists, answers)) continue;
    const TextRange whole = WholeSpan(chunk.text(), span.range);
    const auto [begin, end] = retrieval::MapToSource(segments, whole.begin, whole.end) ? whole : span.range;
    const absl::string_view words = absl::string_view(chunk.text()).substr(begin, end - begin);
    if (WantsFewWords(question) && (OnlyRepeats(question, words) || OnlyJoins(question, words))) continue;
    Candidate sentence = SentenceOf(view, read.passage, hit, {begin, end});
    if (!retrieval::MapToSource(segments, begin, end) || !CanBeVerified(hit, sentence.begin, sentence.end)) continue;
    SpanAnswer answer{read.passage, begin, end, std::string(words), std::move(sentence)};
    answer.read_as = view.row.has_value() ? view.text : answer.sentence.text;
    answers->push_back(ReadSo(std::move(answer), read, span));
    answers->back().doubts += lists->IsOutdone(hit, {begin, end});
  }
}

// The sentences of the passage that say what the question asks to define, as likely as its best span.
void AddDefinitions(const ReadView& read, const v1::SearchHit& hit, Definition* definition,
                    std::vector<SpanAnswer>* answers) {
  if (!definition->IsAsked() || read.view.row.has_value() || read.found.empty()) return;
  const absl::string_view text = hit.chunk().text();
  const std::vector<retrieval::SourceSegment> segments = SegmentsFromProto(hit.chunk());
  for (const TextRange& range : SplitSentences(text)) {
    const std::optional<TextRange> said = definition->In(text.substr(range.begin, range.end - range.begin));
    if (!said.has_value()) continue;
    const size_t begin = range.begin + said->begin, end = range.begin + said->end;
    Candidate sentence = SentenceAround(read.passage, hit.chunk(), begin, end);
    if (!retrieval::MapToSource(segments, begin, end) || !CanBeVerified(hit, sentence.begin, sentence.end)) continue;
    SpanAnswer answer{read.passage, begin, end, std::string(text.substr(begin, end - begin)), std::move(sentence)};
    answer.read_as = answer.sentence.text;
    answers->push_back(ReadSo(std::move(answer), read, read.found.front()));
  }
}

// What the passage stands under: the title of its document and its headings; of much the end, whole characters.
std::string ContextOf(const v1::SearchHit& hit) {
  std::vector<absl::string_view> parts(hit.chunk().headings().begin(), hit.chunk().headings().end());
  const std::string& title = hit.document().title();
  if (!title.empty() && (parts.empty() || parts[0] != title)) parts.insert(parts.begin(), title);
  std::string context = absl::StrJoin(parts, ", ");
  if (context.size() <= kMaxContextBytes) return context;
  size_t begin = context.size() - kMaxContextBytes;
  while (!IsRuneBoundary(context, begin)) ++begin;
  return context.substr(begin);
}

// Adds what the reader finds in the passages `some`; false when there is no reader.
absl::StatusOr<bool> ReadSome(const std::string& question, absl::Span<const v1::SearchHit> passages,
                              absl::Span<const int> some, const std::string& model, GenerationApi& generation,
                              EmbeddingApi& embedding, const CallContext& context, SpanReadings* readings) {
  v1::ReadRequest request;
  request.set_question(question);
  request.set_max_spans(kSpansOfPassage);
  std::vector<ReadView> views;
  ListAnswers lists(question, WantsFewWords(question));
  for (int i : some) {
    const v1::Chunk& chunk = passages[static_cast<size_t>(i)].chunk();
    if (chunk.cells().empty() && chunk.text().size() <= kMaxPassageBytes) {
      views.push_back({i, lists.ViewOf(passages[static_cast<size_t>(i)])});
      continue;
    }
    for (PassageView& view : ViewsOf(chunk, kMaxPassageBytes, std::min(kMaxViews, kMaxRead / some.size()))) {
      views.push_back({i, std::move(view)});
    }
  }
  DropOutdoneRows(question, passages, &views);
  for (const ReadView& read : views) {
    request.add_passages(read.view.text);
    request.add_contexts(ContextOf(passages[static_cast<size_t>(read.passage)]));
    if (!read.view.cells.empty()) request.set_max_spans(kSpansOfRow);
  }
  LASTRO_ASSIGN_OR_RETURN(const std::optional<v1::ReadResponse> response, AskReader(request, generation, context));
  if (!response.has_value()) return false;
  std::vector<const v1::ReadResponse::Reading*> found;
  for (size_t i = 0; i < views.size(); ++i) {
    found.push_back(&response->readings(static_cast<int>(i)));
    AddPassage(*found.back(), &readings->passages[static_cast<size_t>(views[i].passage)]);
  }
  FindAnswers(question, passages, found, kSpansOfPassage, &views);
  std::vector<SpanAnswer> answers, definitions;
  Definition definition(question);
  for (const ReadView& read : views) {
    const v1::SearchHit& hit = passages[static_cast<size_t>(read.passage)];
    AddSpans(question, read, passages, &lists, &answers);
    AddDefinitions(read, hit, &definition, &definitions);
  }
  if (!definitions.empty()) {  // beside which others are doubtful
    for (SpanAnswer& answer : answers) ++answer.doubts;
    std::move(definitions.begin(), definitions.end(), std::back_inserter(answers));
  }
  LASTRO_RETURN_IF_ERROR(WeighAnswers(question, passages, *response, model, embedding, context, &answers));
  std::move(answers.begin(), answers.end(), std::back_inserter(readings->answers));
  std::stable_sort(readings->answers.begin(), readings->answers.end(),
                   [](const SpanAnswer& a, const SpanAnswer& b) { return a.rank > b.rank; });
  readings->calibration.assign(response->calibration().begin(), response->calibration().end());
  readings->fingerprint = response->fingerprint();
  readings->device = response->device();
  return true;
}

// Whether the passages `left` are not worth reading: an answer was found that is likely enough, and search thinks
// clearly less of them than of the best. (Of 600 held-out English questions asked of 300 passages two in three are
// settled so, and not one of their answers was another after reading all.)
bool IsSettled(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages, absl::Span<const int> left,
               const SpanReadings& readings) {
  if (readings.answers.empty()) return false;
  const double enough = std::max(kSettled, ThresholdOf(readings.calibration, request));
  if (readings.answers[0].probability < enough) return false;
  double best = 0;
  for (const v1::SearchHit& hit : passages) best = std::max(best, hit.score());
  return std::all_of(left.begin(), left.end(),
                     [&](int i) { return passages[static_cast<size_t>(i)].score() <= (1 - kClearlyLess) * best; });
}

}  // namespace

absl::StatusOr<std::optional<SpanReadings>> ReadPassages(const AnswerRequest& request,
                                                         absl::Span<const v1::SearchHit> passages,
                                                         const std::string& model, GenerationApi& generation,
                                                         EmbeddingApi& embedding, const CallContext& context) {
  std::vector<int> readable;
  for (size_t i = 0; i < passages.size(); ++i) {
    if (HasWords(passages[i].chunk().text())) readable.push_back(static_cast<int>(i));
  }
  SpanReadings readings;
  readings.passages.resize(passages.size());
  absl::Span<const int> left = readable;
  if (WantsFewWords(request.question) && left.size() > kReadFirst) left = left.first(kReadFirst);
  while (!left.empty()) {
    LASTRO_ASSIGN_OR_RETURN(
        const bool read, ReadSome(request.question, passages, left, model, generation, embedding, context, &readings));
    if (!read) return std::nullopt;
    left = absl::MakeConstSpan(readable).subspan(static_cast<size_t>(left.end() - readable.data()));
    if (!left.empty() && IsSettled(request, passages, left, readings)) break;
  }
  return readings;
}

void NoteReadings(const SpanReadings& readings, v1::Receipt* receipt) {
  receipt->set_reader_fingerprint(readings.fingerprint);
  receipt->set_reader_device(readings.device);
  for (size_t i = 0; i < readings.passages.size(); ++i) {
    const SpanReadings::Passage& reading = readings.passages[i];
    if (!reading.read) continue;
    v1::ReceiptPassage* passage = receipt->mutable_passages(static_cast<int>(i));
    passage->set_used(true);
    passage->set_relevance(reading.relevance);
    passage->set_answer_score(reading.answer_score);
  }
}

double ThresholdOf(absl::Span<const v1::ReadResponse::OperatingPoint> calibration, double max_risk) {
  double threshold = 2;  // above every probability
  for (const v1::ReadResponse::OperatingPoint& point : calibration) {
    if (point.risk() <= max_risk) threshold = std::min(threshold, point.threshold());
  }
  return threshold <= 1 ? threshold : 1 - max_risk;
}

double ThresholdOf(absl::Span<const v1::ReadResponse::OperatingPoint> calibration, const AnswerRequest& request) {
  return request.min_evidence.has_value() ? *request.min_evidence : ThresholdOf(calibration, request.max_risk);
}

std::vector<ScoredCandidate> SentencesOf(const SpanReadings& readings) {
  std::vector<ScoredCandidate> sentences;
  for (const SpanAnswer& found : readings.answers) {
    ScoredCandidate scored{found.sentence, {}};
    scored.evidence.evidence = found.probability;
    scored.evidence.rank_score = found.rank;
    sentences.push_back(std::move(scored));
  }
  return sentences;
}

}  // namespace lastro::services::answer
