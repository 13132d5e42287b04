#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/beam_search.h"
#include "engine/chat/chat_format.h"
#include "engine/generator.h"
#include "services/local/conversation.h"
#include "services/local/local_services.h"
#include "services/local/reading.h"
#include "services/local/reranking.h"
#include "services/local/sampling_options.h"

namespace lastro::services {
namespace {

constexpr int kMaxContinuations = 256;
constexpr int kMaxCountedTexts = 1'024;
constexpr size_t kReadingBytes = 16u << 20;  // of some 20,000 passages

v1::FinishReason ToProto(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::kEndOfText:
      return v1::END_OF_TEXT;
    case engine::FinishReason::kStopString:
      return v1::STOP_STRING;
    case engine::FinishReason::kMaxTokens:
      return v1::MAX_TOKENS;
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

void FillUsage(const engine::GenerateResult& result, v1::Usage* usage) {
  usage->set_prompt_tokens(result.prompt_tokens);
  usage->set_reused_tokens(result.reused_tokens);
  usage->set_completion_tokens(static_cast<int32_t>(result.tokens.size()));
  usage->set_decoding_steps(result.decoding_steps);
  usage->set_drafted_tokens(result.drafted_tokens);
  usage->set_accepted_tokens(result.accepted_tokens);
}

void AddStage(const char* stage, double ms, v1::GenerateResponse* response) {
  v1::StageDuration* duration = response->add_durations();
  duration->set_stage(stage);
  duration->set_duration_ms(ms);
}

// `adapter` is "" or one that the decoder has.
void FillModel(const LoadedDecoder& decoder, const std::string& adapter, v1::GenerateResponse* response) {
  response->set_model(decoder.model->info().name);
  response->set_fingerprint(decoder.model->info().fingerprint);
  response->set_device(decoder.device);
  if (adapter.empty()) return;
  response->set_adapter(adapter);
  response->set_adapter_fingerprint(decoder.adapters.at(adapter)->fingerprint());
}

// One generated text: its tokens are shown and gathered as the prompt's format reads them.
class Generation {
 public:
  // The arguments must outlive the object.
  Generation(const v1::GenerateRequest& request, const LoadedDecoder& decoder, const Sink<v1::GeneratedToken>& sink)
      : request_(request), decoder_(decoder), sink_(sink) {}

  absl::StatusOr<v1::GenerateResponse> Run(const CallContext& context) {
    LASTRO_ASSIGN_OR_RETURN(engine::GenerateOptions options, ToGenerateOptions(request_, context.scope()));
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<engine::TokenConstraint> constraint,
                            decoder_.response_formats->NewConstraint(request_.response_format(), request_.prompt(),
                                                                     decoder_.format->AnswersByQuoting()));
    options.constraint = constraint.get();
    LASTRO_ASSIGN_OR_RETURN(options.adapter, decoder_.Adapter(request_.adapter()));
    logprobs_ = options.top_logprobs >= 0;
    const bool content_only = constraint != nullptr;
    LASTRO_ASSIGN_OR_RETURN(std::vector<int32_t> prompt, decoder_.format->Render(request_.prompt(), content_only));
    options.stop_ids = decoder_.format->StopIds(request_.prompt());
    reader_ = decoder_.format->NewReader(request_.prompt(), content_only);
    if (reader_ != nullptr && !options.stop.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("stop cannot be used in chats of ", decoder_.model->info().name,
                                                     ", whose replies have channels; leave it out"));
    }
    engine::TokenSink show;
    if (sink_ || reader_ != nullptr) show = [this](const engine::GeneratedToken& token) { return Show(token); };
    LASTRO_ASSIGN_OR_RETURN(engine::GenerateResult result,
                            engine::Generate(*decoder_.model, prompt, options, context, show));
    return ToResponse(result);
  }

 private:
  absl::Status Show(const engine::GeneratedToken& token) {
    v1::GeneratedToken shown = ToProto(token, decoder_.model->tokenizer(), logprobs_);
    if (reader_ != nullptr) {
      LASTRO_ASSIGN_OR_RETURN(engine::chat::Reply read, reader_->Push(token.id, token.text));
      shown.set_text(read.content);
      shown.set_reasoning(read.reasoning);
      Append(std::move(read));
    }
    return sink_ ? sink_(shown) : absl::OkStatus();
  }

