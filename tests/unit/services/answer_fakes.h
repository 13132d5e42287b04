// Fakes of the components the answer pipeline works on: documents in memory, embeddings from words, a decoder that
// likes what it is told to.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "services/answer/words.h"
#include "services/api.h"

namespace lastro::services::testing {

// Bag-of-words vectors by hashing: texts that share words are near.
class FakeEmbedding : public EmbeddingApi {
 public:
  static constexpr int kDimension = 256;
  std::map<std::string, v1::TextRole> roles;  // of the texts embedded
  absl::StatusOr<v1::EmbedResponse> Embed(const v1::EmbedRequest& request, const CallContext& context) override {
    for (const std::string& text : request.texts()) roles[text] = request.role();
    if (absl::Status status = context.Check(); !status.ok()) return status;
    v1::EmbedResponse response;
    for (const std::string& text : request.texts()) {
      std::vector<float> vector(kDimension, 0.0f);
      for (const answer::Word& word : answer::SplitWords(text)) vector[Hash64(word.folded) % kDimension] += 1.0f;
      double norm = 0;
      for (float value : vector) norm += value * value;
      v1::Vector* out = response.add_vectors();
      for (float value : vector) out->add_values(norm > 0 ? static_cast<float>(value / std::sqrt(norm)) : 0);
    }
    response.set_dimension(kDimension);
    return response;
  }
  absl::StatusOr<v1::TokenizeTextsResponse> Tokenize(const v1::TokenizeTextsRequest&, const CallContext&) override {
    return absl::UnimplementedError("fake");
  }
  absl::StatusOr<v1::ClusterResponse> Cluster(const v1::ClusterRequest&, const CallContext&) override {
    return absl::UnimplementedError("fake");
  }
};

class FakeGeneration : public GenerationApi {
 public:
  std::string generated;  // what Generate says
  std::string favourite;  // the continuation that Score likes best
  int context_tokens = 1'000;
  bool answers_by_quoting = false;
  // What Read points at, wherever it stands, and how likely it is; a passage with none of them has its first word with
  // next to no probability. Unset: there is no reader.
  struct Found {
    std::string text;
    double probability = 0;
  };
  std::optional<std::vector<Found>> reader;
  double relevance = 1;  // of everything that is read
  std::vector<std::array<double, 3>> calibration;
  std::optional<v1::ReadResponse::AnswerWeights> answer_weights, probability_weights;
  std::string reader_fingerprint = "reader 1";
  absl::Status read_status;
  std::vector<v1::ReadRequest> read_requests;
  v1::Prompt last_prompt;
  v1::GenerateRequest last_generate;

  absl::StatusOr<v1::GenerateResponse> Generate(const v1::GenerateRequest& request, const CallContext&,
                                                const Sink<v1::GeneratedToken>& sink) override {
    last_prompt = request.prompt();
    last_generate = request;
    v1::GenerateResponse response;
    response.set_text(generated);
    if (sink) {
      v1::GeneratedToken token;
      token.set_text(generated);
      if (absl::Status status = sink(token); !status.ok()) return status;
    }
    return response;
  }
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request, const CallContext&) override {
    last_prompt = request.prompt();
    v1::ScoreResponse response;
    for (const std::string& text : request.continuations()) {
      v1::ScoreResponse::Score* score = response.add_scores();
      score->set_tokens(10);
      score->set_logprob(text == favourite ? -5 : -50);
    }
    return response;
  }
  absl::StatusOr<v1::RerankResponse> Rerank(const v1::RerankRequest&, const CallContext&) override {
    return absl::FailedPreconditionError("no reranker is configured here");
  }
  absl::StatusOr<v1::ReadResponse> Read(const v1::ReadRequest& request, const CallContext&) override {
    read_requests.push_back(request);
    if (!read_status.ok()) return read_status;
    if (!reader.has_value()) return absl::UnimplementedError("there is no reader here");
    v1::ReadResponse response;
    for (const std::string& passage : request.passages()) {
      v1::ReadResponse::Reading* reading = response.add_readings();
      reading->set_relevance(relevance);
      for (const Found& found : *reader)
        AddSpan(passage.find(found.text), found.text.size(), found.probability, reading);
      while (reading->spans_size() > std::max(1, request.max_spans())) reading->mutable_spans()->RemoveLast();
      if (reading->spans().empty()) AddSpan(0, std::min(passage.size(), passage.find(' ')), 0.01, reading);
    }
    for (const auto& [threshold, risk, coverage] : calibration) {
      v1::ReadResponse::OperatingPoint* point = response.add_calibration();
      point->set_threshold(threshold);
      point->set_risk(risk);
      point->set_coverage(coverage);
    }
    if (answer_weights.has_value()) *response.mutable_answer_weights() = *answer_weights;
    if (probability_weights.has_value()) *response.mutable_probability_weights() = *probability_weights;
    response.set_fingerprint(reader_fingerprint);
    return response;
  }
  // A token a word.
  absl::StatusOr<v1::CountTokensResponse> CountTokens(const v1::CountTokensRequest& request,
                                                      const CallContext&) override {
    v1::CountTokensResponse response;
    response.set_max_context_tokens(context_tokens);
    response.set_answers_by_quoting(answers_by_quoting);
    for (const std::string& text : request.texts()) {
      response.add_text_tokens(static_cast<int>(answer::SplitWords(text).size()));
    }
    response.set_prompt_tokens(static_cast<int>(answer::SplitWords(request.prompt().grounded().question()).size()) + 3);
    return response;
  }

