#include "services/answer/generated_answer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/status_macros.h"
#include "services/answer/citation.h"
#include "services/answer/cited_text.h"
#include "services/answer/claim_check.h"
#include "services/answer/support.h"

namespace lastro::services::answer {
namespace {

absl::StatusOr<v1::GenerateResponse> Generate(const AnswerRequest& request, const GroundedPrompt& prompt,
                                              GenerationApi& generation, const CallContext& context,
                                              const Sink<v1::AskStreamResponse>& sink) {
  v1::GenerateRequest generate;
  *generate.mutable_prompt() = prompt.prompt;
  *generate.mutable_sampling() = request.sampling;
  generate.set_max_new_tokens(request.max_new_tokens);
  generate.mutable_response_format()->mutable_cited_text()->set_verbatim_quotes(request.verbatim_quotes);
  if (!sink || request.withholds_unsupported) return generation.Generate(generate, context);
  CitationFilter filter(static_cast<int>(prompt.passages.size()));
  return generation.Generate(generate, context, [&](const v1::GeneratedToken& token) {
    v1::AskStreamResponse event;
    event.set_text_delta(filter.Push(token.text()));
    return event.text_delta().empty() ? absl::OkStatus() : sink(event);
  });
}

// The passages of the prompt, in its order.
std::vector<v1::SearchHit> PromptPassages(absl::Span<const v1::SearchHit> passages, const GroundedPrompt& prompt) {
  std::vector<v1::SearchHit> in_prompt;
  for (int passage : prompt.passages) in_prompt.push_back(passages[static_cast<size_t>(passage)]);
  return in_prompt;
}

// A claim with a verified citation for each run; a run whose bytes cannot be verified is dropped, and then the claim is
// not supported.
absl::StatusOr<v1::Claim> MakeClaim(const SupportedSentence& sentence, absl::Span<const v1::SearchHit> passages,
                                    RetrievalApi& retrieval, const CallContext& context) {
  v1::Claim claim;
  claim.mutable_range()->set_begin(static_cast<int64_t>(sentence.begin));
  claim.mutable_range()->set_end(static_cast<int64_t>(sentence.end));
  claim.set_supported(sentence.supported);
  if (sentence.supported) claim.set_support(v1::Claim::VERBATIM);
  for (const SupportedRun& run : sentence.runs) {
    absl::StatusOr<v1::Citation> citation = MakeVerifiedCitation(passages[static_cast<size_t>(run.passage)],
                                                                 run.text_begin, run.text_end, retrieval, context);
    if (absl::IsAborted(citation.status()) || absl::IsDataLoss(citation.status())) {
      claim.set_supported(false);
      claim.clear_support();
      continue;
    }
    LASTRO_RETURN_IF_ERROR(citation.status());
    citation->mutable_answer_range()->set_begin(static_cast<int64_t>(run.answer_begin));
    citation->mutable_answer_range()->set_end(static_cast<int64_t>(run.answer_end));
    *claim.add_citations() = *std::move(citation);
  }
  return claim;
}

// Supports `claim`, whose words stand in no passage, by a sentence that says the same, where the reader finds one.
absl::Status SupportByReader(const std::string& text, absl::Span<const v1::SearchHit> passages,
                             absl::Span<const int> named, RetrievalApi& retrieval, GenerationApi& generation,
                             const CallContext& context, v1::Claim* claim) {
  const std::string said = text.substr(claim->range().begin(), claim->range().end() - claim->range().begin());
  LASTRO_ASSIGN_OR_RETURN(const std::optional<Candidate> source,
                          FindParaphrased(said, passages, named, generation, context));
  if (!source.has_value()) return absl::OkStatus();
  absl::StatusOr<v1::Citation> citation = MakeVerifiedCitation(passages[static_cast<size_t>(source->passage)],
                                                               source->begin, source->end, retrieval, context);
  if (absl::IsAborted(citation.status()) || absl::IsDataLoss(citation.status())) return absl::OkStatus();
  LASTRO_RETURN_IF_ERROR(citation.status());
  *citation->mutable_answer_range() = claim->range();
  claim->set_supported(true);
  claim->set_support(v1::Claim::PARAPHRASE);
  claim->clear_citations();  // of parts that stood there word for word
  *claim->add_citations() = *std::move(citation);
  return absl::OkStatus();
}

// Notes which of the passages that the decoder named as the source of `claim` were not found to be it.
void RefuseOthers(absl::Span<const int> named, const GroundedPrompt& prompt, absl::Span<const v1::SearchHit> in_prompt,
                  v1::Claim* claim) {
  for (int passage : named) {
    const v1::SearchHit& hit = in_prompt[static_cast<size_t>(passage)];
    const bool cited =
        std::any_of(claim->citations().begin(), claim->citations().end(), [&](const v1::Citation& citation) {
          return citation.document_id() == hit.document().id() && citation.chunk_id() == hit.chunk().id();
        });
    if (!claim->supported() || !cited) {
      claim->add_refused_passages(prompt.passages[static_cast<size_t>(passage)] + 1);
    }
  }
}

// Takes unsupported claims out of the text; the others move together.
void Withhold(v1::Answer* answer) {
  const std::string text = std::exchange(*answer->mutable_text(), "");
  google::protobuf::RepeatedPtrField<v1::Claim> claims;
  claims.Swap(answer->mutable_claims());
  for (v1::Claim& claim : claims) {
    if (!claim.supported()) continue;
    std::string* kept = answer->mutable_text();
    if (!kept->empty()) kept->push_back(' ');
    const int64_t moved = static_cast<int64_t>(kept->size()) - claim.range().begin();
    kept->append(text, claim.range().begin(), claim.range().end() - claim.range().begin());
    auto move = [moved](v1::ByteRange* range) {
      range->set_begin(range->begin() + moved);
      range->set_end(range->end() + moved);
    };
    move(claim.mutable_range());
    for (v1::Citation& citation : *claim.mutable_citations()) move(citation.mutable_answer_range());
    *answer->add_claims() = std::move(claim);
  }
}

}  // namespace

absl::Status AnswerByGenerating(const AnswerRequest& request, absl::Span<const v1::SearchHit> passages,
                                const GroundedPrompt& prompt, bool has_reader, RetrievalApi& retrieval,
                                GenerationApi& generation, const CallContext& context,
                                const Sink<v1::AskStreamResponse>& sink, Stages* stages, v1::Answer* answer) {
  LASTRO_ASSIGN_OR_RETURN(v1::GenerateResponse generated, stages->Time("generate", [&] {
    return Generate(request, prompt, generation, context, sink);
  }));
  *answer->mutable_usage() = generated.usage();
  answer->mutable_receipt()->set_decoder_fingerprint(generated.fingerprint());
  answer->mutable_receipt()->set_decoder_device(generated.device());
  CitationFilter filter(static_cast<int>(prompt.passages.size()));
  answer->set_text(std::string(absl::StripTrailingAsciiWhitespace(filter.Push(generated.text()))));
  if (answer->text().empty()) {  // the model declined
    answer->set_answerability(v1::WEAK_EVIDENCE);
    return absl::OkStatus();
  }
  const std::vector<v1::SearchHit> in_prompt = PromptPassages(passages, prompt);
  for (const SupportedSentence& sentence : FindSupport(answer->text(), in_prompt, {.named = filter.named()})) {
    LASTRO_ASSIGN_OR_RETURN(v1::Claim claim,
                            stages->Time("verify", [&] { return MakeClaim(sentence, in_prompt, retrieval, context); }));
    if (!claim.supported() && has_reader) {
      LASTRO_RETURN_IF_ERROR(stages->Time("verify", [&] {
        return SupportByReader(answer->text(), in_prompt, sentence.named, retrieval, generation, context, &claim);
      }));
    }
    RefuseOthers(sentence.named, prompt, in_prompt, &claim);
    *answer->add_claims() = std::move(claim);
  }
  if (request.withholds_unsupported) Withhold(answer);
  answer->set_answerability(answer->text().empty() ? v1::WEAK_EVIDENCE : v1::ANSWERED);
  return absl::OkStatus();
}

}  // namespace lastro::services::answer
