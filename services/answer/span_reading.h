// Span readings: what a reader found in the retrieved passages: the likeliest answers of each, with their
// probabilities. Thread-safe functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "lastro/v1/ask.pb.h"
#include "services/answer/answer_request.h"
#include "services/answer/passage_lists.h"
#include "services/answer/passages.h"
#include "services/api.h"

namespace lastro::services::answer {

// Bytes [begin, end) of a passage's chunk text that may be the answer.
struct SpanAnswer {
  int passage = 0;  // index into the passages
  uint64_t begin = 0;
  uint64_t end = 0;
  std::string text;
  Candidate sentence;                          // that it stands in, the row of a table, or the list in the passage
  std::vector<ListPart> list;                  // all of it, where the answer is a list
  std::string read_as;                         // the sentence as the reader was shown it: passage_views.h
  double relevance = 0, score = 0;             // as the reader gave them
  int doubts = 0;                              // see view_answers.h
  double rank = 0;                             // a share; the likeliest answer has the highest
  double probability = 0;                      // that it is right, being the likeliest
  std::optional<v1::AnswerEvidence> evidence;  // that it is made of, where the reader's folder weighs it
};

struct SpanReadings {
  std::vector<SpanAnswer> answers;  // of all passages, likeliest first; equal ones in the order of the passages
  std::vector<v1::ReadResponse::OperatingPoint> calibration;  // as the reader gave it
  // Of each passage; unset where it has nothing to read.
  struct Passage {
    double relevance = 0;
    double answer_score = 0;
    bool read = false;
  };
  std::vector<Passage> passages;
  std::string fingerprint, device;  // of the reader
};

// nullopt when there is no reader. Answers whose bytes have no source are left out, and, of a question that a few words
// answer, those that only repeat its words or join sentences; such a question is read in the best few passages first,
// and where these settle it the others are not read. `model` as in passages.h.
absl::StatusOr<std::optional<SpanReadings>> ReadPassages(const AnswerRequest& request,
                                                         absl::Span<const v1::SearchHit> passages,
                                                         const std::string& model, GenerationApi& generation,
                                                         EmbeddingApi& embedding, const CallContext& context);

// Notes which reader read what of the passages that `receipt` has.
void NoteReadings(const SpanReadings& readings, v1::Receipt* receipt);

// The evidence below which too many answers are wrong: the lowest threshold of the calibration at which at most
// `max_risk` were; where there is none, 1 - max_risk.
double ThresholdOf(absl::Span<const v1::ReadResponse::OperatingPoint> calibration, double max_risk);
// The evidence that `request` wants.
double ThresholdOf(absl::Span<const v1::ReadResponse::OperatingPoint> calibration, const AnswerRequest& request);

// The sentence that holds each answer, as candidates whose evidence is the answer's probability: one an answer, in
// their order.
std::vector<ScoredCandidate> SentencesOf(const SpanReadings& readings);

}  // namespace lastro::services::answer
