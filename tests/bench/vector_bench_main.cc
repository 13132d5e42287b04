// Vector search, measured:
//   vector_bench [--rows N] [--queries N] [--data islands|overlapping] [--peer M] [--kinds exact,hnsw,...]
//                                         indexes in memory; of FAISS with M links, 0: without it, default 16 and 32
//   vector_bench --store N [--kinds KIND]  a store of N chunks (store_bench.h)
//
// Clustered unit vectors of 384 numbers (vector_data.h). Recall is recall@10 against the exact search by fp32 vectors.
// A search of ours is what the store does without SQLite: the index's candidates, scored by the fp32 vectors, which
// stand here in memory for those in the database. Beside it faiss::IndexHNSWFlat of the distribution, in the same run,
// with the same number of rows held while it is built. Rates are medians of three passes over the queries.
#include <faiss/IndexHNSW.h>
#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "retrieval/hnsw_index.h"
#include "retrieval/row_index.h"
#include "retrieval/row_scan.h"
#include "tests/bench/memory_rate.h"
#include "tests/bench/store_bench.h"
#include "tests/bench/vector_data.h"

namespace lastro::bench {
namespace {

using namespace lastro::retrieval;

constexpr int kDimension = 384;
constexpr size_t kBest = 10;
constexpr double kWantedRecall = 0.95;

double Seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

struct Data {
  size_t rows = 0;
  size_t queries = 0;
  std::vector<float> vectors;    // [rows, kDimension]
  std::vector<float> questions;  // [queries, kDimension]
  const float* vector(size_t row) const { return &vectors[row * kDimension]; }
  absl::Span<const float> question(size_t i) const { return {&questions[i * kDimension], kDimension}; }
};

using Found = std::vector<uint32_t>;

// Candidates, the highest bound first, scored by their vectors until no bound is left above the tenth best.
Found BestOf(const Data& data, absl::Span<const float> question, TopRows* candidates, size_t* reads) {
  TopRows top(kBest);
  for (const ScoredRow& candidate : candidates->TakeSorted()) {
    if (candidate.score < top.worst()) break;
    ++*reads;
    top.Add({DotProduct(question.data(), data.vector(candidate.row), kDimension), candidate.row});
  }
  Found best;
  for (const ScoredRow& row : top.TakeSorted()) best.push_back(row.row);
  return best;
}

double Recall(const std::vector<Found>& found, const std::vector<Found>& truth) {
  size_t hits = 0, wanted = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    wanted += truth[i].size();
    for (uint32_t row : truth[i]) hits += static_cast<size_t>(std::count(found[i].begin(), found[i].end(), row));
  }
  return static_cast<double>(hits) / static_cast<double>(std::max<size_t>(1, wanted));
}

struct Rate {
  double per_second = 0, p50_ms = 0, p99_ms = 0;
};

// Keeps the calling thread on one core while it lives: threads that begin for a moment often share one for as long.
class Pinned {
 public:
  explicit Pinned(int core) {
    LASTRO_CHECK(pthread_getaffinity_np(pthread_self(), sizeof(before_), &before_) == 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core % CPU_SETSIZE, &one);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(one), &one);  // may not be allowed there
  }
  ~Pinned() { (void)pthread_setaffinity_np(pthread_self(), sizeof(before_), &before_); }

 private:
  cpu_set_t before_;
};

// search(i) for every query, by `threads` threads.
Rate Measure(size_t queries, int threads, const std::function<void(size_t)>& search) {
  constexpr int kPasses = 3;
  std::vector<double> rates, latencies(queries * kPasses);
  for (int pass = 0; pass < kPasses; ++pass) {
    std::atomic<size_t> next{0};
    const double start = Seconds();
    auto work = [&](int thread) {
      const Pinned pinned(thread);
      for (size_t i; (i = next++) < queries;) {
        const double begin = Seconds();
        search(i);
        latencies[static_cast<size_t>(pass) * queries + i] = Seconds() - begin;
      }
    };
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(work, t);
    work(0);
    for (std::thread& thread : others) thread.join();
    rates.push_back(static_cast<double>(queries) / (Seconds() - start));
  }
  std::sort(rates.begin(), rates.end());
  std::sort(latencies.begin(), latencies.end());
  return {rates[kPasses / 2], 1e3 * latencies[latencies.size() / 2], 1e3 * latencies[latencies.size() * 99 / 100]};
}

