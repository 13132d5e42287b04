#include "services/analytics/cluster.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "services/analytics/kmeans.h"
#include "services/analytics/silhouette.h"
#include "services/analytics/terms.h"
#include "tests/test_util.h"

namespace lastro::services {
namespace {

using ::lastro::testing::StatusIs;
using ::testing::_;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kDimension = 24;

struct Mixture {
  std::vector<float> vectors;
  std::vector<ClusterItem> items;
  std::vector<int> planted;
};

// Cluster c has sizes[c] members around a random direction; their texts speak of "topic<c>".
Mixture MakeMixture(const std::vector<int>& sizes, double noise, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Mixture mixture;
  for (size_t c = 0; c < sizes.size(); ++c) {
    std::vector<float> centre(kDimension);
    for (float& x : centre) x = normal(random);
    for (int i = 0; i < sizes[c]; ++i) {
      for (float x : centre) mixture.vectors.push_back(x + noise * normal(random));
      int index = static_cast<int>(mixture.items.size());
      mixture.items.push_back({absl::StrCat("The common report about topic", c, " topic", c), index, 0, ""});
      mixture.planted.push_back(static_cast<int>(c));
    }
  }
  return mixture;
}

// Whether two labelings group alike.
void ExpectSamePartition(const std::vector<int>& planted, const v1::ClusterResponse& response) {
  ASSERT_EQ(response.assignments_size(), static_cast<int>(planted.size()));
  std::map<int, int> found_of, planted_of;
  for (size_t i = 0; i < planted.size(); ++i) {
    int found = response.assignments(static_cast<int>(i));
    EXPECT_EQ(found_of.emplace(planted[i], found).first->second, found) << i;
    EXPECT_EQ(planted_of.emplace(found, planted[i]).first->second, planted[i]) << i;
  }
}

TEST(ClusterVectors, RecoversPlantedClusters) {
  Mixture mixture = MakeMixture({40, 80, 20, 60}, 0.2, 7);
  ASSERT_OK_AND_ASSIGN(v1::ClusterResponse response,
                       ClusterVectors(mixture.vectors, kDimension, mixture.items, {.clusters = 4}, CallContext()));
  ExpectSamePartition(mixture.planted, response);
  std::vector<int> sizes;
  for (const auto& cluster : response.clusters()) sizes.push_back(cluster.size());
  EXPECT_THAT(sizes, ElementsAre(80, 60, 40, 20));
  EXPECT_GT(response.silhouette(), 0.7);
  EXPECT_GT(response.clusters(0).cohesion(), 0.9);
  EXPECT_EQ(response.clusters(0).terms(0), "topic1");
  EXPECT_EQ(response.clusters(0).representatives_size(), 3);
}

TEST(ClusterVectors, ChoosesTheNumberOfClusters) {
  for (int planted : {2, 3, 7}) {
    Mixture mixture = MakeMixture(std::vector<int>(planted, 30), 0.25, 11 + planted);
    ASSERT_OK_AND_ASSIGN(v1::ClusterResponse response,
                         ClusterVectors(mixture.vectors, kDimension, mixture.items, {}, CallContext()));
    EXPECT_EQ(response.clusters_size(), planted);
    ExpectSamePartition(mixture.planted, response);
  }
}

TEST(ClusterVectors, IsDeterministicWhateverTheThreads) {
  Mixture mixture = MakeMixture({300, 500, 400}, 1.0, 3);
  ClusterOptions options{.clusters = 6, .seed = 5};
  ThreadPool pool(3);
  ASSERT_OK_AND_ASSIGN(auto one, ClusterVectors(mixture.vectors, kDimension, mixture.items, options, CallContext()));
  ASSERT_OK_AND_ASSIGN(auto two,
                       ClusterVectors(mixture.vectors, kDimension, mixture.items, options, CallContext(), &pool));
  EXPECT_EQ(one.SerializeAsString(), two.SerializeAsString());
}

TEST(ClusterVectors, LengthOfVectorsDoesNotMatter) {
  Mixture mixture = MakeMixture({20, 20}, 0.2, 9);
  for (size_t i = 0; i < mixture.items.size(); ++i) {
    for (int j = 0; j < kDimension; ++j) mixture.vectors[i * kDimension + j] *= 1.0f + static_cast<float>(i);
  }
  ASSERT_OK_AND_ASSIGN(v1::ClusterResponse response,
                       ClusterVectors(mixture.vectors, kDimension, mixture.items, {.clusters = 2}, CallContext()));
  ExpectSamePartition(mixture.planted, response);
}

TEST(ClusterVectors, RepresentativesAreNearestFirst) {
  Mixture mixture = MakeMixture({50}, 0.5, 4);
  ASSERT_OK_AND_ASSIGN(v1::ClusterResponse response,
                       ClusterVectors(mixture.vectors, kDimension, mixture.items,
                                      {.clusters = 1, .representatives = 50}, CallContext()));
  ASSERT_OK_AND_ASSIGN(std::vector<float> rows, NormalizeRows(mixture.vectors, kDimension));
  std::vector<float> mean(kDimension, 0);
  for (size_t i = 0; i < rows.size(); ++i) mean[i % kDimension] += rows[i];
  double before = std::numeric_limits<double>::infinity();
  for (const v1::EmbeddingItem& item : response.clusters(0).representatives()) {
    double similarity = Dot(rows.data() + item.index() * kDimension, mean.data(), kDimension);
    EXPECT_LE(similarity, before + 1e-4);
    before = similarity;
  }
}

TEST(ClusterVectors, OneItem) {
  std::vector<ClusterItem> items = {{"only", 0, 0, ""}};
  for (int clusters : {0, 1}) {
    ASSERT_OK_AND_ASSIGN(v1::ClusterResponse response,
                         ClusterVectors({1.0f, 0.0f}, 2, items, {.clusters = clusters}, CallContext()));
    EXPECT_EQ(response.clusters_size(), 1);
    EXPECT_EQ(response.silhouette(), 0);
    EXPECT_NEAR(response.clusters(0).cohesion(), 1, 1e-6);
  }
}

TEST(ClusterVectors, IdenticalItemsStillGiveNonEmptyClusters) {
  std::vector<float> vectors(10 * 2, 0.5f);
  std::vector<ClusterItem> items(10);
  ASSERT_OK_AND_ASSIGN(v1::ClusterResponse three, ClusterVectors(vectors, 2, items, {.clusters = 3}, CallContext()));
  ASSERT_EQ(three.clusters_size(), 3);
  for (const auto& cluster : three.clusters()) EXPECT_GE(cluster.size(), 1);
  ASSERT_OK_AND_ASSIGN(v1::ClusterResponse chosen, ClusterVectors(vectors, 2, items, {}, CallContext()));
  EXPECT_EQ(chosen.clusters_size(), 1);
}

TEST(ClusterVectors, AsManyClustersAsItems) {
  Mixture mixture = MakeMixture({12}, 1.0, 6);
  ASSERT_OK_AND_ASSIGN(v1::ClusterResponse response,
                       ClusterVectors(mixture.vectors, kDimension, mixture.items, {.clusters = 12}, CallContext()));
  EXPECT_EQ(response.clusters_size(), 12);
  for (const auto& cluster : response.clusters()) EXPECT_EQ(cluster.size(), 1);
}

TEST(ClusterVectors, ZeroVectorsAreAccepted) {
  std::vector<float> vectors = {0, 0, 1, 0, 0, 1, 0, 0};
  std::vector<ClusterItem> items(4);
  ASSERT_OK_AND_ASSIGN(v1::ClusterResponse response, ClusterVectors(vectors, 2, items, {.clusters = 2}, CallContext()));
  EXPECT_EQ(response.clusters_size(), 2);
}

TEST(ClusterVectors, WrongArgumentsAreRefused) {
  std::vector<ClusterItem> items(2);
  std::vector<float> vectors = {1, 0, 0, 1};
  auto code = [&](absl::Span<const float> values, int dimension, absl::Span<const ClusterItem> of,
                  ClusterOptions options) {
    return ClusterVectors(values, dimension, of, options, CallContext()).status();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(code(vectors, 2, items, {.clusters = 3}), StatusIs(kInvalid, HasSubstr("only 2 items")));
  EXPECT_THAT(code(vectors, 2, items, {.clusters = -1}), StatusIs(kInvalid, _));
  EXPECT_THAT(code(vectors, 2, items, {.clusters = kMaxClusters + 1}), StatusIs(kInvalid, _));
  EXPECT_THAT(code(vectors, 2, items, {.representatives = -1}), StatusIs(kInvalid, _));
  EXPECT_THAT(code(vectors, 3, items, {}), StatusIs(kInvalid, HasSubstr("expected 2 vectors of 3")));
  EXPECT_THAT(code({}, 2, {}, {}), StatusIs(kInvalid, HasSubstr("no items")));
  vectors[2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(code(vectors, 2, items, {}), StatusIs(kInvalid, HasSubstr("item 1")));
  std::vector<ClusterItem> many(kMaxClusterItems + 1);
  EXPECT_THAT(code({}, 1, many, {}), StatusIs(kInvalid, HasSubstr("100000")));
}

TEST(ClusterVectors, CancellationIsSeen) {
  Mixture mixture = MakeMixture({50, 50}, 0.5, 2);
  CallContext context;
  context.Cancel();
  EXPECT_THAT(ClusterVectors(mixture.vectors, kDimension, mixture.items, {}, context),
              StatusIs(absl::StatusCode::kCancelled, _));
}

TEST(ClusterVectors, ItemTextIsShortValidUtf8) {
  std::vector<ClusterItem> items = {{std::string(199, 'a') + "é and more", 0, 0, ""}, {"\xff\xff", 1, 0, "u\xff"}};
  ASSERT_OK_AND_ASSIGN(v1::ClusterResponse response,
                       ClusterVectors({1, 0, 0, 1}, 2, items, {.clusters = 2}, CallContext()));
  for (const auto& cluster : response.clusters()) {
    const v1::EmbeddingItem& item = cluster.representatives(0);
    EXPECT_LE(item.text().size(), 200u);
    EXPECT_TRUE(IsValidUtf8(item.text()));
    EXPECT_TRUE(IsValidUtf8(item.document_uri()));
  }
}

TEST(Silhouette, MatchesTheDefinition) {
  // Two pairs at right angles: inner distance 0, outer distance 1; then a wrong assignment of one of them.
  std::vector<float> values = {1, 0, 1, 0, 0, 1, 0, 1};
  ASSERT_OK_AND_ASSIGN(PairwiseDistances distances, PairwiseDistances::Compute({values, 4, 2}, CallContext(), nullptr));
  EXPECT_NEAR(distances.MeanSilhouette({0, 0, 1, 1}, 2), 1.0, 1e-6);
  // Row 0: a = 0.5, b = 1: 0.5. Row 1: the same. Row 2: a = 1, b = 0: -1. Row 3 is alone: 0.
  EXPECT_NEAR(distances.MeanSilhouette({0, 0, 0, 1}, 2), 0.0, 1e-6);
  EXPECT_EQ(distances.MeanSilhouette({0, 0, 0, 0}, 1), 0.0);
}

TEST(SphericalKMeans, MoreClustersNeverFitWorse) {
  Mixture mixture = MakeMixture({40, 40, 40}, 0.8, 8);
  ASSERT_OK_AND_ASSIGN(std::vector<float> rows, NormalizeRows(mixture.vectors, kDimension));
  UnitRows unit{rows, 120, kDimension};
  ASSERT_OK_AND_ASSIGN(KMeansResult one, SphericalKMeans(unit, 1, 0, CallContext(), nullptr));
  ASSERT_OK_AND_ASSIGN(KMeansResult three, SphericalKMeans(unit, 3, 0, CallContext(), nullptr));
  EXPECT_GT(three.objective, one.objective);
}

TEST(SampleIndexes, AreDistinctAscendingAndRepeatable) {
  std::vector<int> sample = SampleIndexes(1000, 100, 3);
  EXPECT_EQ(sample.size(), 100u);
  EXPECT_TRUE(std::adjacent_find(sample.begin(), sample.end(), std::greater_equal<>()) == sample.end());
  EXPECT_EQ(sample, SampleIndexes(1000, 100, 3));
  EXPECT_NE(sample, SampleIndexes(1000, 100, 4));
  EXPECT_EQ(SampleIndexes(3, 10, 0), (std::vector<int>{0, 1, 2}));
}

TEST(ContentWords, StopWordsAndNumbersAreLeftOut) {
  EXPECT_THAT(ContentWords("The Manutenção of 2024 ships, e não dos navios a4b!"),
              ElementsAre("manutenção", "ships", "navios", "a4b"));
  EXPECT_THAT(ContentWords("ok\xff\xfeword"), ElementsAre("word"));
  EXPECT_EQ(ContentWords(std::string(1 << 20, 'a')).size(), 0u);
}

TEST(TopTerms, PreferWordsOfOneClusterOnly) {
  std::vector<absl::string_view> texts = {"report harbour harbour ship", "report harbour", "report salary pension",
                                          "report salary"};
  auto terms = TopTerms(texts, {0, 0, 1, 1}, 2, 2);
  EXPECT_THAT(terms[0], ElementsAre("harbour", "ship"));
  EXPECT_THAT(terms[1], ElementsAre("salary", _));
  EXPECT_THAT(terms[0], Not(Contains("report")));
}

}  // namespace
}  // namespace lastro::services
