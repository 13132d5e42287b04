#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "services/analytics/cluster.h"
#include "services/local/known_vectors.h"
#include "services/local/local_services.h"

namespace lastro::services {
namespace {

constexpr int kMaxTexts = 1'024;
constexpr size_t kMaxRequestBytes = 16u << 20;
constexpr size_t kMaxTokenizedBytes = 4u << 20;
constexpr int kPageSize = 1'000;
constexpr size_t kVectorBytes = 16u << 20;  // some 10,000 vectors of 384 numbers

absl::Status CheckTexts(const google::protobuf::RepeatedPtrField<std::string>& texts, int max_texts, size_t max_bytes) {
  if (texts.empty()) return absl::InvalidArgumentError("texts is empty");
  if (texts.size() > max_texts) {
    return absl::InvalidArgumentError(absl::StrCat("texts has ", texts.size(), " entries; the limit is ", max_texts));
  }
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  if (bytes > max_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("texts has ", bytes, " bytes together; the limit is ", max_bytes));
  }
  return absl::OkStatus();
}

// What the model was trained to see before texts of `role`.
absl::StatusOr<std::string> PrefixOf(v1::TextRole role, const engine::EmbeddingInfo& info) {
  switch (role) {
    case v1::TEXT_ROLE_UNSPECIFIED:
      return std::string();
    case v1::QUERY:
      return info.query_prefix;
    case v1::DOCUMENT:
      return info.document_prefix;
    default:
      return absl::InvalidArgumentError(absl::StrCat("role ", static_cast<int>(role), " does not exist"));
  }
}

// What is clustered: vectors row by row, and what is known of each.
struct ClusterItems {
  std::vector<float> vectors;
  std::vector<ClusterItem> items;
  int dimension = 0;
};

class LocalEmbedding : public EmbeddingApi {
 public:
  LocalEmbedding(ModelProvider* models, RetrievalApi* retrieval) : models_(*models), retrieval_(retrieval) {}

  absl::StatusOr<v1::EmbedResponse> Embed(const v1::EmbedRequest& request, const CallContext& context) override {
    LASTRO_RETURN_IF_ERROR(CheckTexts(request.texts(), kMaxTexts, kMaxRequestBytes));
    LASTRO_ASSIGN_OR_RETURN(const Lease<engine::EmbeddingModel> model, models_.Embedder(request.model()));
    const engine::EmbeddingInfo& info = model->info();
    LASTRO_ASSIGN_OR_RETURN(const std::string prefix, PrefixOf(request.role(), info));
    std::vector<std::string> texts;
    for (const std::string& text : request.texts()) texts.push_back(absl::StrCat(prefix, text));
    std::vector<size_t> tokens;
    LASTRO_ASSIGN_OR_RETURN(std::vector<float> vectors,
                            known_.Embed(*model, texts, request.truncate(), context, &tokens));
    v1::EmbedResponse response;
    for (size_t i = 0; i < texts.size(); ++i) {
      const float* row = vectors.data() + i * static_cast<size_t>(info.dimension);
      *response.add_vectors()->mutable_values() = {row, row + info.dimension};
    }
    response.set_model(info.name);
    response.set_fingerprint(info.fingerprint);
    response.set_dimension(info.dimension);
    const int prefix_tokens = static_cast<int>(model->tokenizer().Encode(prefix).size());
    response.set_max_tokens(std::max(info.max_tokens - prefix_tokens, 0));
    CountTokens(tokens, static_cast<size_t>(info.max_tokens), &response);
    return response;
  }

  absl::StatusOr<v1::TokenizeTextsResponse> Tokenize(const v1::TokenizeTextsRequest& request,
                                                     const CallContext& context) override {
    LASTRO_RETURN_IF_ERROR(CheckTexts(request.texts(), kMaxTexts, kMaxTokenizedBytes));
    LASTRO_ASSIGN_OR_RETURN(const Lease<engine::EmbeddingModel> model, models_.Embedder(request.model()));
    v1::TokenizeTextsResponse response;
    for (const std::string& text : request.texts()) {
      LASTRO_RETURN_IF_ERROR(context.Check());
      v1::TokenizeTextsResponse::Tokens* tokens = response.add_texts();
      for (const engine::Token& token : model->tokenizer().EncodeWithOffsets(text)) {
        tokens->add_begins(token.begin);
        tokens->add_ends(token.end);
      }
    }
    return response;
  }

  absl::StatusOr<v1::ClusterResponse> Cluster(const v1::ClusterRequest& request, const CallContext& context) override {
    LASTRO_ASSIGN_OR_RETURN(ClusterItems input, ReadInput(request.input(), context));
    ClusterOptions options;
    options.clusters = request.clusters();
    options.seed = request.seed();
    options.representatives = request.representatives();
    return ClusterVectors(input.vectors, input.dimension, input.items, options, context);
  }