void Print(const std::string& what, double recall, const Rate& one, const Rate& two, const std::string& more) {
  std::printf("| %-34s | %.4f | %8.0f | %8.0f | %7.3f | %7.3f | %s |\n", what.c_str(), recall, one.per_second,
              two.per_second, one.p50_ms, one.p99_ms, more.c_str());
  std::fflush(stdout);
}

// --- what memory can do

uint64_t ReadCodes(Reader read, const QuantizedVectors& vectors, RowRange rows) {
  return read(reinterpret_cast<const uint64_t*>(vectors.codes(rows.begin)),
              reinterpret_cast<const uint64_t*>(vectors.codes(rows.end)));
}

constexpr uint32_t kPieceRows = 1024;
using PieceWork = std::function<void(RowRange)>;

// All rows in pieces, each thread its share from the first to the last, by work of its own, so that no piece is still
// in the cache when its turn comes again. The rate of the median piece times the threads: what else the machine does in
// between lengthens some pieces, not that one.
double PieceRate(uint32_t rows, double bytes_per_row, int threads, const std::function<PieceWork()>& make_work) {
  std::vector<std::vector<double>> seconds(static_cast<size_t>(threads));
  auto share = [&](size_t t) {
    const PieceWork work = make_work();
    const auto limit = [&](size_t i) { return static_cast<uint32_t>(uint64_t{rows} * i / seconds.size()); };
    for (uint32_t begin = limit(t); begin + kPieceRows <= limit(t + 1); begin += kPieceRows) {
      const double start = Seconds();
      work({begin, begin + kPieceRows});
      seconds[t].push_back(Seconds() - start);
    }
  };
  std::vector<std::thread> others;
  for (size_t t = 1; t < seconds.size(); ++t) others.emplace_back(share, t);
  share(0);
  for (std::thread& thread : others) thread.join();
  std::vector<double> all;
  for (const std::vector<double>& some : seconds) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end());
  return threads * kPieceRows * bytes_per_row / all[all.size() / 2] / 1e9;
}

// An exact search beside the fastest loop that only reads the same codes, in turn.
void BenchBandwidth(const Data& data, const QuantizedVectors& vectors, int threads) {
  constexpr int kPasses = 5;
  const auto rows = static_cast<uint32_t>(vectors.size());
  if (rows < 10 * kPieceRows) return;  // no pieces to tell a median from
  std::vector<double> read, searched, shares;
  std::atomic<uint64_t> sink{0};
  for (int pass = 0; pass < kPasses; ++pass) {
    read.push_back(0);
    for (Reader reader : kReaders) {
      read.back() = std::max(read.back(), PieceRate(rows, kDimension, threads, [&] {
                               return [&](RowRange piece) { sink += ReadCodes(reader, vectors, piece); };
                             }));
    }
    const QueryVector query(data.question(static_cast<size_t>(pass) % data.queries));
    searched.push_back(PieceRate(rows, QuantizedVectors::BytesPerRow(kDimension), threads, [&] {
      auto top = std::make_shared<TopRows>(2 * kBest + 32);
      return [&, top](RowRange piece) { ScanRange(vectors, query, piece, top.get()); };
    }));
    shares.push_back(searched.back() / read.back());
  }
  for (std::vector<double>* rates : {&read, &searched, &shares}) std::sort(rates->begin(), rates->end());
  std::printf("%d thread(s), %.0f MB of codes: read at %.1f GB/s, searched at %.1f GB/s, %.0f %% (%.0f to %.0f)\n",
              threads, rows * static_cast<double>(kDimension) / 1e6, read[kPasses / 2], searched[kPasses / 2],
              100 * shares[kPasses / 2], 100 * shares.front(), 100 * shares.back());
}

// --- indexes

