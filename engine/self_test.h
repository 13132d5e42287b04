// Self-test: results of the reference implementation stored beside a model and computed again before it serves, so that
// a wrong pooling, a broken file or a wrong tokenizer is caught first. Functions are thread-safe.
//
// The file is lastro_selftest.json in a model's folder, FILE.selftest.json beside a single-file model:
//   {"kind": "embedding", "source": "transformers 4.46.3", "min_cosine": 0.999,
//    "cases": [{"text": "The café opens at 8:30.", "vector": [0.0123, ...]}]}
//   {"kind": "decoder", "source": "...", "max_logprob_error": 0.25,
//    "cases": [{"text": "The café", "ids": [5, 81, 7], "logprobs": [{"id": 9, "logprob": -1.25}, ...]}]}
//   {"kind": "reader", "source": "...", "max_logit_error": 0.25,
//    "cases": [{"question": "When?", "passage": "It opens at 8:30.", "relevance": 4.5, "score": 9.25, "begin": 9,
//    "end": 16}]}
// `ids` are the text's tokens without special ones; `logprobs` are of the token that follows them. `begin`, `end` and
// `score` are the best span's.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/call_context.h"
#include "engine/decoder_model.h"
#include "engine/embedding_model.h"
#include "engine/reader.h"

namespace lastro::engine {

struct SelfTestReport {
  int cases = 0;
  double worst = 0;    // lowest cosine, or largest difference of a log probability or logit
  double limit = 0;    // what `worst` may be
  std::string source;  // who computed the stored results
};

// Where the self-test of the model at `model_path` (a folder or a file) lies.
std::string SelfTestPath(const std::string& model_path);

// Runs the self-test at `path`; nullopt when there is no such file. FAILED_PRECONDITION: the model does not give the
// stored results (which case, expected and found). INVALID_ARGUMENT: the file is malformed, or is of another kind of
// model.
absl::StatusOr<std::optional<SelfTestReport>> RunSelfTest(const EmbeddingModel& model, const std::string& path,
                                                          const CallContext& context);
absl::StatusOr<std::optional<SelfTestReport>> RunSelfTest(const DecoderModel& model, const std::string& path,
                                                          const CallContext& context);
absl::StatusOr<std::optional<SelfTestReport>> RunSelfTest(const Reader& model, const std::string& path,
                                                          const CallContext& context);

// The self-test file of what `model` computes now, for a model that is known to be right; a reader is asked each text
// of all of them. INVALID_ARGUMENT when a text is empty or too long.
absl::StatusOr<std::string> MakeSelfTest(const EmbeddingModel& model, absl::Span<const std::string> texts,
                                         absl::string_view source, const CallContext& context);
absl::StatusOr<std::string> MakeSelfTest(const DecoderModel& model, absl::Span<const std::string> texts,
                                         absl::string_view source, const CallContext& context);
absl::StatusOr<std::string> MakeSelfTest(const Reader& model, absl::Span<const std::string> texts,
                                         absl::string_view source, const CallContext& context);

}  // namespace lastro::engine