  void Append(engine::chat::Reply read) {
    reply_.content += read.content;
    reply_.reasoning += read.reasoning;
    for (engine::chat::ToolCall& call : read.tool_calls) reply_.tool_calls.push_back(std::move(call));
  }

  v1::GenerateResponse ToResponse(const engine::GenerateResult& result) {
    v1::GenerateResponse response;
    response.set_finish_reason(ToProto(result.finish));
    if (reader_ != nullptr) {
      Append(reader_->Finish());
    } else {
      reply_.content = result.text;
    }
    if (!reply_.tool_calls.empty()) response.set_finish_reason(v1::TOOL_CALLS);
    response.set_text(reply_.content);
    if (request_.prompt().has_chat()) *response.mutable_message() = ToMessage(reply_);
    if (logprobs_) {
      for (const engine::GeneratedToken& token : result.tokens) {
        *response.add_tokens() = ToProto(token, decoder_.model->tokenizer(), true);
      }
    }
    FillUsage(result, response.mutable_usage());
    AddStage("prefill", result.prefill_ms, &response);
    AddStage("decode", result.decode_ms, &response);
    FillModel(decoder_, request_.adapter(), &response);
    return response;
  }

  const v1::GenerateRequest& request_;
  const LoadedDecoder& decoder_;
  const Sink<v1::GeneratedToken>& sink_;
  bool logprobs_ = false;
  std::unique_ptr<engine::chat::ReplyReader> reader_;
  engine::chat::Reply reply_;
};

// The text of a reply of `ids`, as the prompt's format reads it.
absl::StatusOr<std::string> ContentOf(const engine::BeamResult& result, const v1::Prompt& prompt,
                                      const PromptFormat& format) {
  std::unique_ptr<engine::chat::ReplyReader> reader = format.NewReader(prompt, /*content_only=*/true);
  if (reader == nullptr) return result.text;
  std::string content;
  for (int32_t id : result.ids) {
    LASTRO_ASSIGN_OR_RETURN(engine::chat::Reply read, reader->Push(id, ""));
    content += read.content;
  }
  return content + reader->Finish().content;
}

absl::StatusOr<v1::GenerateResponse> GenerateByBeams(const v1::GenerateRequest& request, const LoadedDecoder& decoder,
                                                     const CallContext& context) {
  LASTRO_ASSIGN_OR_RETURN(engine::BeamOptions options, ToBeamOptions(request));
  LASTRO_ASSIGN_OR_RETURN(options.adapter, decoder.Adapter(request.adapter()));
  LASTRO_ASSIGN_OR_RETURN(std::vector<int32_t> prompt, decoder.format->Render(request.prompt(), /*content_only=*/true));
  options.stop_ids = decoder.format->StopIds(request.prompt());
  LASTRO_ASSIGN_OR_RETURN(std::vector<engine::BeamResult> results,
                          engine::BeamSearch(*decoder.model, prompt, options, context));
  v1::GenerateResponse response;
  for (const engine::BeamResult& result : results) {
    v1::GenerateResponse::Candidate* candidate = response.add_candidates();
    LASTRO_ASSIGN_OR_RETURN(*candidate->mutable_text(), ContentOf(result, request.prompt(), *decoder.format));
    candidate->set_logprob(result.logprob);
    candidate->set_score(result.score);
    candidate->set_finish_reason(ToProto(result.finish));
    candidate->set_tokens(static_cast<int32_t>(result.ids.size()));
  }
  if (response.candidates_size() > 0) {
    response.set_text(response.candidates(0).text());
    response.set_finish_reason(response.candidates(0).finish_reason());
    response.mutable_usage()->set_completion_tokens(response.candidates(0).tokens());
  }
  if (request.prompt().has_chat()) *response.mutable_message() = ToMessage({response.text(), "", {}});
  response.mutable_usage()->set_prompt_tokens(static_cast<int32_t>(prompt.size()));
  FillModel(decoder, request.adapter(), &response);
  return response;
}

class LocalGeneration : public GenerationApi {
 public:
  explicit LocalGeneration(ModelProvider* models) : models_(*models) {}

