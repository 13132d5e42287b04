#include "services/answer/span_reading.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "retrieval/source_map.h"
#include "services/answer/candidates.h"
#include "services/answer/citation.h"
#include "services/answer/question_form.h"
#include "services/answer/span_evidence.h"
#include "services/answer/whole_span.h"
#include "services/proto_convert.h"

namespace lastro::services::answer {
namespace {

constexpr int kSpansOfPassage = 3;
constexpr size_t kReadFirst = 3;             // passages, where a few words are wanted
constexpr double kSettled = 0.4;             // probability of an answer that needs no other passages
constexpr double kClearlyLess = 0.2;         // share by which the other passages' scores are below the best one
constexpr size_t kMaxPassageBytes = 65'536;  // of GenerationService.Read
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

// The first bytes of an unbroken giant, whole characters.
std::string Readable(const std::string& text) {
  size_t end = std::min(text.size(), kMaxPassageBytes);
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

bool IsShare(double value) { return value >= 0 && value <= 1; }  // and is a number

bool StartsCharacter(const std::string& text, size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80;
}

absl::Status CheckSpan(const v1::ReadResponse::Span& span, const std::string& passage) {
  const int64_t begin = span.range().begin(), end = span.range().end();
  if (begin < 0 || begin >= end || end > static_cast<int64_t>(passage.size())) {
    return absl::InternalError("the reader gave a span outside its passage");
  }
  if (!StartsCharacter(passage, static_cast<size_t>(begin)) || !StartsCharacter(passage, static_cast<size_t>(end))) {
    return absl::InternalError("the reader gave a span that cuts a character");
  }
  if (IsShare(span.probability()) && std::isfinite(span.score())) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("the reader gave a span the probability ", span.probability(), " and the score ", span.score()));
}

absl::Status CheckReading(const v1::ReadResponse::Reading& reading, int max_spans, const std::string& passage) {
  if (reading.spans().empty()) return absl::InternalError("the reader gave a reading without a span");
  if (reading.spans_size() > max_spans) {
    return absl::InternalError(
        absl::StrCat("the reader gave ", reading.spans_size(), " spans where ", max_spans, " were asked for"));
  }
  if (!std::isfinite(reading.relevance())) return absl::InternalError("the reader gave a relevance that is no number");
  for (const v1::ReadResponse::Span& span : reading.spans()) LASTRO_RETURN_IF_ERROR(CheckSpan(span, passage));
  return absl::OkStatus();
}

absl::Status CheckWeights(const v1::ReadResponse::AnswerWeights& weights) {
  for (double weight : {weights.bias(), weights.relevance(), weights.span_score(), weights.sentence_cosine(),
                        weights.passage_cosine(), weights.word_overlap(), weights.search_distance()}) {
    if (!std::isfinite(weight)) return absl::InternalError("the reader gave a weight that is no number");
  }
  return absl::OkStatus();
}

absl::Status CheckResponse(const v1::ReadRequest& request, const v1::ReadResponse& response) {
  if (response.readings_size() != request.passages_size()) {
    return absl::InternalError(absl::StrCat("the reader gave ", response.readings_size(), " readings of ",
                                            request.passages_size(), " passages"));
  }
  const int max_spans = std::max(1, request.max_spans());
  for (int i = 0; i < response.readings_size(); ++i) {
    LASTRO_RETURN_IF_ERROR(CheckReading(response.readings(i), max_spans, request.passages(i)));
  }
  LASTRO_RETURN_IF_ERROR(CheckWeights(response.answer_weights()));
  LASTRO_RETURN_IF_ERROR(CheckWeights(response.probability_weights()));
  for (const v1::ReadResponse::OperatingPoint& point : response.calibration()) {
    if (!IsShare(point.threshold()) || !IsShare(point.risk())) {
      return absl::InternalError(absl::StrCat("the reader's calibration has the threshold ", point.threshold(),
                                              " and the risk ", point.risk(), "; both are shares"));
    }
  }
  return absl::OkStatus();
}

// An answer of words, not of sentences, of which more is better.
bool WantsFewWords(const std::string& question) { return !AsksForSentence(question) && !AsksToExplain(question); }

// Of spans that say something and whose sentences can be cited.
void AddReading(const std::string& question, int passage, const v1::SearchHit& hit,
                const v1::ReadResponse::Reading& reading, std::vector<SpanAnswer>* answers, SpanReadings* readings) {
  const v1::Chunk& chunk = hit.chunk();
  readings->passages[static_cast<size_t>(passage)] = {reading.relevance(), reading.spans(0).score(), true};
  const std::vector<retrieval::SourceSegment> segments = SegmentsFromProto(chunk);
  for (const v1::ReadResponse::Span& span : reading.spans()) {
    const TextRange read{static_cast<size_t>(span.range().begin()), static_cast<size_t>(span.range().end())};
    const TextRange whole = WholeSpan(chunk.text(), read);
    const auto [begin, end] = retrieval::MapToSource(segments, whole.begin, whole.end) ? whole : read;
    const absl::string_view words = absl::string_view(chunk.text()).substr(begin, end - begin);
    if (WantsFewWords(question) && OnlyRepeats(question, words)) continue;
    Candidate sentence = SentenceAround(passage, chunk, begin, end);
    if (!retrieval::MapToSource(segments, begin, end) || !CanBeVerified(hit, sentence.begin, sentence.end)) continue;
    answers->push_back({passage, begin, end, std::string(words), std::move(sentence), reading.relevance(), span.score(),
                        span.probability(), span.probability()});
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
  while (begin < context.size() && !StartsCharacter(context, begin)) ++begin;
  return context.substr(begin);
}

// Adds what the reader finds in the passages `some`; false when there is no reader.
absl::StatusOr<bool> ReadSome(const std::string& question, absl::Span<const v1::SearchHit> passages,
                              absl::Span<const int> some, const std::string& model, GenerationApi& generation,
                              EmbeddingApi& embedding, const CallContext& context, SpanReadings* readings) {
  v1::ReadRequest request;
  request.set_question(question);
  request.set_max_spans(kSpansOfPassage);
  for (int i : some) {
    request.add_passages(Readable(passages[static_cast<size_t>(i)].chunk().text()));
    request.add_contexts(ContextOf(passages[static_cast<size_t>(i)]));
  }
  LASTRO_ASSIGN_OR_RETURN(const std::optional<v1::ReadResponse> response, AskReader(request, generation, context));
  if (!response.has_value()) return false;
  std::vector<SpanAnswer> answers;
  for (size_t i = 0; i < some.size(); ++i) {
    AddReading(question, some[i], passages[static_cast<size_t>(some[i])], response->readings(static_cast<int>(i)),
               &answers, readings);
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

absl::StatusOr<std::optional<v1::ReadResponse>> AskReader(const v1::ReadRequest& request, GenerationApi& generation,
                                                          const CallContext& context) {
  absl::StatusOr<v1::ReadResponse> response = generation.Read(request, context);
  if (absl::IsUnimplemented(response.status())) return std::nullopt;
  LASTRO_RETURN_IF_ERROR(response.status());
  LASTRO_RETURN_IF_ERROR(CheckResponse(request, *response));
  return std::move(*response);
}

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