std::vector<Found> Truth(const Data& data, const RowIndex& exact, const AllowedRows* allowed, double* reads) {
  std::vector<Found> truth;
  size_t count = 0;
  for (size_t i = 0; i < data.queries; ++i) {
    // By bounds that hold for certain, until the candidates suffice.
    for (size_t wanted = 1000;; wanted *= 8) {
      TopRows top(wanted);
      exact.Search(QueryVector(data.question(i)), allowed, &top);
      size_t read = 0;
      Found best = BestOf(data, data.question(i), &top, &read);
      if (read == wanted) continue;
      count += read;
      truth.push_back(std::move(best));
      break;
    }
  }
  *reads = static_cast<double>(count) / static_cast<double>(data.queries);
  return truth;
}

Found SearchOnce(const Data& data, const RowIndex& index, const AllowedRows* allowed, size_t i) {
  TopRows top(index.CandidatesFor(kBest));
  index.Search(QueryVector(data.question(i)), allowed, &top);
  size_t reads = 0;
  return BestOf(data, data.question(i), &top, &reads);
}

Found WalkOnce(const Data& data, const HnswIndex& index, size_t breadth, size_t i) {
  TopRows top(breadth);
  index.Walk(QueryVector(data.question(i)), breadth, &top);
  size_t reads = 0;
  return BestOf(data, data.question(i), &top, &reads);
}

template <typename Search>
double RecallOf(const Data& data, const std::vector<Found>& truth, const Search& search) {
  std::vector<Found> found;
  for (size_t i = 0; i < data.queries; ++i) found.push_back(search(i));
  return Recall(found, truth);
}

void BenchIndex(const Data& data, const RowIndex& index, double build_s, const std::vector<Found>& truth) {
  auto search = [&](size_t i) { return SearchOnce(data, index, nullptr, i); };
  const double recall = RecallOf(data, truth, search);
  const Rate one = Measure(data.queries, 1, [&](size_t i) { search(i); });
  const Rate two = Measure(data.queries, 2, [&](size_t i) { search(i); });
  Print(absl::StrCat(std::string(IndexKindName(index.kind())), ", as the store searches"), recall, one, two,
        absl::StrCat(index.bytes() / index.size(), " bytes a row, made in ", static_cast<int>(build_s * 10) / 10.0,
                     " s by 2 threads"));
}

// The least breadth with the wanted recall.
constexpr int kBreadths[] = {10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512};

struct TwoRates {
  double one = 0, two = 0;
};

TwoRates BenchWalks(const Data& data, const HnswIndex& index, const std::vector<Found>& truth) {
  for (int breadth : kBreadths) {
    auto search = [&](size_t i) { return WalkOnce(data, index, static_cast<size_t>(breadth), i); };
    const double recall = RecallOf(data, truth, search);
    if (recall < kWantedRecall) continue;
    const Rate one = Measure(data.queries, 1, [&](size_t i) { search(i); });
    const Rate two = Measure(data.queries, 2, [&](size_t i) { search(i); });
    Print(absl::StrCat("hnsw, breadth ", breadth), recall, one, two, "the least with recall 0.95");
    return {one.per_second, two.per_second};
  }
  return {};
}

TwoRates BenchPeer(const Data& data, int links, const std::vector<Found>& truth) {
  faiss::IndexHNSWFlat index(kDimension, links, faiss::METRIC_INNER_PRODUCT);
  index.hnsw.efConstruction = HnswGraph::kBuildBreadth;
  omp_set_num_threads(2);
  const double start = Seconds();
  index.add(static_cast<int64_t>(data.rows), data.vectors.data());
  const double build_s = Seconds() - start;
  omp_set_num_threads(1);  // of one search; two threads search different queries
  const size_t bytes =
      kDimension * sizeof(float) + index.hnsw.neighbors.size() * sizeof(int) / data.rows + sizeof(size_t) + sizeof(int);
  for (int breadth : kBreadths) {
    index.hnsw.efSearch = breadth;  // by SearchParametersHNSW, FAISS 1.7.3 goes no farther than this one's default
    auto search = [&](size_t i) {
      float scores[kBest];
      faiss::Index::idx_t rows[kBest];
      index.search(1, data.question(i).data(), kBest, scores, rows);
      return Found(rows, rows + kBest);
    };
    const double recall = RecallOf(data, truth, search);
    if (recall < kWantedRecall) continue;
    const Rate one = Measure(data.queries, 1, [&](size_t i) { search(i); });
    const Rate two = Measure(data.queries, 2, [&](size_t i) { search(i); });
    Print(absl::StrCat("FAISS HNSWFlat, M ", links, ", efSearch ", breadth), recall, one, two,
          absl::StrCat(bytes, " bytes a row, made in ", static_cast<int>(build_s * 10) / 10.0, " s by 2 threads"));
    return {one.per_second, two.per_second};
  }
  return {};
}

