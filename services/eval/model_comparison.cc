#include "services/eval/model_comparison.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/sentence.h"
#include "base/status_macros.h"
#include "services/eval/comparison.h"
#include "services/eval/input_file.h"
#include "services/eval/ranking_metrics.h"
#include "services/eval/statistics.h"

namespace lastro::services::eval {
namespace {

constexpr int kHits = 10;
constexpr int kPageSize = 1'000;
constexpr int kLowestShown = 5;
constexpr size_t kMinQueryBytes = 8;
constexpr size_t kMaxQueryBytes = 400;
constexpr int kTries = 8;  // at a text of a document that makes a query

size_t Below(size_t bound, std::mt19937_64& random) { return static_cast<size_t>(random() % bound); }

bool MakesAQuery(absl::string_view text) { return text.size() >= kMinQueryBytes && text.size() <= kMaxQueryBytes; }

// One document in so many, each with the same chance (Vitter's algorithm R, 1985).
absl::StatusOr<std::vector<v1::Document>> SampleDocuments(RetrievalApi& retrieval, const std::string& collection,
                                                          size_t count, std::mt19937_64& random,
                                                          const CallContext& context) {
  std::vector<v1::Document> taken;
  size_t seen = 0;
  v1::ListDocumentsRequest request;
  request.set_collection(collection);
  request.set_page_size(kPageSize);
  do {
    LASTRO_ASSIGN_OR_RETURN(v1::ListDocumentsResponse page, retrieval.ListDocuments(request, context));
    for (v1::Document& document : *page.mutable_documents()) {
      ++seen;
      if (taken.size() < count) {
        taken.push_back(std::move(document));
      } else if (const size_t place = Below(seen, random); place < count) {
        taken[place] = std::move(document);
      }
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return taken;
}

// A sentence or a heading of a chunk; empty when the one that was drawn makes no query.
std::string TextOf(const v1::Chunk& chunk, std::mt19937_64& random) {
  if (chunk.headings_size() > 0 && Below(3, random) == 0) return chunk.headings(chunk.headings_size() - 1);
  const std::vector<TextRange> sentences = SplitSentences(chunk.text());
  if (sentences.empty()) return "";
  const TextRange& sentence = sentences[Below(sentences.size(), random)];
  return chunk.text().substr(sentence.begin, sentence.end - sentence.begin);
}

std::string QueryOf(const v1::Document& document, const v1::ListChunksResponse& chunks, std::mt19937_64& random) {
  if (MakesAQuery(document.title()) && Below(4, random) == 0) return document.title();
  for (int i = 0; i < kTries && chunks.chunks_size() > 0; ++i) {
    const size_t chunk = Below(static_cast<size_t>(chunks.chunks_size()), random);
    std::string text = TextOf(chunks.chunks(static_cast<int>(chunk)), random);
    if (MakesAQuery(text)) return text;
  }
  return MakesAQuery(document.title()) ? document.title() : "";
}

struct Hits {
  absl::flat_hash_set<int64_t> chunks;
  std::vector<std::string> uris;  // each once, best first
};

absl::StatusOr<Hits> SearchBy(RetrievalApi& retrieval, const std::string& collection, const std::string& fingerprint,
                              const std::string& query, const CallContext& context) {
  v1::SearchRequest request;
  request.set_collection(collection);
  request.set_query(query);
  request.set_mode(v1::SearchRequest::DENSE);
  request.set_limit(kHits);
  request.set_rerank(false);
  request.set_embedding_fingerprint(fingerprint);
  LASTRO_ASSIGN_OR_RETURN(v1::SearchResponse response, retrieval.Search(request, context));
  Hits hits;
  for (const v1::SearchHit& hit : response.hits()) {
    hits.chunks.insert(hit.chunk().id());
    const std::string& uri = hit.document().uri();
    if (std::find(hits.uris.begin(), hits.uris.end(), uri) == hits.uris.end()) hits.uris.push_back(uri);
  }
  return hits;
}

// Of the hits there can be at most, the share that both have; 1 when neither finds anything.
double Overlap(const Hits& a, const Hits& b) {
  const size_t most = std::max(a.chunks.size(), b.chunks.size());
  if (most == 0) return 1;
  const auto both = std::count_if(a.chunks.begin(), a.chunks.end(), [&](int64_t id) { return b.chunks.contains(id); });
  return static_cast<double>(both) / static_cast<double>(most);
}

v1::EvalQuestion Measure(size_t number, const ComparedQuery& query, const Hits& hits) {
  v1::EvalQuestion question;
  question.set_id(absl::StrCat(number));
  const Judgement judgements[] = {{query.uri}};
  (*question.mutable_metrics())["recall@1"] = RecallAt(hits.uris, judgements, 1);
  (*question.mutable_metrics())["recall@10"] = RecallAt(hits.uris, judgements, kHits);
  (*question.mutable_metrics())["mrr@10"] = ReciprocalRankAt(hits.uris, judgements, kHits);
  (*question.mutable_metrics())["ndcg@10"] = NdcgAt(hits.uris, judgements, kHits);
  return question;
}

void AddLowest(const std::vector<ComparedQuery>& queries, const std::vector<double>& overlaps,
               v1::ModelComparison* comparison) {
  std::vector<size_t> order(queries.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return overlaps[a] < overlaps[b]; });
  for (size_t i = 0; i < order.size() && i < kLowestShown; ++i) {
    v1::ModelComparison::Query* query = comparison->add_lowest();
    query->set_query(queries[order[i]].text);
    query->set_overlap(overlaps[order[i]]);
  }
}

}  // namespace

absl::StatusOr<std::vector<ComparedQuery>> ReadQueries(absl::string_view content, const std::string& path) {
  std::vector<ComparedQuery> queries;
  LASTRO_RETURN_IF_ERROR(ForEachLine(content, path, [&](absl::string_view line, const std::string& where) {
    ComparedQuery query;
    line = absl::StripAsciiWhitespace(line);
    if (line[0] == '{') {
      auto add = [&](const JsonValue& object, const std::string&) -> absl::Status {
        LASTRO_ASSIGN_OR_RETURN(query.text, object.GetString("query", ""));
        LASTRO_ASSIGN_OR_RETURN(query.text, object.GetString("question", query.text));
        LASTRO_ASSIGN_OR_RETURN(query.uri, object.GetString("document", ""));
        return absl::OkStatus();
      };
      LASTRO_RETURN_IF_ERROR(ForEachJsonLine(line, where, add));
    } else {
      query.text = std::string(line);
    }
    if (query.text.empty()) return absl::InvalidArgumentError(absl::StrCat(where, " has no question"));
    queries.push_back(std::move(query));
    return absl::OkStatus();
  }));
  return queries;
}

absl::StatusOr<std::vector<ComparedQuery>> SampleQueries(RetrievalApi& retrieval, const std::string& collection,
                                                         size_t count, uint64_t seed, const CallContext& context) {
  std::mt19937_64 random(seed);
  LASTRO_ASSIGN_OR_RETURN(std::vector<v1::Document> documents,
                          SampleDocuments(retrieval, collection, count, random, context));
  std::vector<ComparedQuery> queries;
  // A collection of few documents is asked several times a document.
  for (size_t i = 0; !documents.empty() && i < count; ++i) {
    const v1::Document& document = documents[i % documents.size()];
    v1::ListChunksRequest request;
    request.set_collection(collection);
    request.set_document_id(document.id());
    absl::StatusOr<v1::ListChunksResponse> chunks = retrieval.ListChunks(request, context);
    if (absl::IsNotFound(chunks.status())) continue;  // deleted meanwhile
    LASTRO_RETURN_IF_ERROR(chunks.status());
    std::string text = QueryOf(document, *chunks, random);
    const bool known = std::any_of(queries.begin(), queries.end(), [&](auto& query) { return query.text == text; });
    if (!text.empty() && !known) queries.push_back({std::move(text), document.uri()});
  }
  return queries;
}

absl::StatusOr<v1::ModelComparison> CompareModels(RetrievalApi& retrieval, const v1::Reembedding& models,
                                                  const std::vector<ComparedQuery>& queries, uint64_t seed,
                                                  const CallContext& context) {
  if (queries.empty()) return absl::InvalidArgumentError("there is no query to compare the models by");
  v1::ModelComparison comparison;
  comparison.set_collection(models.collection());
  comparison.set_model_a(models.searched().model());
  comparison.set_model_b(models.other().model());
  comparison.set_fingerprint_a(models.searched().fingerprint());
  comparison.set_fingerprint_b(models.other().fingerprint());
  comparison.set_queries(static_cast<int>(queries.size()));
  comparison.set_seed(seed);
  std::vector<double> overlaps;
  std::vector<v1::EvalQuestion> found_a, found_b;
  for (size_t i = 0; i < queries.size(); ++i) {
    LASTRO_ASSIGN_OR_RETURN(
        Hits a, SearchBy(retrieval, models.collection(), models.searched().fingerprint(), queries[i].text, context));
    LASTRO_ASSIGN_OR_RETURN(
        Hits b, SearchBy(retrieval, models.collection(), models.other().fingerprint(), queries[i].text, context));
    overlaps.push_back(Overlap(a, b));
    if (queries[i].uri.empty()) continue;
    found_a.push_back(Measure(i, queries[i], a));
    found_b.push_back(Measure(i, queries[i], b));
  }
  const Interval interval = MeanInterval(overlaps, seed);
  comparison.set_overlap(Mean(overlaps));
  comparison.set_overlap_low(interval.low);
  comparison.set_overlap_high(interval.high);
  AddLowest(queries, overlaps, &comparison);
  if (found_a.empty()) return comparison;
  LASTRO_ASSIGN_OR_RETURN(*comparison.mutable_known_items(), Compare(found_a, found_b, seed, context));
  return comparison;
}

}  // namespace lastro::services::eval