 private:
  // Usage, and which texts were cut.
  static void CountTokens(const std::vector<size_t>& tokens, size_t most, v1::EmbedResponse* response) {
    size_t total = 0;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] > most) response->add_truncated(static_cast<int>(i));
      total += std::min(tokens[i], most);
    }
    response->mutable_usage()->set_prompt_tokens(static_cast<int32_t>(total));
  }

  absl::StatusOr<ClusterItems> ReadInput(const v1::EmbeddingInput& input, const CallContext& context) {
    switch (input.input_case()) {
      case v1::EmbeddingInput::kTexts:
        return EmbedTexts(input.texts(), context);
      case v1::EmbeddingInput::kChunks:
        return ReadChunks(input.chunks(), context);
      case v1::EmbeddingInput::INPUT_NOT_SET:
        break;
    }
    return absl::InvalidArgumentError("input is not set; give texts or chunks");
  }

  absl::StatusOr<ClusterItems> EmbedTexts(const v1::EmbeddingInput::Texts& texts, const CallContext& context) {
    LASTRO_RETURN_IF_ERROR(CheckTexts(texts.texts(), kMaxClusterItems, kMaxRequestBytes));
    LASTRO_ASSIGN_OR_RETURN(const Lease<engine::EmbeddingModel> model, models_.Embedder());
    ClusterItems input;
    input.dimension = model->info().dimension;
    const std::vector<std::string> all(texts.texts().begin(), texts.texts().end());
    LASTRO_ASSIGN_OR_RETURN(input.vectors, model->Embed(all, /*truncate=*/false, context));
    for (size_t i = 0; i < all.size(); ++i) {
      input.items.push_back({all[i], static_cast<int32_t>(i), 0, ""});
    }
    return input;
  }

  // The chunks of all documents the filter lets through, by id.
  absl::StatusOr<ClusterItems> ReadChunks(const v1::EmbeddingInput::Chunks& chunks, const CallContext& context) {
    LASTRO_ASSIGN_OR_RETURN(const v1::Collection before, CollectionOf(chunks, context));
    ClusterItems input;
    v1::ListDocumentsRequest list;
    list.set_collection(chunks.collection());
    *list.mutable_filter() = chunks.filter();
    list.set_page_size(kPageSize);
    do {
      LASTRO_ASSIGN_OR_RETURN(v1::ListDocumentsResponse page, retrieval_->ListDocuments(list, context));
      for (const v1::Document& document : page.documents()) {
        LASTRO_RETURN_IF_ERROR(AddDocument(document, context, &input));
      }
      list.set_page_token(page.next_page_token());
    } while (!list.page_token().empty());
    if (input.items.empty())
      return absl::InvalidArgumentError("there are no chunks to cluster; ingest documents first");
    LASTRO_ASSIGN_OR_RETURN(const v1::Collection after, CollectionOf(chunks, context));
    const bool same = before.embedding_fingerprint() == after.embedding_fingerprint() &&
                      before.embedded_since_commit() == after.embedded_since_commit();
    if (same) return input;
    return absl::AbortedError(
        absl::StrCat("the collection ", after.name(), " got another embedding model while it was read; try again"));
  }

  absl::StatusOr<v1::Collection> CollectionOf(const v1::EmbeddingInput::Chunks& chunks, const CallContext& context) {
    v1::GetCollectionRequest request;
    request.set_collection(chunks.collection());
    return retrieval_->GetCollection(request, context);
  }

  absl::Status AddDocument(const v1::Document& document, const CallContext& context, ClusterItems* input) {
    LASTRO_RETURN_IF_ERROR(context.Check());
    v1::ListChunksRequest request;
    request.set_collection(document.collection());
    request.set_document_id(document.id());
    request.set_include_vectors(true);
    absl::StatusOr<v1::ListChunksResponse> chunks = retrieval_->ListChunks(request, context);
    if (absl::IsNotFound(chunks.status())) return absl::OkStatus();  // deleted meanwhile
    LASTRO_RETURN_IF_ERROR(chunks.status());
    for (const v1::Chunk& chunk : chunks->chunks()) {
      if (input->items.size() >= kMaxClusterItems) {
        return absl::InvalidArgumentError(
            absl::StrCat("there are more than ", kMaxClusterItems, " chunks; narrow them down with a filter"));
      }
      if (!input->items.empty() && chunk.vector_size() != input->dimension) {
        return absl::AbortedError(
            absl::StrCat("the collection ", document.collection(), " was replaced while it was read; try again"));
      }
      input->dimension = chunk.vector_size();
      input->vectors.insert(input->vectors.end(), chunk.vector().begin(), chunk.vector().end());
      input->items.push_back({chunk.text(), -1, chunk.id(), document.uri()});
    }
    return absl::OkStatus();
  }

  ModelProvider& models_;
  KnownVectors known_{kVectorBytes};
  RetrievalApi* const retrieval_;  // unused, and may be null, where only texts are given
};

}  // namespace

std::unique_ptr<EmbeddingApi> MakeLocalEmbedding(ModelProvider* models, RetrievalApi* retrieval) {
  return std::make_unique<LocalEmbedding>(models, retrieval);
}

}  // namespace lastro::services
