#include "tests/bench/store_bench.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <set>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "retrieval/document_table.h"
#include "retrieval/dot_product.h"
#include "retrieval/sqlite_store.h"
#include "tests/bench/vector_data.h"

namespace lastro::bench {
namespace {

using namespace lastro::retrieval;

constexpr int kDimension = 384;
constexpr size_t kChunksPerDocument = 10;
constexpr size_t kSearches = 1000;
constexpr char kCollection[] = "bench";

double Seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Of this process, in MB; `field` of /proc/self/status.
double MemoryMb(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(field + ":", 0) == 0) return std::strtod(line.c_str() + field.size() + 1, nullptr) / 1024;
  }
  return 0;
}

std::string UriOf(size_t document) { return absl::StrCat("doc", document); }

// Whether it is a tenth of the documents before `gone`, those that were deleted.
bool IsGone(absl::string_view uri, size_t gone) {
  size_t document = 0;
  LASTRO_CHECK(absl::SimpleAtoi(uri.substr(3), &document), uri);
  return document % 10 == 0 && document < gone;
}

class StoreBench {
 public:
  StoreBench(size_t chunks, SqliteStore* store)
      : documents_(chunks / kChunksPerDocument), store_(store), source_(kDimension, chunks) {}

  bool Run() {
    Collection collection;
    collection.name = kCollection;
    collection.embedding_model = collection.embedding_fingerprint = "bench";
    collection.dimension = kDimension;
    Must(store_->CreateCollection(collection));
    double start = Seconds();
    for (size_t i = 0; i < documents_; ++i) Put();
    std::printf("%zu documents of %zu chunks put in %.1f s\n", documents_, kChunksPerDocument, Seconds() - start);
    start = Seconds();
    Must(store_->Flush());
    std::printf("index finished %.1f s later; memory %.0f MB, peak %.0f MB\n", Seconds() - start, MemoryMb("VmRSS"),
                MemoryMb("VmHWM"));
    std::printf("| searches (dense, 10 hits) | p50, ms | p99, ms | per second |\n|---|---|---|---|\n");
    for (int threads : {1, 2}) Search(absl::StrCat("alone, ", threads, " thread(s)"), threads, nullptr);
    Search("beside one writer that puts documents", 1, [this] { Put(); });
    const size_t put = next_;
    std::vector<std::string> ids;
    size_t at = 0;
    Search("while a tenth of the documents is deleted", 1, [&] {
      if (at >= put) return;
      ids.clear();
      for (size_t i = 0; i < 10 && at < put; ++i, at += 10) ids.push_back(DocumentId(kCollection, UriOf(at)));
      Must(store_->DeleteDocuments(kCollection, ids).status());
      gone_ = at;
    });
    start = Seconds();
    ids.clear();
    for (; at < put; at += 10) ids.push_back(DocumentId(kCollection, UriOf(at)));
    Must(store_->DeleteDocuments(kCollection, ids).status());
    gone_ = at;
    std::printf("the rest deleted in %.1f s\n", Seconds() - start);
    start = Seconds();
    std::atomic<bool> flushed{false};
    std::thread flush([&] {
      Must(store_->Flush());
      flushed = true;
    });
    Search("while the index is made smaller", 1, nullptr);
    flush.join();
    std::printf("index smaller after %.1f s; memory %.0f MB, peak %.0f MB\n", Seconds() - start, MemoryMb("VmRSS"),
                MemoryMb("VmHWM"));
    Search("after it", 1, nullptr);
    std::printf("recall@10 of what is left: %.4f\n", RecallOfTheRest());
    std::printf("wrong hits: %d\n", wrong_.load());
    return wrong_ == 0;
  }

 private:
  static void Must(const absl::Status& status) { LASTRO_CHECK(status.ok(), status.ToString()); }

  std::vector<float> VectorOf(size_t chunk) const {
    std::mt19937_64 random(chunk);
    std::vector<float> vector(kDimension);
    source_.Next(&random, vector.data());
    return vector;
  }

  void Put() {
    const size_t number = next_++;
    Document document;
    document.collection = kCollection;
    document.uri = UriOf(number);
    document.media_type = "text/plain";
    std::vector<Chunk> chunks;
    std::string original;
    for (size_t i = 0; i < kChunksPerDocument; ++i) {
      Chunk chunk;
      chunk.ordinal = static_cast<int32_t>(i);
      chunk.text = absl::StrCat("chunk ", number * kChunksPerDocument + i);
      chunk.tokens = 2;
      chunk.segments = {{0, chunk.text.size(), original.size(), chunk.text.size(), true}};
      chunk.text_sha256 = Sha256Hex(chunk.text);
      chunk.vector = VectorOf(number * kChunksPerDocument + i);
      original += chunk.text + "\n";
      chunks.push_back(std::move(chunk));
    }
    Must(store_->PutDocument(document, "bench", chunks, original, "").status());
  }

