#include "services/local/api_text_embedder.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace lastro::services {
namespace {

constexpr size_t kTextsPerCall = 64;

// The spans of one text, which another process may have made: in order and within the text, or INTERNAL.
absl::StatusOr<std::vector<retrieval::TokenSpan>> ToSpans(const v1::TokenizeTextsResponse::Tokens& tokens,
                                                          size_t text_bytes) {
  if (tokens.begins_size() != tokens.ends_size()) {
    return absl::InternalError("the embedding service gave tokens without an end");
  }
  std::vector<retrieval::TokenSpan> spans;
  spans.reserve(static_cast<size_t>(tokens.begins_size()));
  uint32_t previous = 0;
  for (int i = 0; i < tokens.begins_size(); ++i) {
    retrieval::TokenSpan span{tokens.begins(i), tokens.ends(i)};
    if (span.begin < previous || span.end < span.begin || span.end > text_bytes) {
      return absl::InternalError("the embedding service gave tokens that are not within the text");
    }
    previous = span.begin;
    spans.push_back(span);
  }
  return spans;
}

}  // namespace

void ApiTextEmbedder::Remember(const v1::EmbedResponse& response) {
  absl::MutexLock lock(&mutex_);
  info_ = retrieval::EmbedderInfo{response.model(), response.fingerprint(), response.dimension(), response.max_tokens(),
                                  /*normalized=*/true};
}

absl::StatusOr<retrieval::EmbedderInfo> ApiTextEmbedder::Info(const CallContext& context) {
  {
    absl::MutexLock lock(&mutex_);
    if (info_) return *info_;
  }
  const std::string any_text = "lastro";
  LASTRO_RETURN_IF_ERROR(Embed({&any_text, 1}, context).status());
  absl::MutexLock lock(&mutex_);
  return *info_;
}

absl::StatusOr<std::vector<float>> ApiTextEmbedder::Embed(absl::Span<const std::string> texts,
                                                          const CallContext& context) {
  std::vector<float> vectors;
  for (size_t begin = 0; begin < texts.size(); begin += kTextsPerCall) {
    absl::Span<const std::string> piece = texts.subspan(begin, kTextsPerCall);
    v1::EmbedRequest request;
    *request.mutable_texts() = {piece.begin(), piece.end()};
    request.set_role(role_);
    request.set_model(model_);
    LASTRO_ASSIGN_OR_RETURN(v1::EmbedResponse response, api_.Embed(request, context));
    for (const v1::Vector& vector : response.vectors()) {
      if (vector.values_size() != response.dimension()) {
        return absl::InternalError(absl::StrCat("the embedding service gave a vector of ", vector.values_size(),
                                                " values and dimension ", response.dimension()));
      }
      vectors.insert(vectors.end(), vector.values().begin(), vector.values().end());
    }
    if (response.vectors_size() != request.texts_size()) {
      return absl::InternalError("the embedding service did not give a vector for each text");
    }
    Remember(response);
  }
  return vectors;
}

absl::StatusOr<std::vector<std::vector<retrieval::TokenSpan>>> ApiTextEmbedder::Tokenize(
    absl::Span<const std::string> texts, const CallContext& context) {
  v1::TokenizeTextsRequest request;
  *request.mutable_texts() = {texts.begin(), texts.end()};
  request.set_model(model_);
  LASTRO_ASSIGN_OR_RETURN(v1::TokenizeTextsResponse response, api_.Tokenize(request, context));
  if (response.texts_size() != request.texts_size()) {
    return absl::InternalError("the embedding service did not tokenise every text");
  }
  std::vector<std::vector<retrieval::TokenSpan>> all;
  for (int i = 0; i < response.texts_size(); ++i) {
    LASTRO_ASSIGN_OR_RETURN(std::vector<retrieval::TokenSpan> spans,
                            ToSpans(response.texts(i), request.texts(i).size()));
    all.push_back(std::move(spans));
  }
  return all;
}

}  // namespace lastro::services
