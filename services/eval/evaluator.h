// Evaluator: asks the components one question and measures what comes back. No judge model: everything is compared with
// gold passages and gold answers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/call_context.h"
#include "lastro/v1/eval.pb.h"
#include "services/api.h"
#include "services/eval/corpus.h"
#include "services/eval/dataset.h"

namespace lastro::services::eval {

struct EvalSettings {
  std::string collection;
  bool rerank = false;                                 // there is a reranker
  std::optional<double> rerank_weight = std::nullopt;  // SearchRequest::rerank_weight
  bool answer = true;                                  // also ask; else only search
  bool given_passages = false;                         // ask of the question's own passages alone
  v1::AnswerMode mode = v1::ANSWER_MODE_QUOTE;
  int depth = 100;  // passages of a ranked list
};

// Thread-safe as its components are.
class Evaluator {
 public:
  // All must outlive the evaluator. `corpus`: names documents; where it is empty, they go by their uris.
  Evaluator(RetrievalApi* retrieval, AskApi* ask, const Corpus* corpus, EvalSettings settings)
      : retrieval_(*retrieval), ask_(*ask), corpus_(*corpus), settings_(std::move(settings)) {
    for (const auto& [uri, passage] : corpus_.passage_of_uri) uri_of_passage_[passage] = uri;
  }

  // Errors of Search and Ask, with the question's id; INVALID_ARGUMENT for one without passages where they are given.
  absl::StatusOr<v1::EvalQuestion> Evaluate(const Question& question, const CallContext& context) const;

 private:
  struct Stage {
    const char* name;
    v1::SearchRequest::Mode mode;
    bool rerank;
  };
  std::vector<Stage> Stages() const;
  absl::Status Rank(const Question& question, const Stage& stage, const CallContext& context,
                    v1::EvalQuestion* result) const;
  absl::Status Answer(const Question& question, const CallContext& context, v1::EvalQuestion* result) const;
  void AddReadings(const Question& question, const v1::Answer& answer, v1::EvalAnswer* measured) const;
  std::string PassageOf(const std::string& uri) const;
  absl::StatusOr<v1::Filter> OwnPassages(const Question& question) const;

  RetrievalApi& retrieval_;
  AskApi& ask_;
  const Corpus& corpus_;
  absl::flat_hash_map<std::string, std::string> uri_of_passage_;  // const after construction
  const EvalSettings settings_;
};

}  // namespace lastro::services::eval