// One row in `step` is allowed, in runs of ten: documents of ten chunks.
AllowedRows OneIn(size_t rows, size_t step) {
  std::vector<RowRange> ranges;
  std::mt19937_64 random(step);
  for (uint32_t begin = 0; begin + 10 <= rows; begin += 10) {
    if (random() % step != 0) continue;
    if (!ranges.empty() && ranges.back().end == begin) {
      ranges.back().end += 10;
    } else {
      ranges.push_back({begin, begin + 10});
    }
  }
  return AllowedRows(std::move(ranges));
}

void BenchFilters(const Data& data, const RowIndex& exact, const RowIndex& index) {
  for (size_t step : {10, 100, 1000}) {
    const AllowedRows allowed = OneIn(data.rows, step);
    double reads = 0;
    const std::vector<Found> truth = Truth(data, exact, &allowed, &reads);
    TopRows top(index.CandidatesFor(kBest));
    const bool scanned = index.Search(QueryVector(data.question(0)), &allowed, &top) == RowIndex::Found::kCertain;
    auto search = [&](size_t i) { return SearchOnce(data, index, &allowed, i); };
    const double recall = RecallOf(data, truth, search);
    const Rate one = Measure(data.queries, 1, [&](size_t i) { search(i); });
    const Rate two = Measure(data.queries, 2, [&](size_t i) { search(i); });
    Print(absl::StrCat(std::string(IndexKindName(index.kind())), ", one row in ", step, " allowed"), recall, one, two,
          scanned ? "scans those allowed" : "walks or looks into lists");
  }
}

void BenchRemoval(const Data& data, const RowIndex& index) {
  std::vector<RowRange> kept;
  for (uint32_t begin = 0; begin < data.rows; begin += 100) {
    kept.push_back({begin, std::min<uint32_t>(begin + 90, static_cast<uint32_t>(data.rows))});
  }
  const double start = Seconds();
  std::unique_ptr<RowIndex> smaller = index.Updated(kept, QuantizedVectors(kDimension), 2);
  const double seconds = Seconds() - start;
  Data rest;
  rest.rows = smaller->size();
  rest.queries = data.queries;
  rest.questions = data.questions;
  for (const RowRange& range : kept) {
    rest.vectors.insert(rest.vectors.end(), data.vector(range.begin),
                        data.vector(range.begin) + size_t{range.end - range.begin} * kDimension);
  }
  QuantizedVectors vectors(kDimension);
  vectors.Reserve(rest.rows);
  for (size_t row = 0; row < rest.rows; ++row) vectors.Append(rest.vector(row));
  std::unique_ptr<RowIndex> exact = BuildRowIndex(IndexKind::kExact, std::move(vectors), 2);
  double reads = 0;
  const std::vector<Found> truth = Truth(rest, *exact, nullptr, &reads);
  const double recall = RecallOf(rest, truth, [&](size_t i) { return SearchOnce(rest, *smaller, nullptr, i); });
  std::printf("%s: a tenth of the rows taken out in %.1f s by 2 threads; recall then %.4f\n",
              std::string(IndexKindName(index.kind())).c_str(), seconds, recall);
}