  absl::StatusOr<v1::GenerateResponse> Generate(const v1::GenerateRequest& request, const CallContext& context,
                                                const Sink<v1::GeneratedToken>& sink) override {
    if (request.has_beams() && sink) {
      return absl::InvalidArgumentError("a text found by beam search comes whole; call Generate, not GenerateStream");
    }
    LASTRO_ASSIGN_OR_RETURN(const Lease<LoadedDecoder> decoder, models_.Decoder());
    if (request.has_beams()) return GenerateByBeams(request, *decoder, context);
    return Generation(request, *decoder, sink).Run(context);
  }

  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request, const CallContext& context) override {
    if (request.continuations_size() > kMaxContinuations) {
      return absl::InvalidArgumentError(absl::StrCat("continuations has ", request.continuations_size(),
                                                     " entries; the limit is ", kMaxContinuations));
    }
    LASTRO_ASSIGN_OR_RETURN(const Lease<LoadedDecoder> decoder, models_.Decoder());
    LASTRO_ASSIGN_OR_RETURN(const engine::LoraAdapter* adapter, decoder->Adapter(request.adapter()));
    LASTRO_ASSIGN_OR_RETURN(std::vector<int32_t> prompt, decoder->format->Render(request.prompt()));
    std::vector<std::vector<int32_t>> continuations;
    for (const std::string& text : request.continuations()) {
      continuations.push_back(decoder->format->Continuation(request.prompt(), text));
    }
    std::optional<int32_t> none = decoder->format->NoneToken();
    const bool with_none = request.include_none() && none && request.prompt().has_grounded();
    if (with_none) continuations.push_back({*none});
    LASTRO_ASSIGN_OR_RETURN(const std::optional<engine::KvScope> scope, ToKvScope(request.prompt(), context.scope()));
    const engine::OpenOptions open = {adapter, scope.has_value() ? &*scope : nullptr};
    LASTRO_ASSIGN_OR_RETURN(engine::ContinuationScores scored,
                            engine::ScoreContinuations(*decoder->model, prompt, continuations, open, context));
    std::vector<engine::ContinuationScore>& scores = scored.scores;
    v1::ScoreResponse response;
    response.mutable_usage()->set_reused_tokens(scored.reused_tokens);
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
    response.set_device(decoder->device);
    return response;
  }

  absl::StatusOr<v1::CountTokensResponse> CountTokens(const v1::CountTokensRequest& request,
                                                      const CallContext& context) override {
    if (request.texts_size() > kMaxCountedTexts) {
      return absl::InvalidArgumentError(
          absl::StrCat("texts has ", request.texts_size(), " entries; the limit is ", kMaxCountedTexts));
    }
    LASTRO_ASSIGN_OR_RETURN(const Lease<LoadedDecoder> decoder, models_.Decoder());
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
    response.set_answers_by_quoting(decoder->format->AnswersByQuoting());
    return response;
  }

  absl::StatusOr<v1::RerankResponse> Rerank(const v1::RerankRequest& request, const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Lease<engine::SequenceClassifier> reranker, models_.Reranker());
    return services::Rerank(*reranker, request, context);
  }

  absl::StatusOr<v1::ReadResponse> Read(const v1::ReadRequest& request, const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(const Lease<engine::Reader> reader, models_.Reader());
    LASTRO_ASSIGN_OR_RETURN(v1::ReadResponse response, ReadPassages(*reader, request, context, &readings_));
    LASTRO_ASSIGN_OR_RETURN(*response.mutable_device(), models_.DeviceClass());
    return response;
  }

 private:
  ModelProvider& models_;
  ReadingCache readings_{kReadingBytes};
};

}  // namespace

std::unique_ptr<GenerationApi> MakeLocalGeneration(ModelProvider* models) {
  return std::make_unique<LocalGeneration>(models);
}

}  // namespace lastro::services
