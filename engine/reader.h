// Reader: an encoder that reads a question and a passage together (extractive question answering, Devlin et al. 2018,
// section 4.3): whether the passage answers, and at which bytes. Reads Lastro's readers and transformers'
// ...ForQuestionAnswering of the families that SequenceClassifier reads. Const after Load; Read may be called from
// several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/runtime.h"
#include "engine/tokenizer.h"

namespace lastro::engine {

// Of held-out answers told with a probability of `threshold` or more: the share that was wrong, and the share of all
// questions that they are.
struct OperatingPoint {
  double threshold = 0;
  double risk = 0;
  double coverage = 0;
};

// What speaks for a whole answer, of a passage that a search found: log odds as a weighted sum of what the reader and
// the search think of it. Fitted on held-out questions.
struct AnswerWeights {
  double bias = 0;
  double relevance = 0;        // of Reading.relevance
  double span_score = 0;       // of ReadSpan.score
  double sentence_cosine = 0;  // of question and the answer's sentence, by the embedder
  double passage_cosine = 0;   // of question and passage
  double word_overlap = 0;     // share of the question's words that the sentence holds, rare ones counting more
  double search_distance = 0;  // how much lower than the best hit the search scored the passage, as a share
};

struct ReaderInfo {
  std::string name;              // the folder's last component
  std::string fingerprint;       // SHA-256 over weights, configuration and tokenizer
  std::string architecture;      // "bert"
  bool tells_relevance = false;  // has a head for it; else relevance is answerability
  int window_tokens = 0;         // read at once, question included; longer passages in several windows that overlap
  int question_tokens = 0;       // of a longer question the end is not read
  int context_tokens = 0;        // of a longer context the beginning is not read; 0: contexts are not read
  int64_t parameters = 0;
  std::vector<OperatingPoint> calibration;           // by falling threshold; may be empty
  std::optional<AnswerWeights> answer_weights;       // which answer is the likeliest
  std::optional<AnswerWeights> probability_weights;  // how likely it is right; absent: by answer_weights too
};

// None is owned.
struct ReadPair {
  absl::string_view question;
  absl::string_view passage;
  absl::string_view context = {};  // what the passage stands under, its title and headings: read before it, never
                                   // pointed at
};

// Bytes of the passage, from the first of a token to behind the last of one, within a line and, where " | " divides it,
// a cell.
struct ReadSpan {
  uint32_t begin = 0;
  uint32_t end = 0;
  float score = 0;         // logits of its start and end, less those of "no answer" in the same window: above 0, it is
                           // likelier
  double probability = 0;  // that it answers, calibrated from relevance and score by the model's configuration
};

struct Reading {
  float relevance = 0;          // logit that the passage answers the question; the best window's
  float answerability = 0;      // score of the best span
  double probability = 0;       // that of the best span
  std::vector<ReadSpan> spans;  // at least one; best first, none overlaps another
};

class Reader {
 public:
  // `runtime` must outlive the model. Errors as EmbeddingModel::Load; INVALID_ARGUMENT when the weights point at no
  // spans or the configuration leaves a passage no room.
  static absl::StatusOr<std::unique_ptr<Reader>> Load(const std::string& folder, const Runtime& runtime);
  virtual ~Reader() = default;

  virtual const ReaderInfo& info() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;

  // One reading of each pair, in their order, with at most `max_spans` (>= 1) answers. INVALID_ARGUMENT names the pair
  // of which a side has no tokens. Also CANCELLED and DEADLINE_EXCEEDED, seen between layers and batches.
  virtual absl::StatusOr<std::vector<Reading>> Read(absl::Span<const ReadPair> pairs, int max_spans,
                                                    const CallContext& context) const = 0;
};

}  // namespace lastro::engine
