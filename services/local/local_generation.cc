#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/generator.h"
#include "services/local/local_services.h"
#include "services/local/sampling_options.h"

namespace lastro::services {
namespace {

constexpr int kMaxContinuations = 256;
constexpr int kMaxCountedTexts = 1'024;

v1::FinishReason ToProto(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::kEndOfText: return v1::END_OF_TEXT;
    case engine::FinishReason::kStopString: return v1::STOP_STRING;
    case engine::FinishReason::kMaxTokens: return v1::MAX_TOKENS;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

v1::GeneratedToken ToProto(const engine::GeneratedToken& token, const engine::Tokenizer& tokenizer, bool logprobs) {
  v1::GeneratedToken out;
  out.set_id(token.id);
  out.set_text(token.text);
  if (!logprobs) return out;
  out.set_logprob(token.logprob);
  for (const engine::TokenLogprob& candidate : token.top) {
    v1::TokenProbability* top = out.add_top();
    top->set_id(candidate.id);
    top->set_token(tokenizer.IdToToken(candidate.id));
    top->set_logprob(candidate.logprob);
  }
  return out;
}

void AddStage(const char* stage, double ms, v1::GenerateResponse* response) {
  v1::StageDuration* duration = response->add_durations();
  duration->set_stage(stage);
  duration->set_duration_ms(ms);
}

class LocalGeneration : public GenerationApi {
 public:
  explicit LocalGeneration(ModelProvider* models) : models_(*models) {}

  absl::StatusOr<v1::GenerateResponse> Generate(const v1::GenerateRequest& request, const CallContext& context,
                                                const Sink<v1::GeneratedToken>& sink) override {
    LASTRO_ASSIGN_OR_RETURN(engine::GenerateOptions options, ToGenerateOptions(request));
    LASTRO_ASSIGN_OR_RETURN(const LoadedDecoder* decoder, models_.Decoder());
    LASTRO_ASSIGN_OR_RETURN(std::vector<int32_t> prompt, decoder->format->Render(request.prompt()));
    if (request.prompt().has_grounded()) options.stop_ids = decoder->format->StopIds();
    const engine::Tokenizer& tokenizer = decoder->model->tokenizer();
    const bool logprobs = options.top_logprobs >= 0;
    engine::TokenSink forward;
    if (sink) {
      forward = [&](const engine::GeneratedToken& token) { return sink(ToProto(token, tokenizer, logprobs)); };
    }
    LASTRO_ASSIGN_OR_RETURN(engine::GenerateResult result,
                            engine::Generate(*decoder->model, prompt, options, context, forward));
    return ToResponse(result, *decoder, logprobs);
  }

  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request, const CallContext& context) override {
    if (request.continuations_size() > kMaxContinuations) {
      return absl::InvalidArgumentError(absl::StrCat("continuations has ", request.continuations_size(),
                                                     " entries; the limit is ", kMaxContinuations));
    }
    LASTRO_ASSIGN_OR_RETURN(const LoadedDecoder* decoder, models_.Decoder());
    LASTRO_ASSIGN_OR_RETURN(std::vector<int32_t> prompt, decoder->format->Render(request.prompt()));
    std::vector<std::vector<int32_t>> continuations;
    for (const std::string& text : request.continuations()) {
      continuations.push_back(decoder->format->Continuation(request.prompt(), text));
    }
    std::optional<int32_t> none = decoder->format->NoneToken();
    const bool with_none = request.include_none() && none && request.prompt().has_grounded();
    if (with_none) continuations.push_back({*none});
    LASTRO_ASSIGN_OR_RETURN(std::vector<engine::ContinuationScore> scores,
                            engine::ScoreContinuations(*decoder->model, prompt, continuations, context));
    v1::ScoreResponse response;
    if (with_none) {
      response.set_none_logprob(scores.back().logprob);
      scores.pop_back();
    }
    for (const engine::ContinuationScore& score : scores) {
      v1::ScoreResponse::Score* added = response.add_scores();
      added->set_logprob(score.logprob);
      added->set_tokens(score.tokens);
    }
    response.mutable_usage()->set_prompt_tokens(static_cast<int32_t>(prompt.size()));
    response.set_model(decoder->model->info().name);
    response.set_fingerprint(decoder->model->info().fingerprint);
    return response;
  }

  absl::StatusOr<v1::CountTokensResponse> CountTokens(const v1::CountTokensRequest& request,
                                                      const CallContext& context) override {
    if (request.texts_size() > kMaxCountedTexts) {
      return absl::InvalidArgumentError(
          absl::StrCat("texts has ", request.texts_size(), " entries; the limit is ", kMaxCountedTexts));
    }
    LASTRO_ASSIGN_OR_RETURN(const LoadedDecoder* decoder, models_.Decoder());
    v1::CountTokensResponse response;
    for (const std::string& text : request.texts()) {
      LASTRO_RETURN_IF_ERROR(context.Check());
      response.add_text_tokens(static_cast<int32_t>(decoder->model->tokenizer().Encode(text).size()));
    }
    if (request.has_prompt()) {
      LASTRO_ASSIGN_OR_RETURN(std::vector<int32_t> prompt, decoder->format->Render(request.prompt()));
      response.set_prompt_tokens(static_cast<int32_t>(prompt.size()));
    }
    response.set_max_context_tokens(decoder->model->info().max_tokens);
    return response;
  }

 private:
  static v1::GenerateResponse ToResponse(const engine::GenerateResult& result, const LoadedDecoder& decoder,
                                         bool logprobs) {
    v1::GenerateResponse response;
    response.set_text(result.text);
    response.set_finish_reason(ToProto(result.finish));
    if (logprobs) {
      for (const engine::GeneratedToken& token : result.tokens) {
        *response.add_tokens() = ToProto(token, decoder.model->tokenizer(), true);
      }
    }
    response.mutable_usage()->set_prompt_tokens(result.prompt_tokens);
    response.mutable_usage()->set_completion_tokens(static_cast<int32_t>(result.tokens.size()));
    AddStage("prefill", result.prefill_ms, &response);
    AddStage("decode", result.decode_ms, &response);
    response.set_model(decoder.model->info().name);
    response.set_fingerprint(decoder.model->info().fingerprint);
    return response;
  }

  ModelProvider& models_;
};

}  // namespace

std::unique_ptr<GenerationApi> MakeLocalGeneration(ModelProvider* models) {
  return std::make_unique<LocalGeneration>(models);
}

}  // namespace lastro::services
