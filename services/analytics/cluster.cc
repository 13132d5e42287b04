#include "services/analytics/cluster.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "services/analytics/kmeans.h"
#include "services/analytics/silhouette.h"
#include "services/analytics/terms.h"

namespace lastro::services {
namespace {

constexpr int kSampleItems = 2000;
constexpr int kMinChosenClusters = 2;
constexpr int kMaxChosenClusters = 20;
constexpr int kDefaultRepresentatives = 3;
constexpr int kTerms = 8;
constexpr size_t kItemTextBytes = 200;

absl::Status Validate(absl::Span<const float> vectors, int dimension, size_t items, const ClusterOptions& options) {
  if (items == 0) return absl::InvalidArgumentError("nothing to cluster: no items; give texts, or ingest documents");
  if (items > kMaxClusterItems) {
    return absl::InvalidArgumentError(
        absl::StrCat(items, " items to cluster, at most ", kMaxClusterItems, " are allowed; narrow the filter"));
  }
  if (dimension <= 0 || vectors.size() != items * static_cast<size_t>(dimension)) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected ", items, " vectors of ", dimension, " numbers, got ", vectors.size(), " numbers"));
  }
  if (options.clusters < 0 || options.clusters > kMaxClusters) {
    return absl::InvalidArgumentError(
        absl::StrCat("clusters is ", options.clusters, ", expected 0 (chosen from the data) to ", kMaxClusters));
  }
  if (static_cast<size_t>(options.clusters) > items) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.clusters, " clusters asked for, but there are only ", items, " items; ask for fewer"));
  }
  if (options.representatives < 0 || options.representatives > kMaxRepresentatives) {
    return absl::InvalidArgumentError(
        absl::StrCat("representatives is ", options.representatives, ", expected 0 to ", kMaxRepresentatives));
  }
  return absl::OkStatus();
}

// A random sample of the rows, with its own copy of them.
struct Sample {
  std::vector<int> indexes;
  std::vector<float> values;
  UnitRows rows;
};

Sample TakeSample(const UnitRows& rows, uint64_t seed) {
  Sample sample;
  sample.indexes = SampleIndexes(rows.count, kSampleItems, seed);
  sample.values.reserve(sample.indexes.size() * rows.dimension);
  for (int i : sample.indexes) {
    sample.values.insert(sample.values.end(), rows.row(i), rows.row(i) + rows.dimension);
  }
  sample.rows = {sample.values, static_cast<int>(sample.indexes.size()), rows.dimension};
  return sample;
}

// The number of clusters whose clustering of the sample has the best silhouette; 1 when no number separates anything.
absl::StatusOr<int> ChooseClusters(const Sample& sample, const PairwiseDistances& distances, uint64_t seed,
                                   const CallContext& context, ThreadPool* pool) {
  int best = 1;
  double best_silhouette = 1e-6;
  for (int k = kMinChosenClusters; k <= std::min(kMaxChosenClusters, sample.rows.count - 1); ++k) {
    LASTRO_ASSIGN_OR_RETURN(KMeansResult result, SphericalKMeans(sample.rows, k, seed, context, pool));
    double silhouette = distances.MeanSilhouette(result.assignments, k);
    if (silhouette > best_silhouette) {
      best = k;
      best_silhouette = silhouette;
    }
  }
  return best;
}

// Renumbers the clusters from the largest to the smallest, ties by their first member. Returns the sizes.
std::vector<int> OrderBySize(int k, std::vector<int32_t>* assignments) {
  std::vector<int> sizes(k, 0), first(k, -1), order(k), rank(k);
  for (size_t i = 0; i < assignments->size(); ++i) {
    int c = (*assignments)[i];
    if (sizes[c]++ == 0) first[c] = static_cast<int>(i);
  }
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int a, int b) { return sizes[a] != sizes[b] ? sizes[a] > sizes[b] : first[a] < first[b]; });
  std::vector<int> ordered_sizes(k);
  for (int position = 0; position < k; ++position) {
    rank[order[position]] = position;
    ordered_sizes[position] = sizes[order[position]];
  }
  for (int32_t& c : *assignments) c = rank[c];
  return ordered_sizes;
}

std::string ShortText(const std::string& text) {
  absl::string_view head = absl::string_view(text).substr(0, kItemTextBytes);
  if (head.size() < text.size()) head = head.substr(0, CompleteUtf8Prefix(head));
  return ReplaceInvalidUtf8(head).substr(0, kItemTextBytes);
}