int Main(size_t rows, size_t queries, VectorData kind_of_data, const std::vector<int>& peers,
         const std::string& kinds) {
  Data data;
  data.rows = rows;
  data.queries = queries;
  ClusteredVectors source(kDimension, rows, kind_of_data);
  data.vectors = source.Take(rows, 2);
  data.questions = source.Take(queries, 3);
  std::printf("%zu rows of %d numbers, %zu queries\n", rows, kDimension, queries);
  auto quantize = [&] {
    QuantizedVectors vectors(kDimension);
    vectors.Reserve(rows);
    for (size_t row = 0; row < rows; ++row) vectors.Append(data.vector(row));
    return vectors;
  };
  std::unique_ptr<RowIndex> exact = BuildRowIndex(IndexKind::kExact, quantize(), 2);
  for (int threads : {1, 2}) BenchBandwidth(data, *exact->vectors(), threads);
  double reads = 0;
  const std::vector<Found> truth = Truth(data, *exact, nullptr, &reads);
  std::printf("an exact search for %zu reads %.1f stored vectors\n", kBest, reads);
  std::printf(
      "| index | recall@10 | QPS, 1 thread | 2 threads | p50, ms | p99, ms | |\n|---|---|---|---|---|---|---|\n");
  TwoRates ours;
  for (IndexKind kind : kIndexKinds) {
    const std::vector<std::string> wanted = absl::StrSplit(kinds, ',');
    if (std::count(wanted.begin(), wanted.end(), IndexKindName(kind)) == 0) continue;
    QuantizedVectors vectors = quantize();
    const double start = Seconds();
    std::unique_ptr<RowIndex> index = BuildRowIndex(kind, std::move(vectors), 2);
    BenchIndex(data, *index, Seconds() - start, truth);
    if (kind == IndexKind::kHnsw) ours = BenchWalks(data, static_cast<const HnswIndex&>(*index), truth);
    if (kind != IndexKind::kExact) BenchFilters(data, *exact, *index);
    BenchRemoval(data, *index);
  }
  for (int links : peers) {
    const TwoRates theirs = BenchPeer(data, links, truth);
    if (theirs.one == 0) {
      std::printf("FAISS HNSWFlat, M %d: below recall 0.95 at every efSearch up to 512\n", links);
    } else if (ours.one > 0) {
      std::printf("hnsw beside it at recall 0.95: %.1f times with 1 thread, %.1f with 2\n", ours.one / theirs.one,
                  ours.two / theirs.two);
    }
  }
  return 0;
}

}  // namespace
}  // namespace lastro::bench

int main(int argc, char** argv) {
  size_t rows = 10000, queries = 1000, store = 0;
  std::vector<int> peers = {16, 32};
  lastro::bench::VectorData data = lastro::bench::VectorData::kIslands;
  std::string kinds = "exact,hnsw,ivf-sq,ivf-pq";
  bool understood = argc % 2 == 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    const char* value = argv[i + 1];
    if (option == "--rows") {
      rows = std::strtoull(value, nullptr, 10);
    } else if (option == "--store") {
      store = std::strtoull(value, nullptr, 10);
    } else if (option == "--queries") {
      queries = std::strtoull(value, nullptr, 10);
    } else if (option == "--peer") {
      const int links = std::atoi(value);
      peers = links > 0 ? std::vector<int>{links} : std::vector<int>();
    } else if (option == "--data") {
      using lastro::bench::VectorData;
      data = std::strcmp(value, "overlapping") == 0 ? VectorData::kOverlapping : VectorData::kIslands;
      understood &= data == VectorData::kOverlapping || std::strcmp(value, "islands") == 0;
    } else if (option == "--kinds") {
      kinds = value;
    } else {
      understood = false;
    }
  }
  if (!understood || rows == 0 || queries == 0) {
    std::fprintf(stderr,
                 "vector_bench [--rows N] [--queries N] [--data islands|overlapping] [--peer M]\n"
                 "    [--kinds exact,hnsw,ivf-sq,ivf-pq]: indexes in memory\n"
                 "vector_bench --store CHUNKS [--kinds KIND]: a store beside ingestion, deletion and repair\n");
    return 2;
  }
  if (store > 0) return lastro::bench::BenchStore(store, kinds.find(',') == std::string::npos ? kinds : "auto");
  return lastro::bench::Main(rows, queries, data, peers, kinds);
}