 private:
  static void AddSpan(size_t begin, size_t size, double probability, v1::ReadResponse::Reading* reading) {
    if (begin == std::string::npos) return;
    v1::ReadResponse::Span* span = reading->add_spans();
    span->mutable_range()->set_begin(static_cast<int64_t>(begin));
    span->mutable_range()->set_end(static_cast<int64_t>(begin + size));
    span->set_score(probability);
    span->set_probability(probability);
  }
};

// Documents in memory, one chunk each; every search finds them all, in order of uri.
class FakeRetrieval : public RetrievalApi {
 public:
  int64_t removed_documents = 7;
  // The chunk's text is `text`, read verbatim from `source` at `source_begin`.
  void Add(const std::string& uri, const std::string& text, const std::string& source, uint64_t source_begin = 0) {
    v1::SearchHit hit;
    hit.mutable_document()->set_id(uri);
    hit.mutable_document()->set_uri(uri);
    hit.mutable_document()->set_title(uri);
    hit.mutable_document()->set_encoding("UTF-8");
    hit.mutable_document()->set_source_sha256(Sha256Hex(source));
    hit.mutable_chunk()->set_text(text);
    hit.mutable_chunk()->set_text_sha256(Sha256Hex(text));
    v1::SourceSegment* segment = hit.mutable_chunk()->add_segments();
    segment->set_text_length(static_cast<int64_t>(text.size()));
    segment->set_source_begin(static_cast<int64_t>(source_begin));
    segment->set_source_length(static_cast<int64_t>(text.size()));
    segment->set_verbatim(true);
    hit.set_dense_score(0.5);
    hits[uri] = hit;
    sources[uri] = source;
  }

  std::map<std::string, v1::SearchHit> hits;
  std::map<std::string, std::string> sources;
  std::function<void()> after_search;  // runs after each search, before its result is used

  absl::StatusOr<v1::SearchResponse> Search(const v1::SearchRequest& request, const CallContext&) override {
    if (request.collection() == "nowhere") return absl::NotFoundError("no collection nowhere");
    v1::SearchResponse response;
    for (const auto& [uri, hit] : hits) *response.add_hits() = hit;
    response.set_store_commit(42);
    response.set_removed_documents(removed_documents);
    if (after_search) after_search();
    return response;
  }
  absl::StatusOr<v1::GetSourceResponse> GetSource(const v1::GetSourceRequest& request, const CallContext&) override {
    auto found = sources.find(request.document_id());
    if (found == sources.end()) return absl::NotFoundError("gone");
    v1::GetSourceResponse response;
    response.set_source_sha256(Sha256Hex(found->second));
    size_t begin = std::min<size_t>(request.range().begin(), found->second.size());
    response.set_content(found->second.substr(begin, request.range().end() - request.range().begin()));
    return response;
  }
  absl::StatusOr<v1::Document> GetDocument(const v1::GetDocumentRequest&, const CallContext&) override {
    return Fake();
  }
  absl::StatusOr<v1::ListDocumentsResponse> ListDocuments(const v1::ListDocumentsRequest&,
                                                          const CallContext&) override {
    return Fake();
  }
  absl::StatusOr<v1::ListChunksResponse> ListChunks(const v1::ListChunksRequest&, const CallContext&) override {
    return Fake();
  }
  absl::StatusOr<v1::DeleteDocumentsResponse> DeleteDocuments(const v1::DeleteDocumentsRequest&,
                                                              const CallContext&) override {
    return Fake();
  }
  absl::StatusOr<v1::Collection> GetCollection(const v1::GetCollectionRequest&, const CallContext&) override {
    return Fake();
  }
  absl::StatusOr<v1::ListCollectionsResponse> ListCollections(const v1::ListCollectionsRequest&,
                                                              const CallContext&) override {
    return Fake();
  }
  absl::StatusOr<v1::DeleteCollectionResponse> DeleteCollection(const v1::DeleteCollectionRequest&,
                                                                const CallContext&) override {
    return Fake();
  }

 private:
  static absl::Status Fake() { return absl::UnimplementedError("fake"); }
};

}  // namespace lastro::services::testing