void FillItem(const ClusterItem& item, v1::EmbeddingItem* out) {
  out->set_index(item.index);
  out->set_chunk_id(item.chunk_id);
  out->set_document_uri(ReplaceInvalidUtf8(item.document_uri));
  std::string text = ShortText(item.text);
  out->set_text(text.substr(0, CompleteUtf8Prefix(text)));
}

// The members of each cluster, nearest to its centre first, ties in input order.
std::vector<std::vector<int>> MembersByNearness(int k, const KMeansResult& result) {
  std::vector<std::vector<int>> members(k);
  for (size_t i = 0; i < result.assignments.size(); ++i) members[result.assignments[i]].push_back(static_cast<int>(i));
  for (std::vector<int>& cluster : members) {
    std::stable_sort(cluster.begin(), cluster.end(),
                     [&](int a, int b) { return result.similarity[a] > result.similarity[b]; });
  }
  return members;
}

std::vector<std::vector<std::string>> Terms(absl::Span<const ClusterItem> items, absl::Span<const int32_t> assignments,
                                            int k) {
  std::vector<absl::string_view> texts;
  texts.reserve(items.size());
  for (const ClusterItem& item : items) texts.push_back(item.text);
  return TopTerms(texts, assignments, k, kTerms);
}

v1::ClusterResponse MakeResponse(absl::Span<const ClusterItem> items, int k, int representatives, KMeansResult result) {
  v1::ClusterResponse response;
  std::vector<int> sizes = OrderBySize(k, &result.assignments);
  std::vector<std::vector<int>> members = MembersByNearness(k, result);
  std::vector<std::vector<std::string>> terms = Terms(items, result.assignments, k);
  for (int c = 0; c < k; ++c) {
    v1::ClusterResponse::Cluster* cluster = response.add_clusters();
    cluster->set_size(sizes[c]);
    for (std::string& term : terms[c]) cluster->add_terms(std::move(term));
    double total = 0;
    for (int i : members[c]) total += result.similarity[i];
    cluster->set_cohesion(total / sizes[c]);
    for (int r = 0; r < std::min(representatives, sizes[c]); ++r) {
      FillItem(items[members[c][r]], cluster->add_representatives());
    }
  }
  response.mutable_assignments()->Add(result.assignments.begin(), result.assignments.end());
  return response;
}

double SampleSilhouette(const Sample& sample, const PairwiseDistances& distances, absl::Span<const int32_t> assignments,
                        int k) {
  std::vector<int32_t> of_sample;
  of_sample.reserve(sample.indexes.size());
  for (int i : sample.indexes) of_sample.push_back(assignments[i]);
  return distances.MeanSilhouette(of_sample, k);
}

}  // namespace

absl::StatusOr<v1::ClusterResponse> ClusterVectors(absl::Span<const float> vectors, int dimension,
                                                   absl::Span<const ClusterItem> items, const ClusterOptions& options,
                                                   const CallContext& context, ThreadPool* pool) {
  LASTRO_RETURN_IF_ERROR(Validate(vectors, dimension, items.size(), options));
  LASTRO_ASSIGN_OR_RETURN(std::vector<float> normalized, NormalizeRows(vectors, dimension));
  UnitRows rows{normalized, static_cast<int>(items.size()), dimension};
  Sample sample = TakeSample(rows, options.seed);
  LASTRO_ASSIGN_OR_RETURN(PairwiseDistances distances, PairwiseDistances::Compute(sample.rows, context, pool));
  int k = options.clusters;
  if (k == 0) {
    LASTRO_ASSIGN_OR_RETURN(k, ChooseClusters(sample, distances, options.seed, context, pool));
  }
  LASTRO_ASSIGN_OR_RETURN(KMeansResult result, SphericalKMeans(rows, k, options.seed, context, pool));
  double silhouette = SampleSilhouette(sample, distances, result.assignments, k);
  int representatives = options.representatives == 0 ? kDefaultRepresentatives : options.representatives;
  LASTRO_RETURN_IF_ERROR(context.Check());
  v1::ClusterResponse response = MakeResponse(items, k, representatives, std::move(result));
  response.set_silhouette(silhouette);
  return response;
}

}  // namespace lastro::services