  SearchResult SearchOnce(size_t i) {
    SearchQuery query;
    query.collection = kCollection;
    query.mode = SearchMode::kDense;
    query.vector = VectorOf(1000000000 + i);
    query.fingerprint = "bench";
    query.limit = 10;
    absl::StatusOr<SearchResult> result = store_->Search(query, CallContext());
    Must(result.status());
    return *std::move(result);
  }

  // Searches by `threads` threads, while another does `beside` over and over.
  void Search(const std::string& what, int threads, const std::function<void()>& beside) {
    std::atomic<bool> stop{false};
    std::atomic<size_t> next{0};
    std::thread writer([&] {
      while (beside != nullptr && !stop) beside();
    });
    std::vector<double> latencies(kSearches);
    auto work = [&] {
      for (size_t i; (i = next++) < kSearches;) {
        const size_t gone = gone_;
        const double begin = Seconds();
        const SearchResult result = SearchOnce(i);
        latencies[i] = Seconds() - begin;
        if (result.hits.size() != 10) ++wrong_;
        for (const SearchHit& hit : result.hits) wrong_ += IsGone(hit.document.uri, gone);
      }
    };
    const double start = Seconds();
    std::vector<std::thread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(work);
    work();
    for (std::thread& thread : others) thread.join();
    const double seconds = Seconds() - start;
    stop = true;
    writer.join();
    std::sort(latencies.begin(), latencies.end());
    std::printf("| %s | %.3f | %.3f | %.0f |\n", what.c_str(), 1e3 * latencies[kSearches / 2],
                1e3 * latencies[kSearches * 99 / 100], kSearches / seconds);
    std::fflush(stdout);
  }

  double RecallOfTheRest() {
    constexpr size_t kChecked = 50;
    std::vector<std::vector<float>> queries;
    std::vector<std::vector<std::pair<float, size_t>>> best(kChecked);
    for (size_t i = 0; i < kChecked; ++i) queries.push_back(VectorOf(1000000000 + i));
    for (size_t chunk = 0; chunk < next_ * kChunksPerDocument; ++chunk) {
      if (IsGone(UriOf(chunk / kChunksPerDocument), gone_)) continue;
      const std::vector<float> vector = VectorOf(chunk);
      for (size_t i = 0; i < kChecked; ++i) {
        best[i].push_back({-DotProduct(vector.data(), queries[i].data(), kDimension), chunk});
      }
    }
    size_t hits = 0;
    for (size_t i = 0; i < kChecked; ++i) {
      std::partial_sort(best[i].begin(), best[i].begin() + 10, best[i].end());
      std::set<std::string> wanted;
      for (size_t j = 0; j < 10; ++j) wanted.insert(absl::StrCat("chunk ", best[i][j].second));
      for (const SearchHit& hit : SearchOnce(i).hits) hits += wanted.count(hit.chunk.text);
    }
    return static_cast<double>(hits) / (10.0 * kChecked);
  }

  const size_t documents_;
  SqliteStore* const store_;
  const ClusteredVectors source_;
  size_t next_ = 0;              // document to put; of the writer
  std::atomic<size_t> gone_{0};  // tenths before it are deleted, by commits that returned
  std::atomic<int> wrong_{0};
};

}  // namespace

int BenchStore(size_t chunks, const std::string& kind) {
  std::string folder = (std::filesystem::temp_directory_path() / "lastro_bench_XXXXXX").string();
  LASTRO_CHECK(mkdtemp(folder.data()) != nullptr);
  SqliteStoreOptions options;
  options.folder = folder;
  options.result_cache_bytes = 0;  // queries come again
  absl::StatusOr<std::optional<IndexKind>> wanted = ParseIndexKind(kind);
  LASTRO_CHECK(wanted.ok(), wanted.status().ToString());
  options.vector_index.always = *wanted;
  bool right = false;
  {
    absl::StatusOr<std::unique_ptr<SqliteStore>> store = SqliteStore::Open(options);
    LASTRO_CHECK(store.ok(), store.status().ToString());
    right = StoreBench(chunks, store->get()).Run();
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return right ? 0 : 1;
}

}  // namespace lastro::bench
