#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/decoder_model.h"
#include "engine/sampler.h"
#include "services/local/local_services.h"

namespace lastro::services {
namespace {

constexpr size_t kMaxTextBytes = 1u << 20;
constexpr size_t kMaxLogitBytes = 64u << 20;
constexpr int kDefaultTop = 5;
constexpr int kMaxTop = 20;
constexpr size_t kPositionsPerStep = 64;  // logits of so many positions are held at once

void FillToken(const engine::Tokenizer& tokenizer, const engine::Token& token, v1::InspectedToken* out) {
  out->set_id(token.id);
  out->set_token(tokenizer.IdToToken(token.id));
  out->set_begin(token.begin);
  out->set_end(token.end);
}

// The tokens of a rendered prompt; with their bytes where the prompt is plain text.
std::vector<engine::Token> WithOffsets(const v1::Prompt& prompt, absl::Span<const int32_t> ids,
                                       const engine::Tokenizer& tokenizer) {
  std::vector<engine::Token> tokens;
  for (int32_t id : ids) tokens.push_back({id, 0, 0});
  if (!prompt.has_text()) return tokens;
  std::vector<engine::Token> text = tokenizer.EncodeWithOffsets(prompt.text());
  std::copy(text.begin(), text.end(),
            tokens.end() - static_cast<std::ptrdiff_t>(text.size()));  // after the begin token
  return tokens;
}

class LocalInspect : public InspectApi {
 public:
  explicit LocalInspect(ModelProvider* models) : models_(*models) {}

  absl::StatusOr<v1::TokenizeTextResponse> TokenizeText(const v1::TokenizeTextRequest& request,
                                                        const CallContext&) override {
    if (request.text().size() > kMaxTextBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("text has ", request.text().size(), " bytes; the limit is ", kMaxTextBytes));
    }
    if (!v1::ModelRole_IsValid(request.model()) || request.model() > v1::MODEL_ROLE_EMBEDDER) {
      return absl::InvalidArgumentError(
          absl::StrCat("model ", static_cast<int>(request.model()), " is neither the decoder nor the embedder"));
    }
    v1::TokenizeTextResponse response;
    const engine::Tokenizer* tokenizer = nullptr;
    if (request.model() == v1::MODEL_ROLE_EMBEDDER) {
      LASTRO_ASSIGN_OR_RETURN(const Lease<engine::EmbeddingModel> model, models_.Embedder());
      tokenizer = &model->tokenizer();
      response.set_model(model->info().name);
    } else {
      LASTRO_ASSIGN_OR_RETURN(const Lease<LoadedDecoder> decoder, models_.Decoder());
      tokenizer = &decoder->model->tokenizer();
      response.set_model(decoder->model->info().name);
    }
    for (const engine::Token& token :
         tokenizer->EncodeWithOffsets(request.text(), {.add_special = request.add_special()})) {
      FillToken(*tokenizer, token, response.add_tokens());
    }
    return response;
  }

  absl::StatusOr<v1::InspectPromptResponse> InspectPrompt(const v1::InspectPromptRequest& request,
                                                          const CallContext& context) override {
    if (request.top() < 0 || request.top() > kMaxTop) {
      return absl::InvalidArgumentError(
          absl::StrCat("top is ", request.top(), "; it must be from 0 (the default) to ", kMaxTop));
    }
    LASTRO_ASSIGN_OR_RETURN(const Lease<LoadedDecoder> decoder, models_.Decoder());
    if (decoder->model->AsDecoder() == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat(
          decoder->model->info().name, " is an encoder and decoder; prompts of decoders alone can be inspected"));
    }
    const engine::DecoderModel& model = *decoder->model->AsDecoder();
    LASTRO_ASSIGN_OR_RETURN(std::vector<int32_t> ids, decoder->format->Render(request.prompt()));
    LASTRO_RETURN_IF_ERROR(CheckLength(request, ids.size(), model.info()));
    LASTRO_ASSIGN_OR_RETURN(std::unique_ptr<engine::DecoderSession> session,
                            model.NewSession(static_cast<int>(ids.size())));
    v1::InspectPromptResponse response;
    response.set_model(model.info().name);
    response.set_vocab_size(model.info().vocab_size);
    for (const engine::Token& token : WithOffsets(request.prompt(), ids, model.tokenizer())) {
      FillToken(model.tokenizer(), token, response.add_positions()->mutable_token());
    }
    for (size_t begin = 0; begin < ids.size(); begin += kPositionsPerStep) {
      std::vector<float> logits;
      LASTRO_RETURN_IF_ERROR(session->Extend(absl::MakeConstSpan(ids).subspan(begin, kPositionsPerStep),
                                             engine::LogitsOf::kAll, context, &logits));
      AddPositions(request, model, ids, begin, logits, &response);
    }
    return response;
  }

 private:
  static absl::Status CheckLength(const v1::InspectPromptRequest& request, size_t tokens,
                                  const engine::DecoderInfo& info) {
    if (tokens == 0) return absl::InvalidArgumentError("the prompt has no tokens");
    if (tokens > static_cast<size_t>(info.max_tokens)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the prompt has ", tokens, " tokens; the model's limit is ", info.max_tokens));
    }
    size_t bytes = tokens * static_cast<size_t>(info.vocab_size) * sizeof(float);
    if (request.include_logits() && bytes > kMaxLogitBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("the logits would have ", bytes, " bytes; the limit is ", kMaxLogitBytes));
    }
    return absl::OkStatus();
  }

  // `logits` are of positions [begin, begin + rows).
  static void AddPositions(const v1::InspectPromptRequest& request, const engine::DecoderModel& model,
                           absl::Span<const int32_t> ids, size_t begin, absl::Span<const float> logits,
                           v1::InspectPromptResponse* response) {
    const size_t vocab = static_cast<size_t>(model.info().vocab_size);
    const int top = request.top() == 0 ? kDefaultTop : request.top();
    for (size_t row = 0; row < logits.size() / vocab; ++row) {
      absl::Span<const float> of_row = logits.subspan(row * vocab, vocab);
      size_t position = begin + row;
      for (const engine::TokenLogprob& next : engine::TopLogprobs(of_row, top)) {
        v1::TokenProbability* added = response->mutable_positions(static_cast<int>(position))->add_next();
        added->set_id(next.id);
        added->set_token(model.tokenizer().IdToToken(next.id));
        added->set_logprob(next.logprob);
      }
      if (position + 1 < ids.size()) {
        response->mutable_positions(static_cast<int>(position) + 1)
            ->set_logprob(engine::LogprobOf(of_row, ids[position + 1]));
      }
    }
    if (request.include_logits()) {
      response->mutable_logits()->append(reinterpret_cast<const char*>(logits.data()), logits.size() * sizeof(float));
    }
  }

  ModelProvider& models_;
};

}  // namespace

std::unique_ptr<InspectApi> MakeLocalInspect(ModelProvider* models) { return std::make_unique<LocalInspect>(models); }

}  // namespace lastro::services
